"""The dashboards, as Grafana would read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
NAMES = ("operator", "security", "data-owner")
# What Grafana itself knows: https://grafana.com/docs/grafana/latest/dashboards/variables/add-template-variables/#global-variables
BUILT_IN = {"__range", "__rate_interval", "__auto", "__interval"}


@dataclass(frozen=True)
class Target:
    """One query of a panel."""

    board: str
    panel: dict[str, Any]
    query: dict[str, Any]

    @property
    def expr(self) -> str:
        return self.query["expr"]

    @property
    def kind(self) -> str:
        """`prometheus` or `loki`."""
        return self.query["datasource"]["type"]

    @property
    def name(self) -> str:
        return f"{self.board} / {self.panel['title']} / {self.query['refId']}"

    def filled(self, **values: str) -> str:
        """The query as Grafana sends it: variables by these values, else by their defaults."""
        return fill(self.expr, defaults(load(self.board)) | values)

    def legend(self, labels: dict[str, str]) -> str:
        return re.sub(r"{{\s*(\w+)\s*}}", lambda m: labels.get(m[1], ""), self.query.get("legendFormat", ""))


def load(name: str) -> dict[str, Any]:
    return json.loads((REPO / f"dashboards/{name}.json").read_text())


def targets(kind: str | None = None) -> Iterator[Target]:
    for name in NAMES:
        for panel in load(name)["panels"]:
            for query in panel["targets"]:
                target = Target(name, panel, query)
                if kind in (None, target.kind):
                    yield target


def defaults(board: dict[str, Any]) -> dict[str, str]:
    found = {}
    for variable in board["templating"]["list"]:
        value = variable["current"]["value"]
        found[variable["name"]] = variable["allValue"] if value == ["$__all"] else value
    return found


def variables(text: str) -> set[str]:
    """Names of the variables in a query, as `$name` or `${name}`."""
    return {one or other for one, other in re.findall(r"\$(?:{(\w+)}|(\w+))", text)}


def fill(text: str, values: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return values[match[1] or match[2]]

    return re.sub(r"\$(?:{(\w+)}|(\w+))", value, text)
