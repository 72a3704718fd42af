"""The token endpoint refuses, throttles, dawdles, talks rubbish, is gone. No request goes on without a credential."""

from __future__ import annotations

import json
import time

import pytest

from stack import wait_until
from world import JOBS_LIST, World, assert_allowed, assert_refused


def unavailable(world: World, config: str = "impatient") -> int:
    """One request by somebody new is refused with 503; returns its Retry-After."""
    reply = world.send(config, caller=world.engineer())
    assert_refused(reply, 503, "EXCHANGE_UNAVAILABLE")
    world.no_api_reached()
    assert reply.elapsed < 6
    return int(reply.header("retry-after"))


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_grant"),
        (401, "invalid_client"),
        (403, "access_denied"),
        (400, "invalid_scope"),
        (401, "invalid_grant"),
    ],
)
def test_refused(world: World, status: int, code: str):
    body = json.dumps({"error": code, "error_description": "CANARY of the endpoint"})
    world.workspace.fault("token", "status", status=status, headers={"content-type": "application/json"}, body=body)
    reply = world.send("impatient", caller=world.engineer())
    assert_refused(reply, 403, "EXCHANGE_REFUSED")
    assert code in reply.text, "Databricks' error code helps the caller"
    world.no_api_reached()
    assert len(world.exchanges()) == 1, "a refusal is an answer; asking again changes nothing"


def test_person_unknown_to_the_workspace(world: World):
    reply = world.send("main", caller=world.engineer(known=False))
    assert_refused(reply, 403, "EXCHANGE_REFUSED")
    world.no_api_reached()


def test_refusal_is_not_kept_for_ever(world: World):
    engineer = world.engineer(known=False)
    assert_refused(world.send("main", caller=engineer), 403, "EXCHANGE_REFUSED")
    world.workspace.add_user(engineer.sub)
    wait_until("the person is let in", lambda: world.send("main", caller=engineer).status == 200, 40, step=1)


# --- throttled --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_throttled_waits_as_long_as_it_is_told(world: World, status: int):
    engineer = world.engineer()
    token = engineer.token()
    world.workspace.fault("token", "status", status=status, headers={"retry-after": "3"}, body="{}", times=1)
    first = world.send("main", token=token, caller=engineer)
    told = time.monotonic()
    assert_refused(first, 503, "EXCHANGE_UNAVAILABLE")
    assert 1 <= int(first.header("retry-after")) <= 3
    for _ in range(3):
        reply = world.send("main", token=token, caller=engineer)
        assert_refused(reply, 503, "EXCHANGE_UNAVAILABLE")
        assert 1 <= int(reply.header("retry-after")) <= 3
    if time.monotonic() - told < 2.5:
        assert len(world.exchanges()) == 1, "no second exchange before the time is over"
    world.no_api_reached()

    # per key: somebody else is not held up
    assert_allowed(world.send("main", caller=world.engineer()))
    wait_until("the time is over", lambda: world.send("main", token=token, caller=engineer).status == 200, 8, step=0.3)
    assert len(world.exchanges(token)) == 2


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2099 07:28:00 GMT", "-5", "soon", "99999999999999999999", ""])
def test_odd_retry_after(world: World, value: str):
    headers = {"retry-after": value} if value else {}
    world.workspace.fault("token", "status", status=429, headers=headers, body="{}")
    assert 1 <= unavailable(world, "main") <= 3600


# --- unreachable, slow, broken ----------------------------------------------------------------------------------------


def test_nothing_listens(world: World):
    assert unavailable(world, "nowhere") >= 1


def test_slow(world: World):
    """Slower than the callout's timeout of 500 ms, twice."""
    world.workspace.fault("token", "delay", delay_ms=3000)
    engineer = world.engineer()
    reply = world.send("impatient", caller=engineer)
    assert_refused(reply, 503, "EXCHANGE_UNAVAILABLE")
    assert reply.elapsed < 2.5, "two tries of 500 ms each"
    world.no_api_reached()


def test_slow_once_is_tried_again(world: World):
    if not world.gateway.retries_exchanges:
        pytest.skip("this host cannot send a callout with a body while the answer to another is handled")
    world.workspace.fault("token", "delay", delay_ms=3000, times=1)
    engineer = world.engineer()
    assert_allowed(world.send("impatient", caller=engineer))
    assert world.the_request().who == engineer.sub


def test_slow_but_in_time(world: World):
    world.workspace.fault("token", "delay", delay_ms=250, times=1)
    assert_allowed(world.send("impatient", caller=world.engineer()))


def test_closed_once_is_tried_again(world: World):
    if not world.gateway.retries_exchanges:
        pytest.skip("this host cannot send a callout with a body while the answer to another is handled")
    world.workspace.fault("token", "close", times=1)
    assert_allowed(world.send("impatient", caller=world.engineer()))


@pytest.mark.parametrize("kind", ["close", "garbage", "truncate"])
def test_broken(world: World, kind: str):
    world.workspace.fault("token", kind)
    assert unavailable(world) >= 1


