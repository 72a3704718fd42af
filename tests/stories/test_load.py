"""Many callers at once, with everything cold. Bounded: a few hundred requests, on this machine alone."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from world import JOBS_LIST, World, assert_allowed


def test_200_concurrent_cold_requests(world: World):
    """No keys, no tokens, 200 requests at once: 100 of different people, 100 of ten people ten times."""
    alone = [world.engineer("burst") for _ in range(100)]
    shared = [world.engineer("burst") for _ in range(10)]
    callers = alone + shared * 10
    tokens = {caller.sub: caller.forge() for caller in alone + shared}
    start = threading.Barrier(len(callers))

    def go(caller):
        start.wait()
        for _ in range(20):
            reply = world.send("burst", "GET", "/api/2.2/jobs/list", token=tokens[caller.sub], caller=caller)
            # a host where no request can wait for another's fetch of the keys: one fetches, the others are told to come back
            if reply.status != 503 or "KEYS_UNAVAILABLE" not in str(reply):
                break
            time.sleep(float(reply.header("retry-after")))
        return reply

    with ThreadPoolExecutor(len(callers)) as pool:
        replies = list(pool.map(go, callers))
    for reply in replies:
        assert_allowed(reply)

    sent = world.api()
    assert len(sent) == len(callers)
    for one in sent:
        assert one.who == one.header("x-test-caller")
    exchanges = world.exchanges()
    assert {one.form["subject_token"] for one in exchanges} == set(tokens.values())
    assert world.idp.state("burst")["jwks"] <= 4, "a fetch for each worker, not for each request"
    # warm: not one more exchange
    before = len(exchanges)
    for caller in shared:
        assert_allowed(world.send("burst", token=tokens[caller.sub], caller=caller))
    assert len(world.exchanges()) == before


# so many requests of a worker ask for one token at a time where they cannot wait for each other (src/exchange/cache.rs)
MOST_AT_ONCE = 32


def test_many_cold_requests_of_one_caller(world: World):
    """All want the same Databricks token at once, which nobody has, from an endpoint that takes its time.

    `COLD=1000 tests/stories/run -s -k many_cold` measures what docs/operations.md says of each host.
    """
    count = int(os.environ.get("COLD", "100"))
    caller = world.engineer()
    assert_allowed(world.send("main", caller=world.engineer()))  # the keys are there
    before = len(world.exchanges())
    world.workspace.fault("token", "delay", delay_ms=300)
    token = caller.forge()
    start = threading.Barrier(count)
    put_off = []

    def go(_: int):
        start.wait()
        for _ in range(20):
            reply = world.send("main", "GET", JOBS_LIST, token=token, caller=caller, timeout=60)
            if reply.status != 503 or "EXCHANGE_UNAVAILABLE" not in str(reply):
                break
            put_off.append(reply)
            time.sleep(float(reply.header("retry-after")))
        return reply

    with ThreadPoolExecutor(count) as pool:
        for reply in pool.map(go, range(count)):
            assert_allowed(reply)
    asked = len(world.exchanges()) - before
    print(f"{count} cold requests of one caller at once: {asked} exchanges, {len(put_off)} answers `come back`")
    if world.gateway.waits_for_others:
        assert (asked, put_off) == (1, [])
    else:
        assert asked <= MOST_AT_ONCE
    assert_allowed(world.send("main", token=token, caller=caller))
    assert len(world.exchanges()) - before == asked, "once it is there, it serves"


def test_callers_in_parallel_never_mix(world: World):
    callers = [world.engineer() for _ in range(12)]
    tokens = {caller.sub: caller.forge() for caller in callers}
    assert_allowed(world.send("main", caller=callers[0]))  # the keys are there

    def go(number: int):
        caller = callers[number % len(callers)]
        return world.send("main", "GET", f"/api/2.2/jobs/list?n={number}", token=tokens[caller.sub], caller=caller)

    with ThreadPoolExecutor(12) as pool:
        for reply in pool.map(go, range(240)):
            assert_allowed(reply)
    assert all(one.who == one.header("x-test-caller") for one in world.api())
    assert len(world.exchanges()) <= 12 * 3


def test_refused_and_allowed_in_parallel(world: World):
    engineer, analyst = world.engineer(), world.user("analysts")
    tokens = [engineer.forge(), analyst.forge(), engineer.forge(aud="else")]

    def go(number: int):
        return number % 3, world.send("main", token=tokens[number % 3])

    with ThreadPoolExecutor(12) as pool:
        for kind, reply in pool.map(go, range(120)):
            assert reply.status == (200, 403, 401)[kind], str(reply)
    assert {one.who for one in world.api()} == {engineer.sub}
