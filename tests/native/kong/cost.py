#!/usr/bin/env python3
"""What a request costs a worker of a real Kong: bare, with key-auth, with an empty Lua handler, with the filter, and with the native plugin.

    KONG_BIN=/usr/local/bin/kong tests/native/kong/cost [rounds]

One process of Kong with all five routes, one worker, the audit log off. Rounds are interleaved: each asks each route the same number of times over
kept-alive connections and reads the worker's processor time before and after. Prints the median of the rounds, and what is above bare.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import configs
import kong_gateway
from gateway import build_mock
from native_gateway import NativeKongGateway
from stack import Idp, Workspace, wait_until

TARGET = "/api/2.1/clusters/list"
REQUESTS, CONNECTIONS = 2000, 8


class Contest(NativeKongGateway):
    def host_settings(self) -> dict[str, str]:
        filter_settings = kong_gateway.KongGateway.host_settings(self)
        return {**super().host_settings(), **filter_settings, "UNTRUSTED_LUA": "on", "LOG_LEVEL": "error"}

    def declared(self) -> dict[str, Any]:
        main = {**self.named["main"].make(self.parts, "main"), "audit": {"log": False}}
        routes = {
            "bare": {},
            "empty": {"plugins": [{"name": "pre-function", "config": {"access": ["return"]}}]},
            "key-auth": {"plugins": [{"name": "key-auth"}]},
            "filter": {"filter_chains": [{"filters": [{"name": "databricks_kong", "config": main}]}]},
            "plugin": {"plugins": [{"name": "databricks-kong", "config": main}, {"name": "databricks-kong-late"}]},
        }
        services = [self.service(name, self.parts.workspace.url, None) for name in routes]
        for service, more in zip(services, routes.values(), strict=True):
            service["routes"][0] |= more
        consumer = {"username": "bench", "keyauth_credentials": [{"key": "bench-key"}]}
        return {"_format_version": "3.0", "services": services, "consumers": [consumer]}


def worker(gateway: Contest) -> int:
    master = int((gateway.prefix / "pids/nginx.pid").read_text())
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    named = [pid for pid in children if "worker process" in Path(f"/proc/{pid}/cmdline").read_text()]
    return int(named[0])


def processor_time(pid: int) -> float:
    """Seconds of all its threads; the kernel counts nanoseconds here, hundredths of a second in `stat`."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def ask(port: int, path: str, headers: dict[str, str], count: int, statuses: set[int]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(count):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        statuses.add(answer.status)
    connection.close()


def cost(gateway: Contest, pid: int, route: str, headers: dict[str, str]) -> float:
    """Microseconds of the worker's processor time for one request."""
    statuses: set[int] = set()
    path = gateway.path(route) + TARGET
    arguments = (gateway.port, path, headers, REQUESTS // CONNECTIONS, statuses)
    before = processor_time(pid)
    threads = [threading.Thread(target=ask, args=arguments) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = processor_time(pid) - before
    # without the filter or the plugin, the workspace says so itself
    assert statuses <= {200, 401, 403}, statuses
    assert route not in ("filter", "plugin") or statuses == {200}, (route, statuses)
    return spent / REQUESTS * 1e6


def is_warm(gateway: Contest, route: str, headers: dict[str, str]) -> bool:
    statuses: set[int] = set()
    ask(gateway.port, gateway.path(route) + TARGET, headers, 1, statuses)
    return not statuses & {500, 503}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as path:
        run_dir = Path(path)
        idp = Idp(Path(os.environ["STORIES_DIR"]), run_dir)
        workspace = Workspace.start(build_mock(), idp, run_dir)
        workspace.add_user("bench")
        gateway = Contest(idp, workspace, run_dir, named=[one for one in configs.all_configs() if one.name == "main"])
        try:
            token = idp.login("rs", "bench", {"groups": ["data-engineering"]}, audience="databricks")
            headers = {
                route: {"apikey": "bench-key"} if route == "key-auth" else {"Authorization": f"Bearer {token}"}
                for route in ("bare", "empty", "key-auth", "filter", "plugin")
            }
            for route, sent in headers.items():
                wait_until(f"{route} is warm", lambda route=route, sent=sent: is_warm(gateway, route, sent))
            pid = worker(gateway)
            times: dict[str, list[float]] = {route: [] for route in headers}
            for _ in range(rounds + 1):
                for route, sent in headers.items():
                    times[route].append(cost(gateway, pid, route, sent))
                workspace.forget_requests()
            medians = {route: statistics.median(found[1:]) for route, found in times.items()}
            for route, median in medians.items():
                print(f"{route:10} {median:7.0f} µs  {median - medians['bare']:+7.0f} above bare")
        finally:
            gateway.stop()
            workspace.process.stop()
            idp.process.stop()


if __name__ == "__main__":
    main()
