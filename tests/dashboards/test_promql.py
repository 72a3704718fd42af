"""Each PromQL query of a dashboard, in a real Prometheus, has the value that plain arithmetic on the counters has."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from boards import REPO, Target, targets
from series import CAPTURED, TARGET, Data, read
from tsdb import DIR, Prometheus

pytestmark = pytest.mark.skipif(not DIR, reason="there is no Prometheus here")

WINDOW = 60  # what $__rate_interval is with four scrapes
OUTCOMES = ("allowed", "would_deny", "denied", "unauthenticated", "failed")
PREFIX = "pw_databricks_kong_"
Values = dict[str, float | None]


class At:
    """Arithmetic on one data set at one time. A query has nothing to show where its value is None."""

    def __init__(self, data: Data, time: int):
        self.data, self.time = data, time

    def counted(self, *names: str, window: int) -> float:
        return sum(self.data.rate(PREFIX + name, self.time, window) for name in names)

    def rate(self, *names: str, window: int = WINDOW) -> float:
        return self.counted(*names, window=window)

    def share(self, some: list[str], of: list[str], window: int = WINDOW) -> float | None:
        total = self.counted(*of, window=window)
        return self.counted(*some, window=window) / total if total else None

    def each(self, label: str, family: str) -> list[str]:
        return sorted({one.label(label) for one in self.data.at(family, self.time)})

    def answered(self, source: str, window: int = WINDOW) -> float:
        return self.data.rate("kong_http_requests_total", self.time, window, source=source)

    def latency(self, share: float, part: str, **labels: str) -> float:
        return self.data.quantile(share, f"kong_{part}_latency_ms", self.time, WINDOW, **labels)


def requests(*names: str) -> list[str]:
    return [f"requests_{name}" for name in names]


def exchange(*names: str) -> list[str]:
    return [f"exchange_{name}" for name in names]


def refusals(at: At) -> Values:
    names = {one.name.removeprefix(PREFIX) for one in at.data.series if one.name.startswith(f"{PREFIX}denied_")}
    return {name.removeprefix("denied_").upper(): at.rate(name) or None for name in names}


def past_the_filter(at: At) -> float:
    return max(0.0, at.answered("service", 600) - at.rate(*requests(*OUTCOMES), window=600))


def answers(at: At) -> Values:
    family = "kong_http_requests_total"
    pairs = {(one.label("code"), one.label("source")) for one in at.data.named(family)}
    found: Values = {}
    for code, source in pairs:
        series = at.data.named(family, code=code, source=source)
        rates = [at.data.increase(one, at.time, WINDOW) for one in series]
        known = [value / WINDOW for value in rates if value is not None]
        found[f"{code} {source}"] = sum(known) if known else None
    return found


TOKENS = ["token_cache_hit", "token_cache_miss", "token_cache_renewed"]
VERDICTS = ["verdict_cache_hit", "verdict_cache_miss"]
# What each panel of the operator's shows, by the names in its legend.
EXPECTED: dict[str, Callable[[At], Values]] = {
    "Gateways without the filter": lambda at: {"": 0.0},
    "Requests": lambda at: {"": at.rate(*requests(*OUTCOMES), window=300)},
    "Let through": lambda at: {"": at.share(requests("allowed", "would_deny"), requests(*OUTCOMES), 300)},
    "Failed": lambda at: {"": at.share(requests("failed"), requests(*OUTCOMES), 300)},
    "Token exchange failures": lambda at: {"": at.share(exchange("failed"), exchange("ok", "refused", "failed"), 300)},
    "Key fetch failures": lambda at: {"": at.share(["keys_fetch_failed"], ["keys_fetch_ok", "keys_fetch_failed"], 600)},
    "Requests by outcome": lambda at: {name.replace("_", " "): at.rate(f"requests_{name}") for name in OUTCOMES},
    "Refusals by reason": refusals,
    "Token exchanges": lambda at: {name: at.rate(f"exchange_{name}") for name in ("ok", "refused", "failed")},
    "Key fetches": lambda at: {name: at.rate(f"keys_fetch_{name}") for name in ("ok", "failed")},
    "Revocation": lambda at: {
        "read": at.rate("revocation_fetch_ok"),
        "failed": at.rate("revocation_fetch_failed"),
        "refused, revoked": at.rate("denied_token_revoked"),
        "refused, feed too old": at.rate("denied_revocation_stale"),
    },
    "Introspection": lambda at: {
        "in force": at.rate("introspection_active"),
        "not in force": at.rate("introspection_inactive"),
        "no answer": at.rate("introspection_failed"),
        "refused": at.rate("denied_introspection_unavailable"),
    },
    "Over their quota": lambda at: {"refused": at.rate("denied_quota_exceeded")},
    "Cache hit rates": lambda at: {
        "Databricks tokens": at.share(["token_cache_hit"], TOKENS),
        "verdicts on callers' tokens": at.share(["verdict_cache_hit"], VERDICTS),
    },
    "Latency that the gateway adds": lambda at: {
        f"p{share * 100:.0f}": at.latency(share, "kong") for share in (0.5, 0.95, 0.99)
    },
    "Latency of the workspaces (p95)": lambda at: {
        route: at.latency(0.95, "upstream", route=route)
        for route in at.each("route", "kong_upstream_latency_ms_bucket")
    },
    "Answers by status": answers,
    "Requests that the filter did not decide": lambda at: {
        "by Kong itself": at.answered("kong"),
        "past the filter": round(past_the_filter(at) / 0.05) * 0.05,
    },
}


@cache
def captured() -> Data:
    return read(CAPTURED)


def busy() -> Data:
    """Every counter of the filter counts, each at a pace of its own, so that no panel is empty; the latter half of the captured times."""
    data = captured()
    ours = [one for one in data.series if one.name.startswith(PREFIX)]
    paced = {
        one: tuple(float(index * (7 + 3 * number)) for index in range(len(data.times)))
        for number, one in enumerate(ours)
    }
    return replace(data, series=tuple(replace(one, values=paced.get(one, one.values)) for one in data.series))


@pytest.fixture(scope="module", params=["captured", "busy"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Data, Prometheus]]:
    data = captured() if request.param == "captured" else busy()
    prometheus = Prometheus(tmp_path_factory.mktemp(request.param), (data, TARGET))
    yield data, prometheus
    prometheus.stop()


# At these times, in seconds, of the captured run: all is well; Databricks' token endpoint fails; the provider's keys do.
TIMES = {"well": 615, "exchanges fail": 735, "keys fail": 900}


def operators() -> list[Target]:
    return list(targets("prometheus"))


def shown(prometheus: Prometheus, target: Target, at: int) -> dict[str, float]:
    expr = target.filled(__rate_interval=f"{WINDOW}s", __range="900s")
    return {target.legend(labels): value for labels, value in prometheus.query(expr, at) if not math.isnan(value)}


def test_every_query_has_an_expectation():
    assert {target.panel["title"] for target in operators()} == set(EXPECTED)


@pytest.mark.parametrize("when", TIMES)
@pytest.mark.parametrize("title", EXPECTED)
def test_a_panel_shows_what_was_counted(run: tuple[Data, Prometheus], title: str, when: str):
    data, prometheus = run
    expected = {name: value for name, value in EXPECTED[title](At(data, TIMES[when])).items() if value is not None}
    seen: dict[str, float] = {}
    for target in operators():
        if target.panel["title"] == title:
            seen |= shown(prometheus, target, TIMES[when])
    assert seen == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert seen or (title, when) in EMPTY, "nothing to see"


# Where nothing is to be seen in either run; each with the reason.
EMPTY: set[tuple[str, str]] = set()


def test_each_query_has_something_to_show_at_some_time(run: tuple[Data, Prometheus]):
    data, prometheus = run
    never = {
        target.name for target in operators() if not any(shown(prometheus, target, time) for time in TIMES.values())
    }
    if data == captured():
        # reasons for which nothing was refused in the captured run
        never = {name for name in never if "Refusals by reason" not in name}
    assert never == set()


def test_a_kong_without_the_filter_is_counted(tmp_path: Path):
    data = captured()
    bare = replace(data, series=tuple(one for one in data.series if not one.name.startswith(PREFIX)))
    prometheus = Prometheus(tmp_path, (data, TARGET), (bare, {**TARGET, "instance": "gateway-2:8100"}))
    try:
        (target,) = [one for one in operators() if one.panel["title"] == "Gateways without the filter"]
        assert shown(prometheus, target, 300) == {"": 1.0}
    finally:
        prometheus.stop()


def test_there_is_a_query_for_each_reason_that_the_filter_counts():
    """A new reason in src/base/reason.rs wants a query here, and a new capture."""
    source = (REPO / "src/base/reason.rs").read_text()
    reasons = set(re.findall(r'^    \w+ = "([A-Z_]+)" \d{3} ', source, flags=re.MULTILINE))
    assert {
        target.query["legendFormat"] for target in operators() if target.panel["title"] == "Refusals by reason"
    } == reasons
    assert {one.name for one in captured().series if one.name.startswith(f"{PREFIX}denied_")} == {
        f"{PREFIX}denied_{reason.lower()}" for reason in reasons
    }


def test_queries_name_only_what_kongs_page_has():
    there = {one.name for one in captured().series}
    for target in operators():
        named = set(re.findall(r"\b(?:pw|kong)_\w+", target.expr))
        assert named <= there, target.name
