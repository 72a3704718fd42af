"""One stack for the whole run: the identity provider, the mock workspace, one gateway. For every suite that tells stories."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import configs
from gateway import EnvoyGateway, Gateway, build_mock
from stack import Idp, Workspace, wait_until
from world import World, nothing_leaked


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-filter", action="store_true", help="start the host without the filter (test_stack.py only)"
    )
    parser.addoption("--keep", action="store_true", help="keep the run's directory with logs and configuration")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.config.stash[FAILED] = True
        world = item.funcargs.get("world") if hasattr(item, "funcargs") else None
        # once the stack is being taken down there is nobody to ask
        if isinstance(world, World) and call.when != "teardown":
            log = world.gateway.logs(world.log_start)
            report.sections.append(("gateway log of this test", log[-6000:]))
            try:
                rows = [f"{o.n} {o.method} {o.target} -> {o.status} {o.principal}" for o in world.seen()]
            except Exception as error:  # the workspace may be what failed
                rows = [repr(error)]
            report.sections.append(("what the workspace saw", "\n".join(rows)[-4000:]))


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def run_dir(request: pytest.FixtureRequest) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="databricks-kong-tests-"))
    yield path
    if request.config.stash.get(FAILED, False) or request.config.getoption("--keep"):
        print(f"\nlogs and configuration of this run: {path}")
    else:
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def idp(run_dir: Path) -> Iterator[Idp]:
    started = Idp(Path(os.environ["STORIES_DIR"]), run_dir)
    yield started
    started.process.stop()


@pytest.fixture(scope="session")
def workspace(run_dir: Path, idp: Idp) -> Iterator[Workspace]:
    started = Workspace.start(build_mock(), idp, run_dir)
    yield started
    started.process.stop()


def start_gateway(
    idp: Idp,
    workspace: Workspace,
    run_dir: Path,
    with_filter: bool = True,
    named: list[configs.Named] | None = None,
    clusters: dict[str, str] | None = None,
    workers: int = 1,
) -> Gateway:
    """The host that was chosen, with these configurations or with those of all stories. Clusters are for Envoy, which calls nobody else."""
    host = os.environ.get("STORIES_HOST") or ("kong" if os.environ.get("KONG_BIN") else "envoy")
    # the modules of other hosts are on the path when their `run` starts these stories
    if host == "nginx":
        from nginx_gateway import NginxGateway

        return NginxGateway(idp, workspace, run_dir)
    if host == "kong-native":
        from native_gateway import NativeKongGateway

        return NativeKongGateway(idp, workspace, run_dir, with_filter, named, workers)
    if host == "kong":
        from kong_gateway import KongGateway

        return KongGateway(idp, workspace, run_dir, with_filter, named, workers)
    return EnvoyGateway(idp, workspace, run_dir, with_filter, named, clusters, workers)


def stop_gateway(started: Gateway) -> None:
    """Ends it, and reads all that it ever wrote or showed for secrets."""
    pages = {**started.pages(), "audit records": json.dumps(started.records())}
    started.stop()
    nothing_leaked({**pages, **started.files()})


@pytest.fixture(scope="session")
def gateway(request: pytest.FixtureRequest, run_dir: Path, idp: Idp, workspace: Workspace) -> Iterator[Gateway]:
    with_filter = not request.config.getoption("--without-filter")
    started = start_gateway(idp, workspace, run_dir, with_filter)
    if with_filter:
        # Stories count exchanges, and let some fail: not those that timers make before any request. What the gateway counts has come; of what
        # the workspace counts, an answer may have come too late, and be asked for again.
        expected = started.asks_ahead * configs.TOKENS_AHEAD
        wait_until("roles have their tokens", lambda: started.counters().get("exchange_ok", 0) >= expected)
    yield started
    assert not started.complaints(), "the host is well"
    stop_gateway(started)


@pytest.fixture
def world(gateway: Gateway, idp: Idp, workspace: Workspace, run_dir: Path) -> Iterator[World]:
    workspace.clear_faults()
    workspace.forget_requests()
    one = World(gateway, idp, workspace, run_dir, log_start=gateway.log.size())
    yield one
    workspace.clear_faults()
    one.check_promises()
    assert not gateway.complaints(one.log_start), "the host is well"
