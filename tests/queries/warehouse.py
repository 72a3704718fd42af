"""Databricks SQL, run in DuckDB on the sample: sqlglot reads one dialect and writes the other."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from tempfile import NamedTemporaryFile
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import sqlglot
from sqlglot import exp

from documents import REPO, of_documents

HERE = REPO / "tests/queries"
# when the sample's auditor sits down: a Tuesday
NOW = "2027-03-02 12:00:00"
# DuckDB keeps the catalogue `system` for itself
SYSTEM = "databricks_system"
POINTS_IN_TIME = {exp.DataType.Type.TIMESTAMPTZ, exp.DataType.Type.TIMESTAMPLTZ}
# a function of Databricks that sqlglot passes through and DuckDB has by another name
TRY_ELEMENT_AT = "CREATE MACRO try_element_at(map, key) AS map[key]"


def parsed(sql: str) -> list[exp.Expression]:
    """The statements of a text; one that sqlglot only passes through unread is an error."""
    statements = [one for one in sqlglot.parse(sql, read="databricks", error_level=sqlglot.ErrorLevel.RAISE) if one]
    for statement in statements:
        assert not statement.find(exp.Command), f"not understood: {statement.sql()}"
    return statements


def in_duckdb(statement: exp.Expression) -> str:
    """The statement as DuckDB says it. What sqlglot gets wrong between the two is put right here."""

    def change(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Table) and node.catalog == "system":
            node.set("catalog", exp.to_identifier(SYSTEM))
        if isinstance(node, exp.CurrentTimestamp):
            return exp.cast(exp.Literal.string(NOW), "TIMESTAMP")
        # a point in time, written in UTC: DuckDB's own type for it needs an extension that its package lacks
        if isinstance(node, exp.DataType) and node.this in POINTS_IN_TIME:
            return exp.DataType.build("TIMESTAMP")
        if isinstance(node, exp.CurrentDate):
            return exp.cast(exp.Literal.string(NOW[:10]), "DATE")
        return node

    statement = statement.transform(change)
    for node in list(statement.find_all(exp.AtTimeZone)):
        node.replace(exp.func("from_utc_timestamp", node.this, node.args["zone"]))
    for node in list(statement.find_all(exp.DayOfWeek)):
        # Sunday is 1 at Databricks and 0 in DuckDB
        node.replace(exp.paren(exp.Add(this=node.copy(), expression=exp.Literal.number(1))))
    return statement.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)


def from_utc_timestamp(time: datetime, zone: str) -> datetime:
    return time.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


class Warehouse:
    """The tables of the documents and of Databricks, filled."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.create_function("from_utc_timestamp", from_utc_timestamp, ["TIMESTAMP", "VARCHAR"], "TIMESTAMP")
        for statement in [
            "ATTACH ':memory:' AS gateway",
            f"ATTACH ':memory:' AS {SYSTEM}",
            "CREATE SCHEMA gateway.audit",
            f"CREATE SCHEMA {SYSTEM}.access",
            f"CREATE SCHEMA {SYSTEM}.query",
            TRY_ELEMENT_AT,
        ]:
            self.connection.execute(statement)
        for statement in parsed((HERE / "system_tables.sql").read_text()):
            self.connection.execute(in_duckdb(statement))
        for query in of_documents("sql"):
            for statement in parsed(query.text):
                if isinstance(statement, exp.Create):
                    self.connection.execute(in_duckdb(statement))
        self.fill()

    def run(self, sql: str) -> list[dict[str, Any]]:
        (statement,) = parsed(sql)
        cursor = self.connection.execute(in_duckdb(statement))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        """As JSON lines are read into a table: what the table has no column for would be lost, so it is an error."""
        catalog, schema, name = table.split(".")
        columns = dict(
            self.connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name=? AND schema_name=? AND table_name=?",
                [catalog, schema, name],
            ).fetchall()
        )
        for row in rows:
            assert set(row) <= set(columns), f"{table} has no {set(row) - set(columns)}"
        with NamedTemporaryFile("w", suffix=".jsonl") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in rows)
            lines.flush()
            self.connection.execute(
                f"INSERT INTO {table} BY NAME SELECT * FROM read_json(?, format='newline_delimited', columns={columns!r})",
                [lines.name],
            )

    def fill(self) -> None:
        self.insert("gateway.audit.records", shipped())
        with (REPO / "src/databricks/catalogue/operations.tsv").open() as lines:
            rows = csv.reader((line for line in lines if not line.startswith("#")), delimiter="\t")
            sensitive = [{"operation": row[0]} for row in rows if row[4] != "-"]
        self.insert("gateway.audit.sensitive_operations", sensitive)
        sample = json.loads((HERE / "databricks.json").read_text())
        self.insert(f"{SYSTEM}.access.audit", [event(one, sample["gateway_address"]) for one in sample["events"]])
        self.insert(f"{SYSTEM}.query.history", [statement(one) for one in sample["statements"]])


def records() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / "records.jsonl").read_text().splitlines()]


def story() -> list[dict[str, Any]]:
    return json.loads((HERE / "story.json").read_text())["requests"]


def shipped() -> list[dict[str, Any]]:
    """The records as compose/fluent-bit.yaml ships them, with what Kong saw; and two lines of requests without a record."""
    lines = []
    for record, act in zip(records(), story(), strict=True):
        upstream = {} if record["decision"] == "deny" else {"proxy_ms": 30, "upstream_status": act["status"]}
        lines.append({**record, "kong": kong(act["status"], act.get("from", "10.1.0.5"), **upstream)})
    refused, document = kong(429, "203.0.113.77"), kong(200, "203.0.113.77")
    return [*lines, {"decision": "none", "kong": refused}, {"decision": "none", "kong": document}]


def kong(status: int, address: str, **upstream: int) -> dict[str, Any]:
    return {
        "status": status,
        "latency_ms": 42,
        "route": "databricks",
        "service": "databricks",
        "client_ip": address,
        **upstream,
    }


def by_name() -> dict[str, dict[str, Any]]:
    return {act["name"]: record for act, record in zip(story(), records(), strict=True)}


def name_of(request_id: str) -> str:
    (name,) = [name for name, record in by_name().items() if record["request_id"] == request_id]
    return name


def event(one: dict[str, Any], gateway: str) -> dict[str, Any]:
    record = by_name()[one["of"]] if "of" in one else {}
    mark = record.get("request_id", one.get("mark"))
    agent = f"databricks-sdk-py/0.162.0 databricks-kong/0.1.0 req/{mark}" if mark else one.get("user_agent")
    time = record["time"] if record else one["at"]
    time = (datetime.fromisoformat(time) + timedelta(seconds=one.get("after", 0))).isoformat()
    service, action = one["event"].split()
    return {
        "workspace_id": one.get("workspace", "7405619408829168"),
        "event_time": time,
        "event_date": time[:10],
        "source_ip_address": one.get("address", gateway),
        "user_agent": agent,
        "user_identity": {"email": one["email"], "subject_name": None},
        "service_name": service,
        "action_name": action,
        "request_params": one.get("params", {}),
        "audit_level": "WORKSPACE_LEVEL",
    }


def statement(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "workspace_id": one.get("workspace", "7405619408829168"),
        "statement_id": one["id"],
        "execution_status": "FINISHED",
        "compute": {"type": "WAREHOUSE", "cluster_id": None, "warehouse_id": one.get("warehouse", "a7066a8ef796be84")},
        "executed_by": one["by"],
        "statement_text": one["text"],
        "start_time": one["at"],
    }
