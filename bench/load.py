"""Two kinds of load: as fast as the answers come (wrk), and so many requests a second whether earlier ones are
answered or not."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from contestants import Contestant
from stack import REPO

CONNECTIONS = 16


@dataclass(frozen=True)
class Closed:
    """What a closed loop found."""

    requests: int
    seconds: float
    processor_seconds: float

    def as_json(self) -> dict[str, float]:
        return {
            "requests_per_second": round(self.requests / self.seconds, 1),
            "processor_us": round(self.processor_seconds / self.requests * 1e6, 3),
        }


def processor_seconds(threads: list[Path]) -> float:
    """By their folders in /proc; in nanoseconds in the kernel, where utime and stime have hundredths of a second."""
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def closed_loop(one: Contestant, threads: list[Path], seconds: int, run_dir: Path) -> Closed:
    """Sixteen connections that send again as soon as they are answered."""
    request = one.request
    tokens = "-"
    if request.tokens:
        path = run_dir / "tokens"
        path.write_text("".join(f"{token}\n" for token in request.tokens))
        tokens = str(path)
    headers = [word for pair in request.all_headers().items() for word in pair]
    script = str(REPO / "bench/request.lua")
    argv = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "20s",
        "-s",
        script,
        one.url + request.target,
    ]
    argv += ["--", request.method, request.body or "-", tokens, *headers]
    before = processor_seconds(threads)
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    spent = processor_seconds(threads) - before
    if run.returncode != 0:
        raise SystemExit(f"wrk failed for {one.name}: {run.stdout}{run.stderr}")
    said = json.loads(run.stdout.splitlines()[-1])
    if said["refused"] or said["failed"] or not said["requests"]:
        raise SystemExit(f"{one.name} does not answer every request with 200: {said}")
    return Closed(said["requests"], said["microseconds"] / 1e6, spent)


def open_loop(one: Contestant, rate: int, seconds: int, programs: Path) -> dict[str, float]:
    """Latencies in milliseconds by percentile, as crates/bench-peers/src/pacer.rs counts them."""
    request = one.request
    headers = request.all_headers()
    if request.tokens:
        headers["Authorization"] = f"Bearer {request.tokens[0]}"
    host, slash, path = one.url.removeprefix("http://").partition("/")
    argv = [
        str(programs / "bench-pacer"),
        host,
        slash + path + request.target,
        str(rate),
        str(seconds),
        str(CONNECTIONS),
    ]
    argv += [word for pair in headers.items() for word in pair]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"bench-pacer failed for {one.name}: {run.stdout}{run.stderr}")
    return json.loads(run.stdout)["milliseconds"]
