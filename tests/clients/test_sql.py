"""SQL drivers: Go, Node and JDBC over Thrift, JDBC by REST, each in the small program of its language, and SQLAlchemy. Python's own
is in tests/stories."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers import by_rest, query
from programs import Done, Person, each, home_of, needs, person, setting, start, told
from routes import OTHER_WAREHOUSE, WAREHOUSE
from world import World


@pytest.fixture(params=each("go", "node", "java"))
def language(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def analyst(world: World, tmp_path: Path) -> Person:
    return person(world, tmp_path, "sql")


def test_selects_as_the_caller(analyst: Person, language: str):
    """Its own exchange on port 443 is answered with the caller's token; no driver gets one of Databricks."""
    analyst.world.echoes_allowed = True
    assert query(analyst, language, "SELECT current_user()")["ok"] == [[analyst.caller.sub]]
    sent = [one for one in analyst.world.api() if one.path.startswith("/sql/")]
    assert sent and {one.who for one in sent} == {analyst.caller.sub}
    assert len(analyst.world.exchanges()) == 1


def test_rows_and_nothing_come_through(analyst: Person, language: str):
    rows = [["orders", 2], [None, 3]]
    analyst.world.workspace.answer([{"starts_with": "select name", "columns": ["name", "n"], "rows": rows}])
    assert query(analyst, language, "SELECT name, n FROM t")["ok"] == rows


def test_another_warehouse_is_refused_with_words(analyst: Person, language: str):
    error = query(analyst, language, "SELECT 1", OTHER_WAREHOUSE)["error"]
    if language == "node":
        # it reads neither the body nor the headers of a refusal
        assert error["message"].endswith("bad HTTP status code: 403"), error
    else:
        assert "no rule of the caller's roles allows `sql_warehouses.thrift`" in error["message"], error
    assert not [one for one in analyst.world.api() if one.path.startswith("/sql/")]


def test_who_is_held_to_tables_has_no_way_over_thrift(world: World, tmp_path: Path, language: str):
    """What Thrift's bodies hold is not read, so a rule with `table` never matches them."""
    error = query(person(world, tmp_path, "tables"), language, "SELECT 1")["error"]
    assert "403" in error["message"] or "no rule" in error["message"], error
    assert not [one for one in world.api() if one.path.startswith("/sql/")]


def test_an_expired_token_is_not_tried_again(world: World, tmp_path: Path, language: str):
    expired = world.user("sql").forge(exp=1_700_000_000, iat=1_699_999_000)
    error = query(person(world, tmp_path, "sql", token=expired), language, "SELECT 1")["error"]
    assert ("401" if language == "node" else "the token has expired") in error["message"], error
    world.nothing_reached()


