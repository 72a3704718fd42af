"""Databricks' own packages for OpenAI's client and for LangChain ask models through the gateway, with nothing but host and token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from programs import home_of, needs, person, start
from routes import MODEL
from streams import read_before_the_second_word
from world import World

pytestmark = [needs("assistants"), pytest.mark.timeout(600)]

# how it is asked, and where that goes
WAYS = [
    ("openai", "/serving-endpoints/chat/completions"),
    ("gateway", "/ai-gateway/mlflow/v1/chat/completions"),
    ("langchain", "/serving-endpoints/chat/completions"),
]


def asking(world: World, home: Path, kind: str, model: str, *more: str) -> tuple[list[str | Path], dict[str, str]]:
    program = home_of("assistants")
    argv = [program / "venv/bin/python", program / "asks.py", kind, model, *more]
    return argv, person(world, home, "modellers").env()


def said(argv: list[str | Path], env: dict[str, str], home: Path) -> dict[str, Any]:
    done = start(argv, home, env, 240)
    assert done.out.strip(), str(done)
    return json.loads(done.out.splitlines()[-1])


@pytest.mark.parametrize(("kind", "path"), WAYS)
def test_the_model_that_its_user_may_ask_answers_and_another_is_refused_with_words(
    world: World, tmp_path: Path, kind: str, path: str
):
    argv, env = asking(world, tmp_path, kind, MODEL)
    assert said(argv, env, tmp_path) == {"ok": "forty-two"}
    assert path in {one.path for one in world.api()}
    argv, env = asking(world, tmp_path, kind, "another-model")
    error = said(argv, env, tmp_path)["error"]
    assert (error["type"], error["status"]) == ("PermissionDeniedError", 403), error
    assert "no rule of the caller's roles allows" in error["message"], error
    assert len([one for one in world.api() if one.path == path]) == 1, "the other model was not asked"


@pytest.mark.parametrize(("kind", "path"), WAYS)
def test_the_first_word_is_read_before_the_model_has_said_the_second(
    world: World, tmp_path: Path, kind: str, path: str
):
    argv, env = asking(world, tmp_path, kind, MODEL, "stream")
    seconds = read_before_the_second_word(world, argv, env, tmp_path)
    print(f"{kind}: {seconds:.3f} s to the first word")
