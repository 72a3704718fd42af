"""The audit record of every outcome, as Kong's log plugin sends it with the shipped kong.yml and kong.conf."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from shipped import DEVELOPMENT, OFFICE, PRODUCTION, Around, Client, Kong, machine, reason
from stack import REPO, Response

RUN_NOW, JOBS_LIST = "/api/2.2/jobs/run-now", "/api/2.2/jobs/list"
NUMBERS = itertools.count()


@pytest.fixture
def carol(kong: Kong, around: Around) -> Client:
    """Somebody whom the gateway has not seen: her first request waits for an exchange."""
    return newcomer(kong, around)


def newcomer(kong: Kong, around: Around) -> Client:
    sub = f"carol-{next(NUMBERS)}"
    around.development.add_user(f"{sub}@example.com")
    return Client(kong, around, around.token(sub, "data-engineering"))


def record(around: Around, reply: Response) -> tuple[dict[str, Any], dict[str, Any]]:
    """Kong's log entry of a request, and the audit record in it."""
    request_id = reply.header("x-kong-request-id")
    assert request_id, reply
    entry = around.log_entries(request_id)[request_id]
    return entry, json.loads(entry["databricks_audit"])


def check(around: Around, reply: Response, status: int, **expected: Any) -> None:
    assert reply.status == status, reply
    entry, found = record(around, reply)
    assert entry["response"]["status"] == status
    assert {name: found.get(name) for name in expected} == expected, found


def test_an_allowed_request_waits_for_an_exchange_and_the_next_does_not(carol: Client, around: Around):
    subject = {"subject": carol.subject, "operation": "jobs.list", "decision": "allow", "reason": "ALLOWED"}
    check(around, carol.ask(DEVELOPMENT, "GET", JOBS_LIST), 200, token_cache="miss", **subject)
    check(around, carol.ask(DEVELOPMENT, "GET", JOBS_LIST), 200, token_cache="hit", **subject)


def test_a_refusal_names_the_caller_and_one_without_a_token_nobody(carol: Client, around: Around, kong: Kong):
    reply = carol.ask(DEVELOPMENT, "POST", "/api/2.0/token/create", "{}")
    check(around, reply, 403, decision="deny", reason="OPERATION_SENSITIVE", subject=carol.subject)
    reply = kong.ask(DEVELOPMENT, "GET", JOBS_LIST, [("X-Forwarded-For", OFFICE)], trust=around.authority.path)
    check(around, reply, 401, decision="deny", reason="TOKEN_MISSING", subject=None)


def test_a_refusal_after_the_body_was_read_says_which_job_it_was(alice: Client, around: Around):
    reply = alice.ask(PRODUCTION, "POST", RUN_NOW, '{"job_id": 999}')
    check(around, reply, 403, reason="NO_RULE", subject=alice.subject, resources={"job": ["999"]})


def test_a_refusal_after_an_exchange_that_failed_is_recorded(carol: Client, around: Around):
    around.development.fault("token", "status", status=500)
    reply = carol.ask(DEVELOPMENT, "GET", JOBS_LIST)
    assert reason(reply) == "EXCHANGE_UNAVAILABLE"
    check(around, reply, 503, decision="deny", reason="EXCHANGE_UNAVAILABLE", subject=carol.subject)


@pytest.mark.parametrize("warm", [False, True], ids=["after an exchange", "with a kept token"])
def test_a_502_has_the_record_of_what_was_let_through(carol: Client, around: Around, warm: bool):
    """The workspace closes every connection: no half of the filter runs after the decision.

    Each, because nginx sends a GET again by itself if a connection from its pool fails, whatever `retries` says.
    """
    if warm:
        assert carol.ask(DEVELOPMENT, "GET", JOBS_LIST).status == 200
    around.development.fault("api", "close")
    reply = carol.ask(DEVELOPMENT, "GET", JOBS_LIST)
    check(around, reply, 502, decision="allow", reason="ALLOWED", subject=carol.subject, operation="jobs.list")


def test_a_504_has_the_record_of_what_was_let_through(around: Around):
    """The shipped file, but for how long Kong waits."""
    text = (REPO / "kong/kong.yml").read_text()
    assert "read_timeout: 180000" in text
    impatient = around.run_dir / "impatient.yml"
    impatient.write_text(text.replace("read_timeout: 180000", "read_timeout: 500"))
    changes = machine(around) | {"DECLARATIVE_CONFIG": str(impatient)}
    kong = Kong(around.run_dir / "kong-impatient", changes, REPO / "kong/kong.conf")
    try:
        carol = newcomer(kong, around)
        around.development.fault("api", "delay", delay_ms=1500, times=1)
        reply = carol.ask(DEVELOPMENT, "GET", JOBS_LIST)
        check(around, reply, 504, decision="allow", reason="ALLOWED", subject=carol.subject, token_cache="miss")
        assert not kong.complaints()
    finally:
        kong.stop()


def test_what_kong_refuses_itself_has_a_log_entry_without_a_record(alice: Client, around: Around):
    alice.address = "203.0.113.9"
    reply = alice.ask(PRODUCTION, "GET", JOBS_LIST)
    assert reply.status == 403, reply
    request_id = reply.header("x-kong-request-id")
    entry = around.log_entries(request_id)[request_id]
    assert entry["response"]["status"] == 403
    assert not entry.get("databricks_audit")


def test_no_token_of_either_side_is_in_any_byte_that_left_the_gateway(carol: Client, around: Around, kong: Kong):
    """By value: whatever was minted, and whatever was sent in, is in no log entry, log line, metric or answer."""
    asked: list[Callable[[], Response]] = [
        lambda: carol.ask(DEVELOPMENT, "GET", JOBS_LIST, Cookie="session=a-stolen-cookie"),
        lambda: carol.ask(DEVELOPMENT, "GET", f"{JOBS_LIST}?access_token={carol.token}"),
        lambda: carol.ask(DEVELOPMENT, "POST", "/api/2.0/token/create", f'{{"comment": "{carol.token}"}}'),
    ]
    replies = [ask() for ask in asked]
    entries = around.log_entries(*(reply.header("x-kong-request-id") for reply in replies))
    outlets = {
        "log entries": json.dumps(entries),
        "Kong's log": kong.logs(),
        "metrics": kong.metrics(),
        "answers": "".join(str(reply) + reply.text for reply in replies),
    }
    minted = [one["token"] for one in around.development.minted()]
    assert minted, "an exchange took place"
    for secret in (carol.token, *minted):
        for part in secret.split(".")[1:]:
            for name, text in outlets.items():
                assert part not in text, f"a token in {name}"
    assert all("a-stolen-cookie" not in text for text in outlets.values())
