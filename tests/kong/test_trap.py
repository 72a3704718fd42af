"""What a trap does on a real Kong, and what a guard behind it makes of that. The filter is the built one, changed so that it traps.

Kong 3.9.3 does not always survive a trap: some time later its worker may die and be replaced, which closes connections. A closed
connection is no answer, and lets nothing in.
"""

from __future__ import annotations

import http.client
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from declared import GUARD, config, declaration, settings
from gateway import FILTER
from shipped import PRODUCTION, Around, Kong
from stack import Response, wait_until

JOBS_LIST, RUN_NOW = "/api/2.2/jobs/list", "/api/2.2/jobs/run-now"
# where the filter traps, and who refuses then
PLACES = {"headers": "kong", "decided": "kong", "answer": "the guard", "body": "kong"}


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def module(around: Around, place: str) -> Path:
    """The filter that traps there."""
    made = around.run_dir / f"trapping-{place}.wasm"
    script = Path(__file__).with_name("trapping.mjs")
    subprocess.run(["node", script, os.environ["BINARYEN"], FILTER, made, place], check=True, timeout=60)
    return made


def start(around: Around, module: Path, name: str, *chain: object) -> Kong:
    declared = settings(around, around.run_dir / f"{name}.json", declaration(*chain))
    return Kong(around.run_dir / name, declared, module=module)


@pytest.fixture
def guarded(around: Around, module: Path, place: str) -> Iterator[Kong]:
    one = start(around, module, f"kong-guarded-{place}", config(), GUARD)
    yield one
    one.stop()


@pytest.fixture
def unguarded(around: Around, module: Path, place: str) -> Iterator[Kong]:
    one = start(around, module, f"kong-unguarded-{place}", config())
    yield one
    one.stop()


def ask(kong: Kong, around: Around, place: str, headers: int = 0) -> Response | None:
    """The answer to a request that is allowed, with that many headers more than it needs; none if the connection was closed."""
    pairs = [("Authorization", f"Bearer {around.token('alice', 'data-engineering', 'job-runners')}")]
    pairs += [(f"X-Spare-{number}", "1") for number in range(headers)]
    try:
        if place != "body":
            return kong.ask(PRODUCTION, "GET", JOBS_LIST, pairs)
        return kong.ask(PRODUCTION, "POST", RUN_NOW, [*pairs, ("Content-Type", "application/json")], '{"job_id": 101}')
    except (http.client.RemoteDisconnected, ConnectionError):
        return None


def is_served(kong: Kong, around: Around, place: str) -> bool:
    reply = ask(kong, around, place)
    return reply is not None and reply.status == 200


def reached(around: Around) -> list[str | None]:
    return [one.who for one in around.production.seen() if not one.is_exchange]


def test_behind_an_entry_that_traps_a_request_is_refused_and_the_next_one_is_served(
    guarded: Kong, around: Around, place: str
):
    if place != "answer":  # so that it traps with nothing under way
        assert is_served(guarded, around, place)
        around.production.forget_requests()
    trapped = ask(guarded, around, place, headers=60)
    assert "unreachable" in guarded.logs(), "the filter trapped"
    assert reached(around) == []
    if trapped:
        assert trapped.status == 500, trapped
        assert ("GUARD_REFUSED" in trapped.text) == (PLACES[place] == "the guard"), trapped
    wait_until("the next request is served", lambda: is_served(guarded, around, place))
    assert reached(around)[-1] == "alice@example.com"


def test_without_a_guard_kong_sends_on_a_request_whose_callback_trapped_but_without_a_credential(
    around: Around, unguarded: Kong, place: str
):
    """Why there are guards, and why the caller's token is taken off before anything else."""
    if PLACES[place] == "kong":
        pytest.skip("kong itself refuses here")
    trapped = ask(unguarded, around, place, headers=60)
    assert "unreachable" in unguarded.logs(), "the filter trapped"
    assert reached(around) == [None], "kong lets it through, to the workspace's 401"
    assert trapped and trapped.status == 401, trapped
