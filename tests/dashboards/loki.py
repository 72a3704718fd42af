"""A real Loki that holds given records, by the executable in LOKI_BIN, with the settings of compose/loki.yaml."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from boards import REPO

BIN = os.environ.get("LOKI_BIN", "")
Line = dict[str, Any]


def sample() -> list[tuple[float, Line]]:
    """A few real records of each kind, by the second of the captured run in which they came."""
    path = Path(__file__).resolve().parent / "records/kong-3.9.3.jsonl"
    rows = [json.loads(text) for text in path.read_text().splitlines()]
    return [(row["at"], row["line"]) for row in rows]


class Loki:
    """`lines` are records by the second in which they came; the last of these seconds is put a minute before now."""

    def __init__(self, run_dir: Path, lines: list[tuple[float, Line]]):
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            port, grpc = one.getsockname()[1], two.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        config = run_dir / "loki.yaml"
        text = (REPO / "compose/loki.yaml").read_text().replace("/loki", str(run_dir / "data"))
        config.write_text(text)
        argv = [BIN, f"-config.file={config}", f"-server.http-listen-port={port}", f"-server.grpc-listen-port={grpc}"]
        argv += ["-server.http-listen-address=127.0.0.1", "-server.grpc-listen-address=127.0.0.1"]
        self.log = (run_dir / "loki.log").open("w+")
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=subprocess.STDOUT, cwd=run_dir)
        try:
            self._until_ready()
            self.start = time.time() - 60 - max(at for at, _ in lines)
            self._push(lines)
        except BaseException:
            self.stop()
            self.log.seek(0)
            print(self.log.read()[-4000:])
            raise

    def _until_ready(self) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/ready", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError("Loki did not start")

    def _push(self, lines: list[tuple[float, Line]]) -> None:
        # Loki takes some megabytes a second
        for first in range(0, len(lines), 1000):
            streams: dict[str, list[list[str]]] = {}
            for at, line in lines[first : first + 1000]:
                text = json.dumps(line, separators=(",", ":"))
                streams.setdefault(line["decision"], []).append([str(int((self.start + at) * 1e9)), text])
            body = {
                "streams": [
                    {"stream": {"job": "databricks-kong", "decision": decision}, "values": values}
                    for decision, values in streams.items()
                ]
            }
            while not self._post(json.dumps(body).encode()):
                time.sleep(0.5)

    def _post(self, body: bytes) -> bool:
        request = urllib.request.Request(f"{self.url}/loki/api/v1/push", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30):
                return True
        except urllib.error.HTTPError as error:
            if error.code != 429:
                raise
            return False

    def query(self, expr: str, at: float) -> list[tuple[dict[str, str], float]]:
        found = self._ask("query", query=expr, time=self._time(at))
        return [(row["metric"], float(row["value"][1])) for row in found]

    def range(self, expr: str, start: float, end: float, step: int) -> list[tuple[dict[str, str], dict[int, float]]]:
        found = self._ask("query_range", query=expr, start=self._time(start), end=self._time(end), step=str(step))
        return [
            (row["metric"], {round((float(at) - self.start) / step) * step: float(v) for at, v in row["values"]})
            for row in found
        ]

    def lines(self, expr: str, start: float, end: float, limit: int = 1000) -> list[tuple[float, str]]:
        found = self._ask("query_range", query=expr, start=self._time(start), end=self._time(end), limit=str(limit))
        rows = [(int(at) / 1e9 - self.start, line) for stream in found for at, line in stream["values"]]
        return sorted(rows, reverse=True)

    def _time(self, at: float) -> str:
        return str(int((self.start + at) * 1e9))

    def _ask(self, path: str, **form: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode(form)
        try:
            with urllib.request.urlopen(f"{self.url}/loki/api/v1/{path}?{query}", timeout=30) as reply:
                return json.load(reply)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{form['query']}: {error.read().decode()}") from None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
