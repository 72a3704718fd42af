"""Load without loss: everything that ends, ends every few seconds, on 64 connections. SOAK_SECONDS makes it longer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import configs
import pytest
import soak
from gateway import EnvoyGateway, build_mock
from stack import Idp, Workspace

SECONDS = float(os.environ.get("SOAK_SECONDS", "45"))
# more than the stories' own limit
pytestmark = pytest.mark.timeout(SECONDS + 180)


@pytest.fixture(scope="module")
def report(idp: Idp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[soak.Report]:
    if os.environ.get("KONG_BIN"):
        pytest.skip("counts the memory of Envoy")
    run_dir: Path = tmp_path_factory.mktemp("soak")
    provider = soak.Provider()
    workspace = Workspace.start(build_mock(), idp, run_dir)
    workspace.trust(provider.url, f"{provider.url}/jwks")
    workspace.add_users(soak.subjects())
    named = configs.Named("soak", lambda parts, name: soak.config(provider, parts.workspace, parts.public_url(name)))
    gateway = EnvoyGateway(idp, workspace, run_dir, named=[named], clusters={"idp_soak": provider.url})
    try:
        yield soak.run(provider, workspace, gateway.url("soak"), [gateway.process.child.pid], SECONDS)
    finally:
        gateway.stop()
        workspace.process.stop()
        provider.stop()


def test_every_answer_is_right(report: soak.Report):
    assert not report.tally.wrong, f"{len(report.tally.wrong)} of {report}\n" + "\n".join(report.tally.wrong[:20])


def test_nobody_goes_on_as_somebody_else(report: soak.Report):
    assert not report.of_another, f"{len(report.of_another)} of {report.reached}: {report.of_another[:20]}"


def test_everything_happened_that_should(report: soak.Report):
    """A run in which nothing ended or failed would show nothing."""
    answers = report.tally.answers
    for name in ("200", "401 TOKEN_EXPIRED", "403 RULE_DENIED", "503 EXCHANGE_UNAVAILABLE"):
        assert answers[name] > 0, f"no {name}: {report}"
    assert report.tally.tokens > 4 * soak.CONNECTIONS, report
    assert report.fetches > 1, report
    # a third of them meet a fault; what comes late, cut off or as garbage is a 200 to the workspace
    assert report.exchanges_failed > 0.1 * report.exchanges, report
    assert report.tally.newest_passed > 0, f"no new key was ever taken up: {report}"
    assert answers["200"] > 0.5 * sum(answers.values()), report


def test_memory_stays_as_it_is(report: soak.Report, record_property: pytest.RecordProperty):
    record_property("soak", str(report))
    print(report)
    assert report.growth < 1.1, report
