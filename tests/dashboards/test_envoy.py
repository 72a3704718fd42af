"""With the scrape configuration of docs/metrics.md, Envoy's counters have the names that dashboards and alerts ask for."""

from __future__ import annotations

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from boards import REPO
from series import CAPTURED, HERE, read
from tsdb import DIR, Prometheus

pytestmark = pytest.mark.skipif(not DIR, reason="there is no Prometheus here")
PAGE = (HERE / "metrics/envoy-1.40.txt").read_bytes()


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/stats/prometheus" else 404)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_args: object) -> None:
        pass


def test_envoys_counters_get_the_names_that_kongs_have(tmp_path: Path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (block,) = re.findall(r"```yaml\n(scrape_configs:.*?)```", (REPO / "docs/metrics.md").read_text(), re.DOTALL)
    config = "global: {scrape_interval: 1s}\n" + block.replace("127.0.0.1:9901", f"127.0.0.1:{server.server_port}")
    prometheus = Prometheus(tmp_path, config=config)
    try:
        end = time.monotonic() + 60
        while not (rows := prometheus.now('{job="envoy", __name__!~"up|scrape_.*"}')) and time.monotonic() < end:
            time.sleep(0.1)
        seen = {labels["__name__"]: value for labels, value in rows}
    finally:
        prometheus.stop()
        server.shutdown()
    ours = {name: value for name, value in seen.items() if name.startswith("pw_databricks_kong_")}
    assert set(ours) == {one.name for one in read(CAPTURED).series if one.name.startswith("pw_")}
    assert ours["pw_databricks_kong_requests_allowed"] == 1
    assert all(name.startswith("envoy_") for name in set(seen) - set(ours)), "Envoy's own names stay"
