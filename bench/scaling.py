#!/usr/bin/env python3
"""Draws docs/images/scaling.svg: exchanges a second by the size of a fleet, as `databricks-kong check --capacity` says.

DATABRICKS_KONG=target/debug/databricks-kong bench/scaling.py
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path

import charts

IMAGE = Path(__file__).resolve().parent.parent / "docs/images/scaling.svg"
USERS, WORKERS, NODES = (500, 5000, 50_000), 4, (1, 2, 4, 8, 16, 32)
# as Kong knows them, and as people do
WAYS = {"databricks_kong": "filter", "databricks-kong": "native plugin"}
KONG_YML = """
_format_version: "3.0"
plugins:
- name: {name}
  config:
    workspace: {{url: https://adb-7405619408829168.8.azuredatabricks.net}}
    identity_providers: [{{name: okta, issuer: https://example.okta.com, audiences: [databricks]}}]
    roles:
    - name: engineer
      match: {{groups: [engineers]}}
      credential: {{type: user_federation}}
      allow: [{{operations: [jobs.get]}}]
"""


def exchanges(way: str, users: int, nodes: int) -> float:
    """Exchanges a second, of callers with one token each."""
    fleet = f"users={users},nodes={nodes},workers={WORKERS}"
    argv = [os.environ["DATABRICKS_KONG"], "check", "--format", "json", "--capacity", fleet, "-"]
    run = subprocess.run(argv, input=KONG_YML.format(name=way), capture_output=True, text=True, check=False)
    return json.loads(run.stdout)["capacity"][0]["exchanges_per_second"]


def picture() -> str:
    left, right, top, bottom = 70, 520, 60, 330
    found = {(way, users): [exchanges(way, users, nodes) for nodes in NODES] for users in USERS for way in WAYS}
    values = [value for one in found.values() for value in one]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(nodes: int) -> float:
        return left + (right - left) * math.log2(nodes) / math.log2(NODES[-1])

    def y(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(value) - low) / (high - low)

    parts = [
        charts.text(
            16, 44, f"by nodes of {WORKERS} workers; one token for each caller, tokens of an hour", colour="#57606a"
        )
    ]
    for power in range(low, high + 1):
        at = y(10**power)
        parts += [charts.line(left, at, right, at), charts.text(left - 8, at + 4, f"{10.0**power:g}", "end")]
    parts += [charts.text(x(nodes), bottom + 20, str(nodes), "middle") for nodes in NODES]
    for (way, users), line in found.items():
        colour = charts.COLOURS[1 + 2 * USERS.index(users)]
        dash = "" if way == "databricks_kong" else ' stroke-dasharray="6 4"'
        points = " ".join(f"{x(nodes):.1f},{y(value):.1f}" for nodes, value in zip(NODES, line, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(charts.text(right + 8, y(line[-1]) + 4, f"{users:,} users, {WAYS[way]}", colour=colour))
    return charts.picture(720, bottom + 40, "Token exchanges a second, at most", parts)


if __name__ == "__main__":
    IMAGE.write_text(picture())
