"""OpenAI's and Anthropic's own clients ask models through the gateway, held to one of them; what a model says is not held up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from programs import home_of, needs, person, start
from routes import MODEL, PROVIDER
from stack import admin
from world import World

pytestmark = needs("ai")

# client, and what its user gives it as address after the host
WAYS = [
    ("openai", "/serving-endpoints"),
    ("openai", "/ai-gateway/mlflow/v1"),
    ("openai", "/ai-gateway/openai/v1"),
    ("anthropic", "/serving-endpoints/anthropic"),
    ("anthropic", "/ai-gateway/anthropic"),
]


def asking(
    world: World, home: Path, kind: str, path: str, model: str, *more: str
) -> tuple[list[str | Path], dict[str, str]]:
    program = home_of("ai")
    who = person(world, home, "modellers")
    argv = [program / "venv/bin/python", program / "models.py", kind, world.gateway.url("clients") + path, model, *more]
    return argv, who.env()


@pytest.mark.parametrize(("kind", "path"), WAYS)
def test_a_client_asks_the_model_that_its_user_may_and_is_told_why_of_another(
    world: World, tmp_path: Path, kind: str, path: str
):
    argv, env = asking(world, tmp_path, kind, path, MODEL)
    done = start(argv, tmp_path, env)
    assert json.loads(done.out) == {"ok": "forty-two"}, str(done)
    argv, env = asking(world, tmp_path, kind, path, "another-model")
    done = start(argv, tmp_path, env)
    error = json.loads(done.out)["error"]
    assert (error["type"], error["status"]) == ("PermissionDeniedError", 403), str(done)
    assert "no rule of the caller's roles allows" in error["message"], error
    assert len(world.api()) == 1, "the other model was not asked"


@pytest.mark.parametrize(
    ("kind", "path"), [("openai", "/ai-gateway/openai/v1"), ("anthropic", "/ai-gateway/anthropic")]
)
def test_a_client_that_picks_who_answers_is_held_to_those_whom_its_user_may_pick(
    world: World, tmp_path: Path, kind: str, path: str
):
    for provider, model, answers in [
        (PROVIDER, MODEL, True),
        (PROVIDER, "another-model", False),
        ("main.ai.another", MODEL, False),
    ]:
        argv, env = asking(world, tmp_path, kind, path, model)
        said = json.loads(start(argv, tmp_path, env | {"PROVIDER": provider}).out)
        assert said == {"ok": "forty-two"} if answers else said["error"]["status"] == 403, (provider, model, said)
    assert [one.header("databricks-model-provider-service") for one in world.api()] == [PROVIDER]


@pytest.fixture
def held(world: World) -> Iterator[None]:
    """The model says one word, and the rest once the test lets it."""
    admin(world.workspace.admin_url, "PUT", "/streams", {"held": True})
    yield
    admin(world.workspace.admin_url, "PUT", "/streams", {"held": False})


@pytest.mark.parametrize(("kind", "path"), WAYS)
def test_the_first_word_is_read_before_the_model_has_said_the_second(
    world: World, held: None, tmp_path: Path, kind: str, path: str
):
    argv, env = asking(world, tmp_path, kind, path, MODEL, "stream")
    with subprocess.Popen(
        argv, cwd=tmp_path, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin and program.stdout
        first: dict[str, Any] = json.loads(program.stdout.readline())
        # the model has not been let go on, so this came through by itself
        assert first["first"] == "forty", first
        print(f"{kind} {path}: {first['seconds']:.3f} s to the first word")
        admin(world.workspace.admin_url, "POST", "/streams")
        program.stdin.write("\n")
        program.stdin.flush()
        assert json.loads(program.stdout.readline()) == {"ok": "forty-two"}
    assert program.returncode == 0
