"""The provider's keys: rotated under traffic, taken away, out of reach."""

from __future__ import annotations

import socket
import threading
import time
import urllib.parse

import pytest

from forge import new_rsa
from stack import Response, wait_until
from world import JOBS_LIST, World, assert_allowed, assert_refused


def is_told_to_come_back(reply: Response) -> bool:
    return reply.status == 503 and "KEYS_UNAVAILABLE" in str(reply) and reply.all("retry-after") == ["1"]


def test_rotation_while_traffic_runs(world: World):
    """Rotations as providers do them: the new key is listed with the old one, later the old one goes. No request fails.

    Where a host lets no request wait for a fetch that another one made, those that come meanwhile are told to come back.
    """
    callers = [world.engineer("rotate") for _ in range(4)]
    world.idp.fault("rotate", "none")
    failed: list[str] = []
    passed = [0] * len(callers)
    stop = threading.Event()

    def traffic(number: int) -> None:
        caller = callers[number]
        while not stop.is_set():
            reply = world.send("keys", token=caller.token(), caller=caller)
            if reply.status == 200:
                passed[number] += 1
            elif not is_told_to_come_back(reply):
                failed.append(str(reply))

    threads = [threading.Thread(target=traffic, args=(n,)) for n in range(len(callers))]
    for thread in threads:
        thread.start()
    try:

        def everyone_passed(more: int) -> None:
            goal = [count + more for count in passed]
            wait_until("traffic runs", lambda: failed or all(a >= b for a, b in zip(passed, goal)), timeout=30)

        everyone_passed(5)
        fetches = world.idp.state("rotate")["jwks"]
        world.idp.rotate("rotate", keep=True)
        everyone_passed(20)
        assert not failed, failed[0]
        assert world.idp.state("rotate")["jwks"] > fetches, "the new key was fetched"
        assert world.idp.state("rotate")["jwks"] <= fetches + 4, "and not by every request"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed, f"{len(failed)} requests failed, first: {failed[0]}"


def test_key_that_is_listed_no_longer_is_refused(world: World):
    """Once a refresh has succeeded, a token of a key that is gone is worth nothing, though it has not expired."""
    engineer = world.engineer("retire")
    old = engineer.token()
    assert_allowed(world.send("keys", token=old))
    world.idp.rotate("retire", keep=False)
    assert_allowed(world.send("keys", token=engineer.token()))  # unknown kid: one refresh, at once
    assert_refused(world.send("keys", token=old), 401, "TOKEN_INVALID")


def test_unknown_keys_do_not_make_a_flood_of_fetches(world: World):
    engineer = world.engineer("flood")
    assert_allowed(world.send("keys", token=engineer.token()))
    before = world.idp.state("flood")["jwks"]
    key = new_rsa()
    for n in range(25):
        reply = world.send("keys", token=engineer.forge(header={"kid": f"made-up-{n}"}, key=key))
        assert_refused(reply, 401, "TOKEN_INVALID")
    assert world.idp.state("flood")["jwks"] <= before + 2, "an unknown kid refreshes at most every 30 s"
    assert_allowed(world.send("keys", token=engineer.token()))


def test_whoever_leaves_while_keys_are_fetched_leaves_them_to_others(world: World):
    """Otherwise anybody could keep a new key from being known, with a token of a made-up one at the right time."""
    engineer = world.engineer("hasty")
    assert_allowed(world.send("keys", token=engineer.token()))
    world.idp.rotate("hasty", keep=True)
    before = world.idp.state("hasty")["jwks"]
    world.idp.fault("hasty", "slow", delay_ms=300)
    try:
        leaves(world, engineer.forge(header={"kid": "made-up"}, key=new_rsa()))
        wait_until("the provider is asked", lambda: world.idp.state("hasty")["jwks"] > before)
        time.sleep(0.6)
        asked = world.idp.state("hasty")["jwks"]
        assert_allowed(world.send("keys", token=engineer.token()))
        assert world.idp.state("hasty")["jwks"] == asked, "what was asked once is known"
    finally:
        world.idp.fault("hasty", "none")


def leaves(world: World, token: str) -> None:
    """Sends a request and goes away before it is answered."""
    url = urllib.parse.urlsplit(world.gateway.url("keys"))
    lines = [f"GET {url.path}{JOBS_LIST} HTTP/1.1", f"Host: {url.netloc}", f"Authorization: Bearer {token}", "", ""]
    with socket.create_connection((url.hostname, url.port), 5) as connection:
        connection.sendall("\r\n".join(lines).encode())
        time.sleep(0.1)


def test_provider_down_with_warm_keys(world: World):
    engineer = world.engineer("warm")
    token, later = engineer.token(), engineer.token()
    world.idp.fault("warm", "none")
    assert_allowed(world.send("keys", token=token))
    try:
        world.idp.fault("warm", "refuse")
        another = world.engineer("warm")
        assert_allowed(world.send("keys", token=later))
        assert_allowed(world.send("keys", token=another.forge(), caller=another))
        # a key that nobody knows needs the provider, which is not there: no pass, no guess, and no harm to the known keys
        stray = another.forge(header={"kid": "new"}, key=new_rsa())
        assert_refused(world.send("keys", token=stray), 503, "KEYS_UNAVAILABLE")
        time.sleep(5.5)  # after a failure the next try comes 5 s later
        for _ in range(2):
            assert_refused(world.send("keys", token=stray), 503, "KEYS_UNAVAILABLE")
        assert_allowed(world.send("keys", token=another.forge(), caller=another))
    finally:
        world.idp.fault("warm", "none")


@pytest.mark.parametrize("issuer", ["cold_refuse", "cold_status", "cold_slow", "cold_garbage", "cold_empty"])
def test_provider_down_with_cold_keys(world: World, issuer: str):
    """Never a pass, never a guess: 503 until the provider is back, and then by itself."""
    engineer = world.engineer(issuer)
    token = engineer.forge()
    reply = world.send("cold", token=token)
    assert_refused(reply, 503, "KEYS_UNAVAILABLE")
    assert 1 <= int(reply.header("retry-after")) <= 60
    assert reply.elapsed < 5, "the callout's timeout bounds the wait"
    world.nothing_reached()

    again = world.send("cold", token=token)
    assert_refused(again, 503, "KEYS_UNAVAILABLE")
    assert again.elapsed < 1, "after a failure the next try comes 5 s later at the earliest"

    world.idp.fault(issuer, "none")
    started = time.monotonic()
    wait_until(
        "the provider's keys are found again", lambda: world.send("cold", token=token).status == 200, 15, step=0.5
    )
    assert time.monotonic() - started < 12


def test_failing_provider_does_not_touch_others(world: World):
    """`cold` names five providers; that some are down is nothing to the callers of another configuration's."""
    engineer = world.engineer("rs")
    assert_allowed(world.send("main", caller=engineer))


def test_unknown_issuer_asks_no_provider(world: World):
    """A token that no provider of the configuration claims is refused without asking anyone."""
    forger = world.forger("cold_status")
    before = world.idp.state("cold_status")["discovery"]
    for _ in range(20):
        token = world.remember(forger.token("x", iss="https://evil.example"))
        assert_refused(world.send("cold", token=token), 401, "TOKEN_INVALID")
    assert world.idp.state("cold_status")["discovery"] < before + 10, "at most what the tick does by itself"
