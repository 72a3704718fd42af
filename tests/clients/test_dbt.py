"""dbt-databricks: a project with a view, a table, an incremental model and a snapshot. Its profile is the one of docs/clients.md."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from programs import Done, Person, home_of, needs, person, setting, start
from routes import OTHER_WAREHOUSE, WAREHOUSE
from stack import REPO
from world import World

pytestmark = needs("dbt")

# an empty schema: dbt makes everything anew
SCHEMA: list[dict[str, Any]] = [
    {"starts_with": "show schemas", "columns": ["databaseName"], "rows": [["sales"]]},
    {"starts_with": "show tables", "columns": ["database", "tableName", "isTemporary"], "rows": []},
    {"starts_with": "show views", "columns": ["namespace", "viewName", "isTemporary", "isMaterialized"], "rows": []},
    {
        "starts_with": "select table_name",
        "columns": ["table_name", "table_type", "file_format", "table_owner", "databricks_table_type"],
        "rows": [],
    },
    {"starts_with": "create", "columns": [], "rows": []},
]


def dbt(who: Person, command: str, warehouse: str) -> Done:
    project = shutil.copytree(REPO / "tests/clients/dbt", who.home / f"dbt-{warehouse}", dirs_exist_ok=True)
    (project / "profiles.yml").write_text(setting("dbt", who.world, **{WAREHOUSE: warehouse}))
    env = who.env(DBT_ENV_SECRET_TOKEN=who.token, DBT_SEND_ANONYMOUS_USAGE_STATS="false")
    return start(
        [home_of("dbt") / "venv/bin/dbt", command, "--profiles-dir", ".", "--no-use-colors"], project, env, 200
    )


def test_builds_models_and_a_snapshot(world: World, tmp_path: Path):
    who = person(world, tmp_path, "sql")
    world.workspace.answer(SCHEMA)
    done = dbt(who, "build", WAREHOUSE)
    assert done.code == 0 and "PASS=4 WARN=0 ERROR=0" in done.out, str(done)
    thrift = [one for one in world.api() if one.path.startswith("/sql/")]
    assert {one.who for one in thrift} == {who.caller.sub}
    made = b"\n".join(one.body for one in thrift)
    for name in (b"orders", b"customers", b"revenue", b"customers_history"):
        assert b"`main`.`sales`.`" + name + b"`" in made, name
    assert len(world.exchanges()) == 1, "one exchange for all of its sessions"


def test_shows_why_a_warehouse_is_refused(world: World, tmp_path: Path):
    done = dbt(person(world, tmp_path, "sql"), "debug", OTHER_WAREHOUSE)
    assert done.code != 0, str(done)
    assert "no rule of the caller's roles allows `sql_warehouses.thrift`" in done.out, str(done)
    world.no_api_reached()
