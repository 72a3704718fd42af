"""What rounds come to: medians with their spread, and everything as a ratio to, or a difference from, the same round's other."""

from __future__ import annotations

import collections
import statistics
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """The median of some rounds, and the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Figure:
        return cls(statistics.median(values), min(values), max(values))


def rounds(result: Result, name: str, what: str) -> list[float]:
    return [one[what] for one in result["contestants"][name]["rounds"]]


def throughput(result: Result, name: str) -> Figure:
    """Of bare's, round by round."""
    own, bare = (rounds(result, one, "requests_per_second") for one in (name, "bare"))
    return Figure.of([one / base for one, base in zip(own, bare, strict=True)])


def processor(result: Result, name: str) -> Figure:
    """Microseconds of a request."""
    return Figure.of(rounds(result, name, "processor_us"))


def processor_ratio(result: Result, name: str) -> Figure:
    """Times bare's, round by round."""
    own, bare = (rounds(result, one, "processor_us") for one in (name, "bare"))
    return Figure.of([one / base for one, base in zip(own, bare, strict=True)])


def above(result: Result, name: str, base: str = "bare") -> Figure:
    """Microseconds of a request that `base` does not take, round by round."""
    own, other = (rounds(result, one, "processor_us") for one in (name, base))
    return Figure.of([one - less for one, less in zip(own, other, strict=True)])


def parts(result: Result) -> list[tuple[str, Figure]]:
    """Costs by what they are for, in the order of the bench."""
    return [
        (part["name"], above(result, part["of"], part["above"]) if part["above"] else processor(result, part["of"]))
        for part in result["parts"]
    ]


def host_call(result: Result, name: str) -> Figure:
    """Microseconds of one call: what a round took more than the no-op filter's, by the number of calls."""
    call = result["host_calls"]["calls"][name]
    floors = result["host_calls"]["floor_us"]
    return Figure.of([(one - floor) / call["count"] for one, floor in zip(call["rounds_us"], floors, strict=True)])


def slowest_rate(result: Result, names: list[str]) -> float:
    """Requests a second of the slowest of these."""
    return min(statistics.median(rounds(result, name, "requests_per_second")) for name in names)


def by_owner(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Microseconds of a request by whose code they are spent in: the mean of the rounds that bench/samples.py took."""
    total: collections.Counter[str] = collections.Counter()
    for one in rounds:
        count = sum(one["samples"].values())
        for name, samples in one["samples"].items():
            total[name] += samples / count * one["processor_us"] / len(rounds)
    return dict(total.most_common())
