"""What the user of each client sees when the gateway says `not now` or `too much`, and whether the client tries again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from programs import Done, Person, environment, home_of, person, start, story
from world import World

CLIENTS = ["cli", "go", "java", "node"]


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
    home_of(request.param)
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
    """503 with `Retry-After`. The default patience is five minutes in most of them."""
    if client in ("java", "node"):
        pytest.skip("it has no setting for its patience, and tries for minutes")
    caller = world.user("developers", issuer="cold_refuse")
    who = Person(world, caller, tmp_path, caller.forge())
    shown = list_jobs(who, client, "cold", 6)
    assert not shown.ok and shown.seconds < 60, (shown.text, shown.seconds)
    assert "KEYS_UNAVAILABLE" in [one["reason"] for one in world.gateway.records()]
    assert "keys are not available" in shown.text or "timed out" in shown.text, shown.text
    world.nothing_reached()
