"""A coding agent, unmodified: OpenAI's Codex asks through the gateway, held to one model."""

from __future__ import annotations

from pathlib import Path

import pytest

from programs import Done, Person, home_of, needs, person, setting, start
from routes import MODEL
from world import World

pytestmark = needs("codex")


def ask(who: Person, model: str, prompt: str = "what is six times seven?", route: str = "clients") -> Done:
    home = home_of("codex")
    settings = who.home / ".codex"
    settings.mkdir(exist_ok=True)
    (settings / "config.toml").write_text(setting("codex", who.world, route, YOUR_MODEL=model))
    folder = who.home / "work"
    folder.mkdir(exist_ok=True)
    # whatever it asks of others than the gateway ends at a port where nobody listens
    nowhere = "http://127.0.0.1:9"
    gateway = who.world.gateway.url(route).removeprefix("https://")
    env = who.env(HTTP_PROXY=nowhere, HTTPS_PROXY=nowhere, NO_PROXY=gateway)
    argv = [home / "node_modules/.bin/codex", "exec", "--skip-git-repo-check", "--sandbox", "read-only", prompt]
    return start(argv, folder, env)


@pytest.fixture
def agent(world: World, tmp_path: Path) -> Person:
    return person(world, tmp_path, "modellers")


def test_codex_asks_the_model_that_its_user_may(agent: Person):
    done = ask(agent, MODEL)
    assert done.code == 0 and "forty-two" in done.out, str(done)
    assert {(one.who, one.path) for one in agent.world.api()} == {(agent.caller.sub, "/ai-gateway/codex/v1/responses")}


def test_codex_shows_why_another_model_is_refused(agent: Person):
    done = ask(agent, "another-model")
    assert "no rule of the caller's roles allows `ai_gateway.responses`" in done.text, str(done)
    agent.world.no_api_reached()


def test_a_long_prompt_is_read_and_one_above_the_limit_is_refused(agent: Person):
    """What an agent has read goes with each of its requests; docs/clients.md has the limit for that."""
    long = "y" * 90_000
    refused = ask(agent, MODEL, long, "short")
    assert "the request's body is longer than the gateway reads" in refused.text, str(refused)
    agent.world.no_api_reached()
    done = ask(agent, MODEL, long)
    assert done.code == 0 and "forty-two" in done.out, str(done)
