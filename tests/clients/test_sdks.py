"""The SDKs for Go, Java and Node, each in a small program of its own: the same story for all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from programs import Person, each, needs, person, told
from world import World

RUN_NOW = "/api/2.2/jobs/run-now"


@pytest.fixture(params=each("go", "java", "node"))
def language(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def developer(world: World, tmp_path: Path) -> Person:
    return person(world, tmp_path, "developers")


def test_lists_jobs(developer: Person, language: str):
    assert told(developer, language, "sdk", "list")["ok"] == [101, 202]
    assert {one.who for one in developer.world.api()} == {developer.caller.sub}


def test_runs_a_job_and_waits_for_it(developer: Person, language: str):
    assert told(developer, language, "sdk", "run", "101")["ok"] == "SUCCESS"


def test_a_refused_job_is_a_typed_error_with_the_reason(developer: Person, language: str):
    error = told(developer, language, "sdk", "run", "202")["error"]
    assert "no rule of the caller's roles allows `jobs.run_now`" in error["message"], error
    kinds = {"go": "*apierr.APIError", "java": "PermissionDenied", "node": "ApiError"}
    assert error["type"] == kinds[language], error
    # Node's gives up on details of which one has no `metadata`, Databricks' own too, and shows the whole answer instead
    code = "Forbidden" if language == "node" else "PERMISSION_DENIED"
    assert (error["status"], error["code"]) == (403, code), error
    assert "NO_RULE" in json.dumps(error), error
    assert not [one for one in developer.world.api() if one.path == RUN_NOW]


def test_an_expired_token_is_said_to_be_expired(world: World, tmp_path: Path, language: str):
    expired = world.user("developers").forge(exp=1_700_000_000, iat=1_699_999_000)
    who = person(world, tmp_path, "developers", token=expired)
    error = told(who, language, "sdk", "list")["error"]
    assert "expired" in error["message"], error
    world.nothing_reached()


@needs("node")
def test_the_sdk_for_node_knows_no_sign_in_of_its_own(developer: Person):
    """docs/login.md sends its users to the CLI, which it asks for tokens."""
    error = told(developer, "node", "sdk", "list", AUTH_TYPE="external-browser")["error"]
    assert "cannot configure default credentials" in error["message"], error
    developer.world.nothing_reached()
