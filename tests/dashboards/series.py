"""Counters over time: as they were captured from a Kong, or made up, and what rates and quantiles of them must be.

A file has `#` lines on how it was captured, a line `times` with seconds, and a line for each series with its value at each of these
times (`-` where the page did not have it yet).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CAPTURED = HERE / "metrics/kong-3.9.3.txt"
# When the first scrape was, for Prometheus: any time will do.
START = 1_800_000_000
TARGET = {"job": "kong", "instance": "gateway-1:8100"}
SERIES = re.compile(r"(\w+)(?:\{(.*)\})?")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Series:
    name: str
    labels: tuple[tuple[str, str], ...]
    values: tuple[float | None, ...]

    def label(self, name: str) -> str:
        return dict(self.labels).get(name, "")


@dataclass(frozen=True)
class Data:
    """Series with values at the same times, in seconds from the first scrape."""

    times: tuple[int, ...]
    series: tuple[Series, ...]

    @property
    def step(self) -> int:
        return self.times[1] - self.times[0]

    def named(self, name: str, **labels: str) -> list[Series]:
        return [one for one in self.series if one.name == name and all(one.label(k) == v for k, v in labels.items())]

    def at(self, name: str, time: int) -> list[Series]:
        index = self.times.index(time)
        return [one for one in self.named(name) if one.values[index] is not None]

    def increase(self, one: Series, time: int, window: int) -> float | None:
        """What a counter counted in the window that ends at `time`; None where two values cannot be had.

        For a series that began within the window, Prometheus guesses what was before: at most half a step more, at most from 0.
        """
        first, last = self.times.index(time - window), self.times.index(time)
        found = [(self.times[i], value) for i in range(first, last + 1) if (value := one.values[i]) is not None]
        if len(found) < 2:
            return None
        values = [value for _, value in found]
        assert values == sorted(values), f"{one.name} was reset"
        grown, span = values[-1] - values[0], found[-1][0] - found[0][0]
        before: float = found[0][0] - (time - window)
        if grown:
            before = min(before, span * values[0] / grown)
        step = span / (len(found) - 1)
        return grown * (span + (before if before < step * 1.1 else step / 2)) / span

    def rate(self, name: str, time: int, window: int, **labels: str) -> float:
        found = [self.increase(one, time, window) for one in self.named(name, **labels)]
        return sum(value for value in found if value is not None) / window

    def quantile(self, share: float, family: str, time: int, window: int, **labels: str) -> float:
        """As histogram_quantile has it: linear within a bucket."""
        buckets: dict[float, float] = {}
        for one in self.named(f"{family}_bucket", **labels):
            bound = float(one.label("le").replace("+Inf", "inf"))
            buckets[bound] = buckets.get(bound, 0) + (self.increase(one, time, window) or 0)
        bounds = sorted(buckets)
        rank, below, lower = share * buckets[bounds[-1]], 0.0, 0.0
        for bound in bounds:
            if buckets[bound] >= rank:
                if bound == float("inf"):
                    return lower
                return lower + (bound - lower) * (rank - below) / (buckets[bound] - below)
            below, lower = buckets[bound], bound
        raise AssertionError("the last bucket holds all")

    def openmetrics(self, target: dict[str, str] = TARGET) -> Iterator[str]:
        """The format that `promtool tsdb create-blocks-from openmetrics` reads. No types: those of counters want another name."""
        for one in self.series:
            labels = ",".join(f'{name}="{value}"' for name, value in (*one.labels, *target.items()))
            for time, value in zip(self.times, one.values, strict=True):
                if value is not None:
                    yield f"{one.name}{{{labels}}} {value:g} {START + time}\n"
        yield "# EOF\n"


def read(path: Path) -> Data:
    times: tuple[int, ...] = ()
    series = []
    for line in path.read_text().splitlines():
        if line.startswith("times "):
            times = tuple(int(value) for value in line.split()[1:])
        elif line and not line.startswith("#"):
            head, _, rest = line.rpartition("} ") if "} " in line else line.partition(" ")
            name, labels = SERIES.match(head + ("}" if "{" in head else "")).groups()  # type: ignore[union-attr]
            values = tuple(None if value == "-" else float(value) for value in rest.split())
            assert len(values) == len(times), line
            series.append(Series(name, tuple(LABEL.findall(labels or "")), values))
    return Data(times, tuple(series))


def write(path: Path, data: Data, comments: list[str]) -> None:
    lines = [f"# {comment}" for comment in comments]
    lines.append("times " + " ".join(map(str, data.times)))
    for one in data.series:
        labels = ",".join(f'{name}="{value}"' for name, value in one.labels)
        values = " ".join("-" if value is None else f"{value:.10g}" for value in one.values)
        lines.append(f"{one.name}{{{labels}}} {values}" if labels else f"{one.name} {values}")
    path.write_text("\n".join(lines) + "\n")


def from_pages(pages: dict[int, str], keep: re.Pattern[str]) -> Data:
    """Of metrics pages by their time, the series that `keep` names."""
    times = tuple(sorted(pages))
    found: dict[tuple[str, tuple[tuple[str, str], ...]], dict[int, float]] = {}
    for time in times:
        for line in pages[time].splitlines():
            if not line.startswith("#") and keep.match(line):
                head, _, value = line.rpartition(" ")
                name, labels = SERIES.fullmatch(head).groups()  # type: ignore[union-attr]
                found.setdefault((name, tuple(LABEL.findall(labels or ""))), {})[time] = float(value)
    return Data(
        times,
        tuple(
            Series(name, labels, tuple(values.get(time) for time in times))
            for (name, labels), values in sorted(found.items())
        ),
    )
