"""Every LogQL query of the documents and dashboards: Grafana's grammar takes it, and it asks only for what records have."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from documents import REPO, Query, of_dashboards, of_documents

QUERIES = of_documents("logql") + of_dashboards()
STREAM_LABELS = {"job", "decision"}
# Loki's own, and the object that the shipper adds of Kong's log entry
OTHERS = re.compile(r"__error(_details)?__|kong_\w+|detected_level")


@cache
def parser() -> Path:
    """The directory with the parser's packages and the script: a module finds packages beside itself only."""
    place = Path(os.environ["QUERIES_DIR"]) / "logql"
    shutil.copy(REPO / "tests/queries/logql.mjs", place)
    return place


def read(*queries: str) -> list[dict[str, list[str]]]:
    done = subprocess.run(
        ["node", parser() / "logql.mjs"], input=json.dumps(queries), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@cache
def labels() -> tuple[set[str], set[str]]:
    """The labels that `json` makes of a record, and the paths that a json expression can name."""
    leaves, paths = set(), set()

    def walk(schema: dict[str, Any], path: list[str]) -> None:
        for name, field in schema.get("properties", {}).items():
            here = [*path, name]
            paths.add(".".join(here))
            if field.get("type") == "object":
                walk(field, here)
            elif field.get("type") != "array":
                leaves.add("_".join(here))

    walk(json.loads((REPO / "docs/audit/record.v2.schema.json").read_text()), [])
    with (REPO / "src/databricks/catalogue/operations.tsv").open() as lines:
        rows = csv.reader((line for line in lines if not line.startswith("#")), delimiter="\t")
        kinds = {one.partition("=")[0] for row in rows if row[5] != "-" for one in row[5].split()}
    return leaves, paths | {f"resources.{kind}" for kind in kinds}


def faults(found: dict[str, list[str]]) -> list[str]:
    """What is wrong with a query."""
    leaves, paths = labels()
    known = leaves | set(found["defined"]) | STREAM_LABELS
    return [
        *(f"not LogQL: {one}" for one in found["errors"]),
        *(f"no label of the streams: {one}" for one in set(found["streams"]) - STREAM_LABELS),
        *(f"no record has: {one}" for one in {*found["labels"], *found["fields"]} - known if not OTHERS.fullmatch(one)),
        *(
            f"no record has: {one}"
            for one in found["paths"]
            if re.sub(r"\[\d+\]$", "", one) not in paths and not one.startswith("kong.")
        ),
        *(f"a stream has this label already: {one}" for one in set(found["defined"]) & STREAM_LABELS),
    ]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_is_logql_and_asks_for_what_records_have(query: Query):
    (found,) = read(query.text)
    assert not faults(found)
    assert "job" in found["streams"], "it reads all streams"


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ('{job="databricks-kong"} | json | operation=', "not LogQL"),
        ('{job="databricks-kong", subject="anna"}', "no label of the streams: subject"),
        ('{job="databricks-kong"} | json | user="anna"', "no record has: user"),
        ('sum by (users) (count_over_time({job="databricks-kong"} | json [5m]))', "no record has: users"),
        ('{job="databricks-kong"} | json x="resources.jobs"', "no record has: resources.jobs"),
        ('{job="databricks-kong"} | json | line_format "{{.user}}"', "no record has: user"),
        # `json` makes no label of a list
        ('{job="databricks-kong"} | json | resources_job="101"', "no record has: resources_job"),
        ('{job="databricks-kong"} | json job="resources.job"', "a stream has this label already: job"),
    ],
)
def test_a_mistake_is_found(query: str, fault: str):
    (found,) = read(query)
    assert any(one.startswith(fault) for one in faults(found)), faults(found)


def test_the_documents_have_queries():
    assert len(of_documents("logql")) >= 10
