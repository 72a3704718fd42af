"""An identity provider and a mock workspace for the tests that start hosts of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import build_mock
from stack import Idp, Workspace


@pytest.fixture(scope="session")
def idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Idp]:
    started = Idp(Path(os.environ["STORIES_DIR"]), tmp_path_factory.mktemp("idp"))
    yield started
    started.process.stop()


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, idp: Idp) -> Iterator[Workspace]:
    started = Workspace.start(build_mock(), idp, tmp_path_factory.mktemp("workspace"))
    yield started
    started.process.stop()


@pytest.fixture(autouse=True)
def quiet(workspace: Workspace) -> None:
    workspace.clear_faults()
    workspace.forget_requests()
