"""Draws a dashboard: its panels as its JSON lays them out, with what its queries find in the captured run. Not Grafana, but like it.

    LOKI_BIN=/usr/local/bin/loki tests/dashboards/render operator docs/images/operator-dashboard.png

Needs chromium (Debian: apt install chromium) and Prometheus, and for panels of records Loki. The records are those of the last capture on
this machine, all of them (.cache/dashboards/capture), else the committed few.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from boards import REPO, Target, load
from loki import BIN, Line, Loki, sample
from series import CAPTURED, START, TARGET, Data, read
from tsdb import Prometheus

HERE = Path(__file__).resolve().parent
ALL_RECORDS = REPO / ".cache/dashboards/capture/records.jsonl"
WIDTH = 1500
ROW = 38  # pixels; Grafana's with the gap
WINDOW, STEP = "60s", 60


def shown(data: Data) -> tuple[int, ...]:
    """From where a rate has all that it looks back upon."""
    return tuple(at for at in data.times if at >= 60)


def minutes(data: Data) -> tuple[int, ...]:
    """The steps of counts of records."""
    return tuple(range(STEP, data.times[-1] + 1, STEP))


def numbers(
    target: Target, found: list[tuple[dict[str, str], dict[int, float]]], times: tuple[int, ...]
) -> list[dict[str, Any]]:
    return [
        {
            "name": target.legend(labels),
            "values": [None if math.isnan(values.get(at, math.nan)) else values[at] for at in times],
        }
        for labels, values in found
    ]


def panel_data(
    board: str, panel: dict[str, Any], data: Data, prometheus: Prometheus, loki: Loki | None
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for query in panel["targets"]:
        target = Target(board, panel, query)
        end, span = data.times[-1], f"{data.times[-1]}s"
        expr = target.filled(__rate_interval=WINDOW, __range=span, __auto=WINDOW)
        if target.kind == "prometheus":
            found += numbers(target, prometheus.range(expr, 60, end, data.step), shown(data))
        elif loki is None:
            continue
        elif panel["type"] == "logs":
            found += [{"at": START + at, "line": line} for at, line in loki.lines(expr, 0, end)]
        elif panel["type"] == "timeseries":
            found += numbers(target, loki.range(expr, 60, end, STEP), minutes(data))
        else:
            rows = loki.query(expr, end)
            found += [{"labels": labels, "value": value, "values": [value]} for labels, value in rows]
    return found


def records() -> list[tuple[float, Line]]:
    if not ALL_RECORDS.exists():
        return sample()
    rows = [json.loads(text) for text in ALL_RECORDS.read_text().splitlines()]
    return [(row["at"], row["line"]) for row in rows]


def page(name: str, data: Data) -> str:
    board = load(name)
    with contextlib.ExitStack() as stack:
        run_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="databricks-kong-render-")))
        prometheus = Prometheus(run_dir, (data, TARGET))
        stack.callback(prometheus.stop)
        loki = Loki(run_dir, records()) if BIN else None
        if loki:
            stack.callback(loki.stop)
        panels = [
            panel
            | {
                "data": panel_data(name, panel, data, prometheus, loki),
                "times": [
                    START + at for at in (shown if panel["datasource"]["type"] == "prometheus" else minutes)(data)
                ],
            }
            for panel in board["panels"]
        ]
    content = {
        "title": board["title"],
        "from": f"{round(data.times[-1] / 60)} minutes of a real Kong 3.9.3, drawn from dashboards/{name}.json by tests/dashboards/render",
        "width": WIDTH,
        "panels": panels,
    }
    library = Path(os.environ["UPLOT"]) / "node_modules/uplot/dist"
    return (
        (HERE / "render.html")
        .read_text()
        .replace("/*uplot.css*/", (library / "uPlot.min.css").read_text())
        .replace("/*uplot.js*/", (library / "uPlot.iife.min.js").read_text())
        .replace("/*data*/ null", json.dumps(content).replace("</", "<\\/"))
    )


def height(name: str) -> int:
    return 52 + ROW * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in load(name)["panels"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("board")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--rows", type=int, help="only the first rows of the grid")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit(
        "tests/dashboards: chromium is missing (Debian: apt install chromium)"
    )
    with tempfile.TemporaryDirectory(prefix="databricks-kong-render-") as path:
        html = Path(path) / "board.html"
        html.write_text(page(options.board, read(CAPTURED)))
        tall = 52 + ROW * options.rows if options.rows else height(options.board)
        argv = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={WIDTH},{tall}",
        ]
        argv += [f"--user-data-dir={path}/profile", f"--screenshot={options.picture.resolve()}", html.as_uri()]
        subprocess.run(argv, check=True, capture_output=True)
    # a third of the size, where it is there (Debian: apt install pngquant)
    if pngquant := shutil.which("pngquant"):
        subprocess.run([pngquant, "--force", "--ext", ".png", "256", str(options.picture)], check=True)


if __name__ == "__main__":
    main()
