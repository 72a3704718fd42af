"""Audit records and counters (contract, sections 9 and 10), as the host hands them on."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any

import pytest

from stack import REPO, RUN_NOW_PATH, WORKSPACE_ID, Response, wait_until
from world import EVERY_SECRET, JOBS_LIST, World, assert_allowed, assert_refused

STATEMENTS = "/api/2.0/sql/statements"
WAREHOUSE = "a7066a8ef796be84"
SCHEMA = json.loads((REPO / "docs/audit/record.v2.schema.json").read_text())
GRANT = {"approved_by": "carol@example.com", "ticket": "SEC-7", "break_glass": True}
# what differs from run to run, and how it looks
VOLATILE = {
    "time": r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "token_id": r"[0-9a-f]{16}",
    "config": r"[0-9a-f]{16}",
    "callout_ms": r"\d+",
}


def check(record: dict[str, Any], **expected: Any) -> None:
    """The whole record: these fields and no others, and those that differ from run to run."""
    assert set(record) <= set(SCHEMA["properties"]) and set(SCHEMA["required"]) <= set(record), record
    for name, pattern in VOLATILE.items():
        if name in record:
            assert re.fullmatch(pattern, str(record[name])), record
    assert ("token_id" in record) == expected.pop("token", True), record
    rest = {name: value for name, value in record.items() if name not in VOLATILE and name != "request_id"}
    assert rest == {"v": 2, "workspace_id": WORKSPACE_ID, **expected}


LIST = {"operation": "jobs.list", "method": "GET", "path_template": "/api/2.2/jobs/list"}
RUN = {"operation": "jobs.run_now", "method": "POST", "path_template": "/api/2.2/jobs/run-now"}
FEDERATION = {"credential": "user_federation", "scope": "all-apis"}


def run_now(world: World, body: Any, config: str = "audited", **more: Any) -> Response:
    return world.send(config, "POST", RUN_NOW_PATH, body=json.dumps(body), **more)


def test_an_allowed_request_is_recorded_with_who_what_and_why(world: World):
    runner = world.user("runners")
    token = runner.token()
    assert_allowed(run_now(world, {"job_id": 101}, token=token, caller=runner))
    record = world.record()
    everything = {
        "decision": "allow",
        "reason": "ALLOWED",
        "role": "runner",
        "rule": "/roles/0/allow/0",
        "grant": GRANT,
        "idp": "rs",
        "subject": runner.sub,
        "client": "tests",
        "resources": {"job": ["101"]},
        **RUN,
        **FEDERATION,
    }
    check(record, token_cache="miss", **everything)
    assert record["token_id"] == hashlib.sha256(token.encode()).hexdigest()[:16]
    # once more, with nothing to wait for
    world.workspace.forget_requests()
    assert_allowed(run_now(world, {"job_id": 101}, token=token, caller=runner))
    again = world.record()
    check(again, token_cache="hit", **everything)
    assert (again["token_id"], again["callout_ms"]) == (record["token_id"], 0)


DENIED = {
    "NO_ROLE": (["strangers"], JOBS_LIST, LIST),
    "NO_RULE": (
        ["runners"],
        "/api/2.2/jobs/get?job_id=202",
        {"operation": "jobs.get", "method": "GET", "path_template": "/api/2.2/jobs/get", "resources": {"job": ["202"]}},
    ),
    "RULE_DENIED": (
        ["almost-all"],
        "/api/2.1/clusters/list",
        {
            "operation": "clusters.list",
            "method": "GET",
            "path_template": "/api/2.1/clusters/list",
            "role": "almost-all",
            "rule": "/roles/1/deny/1",
        },
    ),
    "OPERATION_UNKNOWN": (["runners"], "/api/2.0/no-such-thing/secret-name", {"method": "GET"}),
    "GRANT_INACTIVE": (
        ["former"],
        JOBS_LIST,
        {**LIST, "role": "former", "grant": {"ticket": "OLD-1", "break_glass": False}},
    ),
}


@pytest.mark.parametrize("reason", DENIED)
def test_a_denial_is_recorded_with_what_it_is_about(world: World, reason: str):
    groups, target, expected = DENIED[reason]
    caller = world.user(*groups)
    reply = world.send("audited", "GET", target, caller=caller)
    assert_refused(reply, 403, reason)
    check(
        world.record(reply),
        decision="deny",
        reason=reason,
        idp="rs",
        subject=caller.sub,
        client="tests",
        **expected,
    )


def test_a_sensitive_operation_that_no_rule_names_is_recorded(world: World):
    caller = world.user("runners")
    reply = world.send("audited", "POST", "/api/2.0/token/create", caller=caller, body="{}")
    assert_refused(reply, 403, "OPERATION_SENSITIVE")
    record = world.record(reply)
    assert (record["reason"], record["operation"]) == ("OPERATION_SENSITIVE", "tokens.create")


def test_a_request_without_a_good_token_is_recorded_without_a_caller(world: World):
    engineer = world.engineer()
    cases = [
        ("TOKEN_MISSING", None),
        ("TOKEN_EXPIRED", engineer.forge(exp=1)),
        ("TOKEN_INVALID", engineer.forge(aud="somebody-else")),
        ("TOKEN_NOT_YET_VALID", engineer.forge(nbf=4_000_000_000)),
    ]
    for reason, token in cases:
        reply = world.send("audited", token=token)
        assert_refused(reply, 401, reason)
        code = {"code": "audience_mismatch"} if reason == "TOKEN_INVALID" else {}
        check(world.record(reply), token=token is not None, decision="deny", reason=reason, **code, **LIST)


def test_what_cannot_be_read_is_recorded_without_a_meaning(world: World):
    reply = world.send("audited", "GET", JOBS_LIST + "?o=1", caller=world.engineer())
    assert_refused(reply, 400, "REQUEST_AMBIGUOUS")
    check(world.record(reply), token=False, decision="deny", reason="REQUEST_AMBIGUOUS", method="GET")


@pytest.mark.parametrize(
    ("body", "status", "reason"), [("{", 400, "BODY_UNREADABLE"), ("x" * 70_000, 413, "BODY_TOO_LARGE")]
)
def test_a_bad_body_is_recorded_with_the_caller(world: World, body: str, status: int, reason: str):
    caller = world.user("runners")
    reply = world.send("audited", "POST", RUN_NOW_PATH, caller=caller, body=body)
    assert_refused(reply, status, reason)
    check(world.record(reply), decision="deny", reason=reason, idp="rs", subject=caller.sub, client="tests", **RUN)


def test_a_refused_exchange_is_recorded_with_the_role_that_allowed_it(world: World):
    caller = world.user("runners", known=False)
    reply = world.send("audited", caller=caller)
    assert_refused(reply, 403, "EXCHANGE_REFUSED")
    expected = {
        "rule": "/roles/0/allow/1",
        "role": "runner",
        "grant": GRANT,
        "token_cache": "miss",
        **LIST,
        **FEDERATION,
    }
    check(
        world.record(reply),
        decision="deny",
        reason="EXCHANGE_REFUSED",
        idp="rs",
        subject=caller.sub,
        client="tests",
        **expected,
    )


def test_a_failure_of_others_is_recorded(world: World):
    caller = world.engineer()
    reply = world.send("nowhere", caller=caller)
    assert_refused(reply, 503, "EXCHANGE_UNAVAILABLE")
    record = world.record(reply)
    assert (record["decision"], record["reason"], record["subject"]) == ("deny", "EXCHANGE_UNAVAILABLE", caller.sub)


def test_a_request_to_a_gateway_with_a_bad_configuration_is_recorded(world: World):
    reply = world.send("bad_two_roles", caller=world.engineer())
    assert_refused(reply, 500, "INVALID_CONFIGURATION")
    record = world.record(reply)
    assert (record["decision"], record["reason"]) == ("deny", "INVALID_CONFIGURATION")


def test_a_guards_refusal_is_recorded(world: World):
    if not world.gateway.guards:
        pytest.skip("this host has no chain with a guard")
    reply = world.send("guard_alone", caller=world.engineer())
    assert_refused(reply, 500, "GUARD_REFUSED")
    record = world.record(reply)
    assert (record["decision"], record["reason"]) == ("deny", "GUARD_REFUSED")


def test_a_denial_that_is_not_enforced_is_recorded_as_such(world: World):
    caller = world.user("watched")
    assert_allowed(world.send("audited", "GET", "/api/2.1/clusters/list", caller=caller))
    check(
        world.record(),
        decision="would_deny",
        reason="NO_RULE",
        role="watched",
        idp="rs",
        subject=caller.sub,
        client="tests",
        token_cache="miss",
        operation="clusters.list",
        method="GET",
        path_template="/api/2.1/clusters/list",
        **FEDERATION,
    )


def test_an_agent_is_recorded_beside_the_person_that_it_acts_for(world: World):
    caller = world.user("people")
    token = caller.forge(azp="copilot-app", act={"sub": "agent:7"})
    assert_allowed(world.send("audited", token=token, caller=caller))
    record = world.record()
    seen = {name: record.get(name) for name in ("decision", "agent", "act", "client", "subject")}
    expected = {
        "decision": "allow",
        "agent": "copilot",
        "act": "agent:7",
        "client": "copilot-app",
        "subject": caller.sub,
    }
    assert seen == expected
    reply = run_now(world, {"job_id": 101}, token=token)
    assert_refused(reply, 403, "AGENT_LIMIT")
    record = world.record(reply)
    assert (record["reason"], record["agent"], record["act"]) == ("AGENT_LIMIT", "copilot", "agent:7")


def sql(world: World, statement: str, config: str = "audited") -> Response:
    body = {"warehouse_id": WAREHOUSE, "statement": statement, "wait_timeout": "10s"}
    return world.send(config, "POST", STATEMENTS, caller=world.user("readers"), body=json.dumps(body))


def test_sql_is_recorded_by_class_and_tables_and_not_by_its_text(world: World):
    canary = "sql-text-canary-5f1e"
    EVERY_SECRET.add(canary)
    sql(world, f"select * from main.sales.orders where name = '{canary}'")
    record = world.record()
    assert record["sql"] == {"class": "select", "tables": ["main.sales.orders"], "parsed": True}
    assert record["resources"]["warehouse"] == [WAREHOUSE]
    reply = sql(world, f"delete from main.hr.people where name = '{canary}'")
    assert_refused(reply, 403, "NO_RULE")
    assert world.record(reply)["sql"] == {"class": "dml", "tables": ["main.hr.people"], "parsed": True}
    reply = sql(world, f"selec {canary}")
    assert_refused(reply, 403, "NO_RULE")
    assert world.record(reply)["sql"]["parsed"] is False


def forged(world: World, sub: str, **claims: Any) -> str:
    return world.remember(world.forger("rs").token(sub, groups=[], **claims))


def test_what_a_caller_chooses_cannot_forge_a_record(world: World):
    evil = 'eve"}\r\n[info] databricks_kong.audit {"v":1,"decision":"allow","request_id":"forged"}\u2028\u202e\x1b[2J'
    reply = world.send("audited", token=forged(world, evil))
    assert_refused(reply, 403, "NO_ROLE")
    assert world.record(reply)["subject"] == evil
    assert not [one for one in world.gateway.records() if one["request_id"] == "forged"]


def test_a_long_record_is_one_line_of_json(world: World):
    long = "x" * 1500
    reply = world.send("audited", token=forged(world, long, azp=long, act={"sub": long}))
    assert_refused(reply, 403, "NO_ROLE")
    record = world.record(reply)
    assert record["truncated"] is True and record["subject"].startswith("x" * 100)


def test_records_can_be_kept_out_of_the_log_and_subjects_out_of_records(world: World):
    caller = world.user("runners")
    start = world.gateway.log.size()
    reply = world.send("audited_quietly", "GET", "/api/2.2/jobs/get?job_id=202", caller=caller)
    assert_refused(reply, 403, "NO_RULE")
    assert "databricks_kong.audit" not in world.gateway.logs(start)
    if world.gateway.ships_records:
        digest = hashlib.sha256(f"rs\0{caller.sub}".encode()).hexdigest()[:32]
        assert world.record(reply)["subject"] == f"sha256:{digest}"


def test_an_answer_that_never_comes_changes_nothing_in_the_record(world: World):
    caller = world.engineer()
    token = caller.token()
    assert_allowed(world.send("main", token=token, caller=caller))
    world.workspace.forget_requests()
    world.workspace.fault("api", "close")
    reply = world.send("main", token=token, caller=caller)
    assert reply.status in (502, 503), str(reply)
    # Kong asks a workspace that hung up once more
    request_id = {(one.header("user-agent") or "").rpartition(" req/")[2] for one in world.api()}.pop()
    (record,) = wait_until("the audit record is written", lambda: world.records(request_id))
    assert (record["decision"], record["role"], record["subject"]) == ("allow", "data-engineer", caller.sub)


def test_a_token_that_is_handed_back_is_recorded_and_documents_are_not(world: World):
    world.echoes_allowed = True
    before = len(world.gateway.records())
    world.send("main", "GET", "/.well-known/databricks-config")
    caller = world.engineer()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": caller.token(),
    }
    from urllib.parse import urlencode

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert world.send("main", "POST", "/oidc/v1/token", headers=headers, body=urlencode(form)).status == 200
    wait_until("the echo is recorded", lambda: len(world.gateway.records()) > before)
    (record,) = world.gateway.records()[before:]
    assert (record["decision"], record["path_template"], record["subject"]) == ("allow", "/oidc/v1/token", caller.sub)


def counters_at_rest(world: World) -> None:
    """Once all that earlier requests counted is on the page, which a host may write once a second. Keys and feeds are fetched without requests."""
    without_requests = ("keys_fetch", "revocation_fetch")

    def unchanged() -> bool:
        before = world.gateway.counters()
        time.sleep(2.5)
        after = world.gateway.counters()
        return all(count == after[name] for name, count in before.items() if not name.startswith(without_requests))

    wait_until("the counters are at rest", unchanged)


def test_counters_count(world: World):
    counters_at_rest(world)

    def counted(name: str, action: Any) -> int:
        before = world.gateway.counters().get(name, 0)
        action()
        if world.gateway.keeps_counts_back:
            # whatever else is counted brings what every request of a known caller counts
            world.send("bad_two_roles", token=token)
        # a host may write its page once a second
        wait_until(f"{name} is counted", lambda: world.gateway.counters()[name] > before)
        return world.gateway.counters()[name] - before

    runner, stranger = world.user("runners"), world.user("strangers")
    token, none = runner.token(), stranger.token()
    assert counted("exchange_ok", lambda: world.send("audited", token=token, caller=runner)) == 1
    assert counted("token_cache_hit", lambda: world.send("audited", token=token, caller=runner)) == 1
    assert counted("requests_allowed", lambda: world.send("audited", token=token, caller=runner)) == 1
    assert counted("verdict_cache_hit", lambda: world.send("audited", token=token, caller=runner)) == 1
    assert counted("requests_denied", lambda: world.send("audited", token=none)) == 1
    assert counted("denied_no_role", lambda: world.send("audited", token=none)) == 1
    assert counted("requests_unauthenticated", lambda: world.send("audited")) == 1
    assert counted("denied_token_missing", lambda: world.send("audited")) == 1
    failed = counted("requests_failed", lambda: world.send("bad_two_roles", token=token))
    assert failed == (2 if world.gateway.keeps_counts_back else 1)
    assert counted("requests_would_deny", lambda: watched(world)) == 1


def watched(world: World) -> None:
    assert_allowed(world.send("audited", "GET", "/api/2.1/clusters/list", caller=world.user("watched")))


def test_the_page_says_when_keys_were_fetched_last(world: World):
    caller = world.user("runners")
    assert_allowed(world.send("audited", caller=caller))

    def age() -> float:
        return time.time() - world.gateway.counters().get("keys_fetch_timestamp_seconds", 0)

    # a host may write its page once a second; the whole suite takes less than an hour
    wait_until("the time is on the page", lambda: -2 < age() < 3600)


def test_every_counter_is_there_from_the_start(world: World):
    names = set(world.gateway.counters())
    assert {
        "requests_allowed",
        "denied_no_rule",
        "keys_fetch_failed",
        "exchange_refused",
        "token_cache_renewed",
    } <= names
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names), names
