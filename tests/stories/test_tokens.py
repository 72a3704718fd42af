"""Tokens that must not pass, each one bad in one way only; and odd ones that real providers send, which must."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable

import pytest

from forge import REMOVE, Forger, b64, compact, new_ec, new_rsa, public_pem, unb64
from world import RUN_NOW, Caller, World, assert_allowed, assert_refused

NOW = int(time.time())


def without_today(value: object) -> str:
    """A name of a test that is the same at all times, as runs of pytest that share the tests need it."""
    return re.sub(r"\d{10}", lambda number: f"now{int(number[0]) - NOW:+}", str(value))


def attack(world: World, token: str, status: int = 401, reason: str = "TOKEN_INVALID") -> dict:
    world.remember(token)
    reply = world.send("main", "POST", RUN_NOW, token=token, body='{"job_id": 101}')
    metadata = assert_refused(reply, status, reason)
    world.nothing_reached()
    return metadata


def test_forged_tokens_are_sound_but_for_their_forgery(world: World):
    """The control: what the forger makes passes, as long as nothing is forged."""
    for issuer in ("rs", "es"):
        engineer = world.engineer(issuer)
        assert_allowed(world.send("main", token=engineer.forge(), caller=engineer))


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW - 3600, "iat": NOW - 7200}, "TOKEN_EXPIRED"),
        ({"exp": 0}, "TOKEN_EXPIRED"),
        ({"nbf": NOW + 3600}, "TOKEN_NOT_YET_VALID"),
        ({"iat": NOW + 3600, "exp": NOW + 7200}, "TOKEN_NOT_YET_VALID"),
        ({"exp": REMOVE}, "TOKEN_INVALID"),
        ({"exp": None}, "TOKEN_INVALID"),
        ({"exp": str(NOW + 3600)}, "TOKEN_INVALID"),
        ({"exp": True}, "TOKEN_INVALID"),
        ({"exp": [NOW + 3600]}, "TOKEN_INVALID"),
        ({"exp": -1}, "TOKEN_INVALID"),
        ({"nbf": str(NOW - 10)}, "TOKEN_INVALID"),
        ({"nbf": None}, "TOKEN_INVALID"),
        ({"iat": False}, "TOKEN_INVALID"),
        ({"iat": "now"}, "TOKEN_INVALID"),
        ({"iat": -5}, "TOKEN_INVALID"),
    ],
    ids=without_today,
)
def test_times(world: World, claims: dict, reason: str):
    attack(world, world.engineer().forge(**claims), reason=reason)


@pytest.mark.parametrize("exp", ["1e999", "NaN", "Infinity", "1e400"])
def test_times_beyond_numbers(world: World, exp: str):
    forger = world.forger("rs")
    text = json.dumps(forger.payload(world.engineer().sub)).replace(
        f'"exp": {forger.payload("x")["exp"]}', f'"exp": {exp}'
    )
    assert exp in text
    attack(world, compact(forger.header(), text, forger.key))


def test_clock_skew_is_30_seconds(world: World):
    engineer = world.engineer()
    now = int(time.time())
    # Databricks itself grants no skew here, so what the gateway lets by ends at the exchange
    reply = world.send("main", token=engineer.forge(exp=now - 10, iat=now - 100))
    assert_refused(reply, 403, "EXCHANGE_REFUSED")
    assert_refused(world.send("main", token=engineer.forge(exp=now - 45, iat=now - 100)), 401, "TOKEN_EXPIRED")
    assert_refused(world.send("main", token=engineer.forge(nbf=now + 60)), 401, "TOKEN_NOT_YET_VALID")


# --- signatures and keys ----------------------------------------------------------------------------------------------


def _none(forger: Forger, sub: str, alg: str = "none") -> str:
    return compact(forger.header(alg=alg), forger.payload(sub), None)


def _hs256_with_public_key(forger: Forger, sub: str) -> str:
    return compact(forger.header(alg="HS256"), forger.payload(sub), public_pem(forger.key))


def _hs256_with_modulus(forger: Forger, sub: str) -> str:
    return compact(forger.header(alg="HS256"), forger.payload(sub), unb64(forger.jwk.get("n", forger.jwk.get("x"))))


def _hs256_empty(forger: Forger, sub: str) -> str:
    return compact(forger.header(alg="HS256"), forger.payload(sub), b"\0")


def _tampered(forger: Forger, sub: str) -> str:
    head, _, sig = forger.token(sub, groups=["nobody"]).split(".")
    return f"{head}.{b64(json.dumps(forger.payload(sub)).encode())}.{sig}"


def _flipped(forger: Forger, sub: str) -> str:
    head, body, sig = forger.token(sub).split(".")
    raw = bytearray(unb64(sig))
    raw[len(raw) // 2] ^= 1
    return f"{head}.{body}.{b64(bytes(raw))}"


def _resigned_header(forger: Forger, sub: str) -> str:
    _, body, sig = forger.token(sub).split(".")
    return f"{b64(json.dumps(forger.header(typ='JWT')).encode())}.{body}.{sig}"


def _embedded_jwk(forger: Forger, sub: str) -> str:
    key = new_rsa()
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "e": "AQAB", "n": b64(numbers.n.to_bytes(256, "big")), "kid": "mine", "alg": "RS256"}
    return compact({"alg": "RS256", "kid": "mine", "jwk": jwk}, forger.payload(sub), key)


def _jku(forger: Forger, sub: str) -> str:
    header = {"alg": "RS256", "kid": "mine", "jku": "http://127.0.0.1:9/jwks", "x5u": "http://127.0.0.1:9/cert"}
    return compact(header, forger.payload(sub), new_rsa())


SIGNATURES: dict[str, Callable[[Forger, str], str]] = {
    "alg-none": _none,
    "alg-None": lambda forger, sub: _none(forger, sub, "None"),
    "alg-nOnE": lambda forger, sub: _none(forger, sub, "nOnE"),
    "alg-empty": lambda forger, sub: _none(forger, sub, ""),
    "alg-none-with-signature": lambda forger, sub: compact(forger.header(alg="none"), forger.payload(sub), forger.key),
    "alg-missing": lambda forger, sub: compact(forger.header(alg=REMOVE), forger.payload(sub), forger.key),
    "alg-number": lambda forger, sub: compact(forger.header(alg=256), forger.payload(sub), forger.key),
    "alg-lower-case": lambda forger, sub: compact(
        forger.header(alg=forger.jwk["alg"].lower()), forger.payload(sub), forger.key
    ),
    "hs256-public-pem": _hs256_with_public_key,
    "hs256-modulus": _hs256_with_modulus,
    "hs256-empty-key": _hs256_empty,
    "stripped": lambda forger, sub: forger.token(sub).rsplit(".", 1)[0] + ".",
    "wrong-rsa-key-right-kid": lambda forger, sub: forger.token(sub, header={"alg": "RS256"}, key=new_rsa()),
    "wrong-ec-key-right-kid": lambda forger, sub: forger.token(sub, header={"alg": "ES256"}, key=new_ec()),
    "unknown-kid": lambda forger, sub: forger.token(sub, header={"kid": "nobody-knows"}),
    "kid-path": lambda forger, sub: forger.token(sub, header={"kid": "../../../../dev/null"}),
    "kid-long": lambda forger, sub: forger.token(sub, header={"kid": "k" * 257}),
    "kid-number": lambda forger, sub: forger.token(sub, header={"kid": 1}),
    "rs512-for-rs256-key": lambda forger, sub: forger.token(sub, header={"alg": "RS512"}),
    "ps256-for-rs256-key": lambda forger, sub: forger.token(sub, header={"alg": "PS256"}),
    "tampered-payload": _tampered,
    "flipped-bit": _flipped,
    "other-header": _resigned_header,
    "embedded-jwk": _embedded_jwk,
    "jku": _jku,
}


@pytest.mark.parametrize("issuer", ["rs", "es"])
@pytest.mark.parametrize("how", SIGNATURES, ids=str)
def test_signatures(world: World, how: str, issuer: str):
    if issuer == "es" and how in ("rs512-for-rs256-key", "ps256-for-rs256-key"):
        how = "alg-none"  # an EC key signs no RSA algorithm; nothing new to try
    attack(world, SIGNATURES[how](world.forger(issuer), world.engineer(issuer).sub))


@pytest.mark.parametrize(
    "raw",
    [bytes(64), bytes(32) + b"\1" * 32, b"\1" * 32 + bytes(32), b"\xff" * 64, bytes(63), bytes(65), b""],
    ids=["zeros", "r=0", "s=0", "beyond-order", "short", "long", "empty"],
)
def test_ecdsa_signatures_that_are_none(world: World, raw: bytes):
    head, body, _ = world.forger("es").token(world.engineer("es").sub).split(".")
    attack(world, f"{head}.{body}.{b64(raw)}")


def test_ecdsa_signature_in_der(world: World):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    forger = world.forger("es")
    head, body, _ = forger.token(world.engineer("es").sub).split(".")
    der = forger.key.sign(f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
    attack(world, f"{head}.{body}.{b64(der)}")


@pytest.mark.parametrize(
    "raw",
    [bytes(256), b"\0" * 255 + b"\1", b"\xff" * 256, bytes(255), bytes(512), b""],
    ids=["0", "1", "n+", "short", "long", "empty"],
)
def test_rsa_signatures_that_are_none(world: World, raw: bytes):
    head, body, _ = world.forger("rs").token(world.engineer().sub).split(".")
    attack(world, f"{head}.{body}.{b64(raw)}")


def test_key_of_another_provider(world: World):
    """Right signature, known key: of the other issuer."""
    rs, es = world.forger("rs"), world.forger("es")
    sub = world.engineer().sub
    attack(world, compact(es.header(), rs.payload(sub), es.key))
    attack(world, compact(rs.header(), es.payload(sub), rs.key))


# --- header -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["b64"], "b64": False},
        {"crit": ["exp"]},
        {"crit": ["unknown"], "unknown": 1},
        {"crit": []},
        {"crit": "exp"},
        {"typ": "ID"},
        {"typ": "logout+jwt"},
        {"typ": "JWE"},
        {"typ": ""},
        {"typ": "dpop+jwt"},
        {"zip": "DEF", "crit": ["zip"]},
    ],
    ids=str,
)
def test_headers(world: World, header: dict):
    attack(world, world.engineer().forge(header=header))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": REMOVE},
        {"typ": "JWT"},
        {"typ": "jwt"},
        {"typ": "AT+JWT"},
        {"typ": "application/at+jwt"},
        {"kid": REMOVE},
        {"x5t": "abc"},
        {"jku": "http://127.0.0.1:9/"},
    ],
    ids=str,
)
def test_headers_that_real_providers_send(world: World, header: dict):
    engineer = world.engineer()
    assert_allowed(world.send("main", token=engineer.forge(header=header), caller=engineer))


@pytest.mark.parametrize("typ", ["ID", "Refresh"])
def test_keycloaks_other_tokens(world: World, typ: str):
    attack(world, world.engineer().forge(typ=typ))


@pytest.mark.parametrize(
    "claims",
    [
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "sid": "s-1"},
        {"events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {"event_timestamp": NOW}}},
        {"events": {}},
        {"nonce": "n-0S6_WzA2Mj"},
        {"token_use": "id"},
        {"token_use": "refresh"},
        {"token_type": "refresh"},
    ],
    ids=without_today,
)
@pytest.mark.parametrize("typ", ["JWT", REMOVE], ids=str)
def test_other_tokens_of_the_same_provider_for_the_same_audience(world: World, claims: dict, typ):
    attack(world, world.engineer().forge(header={"typ": typ}, **claims))


def test_keycloaks_access_token(world: World):
    engineer = world.engineer()
    assert_allowed(world.send("main", token=engineer.forge(typ="Bearer"), caller=engineer))


# --- whose, for whom --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "aud",
    ["somebody-else", "Databricks", "databricks ", "", [], ["a", "b"], REMOVE, None, 1, ["a", 1], {"databricks": True}],
    ids=str,
)
def test_audiences(world: World, aud: object):
    attack(world, world.engineer().forge(aud=aud))


@pytest.mark.parametrize("change", ["/", " ", ".evil.example", "UPPER", "other", "missing", "null", "array"])
def test_issuers(world: World, change: str):
    url = world.idp.url("rs")
    issuer = {
        "UPPER": url.replace("http", "HTTP"),
        "other": "https://evil.example",
        "missing": REMOVE,
        "null": None,
        "array": [url],
    }.get(change, url + change)
    attack(world, world.engineer().forge(iss=issuer))


def test_issuer_of_the_cold_providers_is_not_known_here(world: World):
    forger = world.forger("rotate")
    attack(world, forger.token(world.engineer().sub))


@pytest.mark.parametrize("sub", [REMOVE, None, "", 1, ["a"], {"a": 1}], ids=str)
def test_subjects(world: World, sub: object):
    forger = world.forger("rs")
    payload = forger.payload("x")
    if sub is REMOVE:
        del payload["sub"]
    else:
        payload["sub"] = sub
    attack(world, compact(forger.header(), payload, forger.key))


# --- form -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "two-parts",
        "four-parts",
        "jwe",
        "padded",
        "standard-alphabet",
        "no-json",
        "json-array",
        "not-utf8",
        "space",
        "claim-twice",
        "deep",
        "opaque",
        "dots",
        "tiny-signature",
    ],
)
def test_forms(world: World, form: str):
    forger = world.forger("rs")
    sub = world.engineer().sub
    head, body, sig = forger.token(sub).split(".")
    payload = json.dumps(forger.payload(sub))
    token = {
        "two-parts": f"{head}.{body}",
        "four-parts": f"{head}.{body}.{sig}.",
        "jwe": f"{head}.{body}.{sig}.{sig}.{sig}",
        "padded": f"{head}.{body}.{sig}==",
        "standard-alphabet": _standard_alphabet(forger, sub),
        "no-json": compact(forger.header(), "not json", forger.key),
        "json-array": compact(forger.header(), f"[{payload}]", forger.key),
        "not-utf8": _not_utf8(forger, payload),
        "space": f"{head}. {body}.{sig}",
        "claim-twice": compact(forger.header(), payload[:-1] + ', "sub": "admin@example.com"}', forger.key),
        "deep": compact(forger.header(), payload[:-1] + ', "x": ' + "[" * 2000 + "]" * 2000 + "}", forger.key),
        "opaque": "c2VjcmV0LW9wYXF1ZS10b2tlbg",
        "dots": "..",
        "tiny-signature": f"{head}.{body}.AAAA",
    }[form]
    attack(world, token)


def _standard_alphabet(forger: Forger, sub: str) -> str:
    """A signature of `+` and `/`, which base64url does not know."""
    for n in range(50):
        head, body, sig = forger.token(sub, n=n).split(".")
        if "-" in sig and "_" in sig:
            break
    return f"{head}.{body}.{sig.replace('-', '+').replace('_', '/')}"


def _not_utf8(forger: Forger, payload: str) -> str:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    raw = payload.encode()[:-1] + b', "x": "\xff\xfe"}'
    signed = f"{b64(json.dumps(forger.header()).encode())}.{b64(raw)}"
    return f"{signed}.{b64(forger.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def test_oversize(world: World):
    if world.gateway.refuses_oddities:
        pytest.skip("this host itself refuses headers of more than 8 KB")
    attack(world, world.engineer().forge(padding="x" * 20_000))


def test_oversize_header(world: World):
    if world.gateway.refuses_oddities:
        pytest.skip("this host itself refuses headers of more than 8 KB")
    attack(world, world.engineer().forge(header={"padding": "x" * 9_000}))


def test_refusal_names_no_claim(world: World):
    engineer = world.engineer()
    reply = world.send("main", token=engineer.forge(aud="CANARY-audience", groups=["CANARY-group"]))
    assert_refused(reply, 401, "TOKEN_INVALID")


# --- the Authorization header -----------------------------------------------------------------------------------------


def test_no_credential(world: World):
    metadata = world.send("main", "POST", RUN_NOW, body="{}")
    assert_refused(metadata, 401, "TOKEN_MISSING")
    world.nothing_reached()


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Negotiate abc", "Digest username=x", "Token abc", "token"]
)
def test_not_a_bearer(world: World, value: str):
    reply = world.send("main", headers={"Authorization": value})
    assert_refused(reply, 401, "TOKEN_MISSING")
    world.nothing_reached()


def test_token_without_scheme(world: World):
    assert_refused(world.send("main", headers={"Authorization": world.engineer().token()}), 401, "TOKEN_MISSING")


def test_token_as_basic_password(world: World):
    token = world.engineer().token()
    value = "Basic " + base64.b64encode(f"token:{token}".encode()).decode()
    assert_refused(world.send("main", headers={"Authorization": value}), 401, "TOKEN_MISSING")
    world.nothing_reached()


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
def test_scheme_in_any_case(world: World, scheme: str):
    engineer = world.engineer()
    assert_allowed(world.send("main", headers={"Authorization": f"{scheme} {engineer.token()}"}))


def _two(first: str, second: str) -> list[tuple[str, str]]:
    return [("Authorization", first), ("Authorization", second)]


@pytest.mark.parametrize("second", ["same", "other", "basic", "empty"])
@pytest.mark.parametrize("order", ["valid-first", "valid-last"])
def test_two_authorization_headers(world: World, second: str, order: str):
    engineer = world.engineer()
    valid = f"Bearer {engineer.token()}"
    other = {
        "same": valid,
        "other": f"Bearer {world.engineer().token()}",
        "basic": "Basic dXNlcjpwYXNz",
        "empty": "Bearer x",
    }[second]
    pair = _two(valid, other) if order == "valid-first" else _two(other, valid)
    if world.gateway.refuses_oddities:
        assert world.send("main", headers=pair).status == 400
        return world.nothing_reached()
    assert_refused(world.send("main", headers=pair), 400, "REQUEST_AMBIGUOUS")
    world.nothing_reached()


def test_a_token_does_not_make_another_valid(world: World):
    """A verdict is kept for the whole token, not for its subject or its signature."""
    engineer = world.engineer()
    good = engineer.forge()
    assert_allowed(world.send("main", token=good, caller=engineer))
    world.workspace.forget_requests()
    head, body, sig = good.split(".")
    forger = world.forger("rs")
    promoted = b64(json.dumps(forger.payload(engineer.sub, groups=["data-engineering", "admins"])).encode())
    attack(world, f"{head}.{promoted}.{sig}")
    attack(world, f"{head}.{body}.{sig[:-8]}AAAAAAAA")
    assert_allowed(world.send("main", token=good, caller=engineer))


def test_expiry_counts_for_a_token_already_seen(world: World):
    engineer: Caller = world.engineer()
    now = int(time.time())
    claims = {
        "email": engineer.sub,
        "realm_access": {"roles": ["data-engineering"]},
        "tier": "gold",
        "email_verified": True,
    }
    token = world.remember(world.forger("rs").token(engineer.sub, exp=now + 2, iat=now, groups=REMOVE, **claims))
    assert_allowed(world.send("strict", token=token))
    time.sleep(
        max(0.0, now + 2 + 5 + 1.2 - time.time())
    )  # `strict` grants 5 s of skew: this waits for the clock itself
    assert_refused(world.send("strict", token=token), 401, "TOKEN_EXPIRED")
