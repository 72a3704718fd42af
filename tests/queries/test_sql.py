"""Every SQL statement of the documents, run on the sample: who exactly is in the answer."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from sqlglot import exp
from sqlglot.errors import ParseError

from documents import REPO, Query, of_documents
from warehouse import Warehouse, by_name, in_duckdb, name_of, parsed, records

ANNA, BOB, CAROL, DAVE, ERIN, FRANK, GRACE, HEIDI, MALLORY = (
    f"{name}@example.com" for name in "anna bob carol dave erin frank grace heidi mallory".split()
)
STATEMENTS = "statement_execution.execute_statement"

# Of each question: the columns that matter, the rows of the answer, and one that must not be among them. Requests by their names in
# story.json.
EXPECTED: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]], tuple[Any, ...]]] = {
    "Who ran job 101 last week?": (
        ("request_id", "subject", "job_according_to"),
        [("anna runs job 101", ANNA, "the record"), ("erin runs job 101 at night", ERIN, "Databricks")],
        ("anna runs job 202", ANNA, "the record"),
    ),
    "What did the agent copilot touch, and for whom?": (
        ("subject", "act", "decision", "operation", "tables"),
        [
            (ANNA, "agent:copilot-7", "allow", "jobs.list", None),
            (ANNA, "agent:copilot-7", "deny", "jobs.run_now", None),
            (BOB, "agent:copilot-7", "allow", STATEMENTS, ["main.sales.customers"]),
        ],
        (BOB, None, "allow", STATEMENTS, ["main.sales.orders"]),
    ),
    "Who was refused, and why?": (
        ("subject", "operation", "reason", "requests"),
        [
            (None, "jobs.list", "TOKEN_EXPIRED", 1),
            (None, "jobs.list", "TOKEN_MISSING", 2),
            (None, None, "TOKEN_MISSING", 1),
            (None, "clusters.list", "TOKEN_MISSING", 1),
            (None, "groups.list", "TOKEN_MISSING", 1),
            (None, "secrets.list_scopes", "TOKEN_MISSING", 1),
            (ANNA, "jobs.list", "EXCHANGE_UNAVAILABLE", 1),
            (DAVE, "tokens.create", "OPERATION_SENSITIVE", 1),
            (FRANK, "jobs.list", "GRANT_INACTIVE", 2),
            (MALLORY, None, "NO_ROLE", 1),
            (MALLORY, "clusters.list", "NO_ROLE", 1),
            (MALLORY, "groups.list", "NO_ROLE", 1),
            (MALLORY, "jobs.list", "NO_ROLE", 1),
            (MALLORY, "secrets.list_scopes", "NO_ROLE", 1),
            ("oscar@example.com", "jobs.list", "EXCHANGE_REFUSED", 1),
        ],
        # it went on
        (DAVE, "clusters.start", "NO_RULE", 1),
    ),
    "Which grants were used outside office hours?": (
        ("subject", "operation", "ticket", "break_glass"),
        [
            (FRANK, "jobs.create", "CHG-88", False),
            (ERIN, "jobs.run_now", None, True),
            (ERIN, "jobs.update_permissions", None, True),
        ],
        # on Friday at eleven in Berlin
        (ERIN, "jobs.get", None, True),
    ),
    "Which sensitive operations were used, and by whom?": (
        ("subject", "operation", "decision"),
        [
            (GRACE, "tokens.create", "allow"),
            (DAVE, "tokens.create", "deny"),
            (ERIN, "jobs.update_permissions", "allow"),
        ],
        (ERIN, "jobs.run_now", "allow"),
    ),
    "What did one token do?": (
        ("subject", "operation", "decision", "resources"),
        [
            (ANNA, "jobs.run_now", "allow", {"job": ["101"]}),
            (ANNA, "jobs.run_now", "allow", {"job": ["202"]}),
            (ANNA, "jobs.run_now", "deny", {"job": ["303"]}),
        ],
        # her token of another day
        (ANNA, "jobs.list", "deny", None),
    ),
    "What would a role in observe mode have refused?": (
        ("role", "operation", "reason", "requests", "subjects"),
        [("trial", "clusters.start", "NO_RULE", 1, [DAVE]), ("trial", STATEMENTS, "NO_RULE", 1, [DAVE])],
        ("trial", "clusters.list", "ALLOWED", 1, [DAVE]),
    ),
    "What did statements change?": (
        ("request_id", "class", "tables"),
        [("bob changes a table", "dml", ["main.sales.orders"]), ("dave sends what nobody understands", None, None)],
        ("bob selects", "select", ["main.sales.orders"]),
    ),
    "Who tries doors?": (
        ("subject", "refused", "operations"),
        [(MALLORY, 5, 5)],
        # five operations too, and all allowed
        (CAROL, 5, 5),
    ),
    "Whose token came from several addresses?": (
        ("subject", "addresses"),
        [(ANNA, ["10.1.0.5", "203.0.113.9"])],
        (ERIN, ["10.1.0.5"]),
    ),
    "What did Kong refuse by itself?": (
        ("status", "address", "requests"),
        [(429, "203.0.113.77", 1)],
        # a document that anybody may read
        (200, "203.0.113.77", 1),
    ),
    "Who uses which role?": (
        ("role", "subject", "requests"),
        [
            ("analyst", BOB, 8),
            ("job-admin", CAROL, 6),
            ("job-runner", ANNA, 6),
            ("migration", FRANK, 2),
            ("nightly-etl", "nightly-etl@clients", 1),
            ("on-call", ERIN, 4),
            ("token-minter", GRACE, 2),
            ("trial", DAVE, 1),
        ],
        ("job-runner", "oscar@example.com", 1),
    ),
    "When did the gateway fail rather than refuse?": (
        ("reason", "requests"),
        [("EXCHANGE_UNAVAILABLE", 1)],
        ("EXCHANGE_REFUSED", 1),
    ),
    "Which statement belongs to which request?": (
        ("statement_id", "request_id", "certainty"),
        [
            ("01efaaaa-0000-1000-8000-000000000001", "bob fetches his statement", "exact"),
            ("01efaaaa-0000-1000-8000-000000000001", "bob selects", "by user, warehouse and time"),
            ("01efaaaa-0000-1000-8000-000000000002", "bob changes a table", "by user, warehouse and time"),
        ],
        # within the ten seconds, but somebody else's
        ("01efaaaa-0000-1000-8000-000000000004", "bob selects", "by user, warehouse and time"),
    ),
    "Which requests have no event at Databricks?": (
        ("request_id", "operation", "status"),
        [("anna runs job 101 today", "jobs.run_now", 200)],
        ("grace makes a token", "tokens.create", 200),
    ),
    "Who went round the gateway?": (
        ("email", "action_name", "source_ip_address"),
        [
            (HEIDI, "login", "198.51.100.7"),
            (HEIDI, "runNow", "198.51.100.7"),
            (HEIDI, "mintOAuthToken", "198.51.100.7"),
            (HEIDI, "runNow", "192.0.2.10"),
            (ANNA, "list", "192.0.2.10"),
        ],
        (ERIN, "runNow", "192.0.2.10"),
    ),
    "Which marks are false?": (
        ("email", "gateway_request_id", "wrong"),
        [
            (ANNA, "anna is refused job 303", "refused by the gateway"),
            (ANNA, "anna runs job 202", "from elsewhere"),
            (HEIDI, "dave lists clusters", "another user"),
            (HEIDI, "made-up", "no such request"),
            (ANNA, "its-record-is-under-way", "no such request"),
        ],
        # Databricks' own event of the exchange that it refused
        ("oscar@example.com", "oscar is unknown to Databricks", "refused by the gateway"),
    ),
    "Who got a Databricks token elsewhere?": (
        ("email", "action_name", "grant_type", "request_id"),
        [
            (GRACE, "generateDbToken", None, "grace makes a token"),
            (HEIDI, "mintOAuthToken", "client_credentials", None),
        ],
        # the gateway's own exchange
        (ANNA, "mintOAuthToken", "urn:ietf:params:oauth:grant-type:token-exchange", "anna runs job 101"),
    ),
    "Are records missing?": (
        ("requests_at_databricks", "records"),
        [(1, 0)],
        (1, 1),
    ),
}
QUESTIONS = [query for query in of_documents("sql") if isinstance(parsed(query.text)[0], exp.Query)]


@pytest.fixture(scope="module")
def warehouse() -> Warehouse:
    return Warehouse()


def named(column: str, value: Any) -> Any:
    """Requests by their names; lists in an order of their own, because Databricks promises none."""
    if isinstance(value, list):
        return sorted(value)
    is_known = column.endswith("request_id") and value in {record["request_id"] for record in records()}
    return name_of(value) if is_known else value


def in_order(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


@pytest.mark.parametrize("query", QUESTIONS, ids=str)
def test_a_query_finds_whom_it_should_and_nobody_else(warehouse: Warehouse, query: Query):
    columns, expected, never = EXPECTED[query.title]
    rows = [tuple(named(column, row[column]) for column in columns) for row in warehouse.run(query.text)]
    assert in_order(rows) == in_order(expected)
    assert never not in rows


def test_no_question_is_without_an_answer_nor_an_answer_without_its_question():
    assert sorted(query.title for query in QUESTIONS) == sorted(EXPECTED)


@pytest.mark.parametrize("query", of_documents("sql"), ids=str)
def test_a_statement_is_databricks_sql(query: Query):
    (statement,) = parsed(query.text)
    assert in_duckdb(statement) if not isinstance(statement, exp.Copy) else statement.args["files"]


@pytest.mark.parametrize("query", of_documents("python"), ids=str)
def test_python_in_the_documents_compiles(query: Query):
    compile(query.text, query.file, "exec")


@pytest.mark.parametrize("text", ["SELECT a FROM", "SELECT count( FROM a", "OPTIMIZE gateway.audit.records"])
def test_what_is_no_sql_or_not_understood_is_found(text: str):
    with pytest.raises((ParseError, AssertionError)):
        parsed(text)


def test_the_table_has_the_fields_of_a_record_and_what_the_shipper_adds(warehouse: Warehouse):
    fields = json.loads((REPO / "docs/audit/record.v2.schema.json").read_text())["properties"]
    rows = warehouse.run("SELECT * FROM gateway.audit.records LIMIT 1")
    assert list(rows[0]) == [*sorted(fields, key=list(rows[0]).index), "kong"]


def test_records_of_the_sample_are_valid():
    schema = json.loads((REPO / "docs/audit/record.v2.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for name, record in by_name().items():
        assert not list(validator.iter_errors(record)), name


def test_a_body_that_no_rule_looks_at_leaves_no_ids_and_a_rule_for_any_id_does():
    assert "resources" not in by_name()["erin runs job 101 at night"]
    assert by_name()["carol runs a job by a rule for any job"]["resources"] == {"job": ["404"]}


def test_the_sample_holds_nothing_but_invented_people():
    assert all(record.get("subject", "@").endswith(("@example.com", "@clients", "@")) for record in records())
