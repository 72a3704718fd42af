"""OpenAI's and Anthropic's own clients ask models through the gateway, held to one of them; what a model says is not held up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from programs import home_of, needs, person, start
from routes import MODEL, PROVIDER
from streams import read_before_the_second_word
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


@pytest.mark.parametrize(("kind", "path"), WAYS)
def test_the_first_word_is_read_before_the_model_has_said_the_second(
    world: World, tmp_path: Path, kind: str, path: str
):
    argv, env = asking(world, tmp_path, kind, path, MODEL, "stream")
    seconds = read_before_the_second_word(world, argv, env, tmp_path)
    print(f"{kind} {path}: {seconds:.3f} s to the first word")
