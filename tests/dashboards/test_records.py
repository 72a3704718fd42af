"""In a real Loki that holds real records, each LogQL query of a dashboard finds what going through the records finds."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from boards import Target, defaults, load, targets
from loki import BIN, Line, Loki, sample

pytestmark = pytest.mark.skipif(not BIN, reason="LOKI_BIN names no Loki")

SPAN = 1500  # seconds; all of the records
SENSITIVE = re.compile(defaults(load("security"))["sensitive"])
Rows = Counter[tuple[str, ...]]


@pytest.fixture(scope="module")
def loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loki]:
    started = Loki(tmp_path_factory.mktemp("loki"), sample())
    yield started
    started.stop()


def value(line: Line, path: str) -> str:
    """As a label has it: lists and objects as JSON, what is absent as nothing."""
    found: Any = line
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if found is None:
        return ""
    return found if isinstance(found, str) else json.dumps(found, separators=(",", ":"))


def is_denied(line: Line) -> bool:
    return line["decision"] == "deny"


def is_bad_token(line: Line) -> bool:
    return is_denied(line) and line["reason"].startswith("TOKEN_")


def is_sensitive(line: Line) -> bool:
    return line["decision"] == "allow" and bool(SENSITIVE.fullmatch(line.get("operation", "")))


def is_about(line: Line, resource: str = ".*", subject: str = ".*") -> bool:
    ids = [one for some in line.get("resources", {}).values() for one in some] + line.get("sql", {}).get("tables", [])
    return any(re.fullmatch(resource, one) for one in ids) and bool(re.fullmatch(subject, line.get("subject", "")))


def by(which: Callable[[Line], bool], *paths: str) -> Callable[[list[Line]], Rows]:
    """How many of the records there are for each combination of these fields."""
    return lambda lines: Counter(tuple(value(line, path) for path in paths) for line in lines if which(line))


def has(path: str, which: Callable[[Line], bool] = lambda _: True) -> Callable[[Line], bool]:
    return lambda line: bool(value(line, path)) and which(line)


def is_kongs(line: Line) -> bool:
    return line["decision"] == "none"


def would_deny(line: Line) -> bool:
    return line["decision"] == "would_deny"


WHO = ("subject", "agent", "operation", "reason", "role")
GRANT = ("subject", "role", "grant.ticket", "grant.approved_by", "grant.break_glass")
# What each panel counts, and by what.
EXPECTED: dict[tuple[str, str], Callable[[list[Line]], Rows]] = {
    ("security", "Refused"): by(is_denied),
    ("security", "Bad or missing tokens"): by(is_bad_token),
    ("security", "Would be refused"): by(would_deny),
    ("security", "Sensitive operations let through"): by(is_sensitive),
    ("security", "Emergency access"): by(lambda line: line.get("grant", {}).get("break_glass", False)),
    ("security", "By agents"): by(has("agent")),
    ("security", "Refusals by reason"): by(is_denied, "reason"),
    ("security", "What Kong itself refused"): by(is_kongs, "kong.status", "kong.route"),
    ("security", "Who was refused, and why"): by(is_denied, *WHO),
    ("security", "Sensitive operations, by whom"): by(is_sensitive, "subject", "agent", "operation", "role"),
    ("security", "Grants in use"): by(has("grant"), *GRANT),
    ("security", "Agents, and for whom they act"): by(has("agent"), "agent", "act", "subject", "operation", "reason"),
    ("security", "What would be refused"): by(would_deny, "subject", "role", "operation", "reason"),
    ("security", "Bad or missing tokens by source"): by(is_bad_token, "kong.client_ip", "reason", "kong.route"),
    ("security", "What Kong itself refused, by source"): by(is_kongs, "kong.client_ip", "kong.status", "kong.route"),
    ("data-owner", "Requests"): by(is_about),
    ("data-owner", "Callers"): lambda lines: Counter({(): len(by(has("subject", is_about), "subject")(lines))}),
    ("data-owner", "Of agents"): by(has("agent", is_about)),
    ("data-owner", "Refused"): by(lambda line: is_denied(line) and is_about(line)),
    ("data-owner", "Requests by caller"): by(is_about, "subject"),
    ("data-owner", "Requests by operation"): by(is_about, "operation"),
    ("data-owner", "Who did what"): by(is_about, "subject", "agent", "operation", "role", "decision"),
    ("data-owner", "Jobs"): by(has("resources.job", is_about), "resources.job", "subject", "agent"),
    ("data-owner", "Tables"): by(has("sql.tables", is_about), "sql.tables", "subject", "agent"),
    ("data-owner", "Warehouses"): by(has("resources.warehouse", is_about), "resources.warehouse", "subject", "agent"),
    ("data-owner", "Notebooks and other workspace files"): by(
        has("resources.path", is_about), "resources.path", "subject", "agent"
    ),
}


def counts() -> list[Target]:
    return [target for target in targets("loki") if target.panel["type"] != "logs" and target.board != "operator"]


def found(loki: Loki, target: Target, **values: str) -> Rows:
    # over all records at once, whatever the panel's step
    expr = target.filled(__range=f"{SPAN + 60}s", __auto=f"{SPAN + 60}s", **values)
    grouping = re.search(r"sum by \(([^)]*)\) \(count_over_time", target.expr)
    names = grouping[1].split(", ") if grouping and not target.expr.startswith("count(") else []
    rows = loki.query(expr, SPAN)
    return Counter({tuple(labels.get(name, "") for name in names): round(count) for labels, count in rows})


def test_every_query_has_an_expectation():
    assert {(target.board, target.panel["title"]) for target in counts()} == set(EXPECTED)


@pytest.mark.parametrize("target", counts(), ids=lambda target: target.name)
def test_a_panel_counts_the_records_that_it_is_about(loki: Loki, target: Target):
    expected = EXPECTED[target.board, target.panel["title"]]([line for _, line in sample()])
    assert expected, "records to count"
    assert found(loki, target) == expected


@pytest.mark.parametrize(
    ("resource", "subject"),
    [
        ("101", ".*"),
        ("main[.]sales[.].*", ".*"),
        ("main[.]hr[.].*", "bob@.*"),
        ("10", ".*"),
        (".*", "alice@example[.]com"),
    ],
)
def test_a_data_owner_sees_what_is_about_a_resource_and_a_caller(loki: Loki, resource: str, subject: str):
    (target,) = [one for one in counts() if one.panel["title"] == "Who did what"]
    fields = ("subject", "agent", "operation", "role", "decision")
    expected = by(lambda line: is_about(line, resource, subject), *fields)([line for _, line in sample()])
    assert bool(expected) == (resource != "10")
    assert found(loki, target, resource=resource, subject=subject) == expected


def test_a_security_officer_sees_one_caller_alone(loki: Loki):
    (target,) = [one for one in counts() if one.panel["title"] == "Who was refused, and why"]
    expected = by(lambda line: is_denied(line) and line.get("subject") == "bob@example.com", *WHO)
    assert found(loki, target, subject="bob@example[.]com") == expected([line for _, line in sample()])


def test_waiting_is_that_of_requests_that_waited(loki: Loki):
    waits = sorted(line["callout_ms"] for _, line in sample() if line.get("callout_ms", 0) > 0)
    for target in targets("loki"):
        if target.board == "operator":
            ((_, seen),) = loki.query(target.filled(__auto=f"{SPAN + 60}s"), SPAN)
            share = float(re.search(r"quantile_over_time\(([\d.]+),", target.expr)[1])  # type: ignore[index]
            # linear between the two nearest
            rank = share * (len(waits) - 1)
            low = int(rank)
            high = min(low + 1, len(waits) - 1)
            assert seen == pytest.approx(waits[low] + (waits[high] - waits[low]) * (rank - low)), target.name


@pytest.mark.parametrize(
    "target", [one for one in targets("loki") if one.panel["type"] == "logs"], ids=lambda one: one.name
)
def test_lines_are_shown_one_by_one(loki: Loki, target: Target):
    which = is_denied if target.board == "security" else is_about
    those = [line for _, line in sample() if which(line)]
    lines = [text for _, text in loki.lines(target.filled(), 0, SPAN)]
    assert len(lines) == len(those)
    for line in filter(has("subject"), those):
        assert any(line["subject"] in text and line["reason"] in text for text in lines), line
