"""Whose code the worker's processor time is spent in, by samples that Linux' `perf` takes. It says what of a filter's cost is the host's own."""

from __future__ import annotations

import collections
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import load
from contestants import Contestant, Gateway

SAMPLES_A_SECOND = 1999

KERNEL, LIBC, MODULE, LUA = "the kernel", "libc", "wasm modules, compiled", "LuaJIT, and Lua that it compiled"
NGINX, WASM_HOST, LIBRARY = "nginx", "Kong's wasm module and Wasmtime", "the native plugin's library"
ENVOY, OTHER = "Envoy, V8 in it", "other"

BY_FILE = [
    (r"^\[(kernel|guest)", KERNEL),
    (r"^(libc|libm|ld-linux)[-.]|^\[vdso\]$|^linux-vdso", LIBC),
    (r"^envoy", ENVOY),
    (r"^nginx", NGINX),
    (r"^(ngx_wasmx?_module|libwasmtime|libngx_wasm)", WASM_HOST),
    (r"^libluajit", LUA),
    (r"^libdatabricks_kong", LIBRARY),
]
SAMPLE = re.compile(r"^\s*([0-9a-f]+)\s+\((.+)\)$")


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


def owner(address: int, file: str, wasmtime: list[range], has_lua: bool) -> str:
    """Whose code is at an address that perf says is of this file."""
    name = file.rsplit("/", 1)[-1]
    for pattern, known in BY_FILE:
        if re.search(pattern, name):
            return known
    # what has no file was compiled by the process itself; `perf` has several names for it
    if not re.match(r"\[|anon|perf-\d|jitted|unknown", name):
        return OTHER
    return LUA if has_lua and not any(address in part for part in wasmtime) else MODULE


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
    wasmtime = of_wasmtime(Path(f"/proc/{threads[0].name}")) if gateway.name == "kong" else []
    counts: collections.Counter[str] = collections.Counter()
    for line in said.splitlines():
        if found := SAMPLE.match(line):
            counts[owner(int(found[1], 16), found[2], wasmtime, gateway.name == "kong")] += 1
    return {"processor_us": spent, "samples": dict(counts.most_common())}


def measure(gateway: Gateway, ways: list[Contestant], rounds: int, seconds: int, run_dir: Path) -> dict[str, Any]:
    """Of each way in turns, the rounds' samples."""
    found: dict[str, list[dict[str, Any]]] = {one.name: [] for one in ways}
    for _ in range(rounds):
        for one in ways:
            found[one.name].append(sampled(one, gateway, seconds, run_dir))
    return {"samples_a_second": SAMPLES_A_SECOND, "rounds": found}


def by_owner(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Microseconds of a request by owner: the rounds' mean."""
    total: collections.Counter[str] = collections.Counter()
    for one in rounds:
        count = sum(one["samples"].values())
        for name, samples in one["samples"].items():
            total[name] += samples / count * one["processor_us"] / len(rounds)
    return dict(total.most_common())


def rows(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Per owner and way, what it takes, of the other ways than bare also above bare; the owners with most first."""
    ways = result["owners"]["rounds"]
    figures = {name: by_owner(rounds) for name, rounds in ways.items()}
    bare = figures.pop("bare")
    names = sorted(
        {name for way in figures.values() for name in way},
        key=lambda name: -max(way.get(name, 0) for way in figures.values()),
    )
    header = ["µs of a request", "`bare`", *(f"`{way}`, above" for way in figures)]
    lines = [
        [name, f"{bare.get(name, 0):.0f}", *(f"{way.get(name, 0) - bare.get(name, 0):.0f}" for way in figures.values())]
        for name in names
    ]
    sums = [f"{sum(bare.values()):.0f}", *(f"{sum(way.values()) - sum(bare.values()):.0f}" for way in figures.values())]
    return header, [*lines, ["all", *sums]]
