"""One gateway for the clients, and the clients themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
