"""envoy/envoy.yaml as it is shipped, in a real Envoy: only addresses, ports and certificates are this machine's."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from authority import Authority
from gateway import FILTER, build_mock, envoy_path
from internet import Door
from shipped import OKTA, Server, okta, port_of
from stack import REPO, Process, Response, Workspace, free_ports, send, wait_until
from test_blocks import databricks_kong

GATEWAY, WORKSPACE, PROVIDER = (
    "databricks.gw.example.com",
    "adb-7405619408829168.8.azuredatabricks.net",
    "example.okta.com",
)
SHIPPED = REPO / "envoy/envoy.yaml"


class Envoy:
    """The shipped file in a real Envoy, with a provider and a mock workspace behind TLS."""

    def __init__(self, run_dir: Path, stranger: str | None = None):
        self.stops: list[Any] = []
        self.authority = Authority("internet", run_dir)
        self.forger, keys = okta()
        metadata = {"issuer": OKTA, "jwks_uri": f"{OKTA}/v1/keys"}
        path = "/oauth2/default"
        answers = {f"{path}/.well-known/openid-configuration": metadata, f"{path}/v1/keys": keys}
        provider = self._kept(Server(("127.0.0.1", 0), answers))
        self.workspace = self._workspace(run_dir, f"http://127.0.0.1:{provider.port}{path}/v1/keys")
        doors = {}
        for name, port in {WORKSPACE: port_of(self.workspace.url), PROVIDER: provider.port}.items():
            authority = Authority("stranger", run_dir) if name == stranger else self.authority
            certificate = authority.issue(f"door-{name}", name)
            doors[name] = self._kept(Door("127.0.0.1", certificate, port, listen=0)).listens_at
        self.port, self.admin_port = free_ports(2)
        certificate, key = self.authority.issue("gateway", GATEWAY)
        config = yaml.safe_load(SHIPPED.read_text())
        here = {
            "/etc/envoy/tls/gateway.crt": str(certificate),
            "/etc/envoy/tls/gateway.key": str(key),
            "/etc/envoy/filters/databricks_kong.wasm": str(FILTER),
            "/etc/ssl/certs/ca-certificates.crt": str(self.authority.path),
        }
        addresses = {
            ("127.0.0.1", 9901): ("127.0.0.1", self.admin_port),
            ("0.0.0.0", 8443): ("127.0.0.1", self.port),
            (WORKSPACE, 443): ("127.0.0.1", doors[WORKSPACE]),
            (PROVIDER, 443): ("127.0.0.1", doors[PROVIDER]),
        }
        path = run_dir / "envoy.json"
        path.write_text(json.dumps(moved(config, here, addresses)))
        assert not addresses, f"the shipped file does not have {addresses}"
        # the command of docs/install-envoy.md, and what keeps two Envoys of one machine apart
        argv = [envoy_path(), "-c", str(path), "--component-log-level", "wasm:info", "--disable-hot-restart"]
        self.process = self._kept(Process("envoy", [*argv, "--concurrency", "1"], run_dir))
        wait_until("Envoy is live", self._live, timeout=60)

    def ask(self, method: str, target: str, token: str | None = None, body: str | None = None) -> Response:
        context = ssl.create_default_context(cafile=str(self.authority.path))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        context.check_hostname = False
        headers = {"Host": GATEWAY, **({"Authorization": f"Bearer {token}"} if token else {})}
        if body:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, target, body, headers)
            reply = connection.getresponse()
            return Response(reply.status, reply.getheaders(), reply.read())
        finally:
            connection.close()

    def token(self, who: str, *groups: str) -> str:
        return self.forger.token(f"{who}@example.com", groups=list(groups))

    def stop(self) -> None:
        for stop in reversed(self.stops):
            stop()

    def _kept(self, thing: Any) -> Any:
        self.stops.append(thing.stop)
        return thing

    def _workspace(self, run_dir: Path, keys: str) -> Workspace:
        state = {
            "workspace_id": "7405619408829168",
            "account_id": "6f4a1c7e-3c52-4b7a-9d42-5d0c6c1e2f10",
            "host": WORKSPACE,
            "issuers": {OKTA: {"jwks_url": keys}},
            "account_policies": [{"issuer": OKTA, "audiences": ["databricks"], "subject_claim": "sub"}],
            "users": {"alice@example.com": {}},
        }
        path = run_dir / "workspace.json"
        path.write_text(json.dumps(state))
        process = self._kept(
            Process("workspace", [str(build_mock()), "--state", str(path), "--exit-with-stdin"], run_dir)
        )
        ready = process.first_json_line()
        return Workspace(ready["url"], ready["admin_url"], process, state)

    def _live(self) -> bool:
        assert self.process.alive(), self.process.tail()
        try:
            return send(f"http://127.0.0.1:{self.admin_port}", "GET", "/ready").text.strip() == "LIVE"
        except OSError:
            return False


def moved(value: Any, files: dict[str, str], addresses: dict[tuple[str, int], tuple[str, int]]) -> Any:
    """The configuration with the files and addresses of this machine. A file of the server's that is not known here is an error."""
    if isinstance(value, dict):
        if set(value) == {"address", "port_value"}:
            address, port = addresses.pop((value["address"], value["port_value"]))
            return {"address": address, "port_value": port}
        return {key: moved(one, files, addresses) for key, one in value.items()}
    if isinstance(value, list):
        return [moved(one, files, addresses) for one in value]
    if isinstance(value, str) and value.startswith("/etc/"):
        return files[value]
    return value


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    one = Envoy(tmp_path_factory.mktemp("envoy"))
    yield one
    one.stop()


