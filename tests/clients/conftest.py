"""One gateway for the clients, and the clients themselves: set up before the first test, if a chosen one needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import clients
from fixtures import (
    idp,
    pytest_addoption,
    pytest_runtest_makereport,
    run_dir,
    start_gateway,
    stop_gateway,
    workspace,
    world,
)
from gateway import Gateway
from routes import all_routes
from stack import Idp, Workspace
from world import World

__all__ = ["idp", "pytest_addoption", "pytest_runtest_makereport", "run_dir", "workspace", "world"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(client, …): the clients of clients.py without which the test is skipped")


def needed(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("needs") for name in mark.args]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Not within the tests, whose time is limited."""
    if session.config.option.collectonly:
        return
    names = dict.fromkeys(name for item in session.items for name in needed(item))
    with session.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        clients.set_up(names)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in needed(item):
        if why := clients.client(name).missing():
            pytest.skip(why)


@pytest.fixture(scope="session")
def gateway(run_dir: Path, idp: Idp, workspace: Workspace) -> Iterator[Gateway]:
    started = start_gateway(idp, workspace, run_dir, named=all_routes())
    yield started
    stop_gateway(started)


@pytest.fixture(autouse=True)
def reachable(world: World) -> None:
    """SQL clients ask for the exchange on port 443 only, so the gateway is there."""
    if world.gateway.no_tls:
        pytest.skip(world.gateway.no_tls)
