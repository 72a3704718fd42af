"""Databricks' own client for MCP servers, held to one tool of one server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from programs import home_of, needs, person, start
from world import World

pytestmark = needs("mcp")

SQL = "/api/2.0/mcp/sql"
READS, WRITES = "execute_sql_read_only", "execute_sql"


def told(world: World, home: Path, server: str, *tools: str) -> list[dict[str, Any]]:
    program = home_of("mcp")
    who = person(world, home, "tool-users")
    done = start([program / "venv/bin/python", program / "managed.py", server, *tools], home, who.env())
    assert done.out.strip(), str(done)
    return [json.loads(line) for line in done.out.splitlines()]


def test_a_tool_that_a_rule_names_is_called_and_another_of_the_same_server_is_refused(world: World, tmp_path: Path):
    shown, read, written = told(world, tmp_path, SQL, READS, WRITES)
    assert shown == {"ok": [READS, WRITES]}, "the server's answer is not changed"
    assert read == {"ok": "42"}
    assert written["error"]["message"] == "Server returned an error response", written
    records = [one for one in world.gateway.records() if one.get("resources", {}).get("mcp_tool")]
    called = {(one["resources"]["mcp_tool"][0], one["decision"], one["reason"]) for one in records}
    assert called == {(READS, "allow", "ALLOWED"), (WRITES, "deny", "NO_RULE")}
    bodies = [one.body for one in world.api() if one.path == SQL]
    assert not any(WRITES.encode() in body.replace(READS.encode(), b"") for body in bodies)


def test_a_server_that_no_rule_names_is_refused_before_it_says_what_tools_it_has(world: World, tmp_path: Path):
    [shown] = told(world, tmp_path, "/api/2.0/mcp/functions/main/sales")
    assert shown["error"]["message"] == "Server returned an error response", shown
    world.no_api_reached()
