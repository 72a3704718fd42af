"""What a role may do: operations, resources, paths, body features, sensitive operations, agents (contract, section 4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack import RUN_NOW_PATH
from world import World, assert_allowed, assert_refused

GET_JOB = "/api/2.2/jobs/get?job_id="
STATEMENTS = "/api/2.0/sql/statements"
CHAT = "/ai-gateway/openai/v1/chat/completions"
WAREHOUSE = "a7066a8ef796be84"


def run_now(world: World, group: str, body: Any, **more: Any):
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return world.send("policy", "POST", RUN_NOW_PATH, caller=world.user(group), body=text, **more)


@pytest.mark.parametrize("job", [101, "101"], ids=repr)
def test_a_rule_lets_its_jobs_run(world: World, job: Any):
    assert_allowed(run_now(world, "runners", {"job_id": job}))


def test_a_pattern_of_ids_lets_a_job_pass_to_the_workspaces_own_check(world: World):
    assert run_now(world, "runners", {"job_id": 300}).header("server") == "databricks"


def test_a_rule_lets_no_other_job_run(world: World):
    metadata = assert_refused(run_now(world, "runners", {"job_id": 102}), 403, "NO_RULE")
    assert metadata["operation"] == "jobs.run_now"
    assert_refused(world.send("policy", "GET", GET_JOB + "202", caller=world.user("runners")), 403, "NO_RULE")
    world.nothing_reached()


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_versions_are_aliases(world: World, version: str):
    runner = world.user("runners")
    assert_allowed(world.send("policy", "GET", f"/api/{version}/jobs/get?job_id=101", caller=runner))
    assert_refused(world.send("policy", "GET", f"/api/{version}/jobs/get?job_id=102", caller=runner), 403, "NO_RULE")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({}, 403, "NO_RULE"),
        ({"job_id": None}, 403, "NO_RULE"),
        ({"jobId": 101}, 400, "REQUEST_AMBIGUOUS"),
        ({"job_id": 101, "JOB_ID": 102}, 400, "REQUEST_AMBIGUOUS"),
        ({"job_id": "0101"}, 400, "REQUEST_AMBIGUOUS"),
        ({"job_id": [101]}, 400, "REQUEST_AMBIGUOUS"),
        ({"job_id": 101.5}, 400, "REQUEST_AMBIGUOUS"),
        ('{"job_id": 101, "job_id": 102}', 400, "BODY_UNREADABLE"),
        ('{"job_id": 101', 400, "BODY_UNREADABLE"),
        ("[101]", 400, "BODY_UNREADABLE"),
        ("job_id=101", 400, "BODY_UNREADABLE"),
        (b'{"job_id": 101, "x": "\xff"}', 400, "BODY_UNREADABLE"),
        ('{"job_id": 101, "x": ' + "[" * 60 + "]" * 60 + "}", 400, "BODY_UNREADABLE"),
        (json.dumps({"job_id": 101, "x": "y" * 70_000}), 413, "BODY_TOO_LARGE"),
    ],
    ids=lambda value: str(value)[:40] if not isinstance(value, int) else None,
)
def test_bodies_that_a_rule_cannot_rely_on(world: World, body: Any, status: int, reason: str):
    assert_refused(run_now(world, "runners", body), status, reason)
    world.nothing_reached()


def test_a_body_that_was_read_arrives_as_sent(world: World):
    body = '{ "job_id" : 101, "notebook_params": {"text": "ü \\u00fc"} }'
    assert_allowed(run_now(world, "runners", body))
    assert world.the_request().body == body.encode()


def test_a_deny_rule_beats_every_allow(world: World):
    assert_allowed(run_now(world, "almost-all", {"job_id": 101}))
    metadata = assert_refused(run_now(world, "almost-all", {"job_id": 202}), 403, "RULE_DENIED")
    assert metadata["rule"] == "/roles/1/deny/0" and metadata["role"] == "almost-all"
    caller = world.user("almost-all")
    assert_refused(world.send("policy", "GET", "/api/2.1/clusters/list", caller=caller), 403, "RULE_DENIED")


def test_the_denies_of_all_roles_hold_whatever_role_is_asked_for(world: World):
    caller = world.user("almost-all", "people")
    headers = {"X-Databricks-Role": "people"}
    assert_allowed(world.send("policy", caller=caller, headers=headers))
    reply = world.send("policy", "GET", "/api/2.1/clusters/list", caller=caller, headers=headers)
    assert_refused(reply, 403, "RULE_DENIED")


@pytest.mark.parametrize("group", ["almost-all", "defaults", "runners"])
def test_sensitive_operations_are_in_no_wildcard_and_no_default(world: World, group: str):
    reply = world.send("policy", "POST", "/api/2.0/token/create", caller=world.user(group), body="{}")
    assert_refused(reply, 403, "OPERATION_SENSITIVE")
    world.nothing_reached()


def test_a_sensitive_operation_that_a_rule_names_passes(world: World):
    assert_allowed(world.send("policy", "POST", "/api/2.0/token/create", caller=world.user("minters"), body="{}"))


def test_sensitive_operations_are_refused_to_observed_roles_too(world: World):
    reply = world.send("policy", "POST", "/api/2.0/token/create", caller=world.user("watched"), body="{}")
    assert_refused(reply, 403, "OPERATION_SENSITIVE")


@pytest.mark.parametrize("target", ["/api/2.0/new-thing", "/API/2.2/jobs/list", "/api/2.9/jobs/list"])
def test_what_the_catalogue_does_not_know_is_refused(world: World, target: str):
    for group in ("defaults", "almost-all"):
        assert_refused(world.send("policy", "GET", target, caller=world.user(group)), 403, "OPERATION_UNKNOWN")
    world.nothing_reached()


def test_the_workspaces_own_interface_is_another_way_to_everything(world: World):
    reply = world.send("policy", "GET", "/ajax-api/2.0/jobs/list", caller=world.user("almost-all"))
    assert_refused(reply, 403, "OPERATION_SENSITIVE")


def test_a_path_rule_names_what_the_catalogue_does_not_know(world: World):
    caller = world.user("paths")
    for target in ("/api/2.0/new-thing", "/api/2.0/new-thing/1/x"):
        assert world.send("policy", "GET", target, caller=caller).header("server") == "databricks"
    for method, target in (("POST", "/api/2.0/new-thing"), ("GET", "/api/2.0/new-things")):
        reply = world.send("policy", method, target, caller=caller, body="{}" if method == "POST" else None)
        assert_refused(reply, 403, "OPERATION_UNKNOWN")


def test_body_features_need_a_permit(world: World):
    def submit(group: str, **settings: Any):
        body = json.dumps({"run_name": "x", "tasks": [{"task_key": "a", **settings.pop("task", {})}], **settings})
        return world.send("policy", "POST", "/api/2.2/jobs/runs/submit", caller=world.user(group), body=body)

    for group in ("submitters", "defaults", "people"):
        assert_refused(submit(group, run_as={"user_name": "root@example.com"}), 403, "NO_RULE")
        # another spelling of it is a member that the operation's shape does not have
        assert_refused(submit(group, runAs={"user_name": "root@example.com"}), 400, "REQUEST_AMBIGUOUS")
        assert_refused(submit(group, task={"new_cluster": {}}), 403, "NO_RULE")
    assert_refused(submit("people", git_source={}), 403, "NO_RULE")
    world.nothing_reached()
    assert submit("submitters", git_source={}).header("server") == "databricks"
    assert submit("people").header("server") == "databricks"


def test_a_statement_runs_on_its_warehouse_only(world: World):
    def execute(warehouse: str, **more: str):
        body = json.dumps({"warehouse_id": warehouse, "statement": "SELECT 1", **more})
        return world.send("policy", "POST", STATEMENTS, caller=world.user("sql"), body=body)

    assert_allowed(execute(WAREHOUSE))
    assert_refused(execute("0000000000000000"), 403, "NO_RULE")
    assert_refused(execute(WAREHOUSE, disposition="EXTERNAL_LINKS"), 403, "NO_RULE")


def test_observed_denials_are_recorded_and_pass(world: World):
    caller = world.user("watched")
    assert_allowed(world.send("policy", "GET", "/api/2.1/clusters/list", caller=caller))
    assert "would deny" in world.gateway.logs(world.log_start)


def test_an_agent_may_do_what_both_it_and_its_person_may(world: World):
    person = world.user("people")
    token = person.token(client="copilot-app")
    assert_allowed(world.send("policy", token=token, caller=person))
    reply = world.send("policy", "GET", "/api/2.1/clusters/list", token=token, caller=person)
    assert_refused(reply, 403, "AGENT_LIMIT")
    assert_allowed(world.send("policy", "GET", "/api/2.1/clusters/list", caller=person))
    minter = world.user("minters")
    reply = world.send("policy", token=minter.token(client="copilot-app"), caller=minter)
    assert_refused(reply, 403, "NO_RULE")


@pytest.mark.parametrize(
    ("model", "provider", "allowed"),
    [
        ("main-model", None, True),
        ("main-model", "main.ai.openai", True),
        ("main-model", "Main.AI.OpenAI", True),
        ("main-model", "main.ai.other", False),
        ("other-model", "main.ai.openai", False),
        ("main.ai.openai", "main.ai.openai", False),
    ],
)
def test_a_rule_names_models_and_who_provides_them(world: World, model: str, provider: str | None, allowed: bool):
    headers = {"Databricks-Model-Provider-Service": provider} if provider else {}
    body = json.dumps({"model": model, "messages": []})
    reply = world.send("policy", "POST", CHAT, caller=world.user("modellers"), headers=headers, body=body)
    if allowed:
        assert_allowed(reply)
        assert world.the_request().header("databricks-model-provider-service") == provider
    else:
        assert_refused(reply, 403, "NO_RULE")
        world.nothing_reached()


@pytest.mark.parametrize("length", [100_000, 1_000_000, 1_000_001])
def test_a_prompt_may_be_a_million_bytes_long(world: World, length: int):
    text = json.dumps({"model": "main-model", "messages": [{"role": "user", "content": ""}]})
    body = text.replace('""', f'"{"x" * (length - len(text))}"')
    reply = world.send("policy", "POST", CHAT, caller=world.user("modellers"), body=body)
    if length <= 1_000_000:
        assert_allowed(reply)
        assert world.the_request().body == body.encode()
    else:
        assert_refused(reply, 413, "BODY_TOO_LARGE")
        world.no_api_reached()
