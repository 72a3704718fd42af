"""The shipped kong.yml and kong.conf on a real Kong, with everything that they name around it."""

from __future__ import annotations

import http.client
import json
import os
import queue
import shutil
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import signing
from authority import Authority
from forge import Forger, b64, new_rsa, unb64
from gateway import FILTER, build_mock
from internet import Door, Names, loopback
from stack import REPO, SP_ETL, SP_SECRETS, Headers, Process, Response, Workspace, free_ports, send, wait_until

PRODUCTION, DEVELOPMENT, EGRESS = "databricks.gw.example.com", "databricks-dev.gw.example.com", "pricing.gw.example.com"
PRODUCTION_WORKSPACE, DEVELOPMENT_WORKSPACE = "7405619408829168", "984752964297111"
OKTA = "https://example.okta.com/oauth2/default"
REGION = "westeurope.azuredatabricks.net"
PRICING = "pricing.internal.example.com"
SHIPPER = "fluent-bit.internal.example.com"
OFFICE = "10.1.2.3"  # an address that ip-restriction lets in
# a host trap throws the filter's instance away, with all that it remembers; Kong calls it an [error]
SERIOUS = (" [crit] ", " [alert] ", " [emerg] ", "host trap", "error while executing at wasm backtrace")


class Server:
    """A plain HTTP server that remembers what came and answers from a table."""

    def __init__(self, address: tuple[str, int], answers: dict[str, Any]):
        self.seen: queue.Queue[tuple[str, str, list[tuple[str, str]], bytes]] = queue.Queue()
        self.answers = answers
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet for head and body: two would wait for an acknowledgement

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                server.seen.put((self.command, self.path, list(self.headers.items()), body))
                path = self.path.split("?")[0]
                content = json.dumps(server.answers.get(path, {})).encode()
                self.send_response(200 if path in server.answers else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(address, Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def drain(self) -> list[tuple[str, str, list[tuple[str, str]], bytes]]:
        found = []
        while not self.seen.empty():
            found.append(self.seen.get())
        return found

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def okta() -> tuple[Forger, dict[str, Any]]:
    """An identity provider's key, and what it publishes of it."""
    key = new_rsa()
    numbers = key.private_numbers()

    def number(value: int) -> str:
        return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))

    public = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "okta-1"}
    public |= {"n": number(numbers.public_numbers.n), "e": number(numbers.public_numbers.e)}
    private = {name: number(getattr(numbers, name)) for name in ("p", "q", "d")}
    private |= {"dp": number(numbers.dmp1), "dq": number(numbers.dmq1), "qi": number(numbers.iqmp)}
    return Forger(OKTA, {**public, **private}), {"keys": [public]}


