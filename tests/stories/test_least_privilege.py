"""One job, one warehouse, one schema: the official clients held to what their role names (contract, section 4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from databricks import sql
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import PermissionDenied
from databricks.sdk.service.catalog import PathOperation
from databricks.sdk.service.sql import Disposition

from test_clients import connect
from world import World

WAREHOUSE = "a7066a8ef796be84"
OTHER_WAREHOUSE = "0000000000000000"
RUN_OF_101 = 101_000_001
RUN_OF_202 = 202_000_001


def sdk(world: World, token: str) -> WorkspaceClient:
    url = world.gateway.url("least")
    return WorkspaceClient(config=Config(host=url, token=token, auth_type="pat", retry_timeout_seconds=10))


def refusal(caught: pytest.ExceptionInfo[PermissionDenied]) -> tuple[str, dict[str, str]]:
    [info] = caught.value.get_error_info()
    return info.reason, info.metadata


def test_the_sdk_runs_its_job_and_no_other(world: World):
    client = sdk(world, world.user("runners").token())
    run = client.jobs.run_now(job_id=101).run_id
    assert client.jobs.get_run(run_id=run).job_id == 101, "the same job, looked up by the run"
    world.workspace.forget_requests()
    with pytest.raises(PermissionDenied) as caught:
        client.jobs.run_now(job_id=102)
    assert refusal(caught) == ("NO_RULE", {"operation": "jobs.run_now"})
    with pytest.raises(PermissionDenied) as caught:
        client.jobs.run_now(job_id=202)
    rule = {"operation": "jobs.run_now", "role": "runner", "rule": "/roles/0/deny/0"}
    assert refusal(caught) == ("RULE_DENIED", rule)
    assert not world.api(), "the workspace saw neither"


def test_the_sdk_sees_and_cancels_runs_of_its_job_only(world: World):
    client = sdk(world, world.user("runners").token())
    assert client.jobs.get_run(run_id=RUN_OF_101).job_id == 101
    client.jobs.cancel_run(run_id=RUN_OF_101)
    for ask in (client.jobs.get_run, client.jobs.cancel_run):
        with pytest.raises(PermissionDenied) as caught:
            ask(run_id=RUN_OF_202)
        assert refusal(caught)[0] == "NO_RULE"
    # a run that is not there has no job
    with pytest.raises(PermissionDenied):
        client.jobs.get_run(run_id=303_000_001)


def test_a_run_is_looked_up_once_and_with_the_callers_own_token(world: World):
    runner = world.user("runners")
    client = sdk(world, runner.token())
    for _ in range(3):
        client.jobs.get_run(run_id=RUN_OF_101)
    asked = [one for one in world.api() if one.path.startswith("/api/2.2/jobs/runs/get")]
    assert {one.who for one in asked} == {runner.sub}
    # the gateway's own question and the client's three
    lookups = [one for one in asked if (one.header("user-agent") or "").startswith("databricks-kong/")]
    assert len(asked) - len(lookups) == 3 and len(lookups) <= 1, "another worker may have asked before"


def test_statements_are_held_to_a_warehouse_their_class_and_tables(world: World):
    client = sdk(world, world.user("readers").token())

    def execute(statement: str, warehouse: str = WAREHOUSE, **more: Any):
        return client.statement_execution.execute_statement(statement, warehouse, wait_timeout="10s", **more)

    assert execute("SELECT 1").status is not None
    execute("SELECT * FROM main.sales.orders o JOIN main.sales.items USING (id)")
    execute("SELECT * FROM orders", catalog="main", schema="sales")
    world.workspace.forget_requests()
    for statement, more in [
        ("SELECT 1", {"warehouse": OTHER_WAREHOUSE}),
        ("SELECT * FROM main.hr.people", {}),
        ("SELECT * FROM orders", {}),
        ("SELECT * FROM orders", {"catalog": "main", "schema": "hr"}),
        ("SELECT * FROM main.sales.orders WHERE id IN (SELECT id FROM main.hr.people)", {}),
        ("INSERT INTO main.sales.orders VALUES (1)", {}),
        ("SELECT 1; DROP TABLE main.sales.orders", {}),
        ("EXECUTE IMMEDIATE 'DROP TABLE main.sales.orders'", {}),
        ("SELECT * FROM read_files('/Volumes/main/hr/x')", {}),
        ("SELECT 1", {"disposition": Disposition.EXTERNAL_LINKS}),
    ]:
        with pytest.raises(PermissionDenied) as caught:
            execute(statement, **more)
        reason, metadata = refusal(caught)
        assert (reason, metadata["operation"]) == ("NO_RULE", "statement_execution.execute_statement"), statement
    assert not world.api(), "the workspace saw none of them"


def test_the_sql_connector_is_held_to_tables_over_rest_and_has_no_way_over_thrift(world: World):
    reader = world.user("readers")
    with connect(world, reader.token(), config="least_tls", use_sea=True, use_cloud_fetch=False) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM main.sales.orders")
            with pytest.raises(sql.exc.Error):
                cursor.execute("SELECT * FROM main.hr.people")
    with pytest.raises(sql.exc.Error):
        connect(world, reader.token(), config="least_tls")
    statements = [json.loads(one.body)["statement"] for one in world.api() if one.path == "/api/2.0/sql/statements"]
    assert statements == ["SELECT * FROM main.sales.orders"]


def test_the_sql_connector_is_held_to_a_warehouse_over_thrift(world: World):
    thrifty = world.user("thrift")
    with connect(world, thrifty.token(), config="least_tls") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert [tuple(row) for row in cursor.fetchall()] == [(1,)]
    world.workspace.forget_requests()
    with pytest.raises(sql.exc.Error):
        connect(world, thrifty.token(), config="least_tls", http_path=f"/sql/1.0/warehouses/{OTHER_WAREHOUSE}")
    assert not world.api()


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.tokens.create(comment="x", lifetime_seconds=60),
        lambda client: client.permissions.update("jobs", "101", access_control_list=[]),
        lambda client: client.temporary_table_credentials.generate_temporary_table_credentials(table_id="x"),
        lambda client: client.temporary_path_credentials.generate_temporary_path_credentials(
            "s3://x", PathOperation.PATH_READ
        ),
        lambda client: client.secrets.get_secret("scope", "key"),
        lambda client: client.grants.update("table", "main.sales.orders"),
        lambda client: client.users.create(user_name="x@example.com"),
        lambda client: client.global_init_scripts.create("x", "eA=="),
        lambda client: client.credentials.generate_temporary_service_credential("x"),
        lambda client: client.workspace_conf.set_status({"enableTokensConfig": "true"}),
    ],
)
def test_sensitive_operations_are_in_no_star(world: World, ask: Any):
    client = sdk(world, world.user("everything").token())
    assert client.jobs.run_now(job_id=101).run_id
    world.workspace.forget_requests()
    with pytest.raises(PermissionDenied) as caught:
        ask(client)
    assert refusal(caught)[0] == "OPERATION_SENSITIVE"
    assert not world.api()


def test_an_agent_that_acts_for_an_administrator_is_held_to_its_own_rules(world: World):
    admin = world.user("everything")
    agent = sdk(world, admin.token(client="copilot-app"))
    assert agent.jobs.run_now(job_id=101).run_id
    world.workspace.forget_requests()
    for ask in (lambda: agent.jobs.run_now(job_id=202), lambda: list(agent.clusters.list())):
        with pytest.raises(PermissionDenied) as caught:
            ask()
        assert refusal(caught)[0] == "AGENT_LIMIT"
    assert not world.api()
    assert sdk(world, admin.token()).jobs.run_now(job_id=202).run_id
