"""Whose code the worker's processor time is spent in, by samples that Linux' `perf` takes. It says what of a filter's cost is the host's own."""

from __future__ import annotations

import collections
import shutil
import subprocess
from pathlib import Path
from typing import Any

import load
from contestants import Contestant, Gateway
from owners import SAMPLE, owner

SAMPLES_A_SECOND = 1999


def obstacle() -> str | None:
    """Why nothing can be sampled here, if so."""
    if not shutil.which("perf"):
        return "perf is missing (Debian: linux-perf)"
    run = subprocess.run(
        ["perf", "record", "-q", "-e", "cpu-clock", "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    return "perf may not sample here: run as root, or set kernel.perf_event_paranoid" if run.returncode else None


def of_wasmtime(process: Path) -> list[range]:
    """Where Wasmtime's code lies: in memory that has no file and, unlike LuaJIT's, is an image in the form of ELF."""
    found, before = [], None
    with (process / "mem").open("rb", buffering=0) as memory:
        for line in (process / "maps").read_text().splitlines():
            bounds, rights, _, _, _, *file = line.split(maxsplit=5)
            first, end = (int(bound, 16) for bound in bounds.split("-"))
            if "x" in rights and not file and before is not None and before.stop == first:
                memory.seek(before.start)
                if memory.read(4) == b"\x7fELF":
                    found.append(range(first, end))
            before = range(first, end) if not file else None
    return found


def sampled(one: Contestant, gateway: Gateway, seconds: int, run_dir: Path) -> dict[str, Any]:
    """The time of a request, in microseconds by owner."""
    threads = gateway.threads()
    data = run_dir / "perf.data"
    argv = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(SAMPLES_A_SECOND), "-o", str(data)]
    argv += ["-t", ",".join(thread.name for thread in threads), "--", "sleep", str(seconds)]
    perf = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    spent = load.closed_loop(one, threads, seconds, run_dir).as_json()["processor_us"]
    perf.wait()
    said = subprocess.run(
        ["perf", "script", "-i", str(data), "-F", "ip,dso"], capture_output=True, text=True, check=True
    ).stdout
    has_lua = gateway.name == "kong"
    wasmtime = of_wasmtime(Path(f"/proc/{threads[0].name}")) if has_lua else []
    counts: collections.Counter[str] = collections.Counter()
    for line in said.splitlines():
        if found := SAMPLE.match(line):
            counts[owner(int(found[1], 16), found[2], wasmtime, has_lua)] += 1
    return {"processor_us": spent, "samples": dict(counts.most_common())}


def measure(gateway: Gateway, ways: list[Contestant], rounds: int, seconds: int, run_dir: Path) -> dict[str, Any]:
    """Of each way in turns, the rounds' samples."""
    found: dict[str, list[dict[str, Any]]] = {one.name: [] for one in ways}
    for _ in range(rounds):
        for one in ways:
            found[one.name].append(sampled(one, gateway, seconds, run_dir))
    return {"samples_a_second": SAMPLES_A_SECOND, "rounds": found}
