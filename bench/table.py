"""What was found, as tables: for a terminal, and for documents."""

from __future__ import annotations

import summary
from summary import Figure, Result


def spread(figure: Figure, digits: int) -> str:
    return f"{figure.median:.{digits}f} ({figure.least:.{digits}f} to {figure.most:.{digits}f})"


def contestants(result: Result) -> list[list[str]]:
    """Name, throughput of bare's, processor time, and how much of it is above bare's."""
    rows = []
    for name in result["contestants"]:
        ratio, time, more = (
            summary.throughput(result, name),
            summary.processor(result, name),
            summary.above(result, name),
        )
        rows.append([name, spread(ratio, 2), f"{time.median:.0f}", "" if name == "bare" else spread(more, 0)])
    return rows


def host_calls(result: Result) -> list[list[str]]:
    """Name, what it is, microseconds."""
    calls = result["host_calls"]["calls"]
    return [[name, call["what"], spread(summary.host_call(result, name), 2)] for name, call in calls.items()]


def latencies(result: Result) -> list[list[str]]:
    """Name, and milliseconds by percentile."""
    found = result["latency"]["milliseconds"]
    return [[name, *(f"{value:.2f}" for value in values.values())] for name, values in found.items()]


def percentiles(result: Result) -> list[str]:
    return list(next(iter(result["latency"]["milliseconds"].values())))


def owners(result: Result) -> tuple[list[str], list[list[str]]]:
    """Whose code the time is spent in: of bare, and of each other way what it takes above that; who has most first."""
    figures = {name: summary.by_owner(rounds) for name, rounds in result["owners"]["rounds"].items()}
    bare = figures.pop("bare")
    names = {name for way in figures.values() for name in way}
    most = {name: max(way.get(name, 0) for way in figures.values()) for name in names}
    header = ["µs of a request", "`bare`", *(f"`{way}`, above" for way in figures)]
    rows = [
        [name, f"{bare.get(name, 0):.0f}", *(f"{way.get(name, 0) - bare.get(name, 0):.0f}" for way in figures.values())]
        for name in sorted(names, key=lambda name: -most[name])
    ]
    all_of_bare = sum(bare.values())
    sums = [f"{all_of_bare:.0f}", *(f"{sum(way.values()) - all_of_bare:.0f}" for way in figures.values())]
    return header, [*rows, ["all", *sums]]


def aligned(header: list[str], rows: list[list[str]]) -> str:
    """For a terminal: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(row: list[str]) -> str:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "  ".join([row[0].ljust(widths[0]), *cells]).rstrip()

    return "\n".join(map(line, [header, *rows]))


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def of(result: Result) -> str:
    """All of it, for a terminal."""
    calls = [[name, figure] for name, _, figure in host_calls(result)]
    return "\n\n".join(
        [
            aligned([result["gateway"], "of bare's throughput", "µs a request", "above bare"], contestants(result)),
            aligned(["host call", "µs"], calls),
            aligned([f"ms at {result['latency']['rate']} requests/s", *percentiles(result)], latencies(result)),
        ]
    )
