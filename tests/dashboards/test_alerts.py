"""The alerting rules fire when they should: by promtool's unit tests, and on the captured run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from boards import REPO
from series import CAPTURED, HERE, TARGET, read
from test_promql import PREFIX, TIMES
from tsdb import DIR, Prometheus

pytestmark = pytest.mark.skipif(not DIR, reason="there is no Prometheus here")

RULES = REPO / "dashboards/alerts.yml"
# Of the captured run, what is true at these times; how long it has to be so is in alerts_test.yml.
FIRING = {
    "well": set(),
    # tokens at hand outlast it, so nobody is refused
    "exchanges fail": {"DatabricksKongExchangeFailing"},
    # five minutes look back to the exchanges' failure
    "keys fail": {"DatabricksKongKeysUnavailable", "DatabricksKongFailing", "DatabricksKongExchangeFailing"},
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    config = f"rule_files: [{RULES}]"
    started = Prometheus(tmp_path_factory.mktemp("alerts"), (read(CAPTURED), TARGET), config=config)
    yield started
    started.stop()


def test_the_unit_tests_of_the_rules_pass():
    done = subprocess.run(
        [f"{DIR}/promtool", "test", "rules", "alerts_test.yml"], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_has_a_unit_test_in_which_it_fires_and_one_in_which_it_does_not(prometheus: Prometheus):
    tests = (HERE / "alerts_test.yml").read_text()
    for name in prometheus.rules():
        assert re.search(rf'alertname="{name}", alertstate="firing"|alertname: {name}\n    exp_alerts:', tests), name
    silent = set(re.findall(r"eval_time: 170m, alertname: (\w+)", tests))
    assert silent == set(prometheus.rules())


def test_the_document_has_each_rule(prometheus: Prometheus):
    document = (REPO / "docs/metrics.md").read_text()
    assert set(re.findall(r"\| `(DatabricksKong\w+)` \|", document)) == set(prometheus.rules())


@pytest.mark.parametrize("when", TIMES)
def test_rules_tell_what_went_wrong_in_the_captured_run(prometheus: Prometheus, when: str):
    firing = {name for name, expr in prometheus.rules().items() if prometheus.query(expr, TIMES[when])}
    assert firing == FIRING[when]


def test_a_kong_without_the_filter_is_told(tmp_path_factory: pytest.TempPathFactory, prometheus: Prometheus):
    data = read(CAPTURED)
    bare = replace(data, series=tuple(one for one in data.series if not one.name.startswith(PREFIX)))
    other = Prometheus(
        tmp_path_factory.mktemp("bare"), (data, TARGET), (bare, {**TARGET, "instance": "gateway-2:8100"})
    )
    try:
        ((labels, _),) = other.query(prometheus.rules()["DatabricksKongWithoutFilter"], TIMES["well"])
        assert labels["instance"] == "gateway-2:8100"
    finally:
        other.stop()
