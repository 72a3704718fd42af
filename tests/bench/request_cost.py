"""What a request costs Envoy: with nothing, with its own JWT filter, with databricks-kong, with and without audit records.

All in one Envoy and one run, in turns, so that the ratios hold whatever else the machine does. The figure is processor time of the
Envoy process for a request, which waiting and clients have no part in. Everything is warm: the token verified before, the Databricks
token in the cache. The route answers by itself (200), behind all filters.
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
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stories"))

import configs
from gateway import EnvoyGateway, build_mock, listener
from stack import Idp, Workspace, free_ports, send

TARGET = "/api/2.2/jobs/list"
THREADS = 4


class Bench(EnvoyGateway):
    """Listeners that answer by themselves, with different filters before."""

    def __init__(self, idp: Idp, workspace: Workspace, run_dir: Path):
        self.keys = send(idp.admin_jwks_url("rs"), "GET", "").text
        self.extra = dict(zip(("nothing", "jwt_authn", "jwt_authn with cache"), free_ports(3), strict=True))
        named = [
            configs.Named("with audit", configs.base),
            configs.Named("without audit", without_audit),
        ]
        super().__init__(idp, workspace, run_dir, named=named)

    def url(self, config: str) -> str:
        return f"http://127.0.0.1:{self.extra[config]}" if config in self.extra else super().url(config)

    def bootstrap(self) -> dict[str, Any]:
        made = super().bootstrap()
        listeners = made["static_resources"]["listeners"]
        filters = {"nothing": [], "jwt_authn": [self.jwt_authn(0)], "jwt_authn with cache": [self.jwt_authn(1000)]}
        listeners += [listener(name, "127.0.0.1", port, filters[name]) for name, port in self.extra.items()]
        for one in listeners:
            manager = one["filter_chains"][0]["filters"][0]["typed_config"]
            manager.pop("access_log", None)
            answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
            manager["route_config"]["virtual_hosts"][0]["routes"] = [answer]
        return made

    def jwt_authn(self, cached: int) -> dict[str, Any]:
        provider: dict[str, Any] = {
            "issuer": self.parts.idp.url("rs"),
            "audiences": ["databricks"],
            "local_jwks": {"inline_string": self.keys},
            "forward": True,
        }
        if cached:
            provider["jwt_cache_config"] = {"jwt_cache_size": cached}
        return {
            "name": "envoy.filters.http.jwt_authn",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                "providers": {"rs": provider},
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "rs"}}],
            },
        }


def without_audit(parts: configs.Parts, name: str) -> configs.Config:
    return {**configs.base(parts, name), "audit": {"log": False}}


def processor_seconds(pid: int) -> float:
    """Of all threads; in nanoseconds in the kernel, where utime and stime have hundredths of a second."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def load(url: str, token: str, requests: int) -> None:
    """Sends that many requests on a few connections that stay open."""
    port = int(url.rpartition(":")[2])
    failed: list[str] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(requests // THREADS):
            connection.request("GET", TARGET, headers={"Authorization": f"Bearer {token}", "User-Agent": "bench"})
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--requests", type=int, default=4000, help="in each turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=7, help="of all kinds, one after the other (default: %(default)s)")
    options = parser.parse_args()
    run_dir = Path(tempfile.mkdtemp(prefix="databricks-kong-bench-"))
    idp = Idp(Path(os.environ["STORIES_DIR"]), run_dir)
    workspace = Workspace.start(build_mock(), idp, run_dir)
    gateway = Bench(idp, workspace, run_dir)
    try:
        workspace.add_user("bench@example.com")
        token = idp.login("rs", "bench@example.com", {"groups": ["data-engineering"]})
        kinds = [*gateway.extra, *gateway.named]
        spent: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(options.turns + 1):
            for kind in kinds:
                before = processor_seconds(gateway.process.child.pid)
                load(gateway.url(kind), token, options.requests)
                seconds = processor_seconds(gateway.process.child.pid) - before
                if turn:  # the first one warms
                    spent[kind].append(seconds / options.requests * 1e6)
            print(f"turn {turn} of {options.turns}", file=sys.stderr)
        median = {kind: statistics.median(values) for kind, values in spent.items()}
        base = median["nothing"]
        native = median["jwt_authn"] - base
        print(f"{'':24}{'µs a request':>14}{'(min - max)':>18}{'above nothing':>16}{'of jwt_authn':>14}")
        for kind in kinds:
            more = median[kind] - base
            spread = f"({min(spent[kind]):.0f} - {max(spent[kind]):.0f})"
            print(f"{kind:24}{median[kind]:14.1f}{spread:>18}{more:16.1f}{more / native:14.2f}")
    finally:
        gateway.stop()
        workspace.process.stop()
        idp.process.stop()
        shutil.rmtree(run_dir)


if __name__ == "__main__":
    main()
