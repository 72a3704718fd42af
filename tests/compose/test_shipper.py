"""compose/fluent-bit.yaml in a real Fluent Bit: what Kong's http-log sends it, and what Loki gets."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from declared import REPO
from stack import Process, free_ports, wait_until

if not (FLUENT_BIT := os.environ.get("FLUENT_BIT_BIN", "")):
    pytest.skip("set FLUENT_BIT_BIN to a fluent-bit 5.1 executable", allow_module_level=True)

SHIPPED = (REPO / "compose/fluent-bit.yaml").read_text()
# What a real Kong 3.9.3 with compose/kong.yml sent, without most headers and most of what it says of route and service.
ENTRIES = json.loads((Path(__file__).parent / "kong_entries.json").read_text())


def with_sinks(text: str) -> str:
    """The configuration with the outputs that are commented out."""
    return re.sub(r"^  # (- name: |  \w)", r"  \1", text, flags=re.MULTILINE)


@pytest.mark.parametrize("sinks", ["as it is", "with every sink that is commented out"])
def test_fluent_bit_takes_its_configuration(tmp_path: Path, sinks: str):
    path = tmp_path / "fluent-bit.yaml"
    path.write_text(SHIPPED if sinks == "as it is" else with_sinks(SHIPPED))
    assert path.read_text().count("\n  - name: datadog") == path.read_text().count("\n  - name: cloudwatch_logs")
    environment = {**os.environ, "DATADOG_API_KEY": "0" * 32}
    argv = [FLUENT_BIT, "--dry-run", "-c", str(path)]
    run = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "configuration test is successful" in run.stdout + run.stderr


def test_a_mistake_in_it_would_be_found(tmp_path: Path):
    path = tmp_path / "fluent-bit.yaml"
    path.write_text(with_sinks(SHIPPED).replace("dd_source:", "dd_sauce:"))
    run = subprocess.run([FLUENT_BIT, "--dry-run", "-c", str(path)], capture_output=True, text=True, check=False)
    assert run.returncode != 0 and "dd_sauce" in run.stdout + run.stderr


class Loki:
    """Takes what is pushed, or refuses it for a time."""

    def __init__(self, port: int):
        self.streams: list[dict[str, Any]] = []
        self.refused = 0
        self.refuses = False
        loki = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/loki/api/v1/push"
                if loki.refuses:
                    loki.refused += 1
                else:
                    loki.streams += json.loads(body)["streams"]
                self.send_response(503 if loki.refuses else 204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def lines(self) -> list[tuple[dict[str, str], int, dict[str, Any]]]:
        """(labels, time in nanoseconds, line)"""
        return [
            (stream["stream"], int(time), json.loads(text))
            for stream in self.streams
            for time, text in stream["values"]
        ]


class Shipper:
    def __init__(self, program: str, run: Path):
        self.port, loki_port, http_port = free_ports(3)
        self.loki = Loki(loki_port)
        text = SHIPPED.replace("/fluent-bit/buffer", str(run / "buffer")).replace("0.0.0.0", "127.0.0.1")
        for ours, here in {"9880": self.port, "2020": http_port, "port: 3100": f"port: {loki_port}"}.items():
            assert ours in text
            text = text.replace(ours, str(here))
        # a second try at once, not in ten seconds
        text = text.replace("host: loki", "host: 127.0.0.1").replace(
            "  flush: 1", "  flush: 1\n  scheduler.base: 1\n  scheduler.cap: 1"
        )
        (run / "fluent-bit.yaml").write_text(text)
        self.process = Process("fluent-bit", [program, "-c", str(run / "fluent-bit.yaml")], run)
        wait_until("Fluent Bit listens", lambda: self.post([]) is not None)

    def post(self, entries: Any) -> int | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/kong", json.dumps(entries), {"Content-Type": "application/json"})
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def lines_of(self, entries: Any, count: int) -> list[tuple[dict[str, str], int, dict[str, Any]]]:
        before = len(self.loki.lines())
        assert self.post(entries) in (200, 201), self.process.tail()
        wait_until("the lines are in Loki", lambda: len(self.loki.lines()) >= before + count)
        return self.loki.lines()[before:]

    def stop(self) -> None:
        self.process.stop()
        self.loki.http.shutdown()
        self.loki.http.server_close()


@pytest.fixture(scope="module")
def shipper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipper]:
    made = Shipper(FLUENT_BIT, tmp_path_factory.mktemp("shipper"))
    yield made
    made.stop()


def test_a_line_is_the_audit_record_as_it_was_with_what_kong_saw_beside_it(shipper: Shipper):
    entry = ENTRIES["allowed"]
    ((labels, time, line),) = shipper.lines_of([entry], 1)
    assert labels == {"job": "databricks-kong", "decision": "allow"}
    kong = line.pop("kong")
    assert line == json.loads(entry["databricks_audit"])
    assert kong == {
        "status": 200,
        "latency_ms": entry["latencies"]["request"],
        "proxy_ms": entry["latencies"]["proxy"],
        "upstream_status": 200,
        "route": "databricks",
        "service": "databricks",
        "client_ip": entry["client_ip"],
    }
    assert round(time / 1e6) == entry["started_at"], "the time of the request"


def test_a_refusal_says_that_nothing_was_sent_on(shipper: Shipper):
    ((labels, _, line),) = shipper.lines_of([ENTRIES["denied"]], 1)
    assert labels == {"job": "databricks-kong", "decision": "deny"}
    assert line["reason"] == "NO_RULE" and line["kong"]["status"] == 403
    assert not {"upstream_status", "proxy_ms"} & set(line["kong"])


def test_what_kong_refused_by_itself_is_a_line_too(shipper: Shipper):
    ((labels, _, line),) = shipper.lines_of(ENTRIES["refused_by_kong"], 1)
    assert labels == {"job": "databricks-kong", "decision": "none"}
    assert set(line) == {"kong", "decision"} and line["kong"]["status"] == 413


def test_so_is_a_document_that_everybody_may_read(shipper: Shipper):
    ((labels, _, line),) = shipper.lines_of(ENTRIES["document"], 1)
    assert labels["decision"] == "none" and line["kong"]["status"] == 200 and "upstream_status" not in line["kong"]


def test_a_batch_is_taken_apart(shipper: Shipper):
    lines = shipper.lines_of(list(ENTRIES.values()), len(ENTRIES))
    assert sorted(labels["decision"] for labels, _, _ in lines) == ["allow", "deny", "none", "none"]


def test_a_record_that_is_no_json_is_shipped_all_the_same(shipper: Shipper):
    ((labels, _, line),) = shipper.lines_of([ENTRIES["allowed"] | {"databricks_audit": '{"v":1,'}], 1)
    assert labels["decision"] == "none" and line["databricks_audit"] == '{"v":1,' and line["kong"]["status"] == 200


def test_nothing_but_what_is_named_goes_on(shipper: Shipper):
    secret = "a-secret-in-a-header"
    entry = ENTRIES["allowed"] | {
        "request": {"headers": {"x-anything": secret}, "querystring": {"q": secret}},
        "more": secret,
    }
    lines = shipper.lines_of([entry], 1)
    assert secret not in json.dumps(lines)


def test_records_wait_while_loki_takes_none(shipper: Shipper):
    shipper.loki.refuses = True
    before = len(shipper.loki.lines())
    assert shipper.post([ENTRIES["denied"]]) in (200, 201)
    wait_until("Loki has refused", lambda: shipper.loki.refused >= 2)
    assert len(shipper.loki.lines()) == before
    shipper.loki.refuses = False
    wait_until("they came all the same", lambda: len(shipper.loki.lines()) == before + 1)
