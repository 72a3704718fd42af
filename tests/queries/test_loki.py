"""Every LogQL query of the documents, run in a real Loki on the sample: who exactly is in the answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from documents import Query, of_documents
from loki import Loki, loki
from warehouse import NOW, by_name, name_of

ANNA, BOB, DAVE, ERIN, GRACE, MALLORY = (f"{name}@example.com" for name in "anna bob dave erin grace mallory".split())
pytestmark = pytest.mark.skipif("LOKI_BIN" not in os.environ, reason="LOKI_BIN names no Loki")

# Queries of lines: the requests of the answer, by their names in story.json.
LINES: dict[str, list[str]] = {
    # Loki has the period from Grafana; here it is the whole month. It cannot ask Databricks which job the nights' run was of
    "Who ran job 101 last week?": [
        "anna runs job 101 the week before",
        "anna runs job 101",
        "erin runs job 101 at night",
        "anna runs job 101 today",
    ],
    "Which grants were used outside office hours?": [
        "frank creates a job in the evening",
        "erin runs job 101 at night",
        "erin changes permissions on Saturday",
    ],
    "Which sensitive operations were used, and by whom?": [
        "grace makes a token",
        "dave is refused a token",
        "erin changes permissions on Saturday",
    ],
    "What did one token do?": ["anna runs job 101", "anna runs job 202", "anna is refused job 303"],
    "What did statements change?": ["bob changes a table", "dave sends what nobody understands"],
}
# Queries of numbers: when, by which labels, and the values.
NUMBERS: dict[str, tuple[str, tuple[str, ...], dict[tuple[str, ...], float]]] = {
    "What did the agent copilot touch, and for whom?": (
        "2027-02-25 12:00:00",
        ("subject", "operation", "decision"),
        {
            (ANNA, "jobs.list", "allow"): 1,
            (ANNA, "jobs.run_now", "deny"): 1,
            (BOB, "statement_execution.execute_statement", "allow"): 1,
        },
    ),
    "Who was refused, and why?": (
        NOW,
        ("subject", "operation", "reason"),
        {
            ("", "jobs.list", "TOKEN_EXPIRED"): 1,
            ("", "jobs.list", "TOKEN_MISSING"): 2,
            ("", "", "TOKEN_MISSING"): 1,
            ("", "clusters.list", "TOKEN_MISSING"): 1,
            ("", "groups.list", "TOKEN_MISSING"): 1,
            ("", "secrets.list_scopes", "TOKEN_MISSING"): 1,
            (ANNA, "jobs.list", "EXCHANGE_UNAVAILABLE"): 1,
            (DAVE, "tokens.create", "OPERATION_SENSITIVE"): 1,
            ("frank@example.com", "jobs.list", "GRANT_INACTIVE"): 2,
            (MALLORY, "", "NO_ROLE"): 1,
            (MALLORY, "clusters.list", "NO_ROLE"): 1,
            (MALLORY, "groups.list", "NO_ROLE"): 1,
            (MALLORY, "jobs.list", "NO_ROLE"): 1,
            (MALLORY, "secrets.list_scopes", "NO_ROLE"): 1,
            ("oscar@example.com", "jobs.list", "EXCHANGE_REFUSED"): 1,
        },
    ),
    "What would a role in observe mode have refused?": (
        NOW,
        ("role", "subject", "operation", "reason"),
        {
            ("trial", DAVE, "clusters.start", "NO_RULE"): 1,
            ("trial", DAVE, "statement_execution.execute_statement", "NO_RULE"): 1,
        },
    ),
    "Who tries doors?": ("2027-02-25 13:30:00", ("subject",), {(MALLORY,): 5}),
    "Whose token came from several addresses?": ("2027-02-25 12:00:00", ("subject",), {(ANNA,): 2}),
    "What did Kong refuse by itself?": (NOW, ("kong_status", "kong_client_ip"), {("429", "203.0.113.77"): 1}),
    "Who uses which role?": (
        NOW,
        ("role", "subject"),
        {
            ("analyst", BOB): 5,
            ("job-admin", "carol@example.com"): 6,
            ("job-runner", ANNA): 6,
            ("migration", "frank@example.com"): 2,
            ("nightly-etl", "nightly-etl@clients"): 1,
            ("on-call", ERIN): 3,
            ("token-minter", GRACE): 1,
            ("trial", DAVE): 1,
        },
    ),
    "When did the gateway fail rather than refuse?": (NOW, ("reason",), {("EXCHANGE_UNAVAILABLE",): 1}),
    "Are records missing?": ("2027-02-28 12:00:00", ("job",), {("databricks-kong",): 1}),
}
QUERIES = {query.title: query for query in of_documents("logql")}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loki]:
    with loki(os.environ["LOKI_BIN"], tmp_path_factory.mktemp("loki")) as running:
        yield running


def found(one: Loki, query: Query) -> list[str]:
    return [name_of(record["request_id"]) for record in one.lines(query.text)]


@pytest.mark.parametrize("title", LINES)
def test_a_query_of_lines_finds_the_requests_it_should_and_no_others(one: Loki, title: str):
    assert sorted(found(one, QUERIES[title])) == sorted(LINES[title])


@pytest.mark.parametrize("title", NUMBERS)
def test_a_query_of_numbers_counts_the_requests_it_should_and_no_others(one: Loki, title: str):
    at, labels, expected = NUMBERS[title]
    series: dict[tuple[Any, ...], float] = {
        tuple(metric.get(label, "") for label in labels): value
        for metric, value in one.numbers(QUERIES[title].text, at)
    }
    assert series == expected


def test_no_question_is_without_an_answer_nor_an_answer_without_its_question():
    assert sorted(QUERIES) == sorted([*LINES, *NUMBERS])


def test_lists_are_left_out_unless_they_are_named_as_the_document_says(one: Loki):
    request_id = by_name()["anna runs job 101"]["request_id"]
    base = f'{{job="databricks-kong"}} | json | request_id="{request_id}"'
    (stream,) = one.streams(base)
    assert not [name for name in stream["stream"] if name.startswith("resources")]
    assert stream["stream"]["decision_extracted"] == stream["stream"]["decision"]
    (stream,) = one.streams(base + '| json ids="resources.job", first="resources.job[0]"')
    assert (stream["stream"]["ids"], stream["stream"]["first"]) == ('["101"]', "101")
