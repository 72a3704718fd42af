"""The gateway's own keys, and what it signs, verified by a library that is not the gateway's."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils


def _encoded(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    assert "=" not in text, "base64url without padding"
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Key:
    """A key on P-256: `pem` for the gateway's configuration, `jwk` for whoever verifies."""

    def __init__(self) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.pem = private.private_bytes(*form).decode()
        point = private.public_key().public_numbers()
        self.jwk: dict[str, str] = {"crv": "P-256", "kty": "EC", "x": _encoded(point.x), "y": _encoded(point.y)}
        canonical = json.dumps(self.jwk, separators=(",", ":"), sort_keys=True)
        self.thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()
        self.jwk["kid"] = self.thumbprint


def header(token: str) -> dict[str, Any]:
    return json.loads(_decoded(token.split(".")[0]))


def verified(token: str, keys: list[dict[str, Any]]) -> dict[str, Any]:
    """The claims, if the key of this set that the token names signed them. Raises what `cryptography` raises."""
    head, body, signature = token.split(".")
    named = header(token)
    assert named["alg"] == "ES256", named
    (jwk,) = [one for one in keys if one["kid"] == named["kid"]]
    point = (int.from_bytes(_decoded(jwk[axis]), "big") for axis in ("x", "y"))
    key = ec.EllipticCurvePublicNumbers(*point, ec.SECP256R1()).public_key()
    raw = _decoded(signature)
    assert len(raw) == 64, "two numbers of 32 bytes"
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(der, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
    return json.loads(_decoded(body))


# What the gateway proves itself by at Databricks, and with what it signs who is calling.
AT_DATABRICKS = Key()
IDENTITY = Key()
NEXT_IDENTITY = Key()
EVERY_KEY = (AT_DATABRICKS, IDENTITY, NEXT_IDENTITY)
