"""What Kong 3.9.3 does with a request before any filter sees it, and that the shipped files leave none of it to chance."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from declared import GUARD, config, service, settings, shipped_pre_function
from shipped import DEVELOPMENT, OFFICE, Around, Client, Kong, reason
from stack import REPO, Response, wait_until
from wire import Exchange, Front, exchange, request

JOBS_LIST = "/api/2.2/jobs/list"
# routes by what is on them, but for the filter
BARE, FILTERED, GUARDED, CACHED, BUFFERED, REFUSING = (
    f"{name}.example.com" for name in ("bare", "filtered", "guarded", "cached", "buffered", "refusing")
)
JSON = "application/json; charset=utf-8"
CACHE = {"name": "proxy-cache", "config": {"strategy": "memory", "content_type": [JSON], "cache_ttl": 60}}


def access(lua: str) -> dict[str, object]:
    return {"access": [lua]}


@pytest.fixture(scope="module")
def beside(around: Around) -> Iterator[Kong]:
    """A Kong with a route for each thing that can be before the filter."""
    buffering = {"name": "pre-function", "config": access("kong.service.request.enable_buffering()")}
    refusing = {"name": "post-function", "config": access(documented_post_function())}
    services = [
        service("bare", BARE),
        service("filtered", FILTERED, config(), GUARD),
        service("guarded", GUARDED, config(), GUARD, plugins=[shipped_pre_function()]),
        service("cached", CACHED, config(), GUARD, plugins=[CACHE]),
        service("buffered", BUFFERED, config(), GUARD, plugins=[buffering]),
        service("refusing", REFUSING, config(), GUARD, plugins=[buffering, refusing]),
    ]
    declared = {"_format_version": "3.0", "services": services}
    one = Kong(around.run_dir / "kong-beside", settings(around, around.run_dir / "beside.json", declared))
    yield one
    one.stop()


def documented_post_function() -> str:
    text = (REPO / "docs/install-kong.md").read_text()
    (block,) = [block for block in text.split("```yaml\n") if block.startswith("plugins:\n- name: post-function")]
    return yaml.safe_load(block.split("```")[0])["plugins"][0]["config"]["access"][0]


def engineer(around: Around) -> dict[str, str]:
    return {"Authorization": f"Bearer {around.token('alice', 'data-engineering', 'job-runners')}"}


def targets(around: Around) -> list[str]:
    return [one.target for one in around.production.seen() if not one.is_exchange]


# --- what `Connection` names ------------------------------------------------------------------------------------------------

SMUGGLED = "/api/2.0/smuggled"


def hiding(host: str, named: str, around: Around) -> bytes:
    """A request whose body is a request, if its length is lost."""
    inner = request("GET", SMUGGLED, host, engineer(around))
    headers = {**engineer(around), "Content-Type": "application/json", "Connection": named}
    if "transfer" in named.lower():
        headers["Transfer-Encoding"] = "chunked"
        inner = f"{len(inner):x}\r\n".encode() + inner + b"\r\n0\r\n\r\n"
    else:
        headers["Content-Length"] = str(len(inner))
    return request("POST", "/api/2.2/jobs/run-now", host, headers, inner)


def test_kong_itself_reads_a_body_as_the_next_request(beside: Kong, around: Around):
    """CVE-2026-6338. Once a release of Kong has mended it, this test says so."""
    exchange(beside.plain_port, hiding(BARE, "content-length", around))
    wait_until("the workspace has seen the body as a request", lambda: SMUGGLED in targets(around))


@pytest.mark.parametrize(
    "named",
    [
        "content-length",
        "Content-Length",
        "keep-alive, Content-Length",
        "close,content-length",
        "content_length",
        "transfer-encoding",
        "Transfer-Encoding , content-length",
        "host",
    ],
)
def test_a_connection_that_names_what_frames_a_request_is_refused_and_ended(beside: Kong, around: Around, named: str):
    came = exchange(beside.plain_port, hiding(GUARDED, named, around))
    assert_refused_and_ended(came, "Connection header names")
    assert targets(around) == []


def assert_refused_and_ended(came: Exchange, what: str) -> None:
    assert [status for status, _ in came.replies] == [400], came
    answer = json.loads(came.replies[0][1])
    assert answer["error_code"] == "BAD_REQUEST" and what in answer["message"], answer
    assert answer["details"][0]["reason"] == "REQUEST_AMBIGUOUS", answer
    assert answer["details"][0]["domain"] == "databricks-kong", answer
    assert answer["details"][1]["request_id"], answer
    assert came.was_closed


@pytest.mark.parametrize("named", ["keep-alive", "close", "TE", "keep-alive, X-Hop", "Upgrade, HTTP2-Settings"])
def test_other_connections_are_served(beside: Kong, around: Around, named: str):
    sent = request("GET", JOBS_LIST, GUARDED, {**engineer(around), "Connection": named})
    came = exchange(beside.plain_port, sent, quiet=0.5)
    assert [status for status, _ in came.replies] == [200], came


def test_behind_a_front_that_keeps_connections_nobody_gets_the_answer_to_anothers_body(beside: Kong, around: Around):
    front = Front(beside.plain_port)
    try:
        sent = request("GET", JOBS_LIST, GUARDED, engineer(around))
        for _ in range(5):
            (mallory,) = exchange(front.port, hiding(GUARDED, "content-length", around)).replies
            (alice,) = exchange(front.port, sent).replies
            assert mallory[0] == 400, mallory
            assert alice[0] == 200 and "jobs" in json.loads(alice[1]), alice
        assert targets(around) == [JOBS_LIST] * 5
    finally:
        front.stop()


def test_without_the_pre_function_somebody_gets_the_answer_to_anothers_body(beside: Kong, around: Around):
    """Why it is shipped: this is Kong, without any filter."""
    front = Front(beside.plain_port)
    try:
        exchange(front.port, hiding(BARE, "content-length", around))
        exchange(front.port, request("GET", JOBS_LIST, BARE, engineer(around)))
        assert SMUGGLED in targets(around)
    finally:
        front.stop()


# --- many headers -----------------------------------------------------------------------------------------------------------


def with_headers(count: int, around: Around) -> bytes:
    # Host and Authorization are two of them
    spare = {f"X-Spare-{number}": "1" for number in range(count - 2)}
    return request("GET", JOBS_LIST, GUARDED, {**engineer(around), **spare})


def test_more_than_90_headers_are_refused_and_90_are_not(beside: Kong, around: Around):
    (served,) = exchange(beside.plain_port, with_headers(90, around), quiet=0.5).replies
    assert served[0] == 200, served
    for count in (91, 120, 400):
        assert_refused_and_ended(exchange(beside.plain_port, with_headers(count, around)), "too many headers")


# --- what answers, or sends on, without the filter -------------------------------------------------------------------------


def ask(kong: Kong, host: str, headers: dict[str, str]) -> Response:
    return kong.ask(host, "GET", JOBS_LIST, headers)


def test_a_cache_answers_who_has_no_token(beside: Kong, around: Around):
    """Why `check` calls it an error: Kong's plugins run before any filter."""
    assert ask(beside, CACHED, engineer(around)).status == 200
    reply = ask(beside, CACHED, {})
    assert (reply.status, reply.header("x-cache-status")) == (200, "Hit"), reply
    # as without a cache it is not
    reply = ask(beside, GUARDED, {})
    assert (reply.status, reason(reply)) == (401, "TOKEN_MISSING"), reply