@pytest.mark.parametrize("status", [302, 404, 500, 502, 504, 204])
def test_answers_that_are_none(world: World, status: int):
    headers = {"location": f"{world.workspace.url}/oidc/v1/token"} if status == 302 else {}
    world.workspace.fault(
        "token", "status", status=status, headers=headers, body="" if status == 204 else "<html>CANARY</html>"
    )
    reply = world.send("impatient", caller=world.engineer())
    if status == 404 and reply.status == 403:
        assert_refused(reply, 403, "EXCHANGE_REFUSED")
    else:
        assert_refused(reply, 503, "EXCHANGE_UNAVAILABLE")
    world.no_api_reached()


RUBBISH = {
    "empty": "",
    "html": "<html>CANARY</html>",
    "null": "null",
    "array": "[]",
    "string": '"token"',
    "no-token": '{"token_type":"Bearer","expires_in":3600}',
    "token-null": '{"access_token":null,"token_type":"Bearer","expires_in":3600}',
    "token-number": '{"access_token":5,"token_type":"Bearer","expires_in":3600}',
    "token-empty": '{"access_token":"","token_type":"Bearer","expires_in":3600}',
    "token-two-lines": '{"access_token":"a\\r\\nX-Evil: CANARY","token_type":"Bearer","expires_in":3600}',
    "token-spaces": '{"access_token":"a b","token_type":"Bearer","expires_in":3600}',
    "token-not-ascii": '{"access_token":"t\\u00f6ken","token_type":"Bearer","expires_in":3600}',
    "token-huge": '{"access_token":"' + "a" * 200_000 + '","token_type":"Bearer","expires_in":3600}',
    "other-type": '{"access_token":"abc","token_type":"DPoP","expires_in":3600}',
    "deep": '{"access_token":"abc","token_type":"Bearer","expires_in":3600,"x":' + "[" * 5000 + "]" * 5000 + "}",
    "error-with-200": '{"error":"invalid_grant","error_description":"CANARY"}',
}


@pytest.mark.parametrize("body", RUBBISH.values(), ids=RUBBISH.keys())
def test_rubbish(world: World, body: str):
    world.workspace.fault("token", "status", status=200, headers={"content-type": "application/json"}, body=body)
    reply = world.send("impatient", caller=world.engineer())
    if reply.status == 403 and "error" in body:
        assert_refused(reply, 403, "EXCHANGE_REFUSED")
    else:
        assert_refused(reply, 503, "EXCHANGE_UNAVAILABLE")
    world.no_api_reached()


def test_callers_credential_is_gone_whatever_happens(world: World):
    """The last line of defence: even what slips through a lost reply carries no IdP token. Promised in conftest's check."""
    engineer = world.engineer()
    token = engineer.token()
    for kind in ("close", "garbage", "truncate"):
        world.workspace.fault("token", kind, times=2)
        world.send("impatient", token=token)
        world.workspace.clear_faults()
    wait_until("recovered", lambda: world.send("impatient", token=token).status == 200, 15, step=0.5)
    assert {one.who for one in world.api()} == {engineer.sub}


def test_recovers_by_itself(world: World):
    engineer = world.engineer()
    token = engineer.token()
    world.workspace.fault("token", "close")
    assert_refused(world.send("impatient", token=token), 503, "EXCHANGE_UNAVAILABLE")
    world.workspace.clear_faults()
    wait_until("recovered", lambda: world.send("impatient", token=token).status == 200, 15, step=0.3)


def test_no_harm_to_tokens_that_are_kept(world: World):
    engineer = world.engineer()
    token = engineer.token()
    assert_allowed(world.send("impatient", token=token))
    world.workspace.fault("token", "close")
    assert_allowed(world.send("impatient", token=token))
    unavailable_for_new = world.send("impatient", caller=world.engineer())
    assert_refused(unavailable_for_new, 503, "EXCHANGE_UNAVAILABLE")
    assert_allowed(world.send("impatient", token=token))


# --- lifetimes that mean nothing --------------------------------------------------------------------------------------

ODD_LIFETIMES = {
    "zero": 0,
    "missing": None,
    "negative": -1,
    "huge": 10**18,
    "beyond-u64": 10**30,
    "text": "soon",
    "list": [3600],
    "true": True,
    "century": 3_200_000_000,
}


@pytest.mark.parametrize("expires_in", ODD_LIFETIMES.values(), ids=ODD_LIFETIMES.keys())
def test_odd_lifetime_is_used_once(world: World, expires_in: object):
    engineer = world.engineer()
    token = engineer.token()
    real = world.workspace.exchange(token).json()["access_token"]
    world.workspace.forget_requests()
    answer = {"access_token": real, "token_type": "Bearer", "scope": "all-apis", "expires_in": expires_in}
    if expires_in is None:
        del answer["expires_in"]
    world.workspace.fault(
        "token", "status", status=200, headers={"content-type": "application/json"}, body=json.dumps(answer)
    )
    for n in (1, 2, 3):
        assert_allowed(world.send("main", "GET", JOBS_LIST, token=token, caller=engineer))
        assert len(world.exchanges()) == n, "used once, not kept"