class Around:
    """Everything that the shipped files name, but Kong."""

    def __init__(self, run_dir: Path):
        self.run_dir = run_dir
        self.stops: list[Any] = []
        self.entries: dict[str, dict[str, Any]] = {}
        self.authority = Authority("internet", run_dir)
        self.company = Authority("company", run_dir)
        self.stranger = Authority("stranger", run_dir)
        self.names = self._kept(Names())
        self.forger, keys = okta()
        metadata = {"issuer": OKTA, "jwks_uri": f"{OKTA}/v1/keys"}
        self.okta = self._kept(
            Server(
                ("127.0.0.1", 0),
                {"/oauth2/default/.well-known/openid-configuration": metadata, "/oauth2/default/v1/keys": keys},
            )
        )
        self.production = self._workspace(PRODUCTION_WORKSPACE, "adb-7405619408829168.8.azuredatabricks.net")
        self.development = self._workspace(DEVELOPMENT_WORKSPACE, "adb-984752964297111.11.azuredatabricks.net")
        self.pricing = self._kept(Server(("127.0.0.1", 0), {"/v1/prices/widget": {"price": 42}}))
        self.shipper = self._kept(Server((self.names.add(SHIPPER), 9880), {"/kong": {}}))
        self._door("example.okta.com", self.okta.port)
        self._door(REGION, port_of(self.production.url))
        self.pricing_door = self._door(PRICING, self.pricing.port, clients=self.company.path)

    def _kept(self, thing: Any) -> Any:
        self.stops.append(thing.stop)
        return thing

    def _door(self, name: str, port: int, clients: Path | None = None) -> Door:
        certificate = self.authority.issue(f"door-{name}", name)
        return self._kept(Door(self.names.add(name), certificate, port, clients))

    def _workspace(self, workspace_id: str, host: str) -> Workspace:
        state = {
            "workspace_id": workspace_id,
            "account_id": "6f4a1c7e-3c52-4b7a-9d42-5d0c6c1e2f10",
            "host": host,
            "issuers": {OKTA: {"jwks_url": f"http://127.0.0.1:{self.okta.port}/oauth2/default/v1/keys"}},
            "account_policies": [{"issuer": OKTA, "audiences": ["databricks"], "subject_claim": "sub"}],
            "users": {"alice@example.com": {}, "bob@example.com": {}},
            "service_principals": {SP_ETL: {"secret": SP_SECRETS[SP_ETL], "scopes": ["all-apis"], "policies": []}},
        }
        path = self.run_dir / f"{host}.json"
        path.write_text(json.dumps(state))
        argv = [str(build_mock()), "--state", str(path), "--exit-with-stdin"]
        process = self._kept(Process(f"workspace-{workspace_id}", argv, self.run_dir))
        ready = process.first_json_line()
        self._door(host, port_of(ready["url"]))
        return Workspace(ready["url"], ready["admin_url"], process, state)

    def token(self, who: str, *groups: str, **claims: Any) -> str:
        return self.forger.token(f"{who}@example.com", groups=list(groups), **claims)

    def log_entries(self, *ids: str) -> dict[str, dict[str, Any]]:
        """What Kong's log plugin sent of these requests, by Kong's request id."""

        def all_there() -> bool:
            for _, _, _, body in self.shipper.drain():
                for entry in json.loads(body):
                    self.entries[entry["request"]["id"]] = entry
            return set(ids) <= set(self.entries)

        wait_until("the shipper has the log entries", all_there)
        return {name: self.entries[name] for name in ids}

    def impostor(self, name: str) -> Door:
        """A second server for the service of this name, whose certificate is of an authority that nobody trusts."""
        certificate = self.stranger.issue(f"impostor-{name}", name)
        return Door(loopback(), certificate, self.pricing.port)

    def stop(self) -> None:
        for stop in reversed(self.stops):
            stop()


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


