"""The queries of the documents and dashboards, where they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\s*$")
# what a dashboard puts in place of these before it asks Loki
DASHBOARD_VARIABLES = {"$__interval": "5m", "$__rate_interval": "5m", "$__range": "7d", "$__auto": "5m"}


@dataclass(frozen=True)
class Query:
    """A query, and how it is spoken of: the heading above it, or the panel that it is of."""

    file: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.title}"


def of_documents(language: str) -> list[Query]:
    """All fenced blocks of a language in docs/**/*.md."""
    return [query for path in sorted((REPO / "docs").rglob("*.md")) for query in of_text(path, language)]


def of_text(path: Path, language: str) -> Iterator[Query]:
    heading, fence, lines = "", None, []
    for line in path.read_text().splitlines():
        match = FENCE.match(line)
        if fence is not None and match:
            if fence == language:
                yield Query(str(path.relative_to(REPO)), heading, "\n".join(lines))
            fence = None
        elif fence is not None:
            lines.append(line)
        elif match:
            fence, lines = match[1], []
        elif line.startswith("#"):
            heading = line.lstrip("# ")


def of_dashboards() -> list[Query]:
    """The LogQL of all Grafana dashboards in the repository: JSON files with panels."""
    found = []
    for path in sorted(REPO.rglob("*.json")):
        inside = path.relative_to(REPO)
        if inside.parts[0] in {"target", ".cache", "fuzz"} or "node_modules" in inside.parts:
            continue
        text = path.read_text()
        if '"panels"' in text and isinstance(dashboard := json.loads(text), dict):
            found += [Query(str(inside), *one) for one in panels(dashboard)]
    return found


def panels(part: Any, title: str = "", source: Any = None) -> Iterator[tuple[str, str]]:
    """(title, query) of everything that asks Loki, however deep; a target inherits its panel's data source."""
    if isinstance(part, list):
        for one in part:
            yield from panels(one, title, source)
    if not isinstance(part, dict):
        return
    title, source = str(part.get("title", title)), part.get("datasource", source)
    for key, value in part.items():
        # targets and annotations have `expr`; variables have a query of labels, which is no LogQL
        if key == "expr" and isinstance(value, str) and "loki" in json.dumps(source).lower():
            yield title, filled(value)
        elif isinstance(value, dict | list):
            yield from panels(value, title, source)


def filled(query: str) -> str:
    for name, value in DASHBOARD_VARIABLES.items():
        query = query.replace(name, value)
    # the dashboard's own variables stand in matchers; anything will do
    return re.sub(r"\$\{?\w+(:\w+)?\}?", ".*", query)
