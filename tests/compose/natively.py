"""Runs the mounted files of docker-compose.yml as they are. The containers' names lead to one loopback address."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from forge import Forger, b64, new_rsa
from gateway import FILTER, build_mock
from stack import REPO, Process, free_ports, send, wait_until

ISSUER = "http://keycloak:8080/realms/databricks"
CERTS = "/realms/databricks/protocol/openid-connect/certs"


class Signer(Forger):
    """In the place of Keycloak: tokens with the claims that the mappers of compose/realm.json add."""

    def __init__(self) -> None:
        self.key = new_rsa()
        self.issuer_url = ISSUER
        self.jwk = {"alg": "RS256", "kid": "one"}

    def jwks(self) -> dict:
        numbers = self.key.public_key().public_numbers()
        n, e = (b64(value.to_bytes((value.bit_length() + 7) // 8, "big")) for value in (numbers.n, numbers.e))
        return {"keys": [{"kty": "RSA", "use": "sig", **self.jwk, "n": n, "e": e}]}

    def login(self, name: str, group: str, client: str = "databricks-cli") -> str:
        return self.token("a-uuid", preferred_username=name, groups=[group], azp=client, client_id=client)


def serve(host: str, signer: Signer) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {
                CERTS: signer.jwks(),
                "/realms/databricks/.well-known/openid-configuration": {
                    "issuer": ISSUER,
                    "jwks_uri": f"http://keycloak:8080{CERTS}",
                },
            }
            body = json.dumps(known.get(self.path, {})).encode()
            self.send_response(200 if self.path in known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 8080), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> int:
    run = Path(tempfile.mkdtemp(prefix="databricks-kong-compose-"))
    host = f"127.91.{random.randrange(256)}.{random.randrange(1, 255)}"
    signer = Signer()
    idp = serve(host, signer)
    state = json.loads((REPO / "compose/workspace.json").read_text())
    state["issuers"][ISSUER]["jwks_url"] = f"http://{host}:8080{CERTS}"  # the mock has no hosts file of its own
    (run / "state.json").write_text(json.dumps(state))
    mock = [str(build_mock()), "--state", str(run / "state.json"), "--listen", f"{host}:8000", "--exit-with-stdin"]
    workspace = Process("workspace", mock, run)
    workspace.first_json_line()
    (run / "filters").mkdir()
    shutil.copy(FILTER, run / "filters/databricks_kong.wasm")
    shutil.copy(REPO / "filters/databricks_kong.meta.json", run / "filters")
    (run / "hosts").write_text(f"{host} workspace keycloak\n")
    port, status_port = free_ports(2)
    settings = {
        "DATABASE": "off",
        "DECLARATIVE_CONFIG": str(REPO / "compose/kong.yml"),
        "PREFIX": str(run / "kong"),
        "WASM": "on",
        "WASM_FILTERS_PATH": str(run / "filters"),
        "DNS_HOSTSFILE": str(run / "hosts"),
        "NGINX_USER": "root root",
        "NGINX_WORKER_PROCESSES": "1",
        "PROXY_LISTEN": f"127.0.0.1:{port}",
        "STATUS_LISTEN": f"127.0.0.1:{status_port}",
        "ADMIN_LISTEN": "off",
        "ADMIN_GUI_LISTEN": "off",
        "NGINX_HTTP_CLIENT_BODY_BUFFER_SIZE": "128k",
    }
    env = {**os.environ, **{f"KONG_{name}": value for name, value in settings.items()}}
    kong, url = os.environ["KONG_BIN"], f"http://127.0.0.1:{port}"
    subprocess.run([kong, "start"], env=env, check=True, capture_output=True, timeout=120)
    failed = []

    def claim(title: str, token: str | None, job: str, status: int, reason: str | None) -> None:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        reply = send(url, "POST", "/api/2.2/jobs/run-now", headers, json.dumps({"job_id": int(job)}))
        body = reply.json()
        why = body["details"][0]["reason"] if "details" in body else None
        good = (reply.status, why) == (status, reason)
        print(f"{'ok' if good else 'NOT SO':8}{title}: {reply.status} {why or body}")
        failed.extend([] if good else [title])

    try:
        wait_until("Kong is ready", lambda: ready(status_port), timeout=60)
        alice = signer.login("alice@example.com", "job-runners")
        claim("Alice runs job 101", alice, "101", 200, None)
        claim("Alice runs job 303", alice, "303", 403, "NO_RULE")
        claim("Bob has no role", signer.login("bob@example.com", "analysts"), "101", 403, "NO_ROLE")
        claim(
            "the copilot for Alice",
            signer.login("alice@example.com", "job-runners", "copilot"),
            "101",
            403,
            "AGENT_LIMIT",
        )
        claim("nobody", None, "101", 401, "TOKEN_MISSING")
        page = send(f"http://127.0.0.1:{status_port}", "GET", "/metrics").text
        counted = 'kong_http_requests_total{service="databricks"' in page
        print(f"{'ok' if counted else 'NOT SO':8}Kong counts them on the page that compose/prometheus.yml scrapes")
        failed.extend([] if counted else ["metrics"])
    finally:
        subprocess.run([kong, "stop", "-p", str(run / "kong")], env=env, capture_output=True, check=False)
        workspace.stop()
        idp.shutdown()
    if failed:
        print(f"logs: {run}", file=sys.stderr)
    else:
        shutil.rmtree(run)
    return len(failed)


def ready(port: int) -> bool:
    try:
        return send(f"http://127.0.0.1:{port}", "GET", "/status/ready").status == 200
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
