"""A real Prometheus that holds given series."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from series import START, Data

DIR = os.environ.get("PROMETHEUS_DIR", "")


class Prometheus:
    """Started on blocks made of `data`; several are of several targets. `config` is its configuration file's text."""

    def __init__(self, run_dir: Path, *data: tuple[Data, dict[str, str]], config: str = "{}"):
        blocks = run_dir / "blocks"
        for number, (one, target) in enumerate(data):
            text = run_dir / f"{number}.openmetrics"
            text.write_text("".join(one.openmetrics(target)))
            argv = [f"{DIR}/promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)]
            subprocess.run(argv, check=True, capture_output=True, text=True)
        path = run_dir / "prometheus.yml"
        path.write_text(config + "\n")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        argv = [f"{DIR}/prometheus", f"--config.file={path}", f"--storage.tsdb.path={blocks}"]
        argv += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y", "--log.level=warn"]
        self.log = (run_dir / "prometheus.log").open("w+")
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=subprocess.STDOUT)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
        self.stop()
        self.log.seek(0)
        raise RuntimeError(f"Prometheus did not start:\n{self.log.read()}")

    def query(self, expr: str, at: int) -> list[tuple[dict[str, str], float]]:
        """The vector at a time, in seconds from the first scrape."""
        found = self._ask("query", query=expr, time=str(START + at))
        return [(row["metric"], float(row["value"][1])) for row in found]

    def range(self, expr: str, start: int, end: int, step: int) -> list[tuple[dict[str, str], dict[int, float]]]:
        found = self._ask("query_range", query=expr, start=str(START + start), end=str(START + end), step=str(step))
        return [(row["metric"], {int(at) - START: float(v) for at, v in row["values"]}) for row in found]

    def rules(self) -> dict[str, str]:
        """The expressions of the alerts that it was configured with."""
        with urllib.request.urlopen(f"{self.url}/api/v1/rules", timeout=30) as reply:
            groups = json.load(reply)["data"]["groups"]
        return {rule["name"]: rule["query"] for group in groups for rule in group["rules"]}

    def now(self, expr: str) -> list[tuple[dict[str, str], float]]:
        return [(row["metric"], float(row["value"][1])) for row in self._ask("query", query=expr)]

    def _ask(self, path: str, **form: str) -> list[dict[str, Any]]:
        body = urllib.parse.urlencode(form).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", body, timeout=30) as reply:
                return json.load(reply)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{form['query']}: {json.load(error)['error']}") from None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
