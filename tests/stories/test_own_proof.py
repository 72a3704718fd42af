"""Tokens that the gateway obtains with a proof of its own: an assertion that it signs, and its secret at Entra ID."""

from __future__ import annotations

import json
import time

import signing
from stack import ENTRA_CLIENT, SP_GATEWAY
from world import World, assert_allowed, assert_refused


def test_signed_assertion(world: World):
    """No Databricks secret anywhere: the workspace knows the gateway's public key."""
    caller = world.user("asserted")
    before = int(time.time())
    assert_allowed(world.send("proofs", caller=caller))
    assert world.the_request().who == SP_GATEWAY
    for exchange in world.exchanges():
        token = exchange.form["subject_token"]
        assert token not in world.tokens, "the caller's token is not shown to Databricks"
        assert exchange.form["client_id"] == SP_GATEWAY and exchange.form["scope"] == "jobs"
        assert signing.header(token) == {"alg": "ES256", "typ": "JWT", "kid": signing.AT_DATABRICKS.thumbprint}
        claims = signing.verified(token, [signing.AT_DATABRICKS.jwk])
        assert set(claims) == {"iss", "aud", "sub", "iat", "exp", "jti"}
        assert (claims["iss"], claims["aud"], claims["sub"]) == (
            "https://gw.example.com",
            "databricks",
            "role:asserted",
        )
        assert before - 1 <= claims["iat"] <= time.time() + 1 and claims["exp"] - claims["iat"] <= 300
    record = world.record()
    assert (record["credential"], record["role"], record["subject"]) == ("gateway_assertion", "asserted", caller.sub)


def test_signed_assertion_is_shared_by_the_role(world: World):
    assert_allowed(world.send("proofs", caller=world.user("asserted")))
    world.workspace.forget_requests()
    for _ in range(3):
        assert_allowed(world.send("proofs", caller=world.user("asserted")))
    assert not world.exchanges(), "callers of one role share its token"


def test_signed_assertion_under_no_policy(world: World):
    """The workspace does not trust that subject."""
    reply = world.send("proofs", caller=world.user("distrusted"))
    assert assert_refused(reply, 403, "EXCHANGE_REFUSED")["error"] == "invalid_grant"
    world.no_api_reached()


def test_on_behalf_of(world: World):
    first, second = world.user("entra"), world.user("entra")
    for caller in (first, second, first):
        token = caller.token(audience=ENTRA_CLIENT)
        world.workspace.forget_requests()
        assert_allowed(world.send("proofs", token=token, caller=caller))
        assert world.the_request().who == caller.sub, "a token obtained with a caller's own token serves that caller"
        assert world.record()["credential"] == "entra_on_behalf_of"
    assert not world.exchanges(), "the first caller's token was kept"


def test_on_behalf_of_asks_as_microsoft_documents(world: World):
    caller = world.user("entra")
    token = caller.token(audience=ENTRA_CLIENT)
    assert_allowed(world.send("proofs", token=token, caller=caller))
    (exchange,) = world.exchanges()
    assert set(exchange.form) == {
        "grant_type",
        "client_id",
        "client_secret",
        "assertion",
        "scope",
        "requested_token_use",
    }
    assert exchange.form["assertion"] == token


def test_on_behalf_of_a_token_for_another_application(world: World):
    """Entra ID refuses an assertion whose audience is not the client that presents it."""
    caller = world.user("entra")
    reply = world.send("proofs", token=caller.token(), caller=caller)
    assert assert_refused(reply, 403, "EXCHANGE_REFUSED")["error"] == "invalid_grant"
    assert "AADSTS" not in reply.text
    world.no_api_reached()


def test_on_behalf_of_refused_by_conditional_access(world: World):
    body = json.dumps({"error": "interaction_required", "error_description": "AADSTS50076: CANARY", "claims": "{}"})
    world.workspace.fault("token", "status", status=400, headers={"content-type": "application/json"}, body=body)
    caller = world.user("entra")
    reply = world.send("proofs", token=caller.token(audience=ENTRA_CLIENT), caller=caller)
    assert assert_refused(reply, 403, "EXCHANGE_REFUSED")["error"] == "interaction_required"
    world.no_api_reached()