def test_the_shipped_configuration_answers_nobody_from_a_cache(alice: Client, kong: Kong, around: Around):
    target = f"{JOBS_LIST}?limit=7"
    assert [alice.ask(DEVELOPMENT, "GET", target).status for _ in range(2)] == [200, 200]
    stranger = Client(kong, around, around.token("bob", "strangers"))
    reply = stranger.ask(DEVELOPMENT, "GET", target)
    assert (reply.status, reason(reply)) == (403, "NO_ROLE"), reply
    reply = kong.ask(DEVELOPMENT, "GET", target, [("X-Forwarded-For", OFFICE)], trust=around.authority.path)
    assert (reply.status, reason(reply)) == (401, "TOKEN_MISSING"), reply
    assert len([one for one in around.development.seen() if not one.is_exchange]) == 2


def test_a_plugin_that_buffers_answers_goes_around_the_filter_and_the_documented_post_function_refuses_it(
    beside: Kong, around: Around
):
    sent = {"Authorization": "Bearer no-token-of-anybody"}
    ask(beside, BUFFERED, sent)
    (seen,) = around.production.seen()
    assert seen.header("authorization") == sent["Authorization"], "kong sends the caller's own token on"
    around.production.forget_requests()
    assert ask(beside, REFUSING, sent).status == 500
    assert around.production.seen() == []
