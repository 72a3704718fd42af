"""Tokens as an attacker, or a provider with odd habits, would make them: any header, any payload, any key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(jwk: dict[str, str], member: str) -> int:
    return int.from_bytes(unb64(jwk[member]), "big")


def private_key(jwk: dict[str, str]) -> PrivateKey:
    if jwk["kty"] == "RSA":
        public = rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n"))
        members = [_number(jwk, member) for member in ("p", "q", "d", "dp", "dq", "qi")]
        return rsa.RSAPrivateNumbers(*members, public).private_key()
    public = ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), ec.SECP256R1())
    return ec.EllipticCurvePrivateNumbers(_number(jwk, "d"), public).private_key()


def new_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def new_ec() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def signature(key: PrivateKey | bytes | None, signed: bytes, alg: str) -> bytes:
    if key is None:
        return b""
    if isinstance(key, bytes):
        return hmac.new(key, signed, hashlib.sha256).digest()
    if isinstance(key, rsa.RSAPrivateKey):
        if alg == "PS256":
            return key.sign(signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        digest = hashes.SHA512() if alg == "RS512" else hashes.SHA256()
        return key.sign(signed, padding.PKCS1v15(), digest)
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def compact(header: dict[str, Any] | str, payload: dict[str, Any] | str, key: PrivateKey | bytes | None) -> str:
    """header.payload.signature; a string instead of a dict is taken as the JSON text itself."""
    head = header if isinstance(header, str) else json.dumps(header)
    body = payload if isinstance(payload, str) else json.dumps(payload)
    alg = header.get("alg", "") if isinstance(header, dict) else json.loads(header).get("alg", "")
    signed = f"{b64(head.encode())}.{b64(body.encode())}"
    return f"{signed}.{b64(signature(key, signed.encode(), alg))}"


class Forger:
    """Makes tokens in the name of one issuer, with its real key unless told otherwise."""

    def __init__(self, issuer_url: str, jwk: dict[str, str]):
        self.issuer_url = issuer_url
        self.jwk = jwk
        self.key = private_key(jwk)

    def header(self, **changes: Any) -> dict[str, Any]:
        return _changed({"alg": self.jwk["alg"], "typ": "at+jwt", "kid": self.jwk["kid"]}, changes)

    def payload(self, sub: str, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        return _changed(
            {
                "iss": self.issuer_url,
                "aud": "databricks",
                "sub": sub,
                "client_id": "tests",
                "groups": ["data-engineering"],
                "iat": now,
                "exp": now + 3600,
                "jti": uuid.uuid4().hex,
            },
            changes,
        )

    def token(
        self,
        sub: str,
        header: dict[str, Any] | None = None,
        key: PrivateKey | bytes | None | str = "own",
        **claims: Any,
    ) -> str:
        """`REMOVE` as a value takes a member out."""
        used = self.key if key == "own" else key
        return compact(self.header(**(header or {})), self.payload(sub, **claims), used)


class _Remove:
    def __repr__(self) -> str:
        return "REMOVE"


REMOVE = _Remove()


def _changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not REMOVE}


def expiry(token: str) -> int:
    return int(json.loads(unb64(token.split(".")[1]))["exp"])
