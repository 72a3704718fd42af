"""How the filter gets into a real Kong and stays there: its schema, its places in a declaration, changes of it under load."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from declared import ENGINEERS, GUARD, RUNNERS, config, declaration, settings
from shipped import PRODUCTION, Around, Kong, reason
from stack import REPO, Response, send, wait_until

JOBS_LIST = "/api/2.2/jobs/list"


def with_change(path: list[Any], value: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(config()))
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


# what is wrong -> what Kong's own validator says of it
REFUSED_BY_KONG = {
    "a text for a list": (with_change(["identity_providers", 0, "audiences"], "databricks"), "audiences"),
    "an unknown key": (with_change(["workspaces"], {}), "workspaces"),
    "a skew past the limit": (with_change(["identity_providers", 0, "clock_skew"], 301), "clock_skew"),
    "a number for a name": (with_change(["roles", 0, "name"], 7), "name"),
}


def post(kong: Kong, declared: Any) -> Response:
    """Gives a running Kong another declaration."""
    headers = {"Content-Type": "application/json"}
    return send(f"http://127.0.0.1:{kong.admin_port}", "POST", "/config", headers, json.dumps(declared))


def let_engineers_in(kong: Kong, around: Around) -> None:
    """Workers take a change up one after the other: until each of many requests is let in."""
    assert post(kong, declaration(config(ENGINEERS), GUARD)).status == 201
    wait_until(
        "all workers know", lambda: {ask(kong, around, "alice", "data-engineering").status for _ in range(20)} == {200}
    )


@pytest.mark.parametrize("what", REFUSED_BY_KONG)
def test_kongs_validator_refuses_what_breaks_the_schema_and_names_it(changing: Kong, around: Around, what: str):
    wrong, named = REFUSED_BY_KONG[what]
    refused = post(changing, declaration(wrong))
    assert refused.status == 400, refused
    assert named in refused.text
    # and goes on with what it had
    assert ask(changing, around, "alice", "data-engineering").status == 200
    let_engineers_in(changing, around)


def bad_cases() -> list[Path]:
    return sorted((REPO / "tests/config/bad").glob("*.json"))


@pytest.mark.parametrize("path", bad_cases(), ids=lambda path: path.stem)
def test_kongs_validator_refuses_each_bad_configuration_that_a_schema_can(changing: Kong, around: Around, path: Path):
    """What it lets through (the case says why) is a 500 for each request."""
    case = json.loads(path.read_text())
    reply = post(changing, declaration(case["config"]))
    assert reply.status == (400 if case["schema"] else 201), reply
    if case["schema"]:
        assert "databricks_kong" in reply.text or "config" in reply.text, reply
        assert ask(changing, around, "alice", "data-engineering").status == 200, "it goes on with what it had"
        return
    wait_until("the change holds", lambda: ask(changing, around, "alice", "data-engineering").status != 200)
    refused = ask(changing, around, "alice", "data-engineering")
    assert (refused.status, reason(refused)) == (500, "INVALID_CONFIGURATION"), refused
    let_engineers_in(changing, around)


@pytest.mark.parametrize("name", ["every_key", "guard", "observe", "smallest"])
@pytest.mark.parametrize("is_text", [False, True], ids=["as an object", "as a text"])
def test_kongs_validator_takes_each_good_configuration(changing: Kong, around: Around, name: str, is_text: bool):
    config = json.loads((REPO / "tests/config/good" / f"{name}.json").read_text())
    reply = post(changing, declaration(json.dumps(config) if is_text else config))
    assert reply.status == 201, reply
    let_engineers_in(changing, around)


def test_an_empty_list_stays_a_list(changing: Kong, around: Around):
    """In Lua it is no other than an empty object."""
    assert post(changing, declaration(config({**ENGINEERS, "allow": []}), GUARD)).status == 201
    wait_until("the change holds", lambda: ask(changing, around, "alice", "data-engineering").status != 200)
    reply = ask(changing, around, "alice", "data-engineering")
    assert (reply.status, reason(reply)) == (403, "NO_RULE"), reply


def ask(kong: Kong, around: Around, who: str, *groups: str, target: str = JOBS_LIST) -> Response:
    return kong.ask(PRODUCTION, "GET", target, [("Authorization", f"Bearer {around.token(who, *groups)}")])


def reached(around: Around) -> list[str | None]:
    return [one.who for one in around.production.seen() if not one.is_exchange]


def test_the_filter_works_as_an_entry_of_plugins_too(around: Around):
    declared = declaration(plugins=[{"name": "databricks_kong", "config": config()}])
    kong = Kong(around.run_dir / "kong-plugins", settings(around, around.run_dir / "plugins.json", declared))
    try:
        assert ask(kong, around, "alice", "data-engineering").status == 200
        assert reached(around) == ["alice@example.com"]
        refused = ask(kong, around, "bob", "strangers")
        assert (refused.status, reason(refused)) == (403, "NO_ROLE"), refused
        assert len(reached(around)) == 1
        assert not kong.complaints()
    finally:
        kong.stop()


@pytest.fixture(scope="module")
def changing(around: Around) -> Iterator[Kong]:
    declared = settings(around, around.run_dir / "changing.json", declaration(config(ENGINEERS), GUARD))
    kong = Kong(around.run_dir / "kong-changing", declared)
    yield kong
    kong.stop()


class Load:
    """Requests of an engineer, one after the other on a few threads, until it is stopped."""

    def __init__(self, kong: Kong, around: Around):
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(kong, around)) for _ in range(4)]

    def _run(self, kong: Kong, around: Around) -> None:
        while not self.ended.is_set():
            try:
                reply = ask(kong, around, "alice", "data-engineering")
                answer = str(reply.status) if reply.status == 200 else f"{reply.status} {reason(reply)}"
            except Exception as error:
                answer = repr(error)
            self.seen[answer] += 1
            # of a new worker's requests one fetches the keys, and the others are told to come again
            if answer not in ("200", "403 NO_ROLE", "503 KEYS_UNAVAILABLE"):
                self.wrong.append(answer)

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def wait_for_more(self, answer: str, count: int = 5) -> None:
        goal = self.seen[answer] + count
        wait_until(f"{count} more of {answer}", lambda: self.seen[answer] >= goal, timeout=40)


def test_configurations_that_change_under_load_hold_from_then_on_and_no_request_is_lost(changing: Kong, around: Around):
    """By `POST /config`, which keeps the workers: engineers may, may not, may …; each request meets the one or the other."""
    let_engineers_in(changing, around)
    workers = changing.workers()
    chains = {"200": config(ENGINEERS), "403 NO_ROLE": config(RUNNERS)}
    with Load(changing, around) as load:
        for turn in range(6):
            answer = list(chains)[turn % 2]
            posted = post(changing, declaration(chains[answer], GUARD))
            assert posted.status == 201, posted
            load.wait_for_more(answer)
        # the last change forbids: once it holds, it holds for good
        wait_until("it is forbidden", lambda: ask(changing, around, "alice", "data-engineering").status == 403)
        before = load.seen["200"]
        load.wait_for_more("403 NO_ROLE", 20)
        assert load.seen["200"] <= before + len(load.threads), "but for those that were under way"
    assert not load.wrong, f"{Counter(load.wrong)} of {load.seen}"
    assert changing.workers() == workers, "no worker died"
    assert not changing.complaints()


def test_a_reload_under_load_loses_no_request(changing: Kong, around: Around):
    """`kong reload` replaces the workers; those that end finish what they have."""
    let_engineers_in(changing, around)
    with Load(changing, around) as load:
        for _ in range(2):
            workers = changing.workers()
            load.wait_for_more("200")
            reload = [changing.kong, "reload", "-p", str(changing.prefix)]
            done = subprocess.run(
                reload, env=changing.environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            wait_until("the workers are new", lambda old=workers: not old & changing.workers(), timeout=40)
        load.wait_for_more("200")
    assert not load.wrong, f"{Counter(load.wrong)} of {load.seen}"
    assert not changing.complaints()
