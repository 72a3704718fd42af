"""The dashboards have the form that Grafana takes, and say what each panel is for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from boards import BUILT_IN, NAMES, REPO, defaults, fill, load, targets, variables

plugins.register_default_plugins()
# of https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts, those in use
UNITS = {"short", "reqps", "ops", "percentunit", "ms"}
SENSITIVE = REPO / "src/databricks/catalogue/operations.tsv"


@pytest.fixture(params=NAMES)
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load(request.param)


def lost(ours: Any, theirs: Any, place: str = "") -> Iterator[str]:
    """Places of `ours` that are not, or not so, in `theirs`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from lost(value, theirs[key], f"{place}.{key}") if key in theirs else [f"{place}.{key}"]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(one, other, f"{place}[{index}]")
    elif ours != theirs:
        yield place


def read_by_grafana(board: dict[str, Any]) -> Any:
    return json.loads(JSONEncoder().encode(Dashboard.from_json(board)))


def test_grafanas_types_take_all_of_a_board(board: dict[str, Any]):
    assert list(lost(board, read_by_grafana(board))) == []


def test_a_misspelt_field_would_be_noticed(board: dict[str, Any]):
    board["panels"][0]["fieldConfig"]["defaults"]["units"] = "ms"
    board["panels"][0]["gridPosition"] = {}
    assert len(list(lost(board, read_by_grafana(board)))) == 2


def test_boards_and_panels_have_ids_of_their_own():
    boards = [load(name) for name in NAMES]
    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        titles = [panel["title"] for panel in board["panels"]]
        assert len(set(titles)) == len(titles)
        assert board.get("id") is None, "an id is the database's of one Grafana"


def test_panels_are_within_the_grid_and_do_not_overlap(board: dict[str, Any]):
    cells = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["x"] + at["w"] <= 24, panel["title"]
        cells[panel["title"]] = {
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        }
    for (one, here), (other, there) in combinations(cells.items(), 2):
        assert not here & there, (one, other)
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    assert sum(map(len, cells.values())) == 24 * bottom, "no holes"


def test_each_panel_says_what_it_means_in_a_unit(board: dict[str, Any]):
    for panel in board["panels"]:
        assert len(panel["description"]) > 40, panel["title"]
        assert panel["title"] and panel["targets"]
        if panel["type"] != "logs":
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]


def test_each_query_goes_to_a_data_source_that_a_variable_names(board: dict[str, Any]):
    kinds = {one["name"]: one for one in board["templating"]["list"] if one["type"] == "datasource"}
    for name, variable in kinds.items():
        # docker-compose.yml provisions them with these uids
        assert (variable["query"], variable["current"]["value"]) == (name, name)
    for panel in board["panels"]:
        for source in (panel["datasource"], *(query["datasource"] for query in panel["targets"])):
            assert source == {"type": source["type"], "uid": f"${{{source['type']}}}"} and source["type"] in kinds, (
                panel["title"]
            )


def test_each_variable_is_used_and_each_one_used_is_there(board: dict[str, Any]):
    named = {one["name"] for one in board["templating"]["list"]}
    used = variables(json.dumps([panel for panel in board["panels"]]))
    assert used - BUILT_IN <= named
    assert named - used <= {"prometheus"}, "a variable that no panel uses"


def test_each_colour_by_name_is_of_a_series_that_is_there(board: dict[str, Any]):
    for panel in board["panels"]:
        legends = {query.get("legendFormat") for query in panel["targets"]}
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["options"] in legends, panel["title"]


def test_queries_of_a_panel_are_told_apart(board: dict[str, Any]):
    for panel in board["panels"]:
        refs = [query["refId"] for query in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]


def test_tables_have_a_column_for_each_label_that_their_query_groups_by():
    for target in targets("loki"):
        if target.panel["type"] == "table":
            (grouping,) = re.findall(r"by \(([^)]*)\)", target.expr)
            (organize, _) = target.panel["transformations"]
            columns = list(organize["options"]["indexByName"])
            assert columns == [*grouping.split(", "), "Value #A"], target.name


def sensitive() -> tuple[set[str], set[str]]:
    rows = [line.split("\t") for line in SENSITIVE.read_text().splitlines() if line and not line.startswith("#")]
    found = {row[0] for row in rows if row[4] != "-"}
    return found, {row[0] for row in rows} - found


def test_the_sensitive_operations_are_those_of_the_catalogue():
    pattern = re.compile(defaults(load("security"))["sensitive"])
    those, others = sensitive()
    assert [name for name in sorted(those) if not pattern.fullmatch(name)] == []
    assert [name for name in sorted(others) if pattern.fullmatch(name)] == []


def test_variables_are_filled_in():
    assert fill("a $b ${b}c", {"b": "x"}) == "a x xc"
    assert not any(variables(target.filled(**dict.fromkeys(BUILT_IN, "5m"))) for target in targets())
