"""The shipped kong.yml and kong.conf on a real Kong, once for all tests here, and who asks through it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipped import Around, Client, Kong, machine
from stack import REPO


@pytest.fixture(scope="session")
def around() -> Iterator[Around]:
    with tempfile.TemporaryDirectory(prefix="databricks-kong-shipped-") as path:
        one = Around(Path(path))
        yield one
        one.stop()


@pytest.fixture(scope="session")
def kong(around: Around) -> Iterator[Kong]:
    one = Kong(around.run_dir / "kong", machine(around), REPO / "kong/kong.conf")
    yield one
    one.stop()


@pytest.fixture(scope="session")
def employee(around: Around) -> tuple[Path, Path]:
    return around.company.issue("employee-laptop")


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    around: Around = request.getfixturevalue("around")
    for workspace in (around.production, around.development):
        workspace.clear_faults()
        workspace.forget_requests()
    around.pricing.drain()
    yield
    if "kong" in request.fixturenames:
        assert not request.getfixturevalue("kong").complaints(), "the host is well"


@pytest.fixture
def alice(kong: Kong, around: Around, employee: tuple[Path, Path]) -> Client:
    return Client(kong, around, around.token("alice", "job-runners", "data-engineering"), certificate=employee)
