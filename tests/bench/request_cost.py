"""What a request costs a gateway: with nothing, with the gateway's own JWT filter, with databricks-kong, with and without audit records.

All in one process and one run, in turns, so that the ratios hold whatever else the machine does. The figure is processor time of the
gateway's processes for a request, which waiting, clients and the workspace have no part in. Everything is warm: the token verified
before, the Databricks token in the cache.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import statistics
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import build_mock
from stack import Idp, Workspace

if TYPE_CHECKING:
    from contestants import Contestants

TARGET = "/api/2.2/jobs/list"
THREADS = 4


def processor_seconds(pids: list[int]) -> float:
    """Of all threads; in nanoseconds in the kernel, where utime and stime have hundredths of a second."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def load(url: str, token: str, requests: int) -> None:
    """Sends that many requests on a few connections that stay open."""
    host, _, prefix = url.removeprefix("http://").partition("/")
    target = f"/{prefix}{TARGET}" if prefix else TARGET
    failed: list[str] = []

    def client() -> None:
        connection = http.client.HTTPConnection(host, timeout=30)
        for _ in range(requests // THREADS):
            connection.request("GET", target, headers={"Authorization": f"Bearer {token}", "User-Agent": "bench"})
            reply = connection.getresponse()
            body = reply.read()
            if reply.status != 200:
                failed.append(f"{reply.status} {body[:300]!r}")
                return
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"{url} refused: {failed[0]}")


def measure(gateway: Contestants, token: str, requests: int, turns: int) -> dict[str, list[float]]:
    """Microseconds of a request, by contestant, one of each turn."""
    spent: dict[str, list[float]] = {name: [] for name in gateway.contestants()}
    for turn in range(turns + 1):
        for name in spent:
            before = processor_seconds(gateway.processes())
            load(gateway.url(name), token, requests)
            seconds = processor_seconds(gateway.processes()) - before
            if turn:  # the first one warms
                spent[name].append(seconds / requests * 1e6)
        print(f"turn {turn} of {turns}", file=sys.stderr)
    return spent


def show(spent: dict[str, list[float]], native: str) -> None:
    median = {name: statistics.median(values) for name, values in spent.items()}
    base = median["nothing"]
    own = median[native] - base
    print(f"{'':28}{'µs a request':>14}{'(min - max)':>18}{'above nothing':>16}{f'of {native}':>16}")
    for name, values in spent.items():
        more = median[name] - base
        spread = f"({min(values):.0f} - {max(values):.0f})"
        print(f"{name:28}{median[name]:14.1f}{spread:>18}{more:16.1f}{more / own:16.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--requests", type=int, default=4000, help="in each turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=7, help="of all, one after the other (default: %(default)s)")
    options = parser.parse_args()
    run_dir = Path(tempfile.mkdtemp(prefix="databricks-kong-bench-"))
    idp = Idp(Path(os.environ["STORIES_DIR"]), run_dir)
    workspace = Workspace.start(build_mock(), idp, run_dir)
    if os.environ.get("KONG_BIN"):
        from in_kong import KongContestants as Chosen
    else:
        from in_envoy import EnvoyContestants as Chosen
    gateway = Chosen(idp, workspace, run_dir)
    try:
        workspace.add_user("bench@example.com")
        token = idp.login("rs", "bench@example.com", {"groups": ["data-engineering"]})
        show(measure(gateway, token, options.requests, options.turns), gateway.native)
    finally:
        gateway.stop()
        workspace.process.stop()
        idp.process.stop()
        shutil.rmtree(run_dir)


if __name__ == "__main__":
    main()
