"""HTTP/2: bodies whose length nobody announces, trailers that come at any time, and uploads that are longer than the host's buffers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack import send_http2
from world import JOBS_LIST, RUN_NOW, Caller, World, assert_allowed, assert_refused

SLOW = 400  # milliseconds that a callout takes, so that body and trailers come first
RUN_101 = json.dumps({"job_id": 101}).encode()
RUN_999 = json.dumps({"job_id": 999}).encode()
UPLOAD = "/api/2.0/fs/files/Volumes/main/default/v/upload.bin"


@pytest.fixture(autouse=True)
def _speaks_http2(world: World) -> None:
    if not world.gateway.speaks_http2:
        pytest.skip("this gateway is not set up for HTTP/2")


def ask(world: World, config: str, caller: Caller, target: str = RUN_NOW, method: str = "POST", **how: Any):
    if how.get("trailers") and not world.gateway.takes_trailers:
        pytest.skip("this host takes no trailers")
    pairs = [("Authorization", f"Bearer {how.pop('token', None) or caller.token()}"), ("X-Test-Caller", caller.sub)]
    pairs.append(("Content-Type", how.pop("content_type", "application/json")))
    reply = send_http2(world.gateway.url(config), method, target, pairs, ca=world.gateway.ca, **how)
    world.responses.append(reply)
    return reply


def dawdle(world: World) -> None:
    """The caller's exchange takes so long that all of the request arrives first."""
    world.workspace.fault("token", "delay", delay_ms=SLOW)


TRAILERS = {"x-checksum": "1"}


@pytest.mark.parametrize("pause", [0, 100, 2 * SLOW])
@pytest.mark.parametrize("pieces", [[RUN_101], [RUN_101[:5], RUN_101[5:]], []])
def test_trailers_let_nothing_go_that_waits_for_an_exchange(world: World, pause: int, pieces: list[bytes]):
    engineer = world.engineer()
    dawdle(world)
    reply = ask(world, "main", engineer, pieces=pieces, trailers=TRAILERS, pause=pause)
    sent = world.the_request()
    assert sent.who == engineer.sub, "it went on with a credential of the caller's own"
    assert sent.body == b"".join(pieces)
    assert pieces == [] or assert_allowed(reply)


@pytest.mark.parametrize("pause", [0, 100])
def test_trailers_let_nothing_go_that_waits_for_its_body(world: World, pause: int):
    runner = world.user("runners")
    for _ in range(2):  # cold and warm
        refused = ask(world, "policy", runner, pieces=[RUN_999], trailers=TRAILERS, pause=pause)
        assert_refused(refused, 403, "NO_RULE")
    world.no_api_reached()
    assert_allowed(ask(world, "policy", runner, pieces=[RUN_101], trailers=TRAILERS, pause=pause))
    assert world.the_request().who == runner.sub


def test_trailers_let_nothing_go_that_needs_no_credential(world: World):
    """Where nothing is sent in the caller's place, what goes on undecided would be a bypass of everything."""
    nobody = world.user("egress")
    # a key that nobody knows: the provider is asked for it while the rest arrives
    stray = nobody.forge(header={"kid": "of-nobody"})
    refused = ask(world, "roles", nobody, token=stray, pieces=[RUN_101], trailers=TRAILERS)
    assert_refused(refused, 401, "TOKEN_INVALID")
    world.nothing_reached()


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_is_read_whether_its_length_is_announced_or_not(world: World, announced: bool):
    runner = world.user("runners")
    for pieces, allowed in (([RUN_101], True), ([RUN_999], False), ([RUN_101[:5], RUN_101[5:]], True)):
        length = sum(map(len, pieces)) if announced else None
        reply = ask(world, "policy", runner, pieces=pieces, length=length)
        if allowed:
            assert_allowed(reply)
        else:
            assert_refused(reply, 403, "NO_RULE")
    watched = world.user("almost-all")
    denied = ask(world, "policy", watched, pieces=[json.dumps({"job_id": 202}).encode()])
    assert_refused(denied, 403, "RULE_DENIED")


def test_a_body_that_never_comes_is_none(world: World):
    runner = world.user("runners")
    if world.gateway.breaks_off_what_has_no_body:
        with pytest.raises(RuntimeError, match="NGHTTP2_INTERNAL_ERROR"):
            ask(world, "policy", runner, pieces=[])
        (led_nowhere,) = world.api()
        assert led_nowhere.path == "/.well-known/databricks-kong/undecided"
        assert led_nowhere.header("authorization") in (None, "")
        return
    for _ in range(2):
        assert_refused(ask(world, "policy", runner, pieces=[]), 403, "NO_RULE")


def test_what_would_be_allowed_without_a_body_fails_for_nobody_elses_fault(world: World):
    """The workspace refuses it for want of one, and so does a host that learns too late that there is none."""
    if world.gateway.breaks_off_what_has_no_body:
        pytest.skip("this host breaks it off: see the test before")
    reply = ask(world, "policy", world.user("almost-all"), pieces=[])
    assert reply.status == 400, reply


@pytest.mark.parametrize("length", [2, None])
@pytest.mark.parametrize("target", [JOBS_LIST, "/api/2.0/sql/history/queries"])
def test_a_get_with_a_body_is_refused_whether_that_is_announced_or_not(world: World, target: str, length: int | None):
    reply = ask(world, "main", world.engineer(), target, "GET", pieces=[b"{}"], length=length)
    assert_refused(reply, 400, "REQUEST_AMBIGUOUS")
    world.no_api_reached()


@pytest.mark.parametrize("http2", [True, False])
@pytest.mark.parametrize("megabytes", [3, 20])
def test_an_upload_streams_whatever_was_cold(world: World, megabytes: int, http2: bool):
    engineer = world.engineer()
    body = bytes(megabytes << 20)
    dawdle(world)
    if http2:
        pieces = [body[: len(body) // 2], body[len(body) // 2 :]]
        ask(world, "main", engineer, UPLOAD, "PUT", pieces=pieces, content_type="application/octet-stream")
    else:
        headers = {"Content-Type": "application/octet-stream"}
        world.send("main", "PUT", UPLOAD, caller=engineer, headers=headers, body=body)
    sent = world.the_request()
    assert (len(sent.body), sent.who) == (len(body), engineer.sub)


def test_a_request_without_a_body_goes_its_way(world: World):
    engineer = world.engineer()
    assert_allowed(ask(world, "main", engineer, JOBS_LIST, "GET", pieces=[]))
    assert world.the_request().who == engineer.sub
