"""A Loki of the tests' own, with the sample in it, laid out as the shipper does."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from warehouse import NOW, shipped

# one process that listens on loopback alone, keeps all in one directory and reports to nobody
CONFIG = """
auth_enabled: false
analytics: {{reporting_enabled: false}}
server:
  http_listen_address: 127.0.0.1
  http_listen_port: {http}
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: {grpc}
  log_level: warn
common:
  instance_addr: 127.0.0.1
  path_prefix: {directory}
  replication_factor: 1
  ring: {{kvstore: {{store: inmemory}}}}
  storage: {{filesystem: {{chunks_directory: {directory}/chunks, rules_directory: {directory}/rules}}}}
schema_config:
  configs:
  - {{from: 2020-10-24, store: tsdb, object_store: filesystem, schema: v13, index: {{prefix: index_, period: 24h}}}}
# the sample's day is not today: it may lie ahead or behind
limits_config: {{reject_old_samples: false, creation_grace_period: 99999h, discover_log_levels: false}}
querier: {{query_ingesters_within: 0}}
# and is longer than a chunk may be: none is flushed while the tests run, or it could not be found for minutes
ingester: {{flush_check_period: 24h, max_chunk_age: 9999h, chunk_idle_period: 9999h}}
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Loki:
    def __init__(self, url: str):
        self.url = url

    def is_ready(self) -> bool:
        with suppress(URLError, ConnectionError):
            return urlopen(f"{self.url}/ready", timeout=5).status == 200
        return False

    def push(self, records: list[dict[str, Any]]) -> None:
        streams: dict[str, list[list[str]]] = {}
        for record in records:
            # a line without a record has the time of Kong's log entry
            time = nanoseconds(record.get("time", "2027-02-25T12:59:00Z"))
            streams.setdefault(record["decision"], []).append([str(time), json.dumps(record)])
        body = {
            "streams": [
                {"stream": {"job": "databricks-kong", "decision": decision}, "values": values}
                for decision, values in streams.items()
            ]
        }
        headers = {"Content-Type": "application/json"}
        urlopen(Request(f"{self.url}/loki/api/v1/push", json.dumps(body).encode(), headers), timeout=10)

    def streams(self, query: str) -> list[dict[str, Any]]:
        """What a query of lines finds in the sample's last month, by labels."""
        end = datetime.fromisoformat(NOW).replace(tzinfo=UTC)
        period = {"start": int((end - timedelta(days=29)).timestamp()), "end": int(end.timestamp()), "limit": 1000}
        found = self.ask("query_range", query=query, **period)
        for stream in found:
            assert "__error__" not in stream["stream"], stream
        return found

    def lines(self, query: str) -> list[dict[str, Any]]:
        """The records of a query of lines."""
        return [json.loads(line) for stream in self.streams(query) for _, line in stream["values"]]

    def numbers(self, query: str, at: str = NOW) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series of a metric query."""
        now = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp())
        return [(one["metric"], float(one["value"][1])) for one in self.ask("query", query=query, time=now)]

    def ask(self, what: str, **parameters: Any) -> list[dict[str, Any]]:
        with urlopen(f"{self.url}/loki/api/v1/{what}?{urlencode(parameters)}", timeout=30) as reply:
            return json.load(reply)["data"]["result"]


def nanoseconds(time: str) -> int:
    moment = datetime.fromisoformat(time)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


@contextmanager
def loki(binary: str, directory: Path):
    """Starts it, fills it, and stops it."""
    http = free_port()
    file = directory / "loki.yaml"
    file.write_text(CONFIG.format(http=http, grpc=free_port(), directory=directory))
    with (directory / "log").open("w") as log:
        process = subprocess.Popen([binary, f"-config.file={file}"], stdout=log, stderr=log, cwd=directory)
        try:
            one, deadline = Loki(f"http://127.0.0.1:{http}"), time.monotonic() + 120
            while not one.is_ready():
                assert process.poll() is None and time.monotonic() < deadline, (directory / "log").read_text()[-2000:]
                time.sleep(0.2)
            one.push(shipped())
            yield one
        finally:
            process.terminate()
            process.wait(timeout=60)
