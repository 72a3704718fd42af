"""Tokens that only their provider can read, and a provider that is asked of every token."""

from __future__ import annotations

import uuid

import pytest

from stack import SP_ETL, Response, wait_until
from world import World, assert_allowed, assert_refused


def opaque_token(world: World, issuer: str = "opaque", audience: str | None = None) -> tuple[str, str]:
    """A subject, and a token of theirs."""
    sub = f"batch-{uuid.uuid4().hex[:8]}@example.com"
    token = world.idp.login(issuer, sub, {"groups": ["batch"]}, audience=audience, opaque=True)
    assert token.count(".") != 2
    return sub, world.remember(token)


def ask(world: World, token: str) -> Response:
    return world.send("opaque", token=token)


def let_in(world: World, token: str) -> Response:
    """Where a host lets one request of the gateway's own with a body go out for each request, this takes up to one for each of them: the
    first provider, the second, the exchange."""
    for _ in range(0 if world.gateway.retries_exchanges else 2):
        early = ask(world, token)
        if early.status != 503:
            return early
        assert early.all("retry-after") == ["1"], str(early)
    return ask(world, token)


def test_an_opaque_token_is_its_callers_as_the_provider_says(world: World):
    sub, token = opaque_token(world)
    assert_allowed(let_in(world, token))
    seen = world.the_request() if world.gateway.retries_exchanges else world.api()[-1]
    assert seen.who == SP_ETL
    request_id = seen.header("user-agent").rpartition(" req/")[2]
    (record,) = wait_until("the record is written", lambda: world.records(request_id))
    assert (record["subject"], record["idp"], record["principal"]) == (sub, "opaque", SP_ETL)


def test_what_the_provider_said_counts_for_a_while_and_then_it_is_asked_again(world: World):
    _, token = opaque_token(world)
    assert_allowed(let_in(world, token))
    asked = world.idp.state("opaque")["introspection"]
    for _ in range(5):
        assert_allowed(ask(world, token))
    assert world.idp.state("opaque")["introspection"] <= asked + 1, "not by every request"
    world.idp.revoke("opaque", token)
    wait_until("it is refused", lambda: ask(world, token).status == 401, timeout=8, step=0.2)
    assert_refused(ask(world, token), 401, "TOKEN_REVOKED")


def test_the_second_provider_is_asked_of_what_the_first_does_not_know(world: World):
    _, token = opaque_token(world, "opaque_too")
    assert_allowed(let_in(world, token))


def test_what_nobody_knows_and_what_is_for_another_service_is_refused(world: World):
    for token, reason in (
        (world.remember(uuid.uuid4().hex), "TOKEN_REVOKED"),
        (opaque_token(world, audience="another-service")[1], "TOKEN_INVALID"),
    ):
        assert_refused(let_in(world, token), 401, reason)
    world.no_api_reached()


def test_while_no_provider_answers_nobody_is_let_in(world: World):
    _, token = opaque_token(world)
    try:
        for issuer in ("opaque", "opaque_too"):
            world.idp.fault(issuer, "status", status=500)
        assert_refused(ask(world, token), 503, "INTROSPECTION_UNAVAILABLE")
    finally:
        for issuer in ("opaque", "opaque_too"):
            world.idp.fault(issuer, "none")
    assert_allowed(let_in(world, token))


@pytest.mark.parametrize("how", ["said", "not said"])
def test_a_provider_that_is_asked_of_every_token(world: World, how: str):
    engineer = world.engineer("asked")
    token = engineer.token()

    def poll() -> Response:
        return world.send("asked", token=token, caller=engineer)

    wait_until("they are let in", lambda: poll().status == 200, timeout=6, step=0.5)
    try:
        if how == "said":
            world.idp.says_inactive("asked", token)
            wait_until("they are refused", lambda: poll().status == 401, timeout=6, step=0.2)
            assert_refused(poll(), 401, "TOKEN_REVOKED")
        else:
            world.idp.fault("asked", "status", status=503)
            wait_until("they are put off", lambda: poll().status == 503, timeout=6, step=0.2)
            assert_refused(poll(), 503, "INTROSPECTION_UNAVAILABLE")
    finally:
        world.idp.fault("asked", "none")
    colleague = world.engineer("asked")
    hers = colleague.token()
    wait_until("a colleague goes on", lambda: world.send("asked", token=hers).status == 200, timeout=6, step=0.5)
