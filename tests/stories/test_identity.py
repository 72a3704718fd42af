"""The service behind the gateway is told who is calling, and egress: code in Databricks calls an internal service."""

from __future__ import annotations

import time

import pytest
from cryptography.exceptions import InvalidSignature

import signing
from stack import SP_ETL, SP_SECRETS, Response
from world import World, assert_refused

KEYS = "/.well-known/databricks-kong/jwks.json"
PRICES = "/v1/prices/widget"
HEADER = "x-caller-identity"


def call(world: World, config: str, token: str | None, **more: object) -> Response:
    """The stand-in for the internal service has no such page, and says what reached it."""
    world.anonymous_allowed = True
    return world.send(config, "GET", PRICES, token=token, **more)


def claims_seen(world: World, config: str) -> dict[str, object]:
    """What the service reads, with the keys that it fetches itself."""
    (assertion,) = world.the_request().all(HEADER)
    keys = world.send(config, "GET", KEYS)
    assert keys.status == 200 and keys.header("cache-control") == "public, max-age=300", str(keys)
    assert all("d" not in key for key in keys.json()["keys"]), "nothing private"
    return signing.verified(assertion, keys.json()["keys"])


def test_service_verifies_who_calls(world: World):
    caller = world.user("egress")
    before = int(time.time())
    assert call(world, "identity", caller.token()).status == 404
    claims = claims_seen(world, "identity")
    assert claims["iss"] == world.gateway.url("identity") and claims["aud"] == "pricing"
    assert (claims["sub"], claims["idp"], claims["role"]) == (caller.sub, "rs", "reader")
    assert claims["req"] == world.request_id()
    assert before - 1 <= int(str(claims["iat"])) <= time.time() + 1
    assert int(str(claims["exp"])) - int(str(claims["iat"])) == 30
    assert not [value for value in world.the_request().all("authorization") if value]


def test_no_two_assertions_have_one_id(world: World):
    caller = world.user("egress")
    token = caller.token()
    ids = set()
    for _ in range(5):
        world.workspace.forget_requests()
        call(world, "identity", token)
        ids.add(claims_seen(world, "identity")["jti"])
    assert len(ids) == 5


@pytest.mark.parametrize("name", ["X-Caller-Identity", "x-caller-identity", "X_Caller_Identity"])
def test_a_client_cannot_say_who_it_is(world: World, name: str):
    caller = world.user("egress")
    call(world, "identity", caller.token(), headers={name: "forged"})
    seen = world.the_request()
    assert "forged" not in str(seen.headers)
    assert claims_seen(world, "identity")["sub"] == caller.sub


def test_a_changed_assertion_is_found_out(world: World):
    call(world, "identity", world.user("egress").token())
    (assertion,) = world.the_request().all(HEADER)
    head, body, signature = assertion.split(".")
    changed = ".".join([head, body[:-2] + ("AA" if body[-2:] != "AA" else "BB"), signature])
    with pytest.raises(InvalidSignature):
        signing.verified(changed, world.send("identity", "GET", KEYS).json()["keys"])


def test_both_keys_of_a_rotation_are_published(world: World):
    keys = [key["kid"] for key in world.send("identity", "GET", KEYS).json()["keys"]]
    assert keys == [signing.IDENTITY.thumbprint, signing.NEXT_IDENTITY.thumbprint]
    call(world, "identity", world.user("egress").token())
    (assertion,) = world.the_request().all(HEADER)
    assert signing.header(assertion) == {"alg": "ES256", "typ": "JWT", "kid": signing.IDENTITY.thumbprint}


def test_egress_of_a_service_principal(world: World):
    """Its token is the workspace's own: verified by the workspace's keys, mapped, and dropped."""
    reply = world.workspace.client_credentials(SP_ETL, SP_SECRETS[SP_ETL])
    token = world.remember(reply.json()["access_token"])
    world.workspace.forget_requests()
    assert call(world, "egress", token).status == 404
    world.workspace.forget_requests()
    call(world, "egress", token)
    claims = claims_seen(world, "egress")
    assert (claims["sub"], claims["idp"], claims["role"]) == (SP_ETL, "databricks", "price-reader")


def test_egress_of_somebody_else(world: World):
    """A token of the company's provider is none of the workspace's."""
    assert_refused(call(world, "egress", world.user("egress").token()), 401, "TOKEN_INVALID")
    world.nothing_reached()


def test_no_keys_where_nothing_is_signed(world: World):
    assert_refused(world.send("main", "GET", KEYS), 404, "NOT_FOUND")
