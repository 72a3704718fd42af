"""A configuration that cannot be used lets nothing through, says so to callers, and says why in the log."""

from __future__ import annotations

import pytest

import configs
from world import JOBS_LIST, RUN_NOW, World, assert_refused


@pytest.mark.parametrize("name", configs.BROKEN)
def test_every_request_is_refused(world: World, name: str):
    engineer = world.engineer()
    for method, target, token in (
        ("GET", JOBS_LIST, engineer.token()),
        ("POST", RUN_NOW, engineer.token()),
        ("GET", JOBS_LIST, None),
        ("GET", "/", None),
    ):
        reply = world.send(name, method, target, token=token, body="{}" if method == "POST" else None)
        assert_refused(reply, 500, "INVALID_CONFIGURATION")
    world.nothing_reached()


@pytest.mark.parametrize("name", configs.BROKEN)
def test_log_says_why(world: World, name: str):
    world.gateway.url(name)  # skips what this host does not start with
    log = world.gateway.logs()
    if world.gateway.normalizes_paths and name in ("bad_not_json", "bad_empty"):
        assert "is not JSON" in log  # this host's log does not name the route
        return
    for pointer in configs.BROKEN[name][1]:
        assert pointer in log, f"{pointer} is not in the log"


def test_refusal_does_not_show_the_configuration(world: World):
    reply = world.send("bad_env", token=world.engineer().token())
    assert_refused(reply, 500, "INVALID_CONFIGURATION")
    assert "DBX_TEST_UNSET" not in reply.text or "client_secret" not in reply.text


def test_no_secret_in_the_log(world: World):
    from stack import SP_SECRETS

    log = world.gateway.logs()
    for secret in SP_SECRETS.values():
        assert secret not in log


def test_good_configurations_are_not_complained_about(world: World):
    log = world.gateway.logs()
    assert "panicked" not in log and "Uncaught" not in log, "the filter trapped"