class Kong:
    """A Kong with a settings file of this repository. `changes` are the addresses and paths of this machine."""

    def __init__(self, run_dir: Path, changes: dict[str, str], settings: Path | None = None, module: Path = FILTER):
        self.kong = os.environ["KONG_BIN"]
        self.prefix = run_dir / "prefix"
        self.prefix.mkdir(parents=True)
        self.tls_port, self.plain_port, self.admin_port, self.status_port = free_ports(4)
        self.log = run_dir / "kong.log"
        filters = run_dir / "filters"
        filters.mkdir()
        shutil.copy(module, filters / "databricks_kong.wasm")
        shutil.copy(REPO / "filters/databricks_kong.meta.json", filters)
        here = {
            "PREFIX": str(self.prefix),
            "WASM_FILTERS_PATH": str(filters),
            "ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
            "STATUS_LISTEN": f"127.0.0.1:{self.status_port}",
            "ADMIN_GUI_LISTEN": "off",
            "NGINX_USER": "root root",
            "PROXY_ERROR_LOG": str(self.log),
            "PROXY_LISTEN": f"127.0.0.1:{self.tls_port} ssl http2, 127.0.0.1:{self.plain_port}",
        }
        # DATABRICKS_* are secrets of kong.yml's vault; everything else is a setting
        secrets = {name: value for name, value in changes.items() if name.startswith("DATABRICKS_")}
        kong = {f"KONG_{name}": value for name, value in (here | changes).items() if name not in secrets}
        self.environment = {**os.environ, **kong, **secrets}
        argv = [self.kong, "start", *(["-c", str(settings)] if settings else [])]
        started = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        if started.returncode != 0:
            raise RuntimeError(f"kong start failed:\n{started.stdout}\n{started.stderr}\n{self.logs()[-4000:]}")
        wait_until("Kong answers", self._live, timeout=120)

    def ask(
        self,
        host: str,
        method: str,
        target: str,
        headers: Headers = (),
        body: bytes | str | None = None,
        certificate: tuple[Path, Path] | None = None,
        trust: Path | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Response:
        """One request to this host name at Kong's listener, with TLS when `trust` is given."""
        used = connection or self.connect(host, trust, certificate)
        try:
            used.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            used.putheader("Host", host)
            content = body.encode() if isinstance(body, str) else body
            for name, value in headers.items() if isinstance(headers, dict) else headers:
                used.putheader(name, value)
            if content is not None:
                used.putheader("Content-Length", str(len(content)))
            used.endheaders(content)
            reply = used.getresponse()
            return Response(reply.status, reply.getheaders(), reply.read())
        finally:
            if not connection:
                used.close()

    def connect(
        self, host: str, trust: Path | None, certificate: tuple[Path, Path] | None = None
    ) -> http.client.HTTPConnection:
        if trust is None:
            return http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=30)
        context = ssl.create_default_context(cafile=str(trust))
        if certificate:
            context.load_cert_chain(*certificate)
        raw = socket.create_connection(("127.0.0.1", self.tls_port), 30)
        connection = http.client.HTTPConnection(host, 443, timeout=30)
        connection.sock = context.wrap_socket(raw, server_hostname=host)
        return connection

    def workers(self) -> set[int]:
        """The processes that serve requests."""
        master = (self.prefix / "pids/nginx.pid").read_text().strip()
        return {int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()}

    def metrics(self) -> str:
        return send(f"http://127.0.0.1:{self.status_port}", "GET", "/metrics").text

    def logs(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def complaints(self) -> list[str]:
        return [line for line in self.logs().splitlines() if any(word in line for word in SERIOUS)]

    def stop(self) -> None:
        argv = [self.kong, "stop", "-p", str(self.prefix)]
        subprocess.run(argv, env=self.environment, capture_output=True, check=False)
        wait_until("Kong has ended", lambda: not (self.prefix / "pids/nginx.pid").exists(), timeout=30)

    def _live(self) -> bool:
        try:
            return send(f"http://127.0.0.1:{self.status_port}", "GET", "/status/ready").status == 200
        except OSError:
            return False


def reason(reply: Response) -> str:
    return reply.json()["details"][0]["reason"]


class Client:
    """Someone with a token at some address."""

    def __init__(self, kong: Kong, around: Around, token: str, address: str = OFFICE, certificate: Any = None):
        self.kong, self.around, self.token, self.address, self.certificate = kong, around, token, address, certificate
        self.subject = json.loads(unb64(token.split(".")[1]))["sub"]

    def ask(self, host: str, method: str, target: str, body: str | None = None, **headers: str) -> Response:
        pairs = [("Authorization", f"Bearer {self.token}"), ("X-Forwarded-For", self.address)]
        pairs += [("Content-Type", "application/json")] if body else []
        pairs += [(name.replace("__", "-"), value) for name, value in headers.items()]
        return self.kong.ask(host, method, target, pairs, body, self.certificate, self.around.authority.path)


def machine(around: Around) -> dict[str, str]:
    """What is other here than where the shipped files are used: addresses, paths, certificates."""
    run_dir = around.run_dir
    gateway = around.authority.issue("gateway", PRODUCTION, DEVELOPMENT, EGRESS)
    egress = around.company.issue("kong-egress")
    return {
        "DECLARATIVE_CONFIG": str(REPO / "kong/kong.yml"),
        "SSL_CERT": str(gateway[0]),
        "SSL_CERT_KEY": str(gateway[1]),
        "LUA_SSL_TRUSTED_CERTIFICATE": str(run_dir / "internet-ca.pem"),
        "NGINX_PROXY_PROXY_SSL_TRUSTED_CERTIFICATE": str(run_dir / "internet-ca.pem"),
        "NGINX_PROXY_SSL_CLIENT_CERTIFICATE": str(around.company.path),
        "DNS_RESOLVER": around.names.address,
        "NGINX_WASM_RESOLVER": around.names.address,
        "TRUSTED_IPS": "127.0.0.1/32",
        "DATABRICKS_ETL_CLIENT_SECRET": SP_SECRETS[SP_ETL],
        "DATABRICKS_EGRESS_CLIENT_CERT": egress[0].read_text(),
        "DATABRICKS_EGRESS_CLIENT_KEY": egress[1].read_text(),
        "DATABRICKS_GATEWAY_KEY": signing.IDENTITY.pem,
    }