def reason(reply: Response) -> str:
    return reply.json()["details"][0]["reason"]


def test_the_configuration_in_the_shipped_file_is_one_that_check_takes(tmp_path: Path):
    texts = [value for value in strings(yaml.safe_load(SHIPPED.read_text())) if value.lstrip().startswith("{")]
    assert len(texts) == 1
    (tmp_path / "config.json").write_text(texts[0])
    ran = databricks_kong("check", "--strict", str(tmp_path / "config.json"))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def strings(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for one in (value.values() if isinstance(value, dict) else value) for text in strings(one)]
    return [value] if isinstance(value, str) else []


def test_an_allowed_request_reaches_databricks_with_databricks_token(envoy: Envoy):
    reply = envoy.ask("POST", "/api/2.2/jobs/run-now", envoy.token("alice", "job-runners"), '{"job_id": 101}')
    assert reply.status == 200, reply
    (request,) = [one for one in envoy.workspace.seen() if not one.is_exchange]
    assert (request.who, request.header("host")) == ("alice@example.com", WORKSPACE)


def test_a_request_that_no_rule_allows_is_refused_and_nothing_reaches_databricks(envoy: Envoy):
    envoy.workspace.forget_requests()
    reply = envoy.ask("POST", "/api/2.2/jobs/run-now", envoy.token("alice", "job-runners"), '{"job_id": 303}')
    assert (reply.status, reason(reply)) == (403, "NO_RULE"), reply
    assert envoy.workspace.seen() == []


def test_a_request_without_a_token_is_refused_as_the_document_says(envoy: Envoy):
    reply = envoy.ask("GET", "/api/2.2/jobs/list")
    assert (reply.status, reason(reply)) == (401, "TOKEN_MISSING"), reply
    assert "`TOKEN_MISSING` comes from the filter" in (REPO / "docs/install-envoy.md").read_text()


def test_each_request_has_a_record_in_the_log_and_a_counter(envoy: Envoy):
    request = envoy.ask("GET", "/api/2.2/jobs/list").header("x-request-id")

    def records() -> list[dict[str, Any]]:
        lines = envoy.process.err.read_text(errors="replace").splitlines()
        found = [json.loads(line.partition("databricks_kong.audit ")[2]) for line in lines if "_kong.audit " in line]
        return [one for one in found if one["request_id"] == request]

    (record,) = wait_until("the record is written", records)
    assert record["reason"] == "TOKEN_MISSING"
    page = send(f"http://127.0.0.1:{envoy.admin_port}", "GET", "/stats?filter=wasmcustom").text
    assert "wasmcustom.denied_token_missing: " in page


def test_the_doctor_follows_a_token_through_the_shipped_file(envoy: Envoy, tmp_path: Path):
    (tmp_path / "token").write_text(envoy.token("alice", "job-runners"))

    def steps(*more: str) -> dict[str, tuple[str, str]]:
        where = ["--connect-to", f"127.0.0.1:{envoy.port}", "--ca-file", str(envoy.authority.path), "--format", "json"]
        ran = databricks_kong("doctor", f"https://{GATEWAY}", *where, *more)
        return {one["step"]: (one["state"], f"{one['says']} {one['do']}") for one in json.loads(ran.stdout)}

    page = f"http://127.0.0.1:{envoy.admin_port}/stats/prometheus"
    found = steps("--token-file", str(tmp_path / "token"), "--metrics", page)
    good = ["reachable", "clock", "filter", "no token", "token", "verified", "request", "metrics", "keys"]
    assert {name: state for name, (state, _) in found.items()} == dict.fromkeys(good, "good") | {"guard": "odd"}, found
    (tmp_path / "token").write_text(envoy.token("alice", "nobodys"))
    assert steps("--token-file", str(tmp_path / "token"))["request"][1].startswith("the filter answers 403 NO_ROLE")
    (tmp_path / "token").write_text(okta()[0].token("mallory@example.com", groups=[]))
    forged = steps("--token-file", str(tmp_path / "token"))
    assert forged["verified"][0] == forged["request"][0] == "bad", forged
    stranger = databricks_kong("doctor", f"https://{GATEWAY}", "--connect-to", f"127.0.0.1:{envoy.port}")
    assert stranger.returncode == 1 and "--ca-file" in stranger.stdout, stranger.stdout


def test_a_query_is_not_in_the_access_log(envoy: Envoy):
    envoy.ask("GET", "/api/2.2/jobs/list?access_token=stolen-canary")

    def lines() -> list[str]:
        return [line for line in envoy.process.out.read_text().splitlines() if " 400 " in line]

    (line,) = wait_until("the access log has the line", lines)
    assert "/api/2.2/jobs/list" in line and "stolen-canary" not in line


@pytest.mark.parametrize("stranger, expected", [(PROVIDER, "KEYS_UNAVAILABLE"), (WORKSPACE, "EXCHANGE_UNAVAILABLE")])
def test_a_server_with_a_certificate_of_nobody_known_is_not_asked(tmp_path: Path, stranger: str, expected: str):
    one = Envoy(tmp_path, stranger)
    try:
        reply = one.ask("GET", "/api/2.2/jobs/list", one.token("alice", "job-runners"))
        assert (reply.status, reason(reply)) == (503, expected), reply
        assert one.workspace.seen() == []
    finally:
        one.stop()
