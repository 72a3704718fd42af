"""`mode: guard`, behind the entry that decides (contract, section 5). On hosts that have chains of filters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from stack import RUN_NOW_PATH
from world import World, assert_allowed, assert_refused


@pytest.fixture(autouse=True)
def chains(world: World):
    if not world.gateway.guards:
        pytest.skip("this host has no chain with a guard")


def test_a_guard_lets_pass_what_the_entry_before_it_allowed(world: World):
    engineer = world.engineer()
    for _ in range(3):
        assert_allowed(world.send("guarded", caller=engineer))
    assert_allowed(world.send("guarded", "POST", RUN_NOW_PATH, caller=engineer, body='{"job_id": 101}'))


def test_a_guard_waits_for_a_decision_that_needs_the_body(world: World):
    runner = world.user("runners")
    for _ in range(2):  # with callouts, and without
        assert_allowed(world.send("guarded_policy", "POST", RUN_NOW_PATH, caller=runner, body='{"job_id": 101}'))
    refused = world.send("guarded_policy", "POST", RUN_NOW_PATH, caller=runner, body='{"job_id": 999}')
    assert_refused(refused, 403, "NO_RULE")
    assert len(world.api()) == 2


def test_a_guard_adds_nothing_to_a_refusal(world: World):
    assert_refused(world.send("guarded", caller=world.user("analysts")), 403, "NO_ROLE")
    assert_refused(world.send("guarded"), 401, "TOKEN_MISSING")
    world.nothing_reached()


def test_a_guard_adds_nothing_to_a_refusal_that_follows_a_callout(world: World):
    """Kong asks the guard although the entry before it has answered."""
    before = world.gateway.counters()
    unknown = world.user("data-engineering", known=False)
    for _ in range(2):
        assert_refused(world.send("guarded", caller=unknown), 403, "EXCHANGE_REFUSED")
    after = world.gateway.counters()
    assert after["denied_exchange_refused"] - before["denied_exchange_refused"] == 2
    assert after["requests_failed"] == before["requests_failed"]
    # the instance is still the one that it was: it has its cache
    engineer = world.engineer()
    token = engineer.token()
    assert_allowed(world.send("guarded", token=token, caller=engineer))
    assert_refused(world.send("guarded", caller=unknown), 403, "EXCHANGE_REFUSED")
    assert_allowed(world.send("guarded", token=token, caller=engineer))
    assert len([one for one in world.seen() if one.is_exchange and one.status == 200]) == 1


def test_a_guard_alone_refuses_everything_even_a_request_that_claims_to_be_marked(world: World):
    engineer = world.engineer()
    assert_allowed(world.send("guarded", caller=engineer))
    marks = {"X-Databricks-Kong-Allowed": "yes", "databricks_kong_allowed": "yes", "X-Request-Id": "1"}
    for headers in ({}, marks):
        assert_refused(world.send("guard_alone", caller=engineer, headers=headers), 500, "GUARD_REFUSED")
    assert len(world.api()) == 1


def test_marks_of_many_requests_at_once_are_not_mixed(world: World):
    engineers = [world.engineer() for _ in range(8)]
    tokens = {one.sub: one.forge() for one in engineers}
    analyst = world.user("analysts").forge()

    def go(number: int):
        if number % 3 == 0:
            return 403, world.send("guarded", token=analyst)
        if number % 3 == 1:
            return 500, world.send("guard_alone", token=tokens[engineers[number % 8].sub])
        engineer = engineers[number % 8]
        return 200, world.send("guarded", token=tokens[engineer.sub], caller=engineer)

    with ThreadPoolExecutor(24) as pool:
        for status, reply in pool.map(go, range(240)):
            assert reply.status == status, str(reply)
