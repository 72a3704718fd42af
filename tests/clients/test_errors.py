"""What the user of each client sees when the gateway says `not now` or `too much`, and whether the client tries again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers import by_rest, query
from programs import Done, Person, each, environment, home_of, needs, person, start, story, told
from world import World

CLIENTS = each("cli", "go", "java", "node")
DRIVERS = [*each("go", "java", "node"), "python"]
TOO_LARGE = "the request's body is longer than the gateway reads"


@dataclass
class Shown:
    """What came of a client's call, and after how long."""

    done: Done
    seconds: float

    @property
    def ok(self) -> bool:
        return self.done.code == 0 and '"error"' not in self.done.out

    @property
    def text(self) -> str:
        return self.done.text


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return request.param


def list_jobs(who: Person, client: str, config: str, patience: int) -> Shown:
    """Lists the jobs once; `patience` is for how many seconds it tries, where a client has a setting for that."""
    host = who.world.gateway.url(config)
    started = time.monotonic()
    if client == "cli":
        profile = f"[gateway]\nhost = {host}\ntoken = {who.token}\nretry_timeout_seconds = {patience}\n"
        (who.home / ".databrickscfg").write_text(profile)
        argv = [home_of("cli") / "databricks", "jobs", "list", "-p", "gateway", "-o", "json"]
        done = start(argv, who.home, environment(who.world, who.home))
    else:
        env = who.env(RETRY_SECONDS=str(patience)) | {"DATABRICKS_HOST": host}
        done = start([*story(who, client), "sdk", "list"], who.home, env, 400)
    return Shown(done, time.monotonic() - started)


def test_over_the_quota_clients_wait_and_go_on(world: World, tmp_path: Path, client: str):
    """429 with `Retry-After`: the user sees nothing of it but the time that it takes."""
    who = person(world, tmp_path, "developers")
    for _ in range(4):  # a client that takes longer to start than the quota's window is not over it
        shown = list_jobs(who, client, "limited", 60)
        assert shown.ok, shown.text
        reasons = [one["reason"] for one in world.gateway.records() if one.get("subject") == who.caller.sub]
        if "QUOTA_EXCEEDED" in reasons:
            return
    pytest.fail("it was never over the quota")


def test_while_keys_are_cold_clients_try_again_for_their_patience(world: World, tmp_path: Path, client: str):
    """503 with `Retry-After`. The default patience is five minutes in most of them; the SDK for Java tries four times, that for Node once."""
    caller = world.user("developers", issuer="cold_refuse")
    who = Person(world, caller, tmp_path, caller.forge())
    shown = list_jobs(who, client, "cold", 6)
    assert not shown.ok and shown.seconds < 60, (shown.text, shown.seconds)
    assert "KEYS_UNAVAILABLE" in [one["reason"] for one in world.gateway.records()]
    said = "failed after 4 retries" if client == "java" else "keys are not available"
    assert said in shown.text or "timed out" in shown.text, shown.text
    world.nothing_reached()


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return request.param


def test_over_the_quota_sql_drivers_wait_and_go_on(world: World, tmp_path: Path, driver: str):
    """One query is some requests, so it is over the quota by itself."""
    who = person(world, tmp_path, "sql")
    world.echoes_allowed = True
    assert query(who, driver, "SELECT current_user()", route="brief").get("ok") == [[who.caller.sub]]
    reasons = [one["reason"] for one in world.gateway.records() if one.get("subject") == who.caller.sub]
    assert "QUOTA_EXCEEDED" in reasons


def test_while_keys_are_cold_sql_drivers_try_again_for_their_patience(world: World, tmp_path: Path, driver: str):
    caller = world.user("sql", issuer="cold_refuse")
    who = Person(world, caller, tmp_path, caller.forge())
    world.echoes_allowed = True
    error = query(who, driver, "SELECT 1", route="cold", patience=6)["error"]
    shown = {"node": "bad HTTP status code: 503", "python": "would exceed Retry policy max retry duration"}
    assert shown.get(driver, "the identity provider's keys are not available") in error["message"], error
    assert "KEYS_UNAVAILABLE" in [one["reason"] for one in world.gateway.records()]
    world.nothing_reached()


@pytest.mark.parametrize("language", each("go", "java", "node"))
def test_a_body_that_is_too_large_is_said_to_be(world: World, tmp_path: Path, language: str):
    """A rule that names jobs has to read the body. Python's is in test_sdk_python.py."""
    error = told(person(world, tmp_path, "developers"), language, "sdk", "run", "101", "big")["error"]
    assert TOO_LARGE in error["message"] and error["status"] == 413, error
    world.no_api_reached()


@needs("java")
def test_a_statement_that_is_too_large_is_said_to_be(world: World, tmp_path: Path):
    """Only who is held to tables has statements read, by REST."""
    who = person(world, tmp_path, "tables")
    text = f"SELECT '{'y' * 70_000}' FROM main.sales.orders"
    assert TOO_LARGE in by_rest(who, text)["error"]["message"]
    # Python's reads no body of a refusal
    assert query(who, "python", text, sea=True)["error"]["message"].endswith("failed with status 413")
