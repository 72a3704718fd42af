"""What stands around the gateway: processes, the identity provider, the mock workspace, plain HTTP."""

from __future__ import annotations

import base64
import ctypes
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from collections.abc import Callable


REPO = Path(__file__).resolve().parents[2]
RUN_NOW_PATH = "/api/2.2/jobs/run-now"
IDP_CLIENT_SECRET = "gateway-secret"
FEED_SECRET = "secret-of-the-feed"
LOGIN_GRANT = "urn:databricks-kong:test:login"

WORKSPACE_ID = "7405619408829168"
ACCOUNT_ID = "6f4a1c7e-3c52-4b7a-9d42-5d0c6c1e2f10"

# Service principals that the mock workspace knows.
SP_ETL = "11111111-aaaa-4aaa-8aaa-000000000001"
SP_SECOND = "11111111-aaaa-4aaa-8aaa-000000000002"
SP_FEDERATED = "11111111-aaaa-4aaa-8aaa-000000000003"
SP_SECRETS = {SP_ETL: "dose-of-etl-secret", SP_SECOND: "dose-of-second-secret"}
SP_GATEWAY = "11111111-aaaa-4aaa-8aaa-000000000004"
ASSUMABLE_GROUP = "777"

# The gateway's own application at the stand-in for Entra ID.
ENTRA_TENANT = "72f988bf-0000-4000-8000-000000000001"
ENTRA_CLIENT = "22222222-bbbb-4bbb-8bbb-000000000001"
ENTRA_SECRET = "dose-of-entra-secret"

# name, algorithm, fault at start. Issuers whose keys fail in a story belong to that story alone.
ISSUERS = [
    "rs:RS256",
    "es:ES256",
    "rotate:RS256",
    "retire:ES256",
    "flood:RS256",
    "warm:RS256",
    "hasty:RS256",
    "burst:ES256",
    "cut:RS256",
    "cut_cold:RS256",
    "opaque:RS256",
    "opaque_too:RS256",
    "asked:RS256",
    "login:RS256",
    "cold_refuse:RS256:refuse",
    "cold_status:RS256:status",
    "cold_slow:RS256:slow",
    "cold_garbage:RS256:garbage",
    "cold_empty:RS256:empty",
]


def wait_until(what: str, condition: Callable[[], Any], timeout: float = 20.0, step: float = 0.05) -> Any:
    """Polls; the first true answer is returned."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:.0f} s: {what}")
        time.sleep(step)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed test run leaves nothing behind


class Process:
    """One child process with its output in a file. Ends exactly what it started."""

    def __init__(self, name: str, argv: list[str], run_dir: Path, env: dict[str, str] | None = None):
        self.name = name
        self.out = run_dir / f"{name}.out"
        self.err = run_dir / f"{name}.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                env=env,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def alive(self) -> bool:
        return self.child.poll() is None

    def tail(self, lines: int = 30) -> str:
        text = self.out.read_text(errors="replace") + self.err.read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def first_json_line(self, timeout: float = 30.0) -> dict[str, Any]:
        def ready() -> dict[str, Any] | None:
            if not self.alive():
                raise RuntimeError(f"{self.name} ended at its start:\n{self.tail()}")
            text = self.out.read_text()
            return json.loads(text.splitlines()[0]) if "\n" in text else None

        return wait_until(f"{self.name} says that it is ready", ready, timeout)

    def stop(self) -> None:
        if self.child.stdin:
            self.child.stdin.close()
        if self.alive():
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(10)


@dataclass
class Response:
    """An answer, with its headers as they came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    elapsed: float = 0.0

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        headers = "\n".join(f"  {key}: {value}" for key, value in self.headers)
        return f"HTTP {self.status}\n{headers}\n  {self.text[:800]}"


Headers = dict[str, str] | list[tuple[str, str]]