# --- JDBC by REST -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["by id", "below"])
def held_to_tables(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Iterator[Person]:
    """Somebody who is held to tables, at a workspace that wants statements either with the session's id or below the session."""
    world.workspace.statements_below_sessions(request.param == "below")
    yield person(world, tmp_path, "tables")
    world.workspace.statements_below_sessions(False)


@needs("java")
def test_jdbc_by_rest_works_for_who_is_held_to_tables(held_to_tables: Person, request: pytest.FixtureRequest):
    world = held_to_tables.world
    rows = [["orders", 2], [None, 3]]
    world.workspace.answer([{"starts_with": "select name", "columns": ["name", "n"], "rows": rows}])
    assert by_rest(held_to_tables, "SELECT name, n FROM main.sales.orders")["ok"] == rows
    assert {one.who for one in world.api()} == {held_to_tables.caller.sub}
    run = [one.path for one in world.api() if one.method == "POST" and one.path.strip("/").endswith("statements")]
    below = "below" in request.node.name
    assert [path.startswith(f"/api/2.0/sql/warehouses/{WAREHOUSE}/sessions/") for path in run] == [below], run


@needs("java")
@pytest.mark.parametrize("table", ["main.hr.people", "orders", "sales.orders"])
def test_jdbc_by_rest_is_refused_other_tables_and_short_names(held_to_tables: Person, table: str):
    """A session's catalog and schema are what earlier statements made of them, so a short name may be any table's."""
    error = by_rest(held_to_tables, f"SELECT * FROM {table}")["error"]
    assert "no rule of the caller's roles allows `statement_execution.execute_statement`" in error["message"], error
    assert not [one for one in held_to_tables.world.api() if one.path.strip("/").endswith("statements")]


@needs("java")
def test_jdbc_by_rest_is_refused_another_warehouse_with_words(held_to_tables: Person):
    error = by_rest(held_to_tables, "SELECT 1", OTHER_WAREHOUSE)["error"]
    assert "no rule of the caller's roles allows `sql_sessions.create`" in error["message"], error
    held_to_tables.world.nothing_reached()


@needs("node")
def test_the_kernel_of_the_driver_for_node_asks_for_links_that_who_is_held_to_tables_is_refused(
    world: World, tmp_path: Path
):
    """Its session is opened, by REST; there is no setting by which its statements ask for rows alone."""
    who = person(world, tmp_path, "tables")
    asked = ["sql", "SELECT * FROM main.sales.orders", "kernel"]
    error = told(who, "node", *asked, HTTP_PATH=f"/sql/1.0/warehouses/{WAREHOUSE}")["error"]
    assert "external_links" in error["message"] or "no rule" in error["message"], error
    assert [one.path for one in world.api() if one.method == "POST"] == ["/api/2.0/sql/sessions"]


# as docs/clients.md has it; the token is in the environment
SQLALCHEMY = """
import os, sqlalchemy
engine = sqlalchemy.create_engine(os.environ["URL"].strip().replace("YOUR_TOKEN", os.environ["DATABRICKS_TOKEN"]))
with engine.connect() as connection:
    print(connection.execute(sqlalchemy.text("SELECT current_user()")).scalar())
"""


def sqlalchemy(who: Person, warehouse: str) -> Done:
    url = setting("sqlalchemy", who.world, **{WAREHOUSE: warehouse})
    return start([home_of("sqlalchemy") / "venv/bin/python", "-c", SQLALCHEMY], who.home, who.env(URL=url))


@needs("sqlalchemy")
def test_sqlalchemy_selects_as_the_caller(analyst: Person):
    done = sqlalchemy(analyst, WAREHOUSE)
    assert done.code == 0 and done.out.split() == [analyst.caller.sub], str(done)


@needs("sqlalchemy")
def test_sqlalchemy_shows_why_a_warehouse_is_refused(analyst: Person):
    done = sqlalchemy(analyst, OTHER_WAREHOUSE)
    assert done.code != 0 and "no rule of the caller's roles allows `sql_warehouses.thrift`" in done.err, str(done)
    analyst.world.no_api_reached()


def test_the_connector_for_python_signs_nobody_in_at_a_gateway(analyst: Person):
    """It knows the hosts of Databricks and no others, so docs/login.md says that people need a token at hand."""
    host = analyst.world.gateway.url("clients").removeprefix("https://")
    asked = f"sql.connect({host!r}, '/sql/1.0/warehouses/{WAREHOUSE}', auth_type='databricks-oauth')"
    done = start([sys.executable, "-c", f"from databricks import sql; {asked}"], analyst.home, analyst.env())
    assert done.code != 0 and "NotImplementedError: OAuth is not supported for host" in done.err, str(done)
    analyst.world.nothing_reached()


@needs("node")
def test_the_driver_for_node_signs_nobody_in_at_a_gateway(analyst: Person):
    """The same."""
    error = told(analyst, "node", "sql", "SELECT 1", HTTP_PATH="/sql/1.0/warehouses/w", SIGN_IN="1")["error"]
    assert error["message"].startswith("OAuth is not supported for "), error
    analyst.world.nothing_reached()
