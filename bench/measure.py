#!/usr/bin/env python3
"""Measures the ways through one gateway, writes what was found as JSON, and prints a table.

Everything runs in one process of the gateway with one worker and in one run, in turns, so that ratios hold whatever else the machine does.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import sys
import tempfile
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import contestants as bench
import load
import machine
import samples
import summary
import table
from gateway import build_mock
from stack import Idp, Workspace

WARMING = 8  # connections


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def warm(one: bench.Contestant) -> None:
    """Sends a request with each token. Its answer has to be 200."""
    url = urlsplit(one.url)
    failed: list[str] = []

    def client(tokens: list[str]) -> None:
        connection = HTTPConnection(url.netloc, timeout=60)
        try:
            for token in tokens:
                headers = one.request.all_headers() | ({"Authorization": f"Bearer {token}"} if token else {})
                connection.request(one.request.method, url.path + one.request.target, one.request.body, headers)
                reply = connection.getresponse()
                body = reply.read()
                if reply.status != 200:
                    failed.append(f"{reply.status} {body[:300]!r}")
                    return
        except OSError as error:
            failed.append(str(error))
        finally:
            connection.close()

    tokens = one.request.tokens or [""]
    threads = [threading.Thread(target=client, args=(tokens[number::WARMING],)) for number in range(WARMING)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"{one.name} refused: {failed[0]}")


def in_turns(gateway: bench.Gateway, ways: list[bench.Contestant], rounds: int, seconds: int, run_dir: Path):
    """Each way's rounds. Each round begins with another way, since the first has the machine that the last round left."""
    # hosts compile what is used much, in threads of their own, whose time would count
    for one in ways:
        load.closed_loop(one, gateway.threads(), 1, run_dir)
    found: dict[str, list[dict[str, float]]] = {one.name: [] for one in ways}
    for number in range(rounds):
        shift = number * 3 % len(ways)
        for one in ways[shift:] + ways[:shift]:
            found[one.name].append(load.closed_loop(one, gateway.threads(), seconds, run_dir).as_json())
        say(f"round {number + 1} of {rounds}")
    return found


def measure_calls(gateway: bench.Gateway, ways: list[bench.Contestant], options: Any, run_dir: Path) -> dict[str, Any]:
    floor = next(one for one in ways if one.name == bench.FLOOR)
    calls = gateway.calls
    callers = [bench.Contestant(call.name, call.what, gateway.url(call.name), floor.request) for call in calls]
    for one in callers:
        warm(one)
    found = in_turns(gateway, [floor, *callers], options.rounds, max(options.seconds // 2, 1), run_dir)
    spent = {name: [one["processor_us"] for one in rounds] for name, rounds in found.items()}
    described = {call.name: {"what": call.what, "count": call.count, "rounds_us": spent[call.name]} for call in calls}
    return {"floor_us": spent[bench.FLOOR], "calls": described}


def measure(gateway: bench.Gateway, workspace: Workspace, options: Any, run_dir: Path) -> dict[str, Any]:
    ways = gateway.contestants()
    say(f"{gateway.name}: {len(ways)} ways, warming")
    for one in ways:
        warm(one)
    workspace.forget_requests()
    found = in_turns(gateway, ways, options.rounds, options.seconds, run_dir)
    result: dict[str, Any] = {
        "gateway": gateway.name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine.machine(),
        "versions": machine.versions(gateway),
        "parameters": {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "connections": load.CONNECTIONS,
            "workers": 1,
            "token_bytes": len(ways[0].request.tokens[0]),
        },
        "contestants": {one.name: {"what": one.what, "rounds": found[one.name]} for one in ways},
        "parts": [vars(part) for part in gateway.costs()],
    }
    say("host calls")
    result["host_calls"] = measure_calls(gateway, ways, options, run_dir)
    paced = [one for one in ways if one.paced]
    rate = int(summary.slowest_rate(result, [one.name for one in paced]) / 2)
    say(f"latency at {rate} requests a second")
    seconds = 2 * options.seconds
    latencies = {one.name: load.open_loop(one, rate, seconds, options.programs) for one in paced}
    result["latency"] = {"rate": rate, "seconds": seconds, "milliseconds": latencies}
    if why := samples.obstacle():
        say(f"whose code the time is spent in is left out: {why}")
    else:
        say("whose code the time is spent in")
        chosen = [one for one in ways if one.name in gateway.sampled]
        result["owners"] = samples.measure(gateway, chosen, options.rounds, seconds, run_dir)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("gateway", choices=("envoy", "kong"))
    parser.add_argument("out", type=Path, help="the file that what was found is written to")
    parser.add_argument("--rounds", type=int, default=5, help="of all, one after the other (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=2, help="of each way in each round (default: %(default)s)")
    options = parser.parse_args()
    options.programs = Path(os.environ["BENCH_PEERS"])
    run_dir = Path(tempfile.mkdtemp(prefix="databricks-kong-bench-"))
    idp = Idp(Path(os.environ["STORIES_DIR"]), run_dir)
    workspace = Workspace.start(build_mock(), idp, run_dir)
    if options.gateway == "kong":
        from in_kong import KongUnderBench as Chosen
    else:
        from in_envoy import EnvoyUnderBench as Chosen
    try:
        gateway = Chosen(idp, workspace, run_dir, options.programs)
        try:
            result = measure(gateway, workspace, options, run_dir)
        finally:
            gateway.stop()
    finally:
        workspace.process.stop()
        idp.process.stop()
        shutil.rmtree(run_dir, ignore_errors=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(table.of(result))
    if "owners" in result:
        print(f"\n{table.aligned(*table.owners(result))}")


if __name__ == "__main__":
    main()
