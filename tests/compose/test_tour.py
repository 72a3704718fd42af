"""compose/tour says what is not so. That it finds all well where all is well, only a whole stack can show (tests/compose/run)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from declared import REPO
from stack import free_ports

LEFT_OUT = ["--loki=none", "--prometheus=none", "--grafana=none"]


def tour(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(REPO / "compose/tour"), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env={})


@pytest.fixture
def yes_man() -> Iterator[str]:
    """Says yes to every request. Everybody gets a token, and every query finds nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.headers.get("content-length") == str(2 << 20):  # announced, and never sent
                self.rfile.read(int(self.headers.get("content-length", 0)))
            body = json.dumps({"access_token": "a.b.cccccccccccc", "data": {"result": []}}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_without_a_stack_it_says_what_to_do():
    closed = f"http://127.0.0.1:{free_ports(1)[0]}"
    run = tour(f"--gateway={closed}", f"--keycloak={closed}", *LEFT_OUT)
    assert run.returncode == 2
    assert "run `docker compose up -d --wait` first" in run.stderr and f"gateway at {closed}" in run.stderr


def test_a_gateway_that_lets_everything_through_is_not_as_it_says(yes_man: str):
    run = tour(f"--gateway={yes_man}", f"--keycloak={yes_man}", *LEFT_OUT)
    assert run.returncode == 1, run.stderr
    assert "NOT SO      403 NO_RULE: 200" in run.stdout and "NOT SO      401 TOKEN_MISSING: 200" in run.stdout
    assert "ok          200" in run.stdout
    assert "Skipped: the audit records (no loki)." in run.stdout, "what was left out is said"


def test_records_that_do_not_come_are_not_as_it_says(yes_man: str):
    run = tour(f"--gateway={yes_man}", f"--keycloak={yes_man}", f"--loki={yes_man}", "--patience=1", *LEFT_OUT[1:])
    assert run.returncode == 1, run.stderr
    assert "NOT SO      every request is there: not within 1 s" in run.stdout
    assert "one line, right in decision, reason" in run.stdout and ": 0 lines" in run.stdout


def test_counters_that_do_not_grow_are_not_as_it_says(yes_man: str):
    run = tour(
        f"--gateway={yes_man}", f"--keycloak={yes_man}", f"--prometheus={yes_man}", "--patience=1", *LEFT_OUT[::2]
    )
    assert run.returncode == 1 and "tour: not within 1 s: Prometheus has a new look at Kong" in run.stderr
