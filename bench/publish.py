#!/usr/bin/env python3
"""Writes what is in bench/results into the documents: the tables between `<!-- bench: … -->` and `<!-- end -->`, and the charts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import charts
import summary
import table
from summary import Result

REPO = Path(__file__).resolve().parent.parent
RESULTS = REPO / "bench/results"
DOCUMENTS = (REPO / "README.md", REPO / "docs/performance.md")
IMAGES = REPO / "docs/images"
BLOCK = re.compile(r"<!-- bench: (\w+)(?: (\w+))? -->\n.*?<!-- end -->", re.DOTALL)


def results() -> dict[str, Result]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def contestants(result: Result) -> str:
    rows = [
        [f"`{name}`", result["contestants"][name]["what"], *figures] for name, *figures in table.contestants(result)
    ]
    return table.markdown(["", "", "of bare's throughput", "µs a request", "µs above bare"], rows)


def host_calls(result: Result) -> str:
    return table.markdown(["call", "", "µs"], table.host_calls(result))


def latencies(result: Result) -> str:
    return table.markdown(
        [f"ms at {result['latency']['rate']:,} requests/s", *table.percentiles(result)], table.latencies(result)
    )


def largest(result: Result) -> str:
    """The three largest parts of what a request costs more than the bare proxy."""
    found = sorted(summary.parts(result)[1:], key=lambda part: part[1].median, reverse=True)
    lines = [f"{number}. {name}: {figure.median:.0f} µs" for number, (name, figure) in enumerate(found[:3], 1)]
    return "\n".join(lines)


def sampled(result: Result) -> str:
    if "owners" not in result:
        return "Not measured in this run."
    return table.markdown(*table.owners(result))


def conditions(result: Result) -> str:
    machine, versions, parameters = result["machine"], result["versions"], result["parameters"]
    name = result["gateway"]
    return (
        f"Measured on {result['date']}: {name.capitalize()} {versions[name]}, one worker, on {machine['cores']} cores of\n"
        f"{machine['processor']}, Linux {machine['kernel']} (load average at the end {machine['load_average']}); commit\n"
        f"{versions['commit']}, a module of {versions['module_bytes']:,} bytes; wrk {versions['wrk']}; {parameters['rounds']} rounds of "
        f"{parameters['seconds']} s,\n{parameters['connections']} connections, tokens of {parameters['token_bytes']:,} bytes."
    )


def short(found: dict[str, Result]) -> str:
    """For the first page: the filter beside what else there is, in each gateway."""
    chosen = {
        "envoy": ["no-op filter", "jwt_authn", "jwt_authn with a cache", "ext_authz, gRPC", "databricks_kong"],
        "kong": ["no-op filter", "key-auth", "jwt", "databricks_kong", "databricks-kong, native plugin"],
    }
    rows = []
    for gateway, names in chosen.items():
        result = found[gateway]
        for name in names:
            if name in result["contestants"]:
                ratio, more = summary.throughput(result, name), summary.above(result, name)
                rows.append([charts.where(result), f"`{name}`", f"{ratio.median:.2f}", f"{more.median:.0f} µs"])
    shown = table.markdown(["", "", "of the bare proxy's throughput", "processor time above it"], rows)
    loads = " and ".join(f"{found[gateway]['machine']['load_average']}" for gateway in chosen)
    cores = found["envoy"]["machine"]["cores"]
    return f"{shown}\n\nMedians on {cores} cores; the load average was {loads}, and above {cores} others used the machine too."


KINDS = {
    "contestants": contestants,
    "host_calls": host_calls,
    "latencies": latencies,
    "largest": largest,
    "conditions": conditions,
    "owners": sampled,
}


def written(text: str, found: dict[str, Result]) -> str:
    """A document with its blocks written anew."""

    def block(match: re.Match[str]) -> str:
        kind, gateway = match[1], match[2]
        content = short(found) if kind == "short" else KINDS[kind](found[gateway])
        head = match[0].partition("\n")[0]
        return f"{head}\n{content}\n<!-- end -->"

    return BLOCK.sub(block, text)


def images(found: dict[str, Result]) -> dict[str, str]:
    made = {}
    for name, result in found.items():
        made[f"bench-{name}-costs.svg"] = charts.costs(result)
        made[f"bench-{name}-latency.svg"] = charts.latencies(result)
    return made


def main() -> None:
    found = results()
    for path in DOCUMENTS:
        path.write_text(written(path.read_text(), found))
    for name, picture in images(found).items():
        (IMAGES / name).write_text(picture)


if __name__ == "__main__":
    main()