def send(
    base: str,
    method: str,
    target: str,
    headers: Headers = (),
    body: bytes | str | None = None,
    timeout: float = 30.0,
    ca: Path | None = None,
    certificate: tuple[Path, Path] | None = None,
) -> Response:
    """One request whose target and headers go out exactly as written: duplicates, odd paths and all."""
    url = urllib.parse.urlsplit(base)
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        if certificate:
            context.load_cert_chain(*certificate)
        connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout)
    # http.client refuses what the attacks need; the gateway is what has to refuse it
    connection._validate_path = lambda _path: None
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    names = {name.lower() for name, _ in pairs}
    if isinstance(body, str):
        body = body.encode()
    started = time.monotonic()
    try:
        connection.putrequest(method, url.path + target, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in pairs:
            connection.putheader(name, value)
        if body is not None and "content-length" not in names and "transfer-encoding" not in names:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        content = reply.read()
        return Response(reply.status, reply.getheaders(), content, time.monotonic() - started)
    finally:
        connection.close()


def send_http2(
    base: str,
    method: str,
    target: str,
    headers: Headers,
    pieces: list[bytes],
    trailers: dict[str, str] | None = None,
    pause: int = 0,
    length: int | None = None,
    ca: Path | None = None,
) -> Response:
    """One request over HTTP/2, its body in pieces with `pause` milliseconds before each and before the trailers."""
    url = urllib.parse.urlsplit(base)
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    if length is not None:
        pairs.append(("content-length", str(length)))
    asked = {
        "url": f"{url.scheme}://{url.netloc}",
        "ca": str(ca) if ca and url.scheme == "https" else None,
        "method": method,
        "path": url.path + target,
        "headers": pairs,
        "pieces": [base64.b64encode(piece).decode() for piece in pieces],
        "trailers": trailers,
        "pause_ms": pause,
    }
    started = time.monotonic()
    script = REPO / "tests/stories/http2.mjs"
    run = subprocess.run(
        ["node", script], input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=True
    )
    answer = json.loads(run.stdout)
    if "error" in answer:
        raise RuntimeError(f"{method} {base}{target} over HTTP/2: {answer['error']}")
    found = [(name, value) for name, value in answer["headers"]]
    return Response(answer["status"], found, base64.b64decode(answer["body"]), time.monotonic() - started)


def admin(base: str, method: str, path: str, body: Any = None) -> Any:
    reply = send(
        base, method, path, {"Content-Type": "application/json"}, json.dumps(body) if body is not None else None
    )
    if reply.status >= 300:
        raise RuntimeError(f"{method} {base}{path}: {reply}")
    return json.loads(reply.body) if reply.body.strip() else None


# --- the identity provider --------------------------------------------------------------------------------------------


class Idp:
    """`tests/idp`: several issuers in one process."""

    def __init__(self, tools: Path, run_dir: Path):
        # node resolves packages from where the file is, so the server runs beside its node_modules
        server = tools / "idp" / f"server-{os.getpid()}.mjs"
        shutil.copy(REPO / "tests/idp/server.mjs", server)
        self.process = Process("idp", ["node", str(server), *ISSUERS], run_dir)
        try:
            ready = self.process.first_json_line()
        finally:
            server.unlink()
        self.admin_url: str = ready["admin_url"]
        self.issuers: dict[str, dict[str, str]] = ready["issuers"]

    def url(self, name: str) -> str:
        return self.issuers[name]["issuer"]

    def admin_jwks_url(self, name: str) -> str:
        return f"{self.admin_url}/issuers/{name}/jwks"

    def state(self, name: str) -> dict[str, Any]:
        return admin(self.admin_url, "GET", f"/issuers/{name}")

    def private_key(self, name: str) -> dict[str, str]:
        return admin(self.admin_url, "GET", f"/issuers/{name}/private")["keys"][0]

    def rotate(self, name: str, keep: bool) -> None:
        admin(self.admin_url, "POST", f"/issuers/{name}/rotate", {"keep": keep})

    def fault(self, name: str, kind: str, **more: Any) -> None:
        admin(self.admin_url, "POST", f"/issuers/{name}/fault", {"kind": kind, **more})

    def feed(self, name: str, feed: Any) -> None:
        """What the issuer's feed of revoked identities says; a text as it is, None for a feed that is down."""
        text = feed if feed is None or isinstance(feed, str) else json.dumps(feed)
        admin(self.admin_url, "POST", f"/issuers/{name}/feed", {"text": text})

    def login(
        self,
        issuer: str,
        sub: str,
        claims: dict[str, Any],
        ttl: int = 3600,
        audience: str | None = None,
        client: str = "tests",
        opaque: bool = False,
    ) -> str:
        """An access token as the provider itself signs it, or one that only it can read."""
        secret = {"tests": "tests-secret", "copilot-app": "copilot-secret"}[client]
        form = {"grant_type": LOGIN_GRANT, "sub": sub, "claims": json.dumps(claims), "ttl": str(ttl)}
        if audience is not None:
            form["audience"] = audience
        if opaque:
            form["resource"] = "urn:databricks:opaque"
        return self._token(issuer, client, secret, form)

    def revoke(self, issuer: str, token: str) -> None:
        """RFC 7009, by the client that the token was issued to."""
        headers = {"Authorization": self._basic("tests", "tests-secret")}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        reply = send(self.url(issuer), "POST", "/token/revocation", headers, urllib.parse.urlencode({"token": token}))
        assert reply.status == 200, str(reply)

    def says_inactive(self, issuer: str, token: str) -> None:
        """Its endpoint that is asked of JWTs too says so from now on."""
        admin(self.admin_url, "POST", f"/issuers/{issuer}/inactive", {"token": token})

    @staticmethod
    def _basic(client: str, secret: str) -> str:
        return "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()

    def workload(self, issuer: str) -> str:
        """A client credentials token: `sub` is the client, group `batch`."""
        return self._token(
            issuer, "nightly-etl", "etl-secret", {"grant_type": "client_credentials", "scope": "databricks"}
        )

    def _token(self, issuer: str, client: str, secret: str, form: dict[str, str]) -> str:
        reply = send(
            self.url(issuer),
            "POST",
            "/token",
            {"Authorization": self._basic(client, secret), "Content-Type": "application/x-www-form-urlencoded"},
            urllib.parse.urlencode(form),
        )
        if reply.status != 200:
            raise RuntimeError(f"no token from {issuer}: {reply}")
        return reply.json()["access_token"]


# --- the mock workspace -----------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """A request as it reached the workspace."""

    n: int
    at_ms: int
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    status: int | None
    principal: dict[str, Any] | None

    @property
    def path(self) -> str:
        return self.target.split("?")[0]

    @property
    def is_exchange(self) -> bool:
        return self.path == "/oidc/v1/token" or self.path.endswith("/oauth2/v2.0/token")

    @property
    def is_for_keys(self) -> bool:
        """Of a gateway whose callers are the workspace's own: it fetches the public keys when it will."""
        return self.path == "/oidc/jwks.json"

    @property
    def form(self) -> dict[str, str]:
        pairs = urllib.parse.parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        assert len(dict(pairs)) == len(pairs), f"a field twice in {self.body!r}"
        return dict(pairs)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    @property
    def who(self) -> str | None:
        return self.principal["name"] if self.principal else None


def gateway_policy() -> dict[str, Any]:
    """A federation policy for what the gateway signs itself, with its public key in it."""
    # here, for the tests of the documents and of compose use this file too, without what signing needs
    import signing

    return {
        "issuer": "https://gw.example.com",
        "audiences": ["databricks"],
        "subject": "role:asserted",
        "jwks_json": json.dumps({"keys": [signing.AT_DATABRICKS.jwk]}),
        "max_lifetime": 300,
    }


@dataclass
class Workspace:
    """`crates/mock-databricks`: the strict mock of a Databricks workspace."""

    url: str
    admin_url: str
    process: Process | None = None
    state: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(cls, binary: Path, idp: Idp, run_dir: Path) -> Workspace:
        policies = [
            {"issuer": idp.url(name), "audiences": ["databricks"], "subject_claim": "sub"} for name in idp.issuers
        ]
        state = {
            "workspace_id": WORKSPACE_ID,
            "account_id": ACCOUNT_ID,
            "host": f"adb-{WORKSPACE_ID}.8.azuredatabricks.net",
            "token_lifetime": 3600,
            # its own way to the keys, which stays open while a story shuts the gateway's
            "issuers": {idp.url(name): {"jwks_url": idp.admin_jwks_url(name)} for name in idp.issuers},
            "account_policies": policies,
            "users": {},
            "service_principals": {
                SP_ETL: {"secret": SP_SECRETS[SP_ETL], "scopes": ["all-apis"], "policies": []},
                SP_SECOND: {"secret": SP_SECRETS[SP_SECOND], "scopes": ["all-apis"], "policies": []},
                SP_FEDERATED: {"secret": None, "scopes": ["all-apis"], "policies": []},
                SP_GATEWAY: {"secret": None, "scopes": ["jobs"], "policies": [gateway_policy()]},
            },
            "entra": {ENTRA_TENANT: {"issuer": idp.url("rs"), "clients": {ENTRA_CLIENT: ENTRA_SECRET}}},
        }
        path = run_dir / "workspace.json"
        path.write_text(json.dumps(state))
        process = Process("workspace", [str(binary), "--state", str(path), "--exit-with-stdin"], run_dir)
        ready = process.first_json_line()
        return cls(ready["url"], ready["admin_url"], process, state)

    def add_user(self, sub: str, assume: bool = False, jobs: tuple[str, ...] = ("101", "202")) -> None:
        groups = [{"id": ASSUMABLE_GROUP, "name": "data-eng", "assume": True}] if assume else []
        self._add({sub: {"groups": groups, "permissions": {"jobs": list(jobs)}}})

    def add_users(self, subs: list[str]) -> None:
        self._add({sub: {"groups": [], "permissions": {"jobs": ["101", "202"]}} for sub in subs})

    def _add(self, users: dict[str, Any]) -> None:
        self.state["users"].update(users)
        admin(self.admin_url, "POST", "/users", users)

    def trust(self, issuer_url: str, jwks_url: str, subject_claim: str = "sub") -> None:
        """Another issuer, whose tokens the account takes as the same people's."""
        self.state["issuers"][issuer_url] = {"jwks_url": jwks_url}
        policy = {"issuer": issuer_url, "audiences": ["databricks"], "subject_claim": subject_claim}
        self.state["account_policies"].append(policy)
        changed = {name: self.state[name] for name in ("issuers", "account_policies")}
        admin(self.admin_url, "PATCH", "/state", changed)

    def statements_below_sessions(self, told: bool) -> None:
        """Where drivers that open a SQL session below its warehouse send their statements to."""
        admin(self.admin_url, "PATCH", "/state", {"statements_below_sessions": told})

    def token_lifetime(self, seconds: int) -> None:
        """Of tokens for service principals; a person's ends with the token that it was asked for with."""
        admin(self.admin_url, "PATCH", "/state", {"token_lifetime": seconds})

    def add_federated_subject(self, issuer_url: str, sub: str) -> None:
        principals = self.state["service_principals"]
        principals[SP_FEDERATED]["policies"].append(
            {"issuer": issuer_url, "audiences": ["databricks"], "subject": sub, "subject_claim": "sub"}
        )
        admin(self.admin_url, "PATCH", "/state", {"service_principals": principals})

    def seen(self) -> list[Seen]:
        return [
            Seen(
                n=row["n"],
                at_ms=row["at_ms"],
                method=row["method"],
                target=row["target"],
                headers=[(name, value) for name, value in row["headers"]],
                body=base64.b64decode(row["body_base64"]),
                status=row["status"],
                principal=row["principal"],
            )
            for row in admin(self.admin_url, "GET", "/requests")
        ]

    def sent_on(self) -> list[Seen]:
        """What gateways sent on for clients. The rest is their own: exchanges, some ahead of need, and keys."""
        return [one for one in self.seen() if not (one.is_exchange or one.is_for_keys)]

    def minted(self) -> list[dict[str, Any]]:
        return admin(self.admin_url, "GET", "/tokens")

    def forget_requests(self) -> None:
        admin(self.admin_url, "DELETE", "/requests")

    def fault(self, on: str, kind: str, **more: Any) -> None:
        admin(self.admin_url, "POST", "/faults", {"on": on, "kind": kind, **more})

    def answer(self, answers: list[dict[str, Any]]) -> None:
        """What certain SQL statements return from now on."""
        admin(self.admin_url, "PUT", "/answers", answers)

    def clear_faults(self) -> None:
        admin(self.admin_url, "DELETE", "/faults")

    def revoke(self, principal: str) -> None:
        admin(self.admin_url, "POST", "/tokens/revoke", {"principal": principal})

    def client_credentials(self, client_id: str, secret: str) -> Response:
        """The workspace's own token of a service principal, as code in the workspace has one."""
        basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        return send(
            self.url,
            "POST",
            "/oidc/v1/token",
            {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {basic}"},
            "grant_type=client_credentials&scope=all-apis",
        )

    def exchange(self, subject_token: str, scope: str = "all-apis") -> Response:
        """An exchange past the gateway: what a test may do, and no caller."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "subject_token": subject_token,
            "scope": scope,
        }
        return send(
            self.url,
            "POST",
            "/oidc/v1/token",
            {"Content-Type": "application/x-www-form-urlencoded"},
            urllib.parse.urlencode(form),
        )


# Of as many runs of pytest at once (pytest-xdist) each has ports of its own: between finding one free and binding it, another could take it.
MOST_RUNS = 4
RUN = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that were free a moment ago, all different, and below those that systems give to outgoing connections."""
    assert RUN < MOST_RUNS, f"at most {MOST_RUNS} at once"
    found: set[int] = set()
    while len(found) < count:
        port = random.randrange(12_000 + RUN, 32_000, MOST_RUNS)
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
                found.add(port)
            except OSError:
                continue
    return sorted(found)
