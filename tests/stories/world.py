"""What one test sees: callers with tokens, requests to the gateway, and what the workspace saw of them."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import subprocess
import tempfile
import urllib.parse
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import signing
from forge import Forger
from gateway import Gateway
from stack import (
    ENTRA_SECRET,
    FEED_SECRET,
    IDP_CLIENT_SECRET,
    SP_SECRETS,
    WORKSPACE_ID,
    Headers,
    Idp,
    Response,
    Seen,
    Workspace,
    send,
    wait_until,
)

JOBS_LIST = "/api/2.2/jobs/list"
RUN_NOW = "/api/2.2/jobs/run-now"
UNDECIDED = "/.well-known/databricks-kong/undecided"

# Section 7 of the contract, names folded to lower case with hyphens.
NEVER_SENT = [
    r"cookie",
    r"x-databricks-workspace-id",
    r"x-databricks-azure-.*",
    r"x-databricks-gcp-.*",
    r"x-databricks-role",
    r"x-databricks-kong-.*",
    r"x-databricks-traffic-id",
    r"x-forwarded-access-token",
]
STAMP = re.compile(r"(^| )databricks-kong/\S+ req/\S+$")

# Phrases at which the Databricks SDKs send a request again (databricks.md 2.1).
RETRY_PHRASES = [
    "Please try again later or try a faster operation.",
    "Unexpected error",
    "RPC token bucket limit has been exceeded",
    "ClusterNotReadyException",
    "REQUEST_LIMIT_EXCEEDED",
    "does not have any associated worker environments",
    "There is no worker environment with id",
    "Unknown worker environment",
]


# Every token and text of a run that must be nowhere but where it was sent.
EVERY_SECRET: set[str] = set()
# Those that a story itself wrote into a request's target, which hosts write to their own logs before any filter is asked.
SENT_IN_TARGETS: set[str] = set()


@dataclass
class Caller:
    """A person at the identity provider, who is also a user of the workspace."""

    world: World
    sub: str
    groups: list[str]
    issuer: str = "rs"

    def token(self, ttl: int = 3600, audience: str | None = None, client: str = "tests", **claims: Any) -> str:
        merged = {"groups": self.groups, "email": self.sub, "email_verified": True, **claims}
        token = self.world.idp.login(self.issuer, self.sub, merged, ttl, audience, client)
        return self.world.remember(token)

    def forge(self, **how: Any) -> str:
        how.setdefault("groups", self.groups)
        return self.world.remember(self.world.forger(self.issuer).token(self.sub, **how))


class Minted:
    """All tokens that the workspace gave out. Most tests look none up, so it is asked at the first."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace

    @functools.cached_property
    def _rows(self) -> dict[str, dict[str, Any]]:
        return {token_digest(row): row for row in self._workspace.minted()}

    def row(self, token: str) -> dict[str, Any] | None:
        return self._rows.get(hashlib.sha256(token.encode()).hexdigest())


@dataclass
class World:
    gateway: Gateway
    idp: Idp
    workspace: Workspace
    run_dir: Path
    tokens: list[str] = field(default_factory=list)
    subjects: set[str] = field(default_factory=set)
    passed_through: set[str] = field(default_factory=set)
    anonymous_allowed: bool = False
    responses: list[Response] = field(default_factory=list)
    echoes_allowed: bool = False
    log_start: int = 0
    _forgers: dict[tuple[str, str], Forger] = field(default_factory=dict)

    # --- callers and tokens ---

    def user(
        self, *groups: str, name: str = "user", issuer: str = "rs", known: bool = True, assume: bool = False
    ) -> Caller:
        """A new person: a subject of its own keeps what the gateway has cached out of other tests."""
        sub = f"{name}-{uuid.uuid4().hex[:10]}@example.com"
        if known:
            self.workspace.add_user(sub, assume)
        self.subjects.add(sub)
        return Caller(self, sub, list(groups), issuer)

    def engineer(self, issuer: str = "rs", name: str = "engineer", known: bool = True) -> Caller:
        return self.user("data-engineering", name=name, issuer=issuer, known=known)

    def remember(self, token: str) -> str:
        self.tokens.append(token)
        EVERY_SECRET.update(secret_parts(token))
        return token

    def forger(self, issuer: str) -> Forger:
        jwk = self.idp.private_key(issuer)
        return self._forgers.setdefault((issuer, jwk["kid"]), Forger(self.idp.url(issuer), jwk))

    # --- requests ---

    def send(
        self,
        config: str,
        method: str = "GET",
        target: str = JOBS_LIST,
        token: str | None = None,
        caller: Caller | None = None,
        headers: Headers = (),
        body: bytes | str | None = None,
        timeout: float = 30.0,
        certificate: tuple[Path, Path] | None = None,
    ) -> Response:
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        if caller is not None:
            token = token or caller.token()
            pairs.append(("X-Test-Caller", caller.sub))
        if token is not None:
            pairs.insert(0, ("Authorization", f"Bearer {token}"))
        if body is not None and not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("Content-Type", "application/json"))
        SENT_IN_TARGETS.update(part for one in self.tokens for part in secret_parts(one) if part in target)
        reply = send(self.gateway.url(config), method, target, pairs, body, timeout, self.gateway.ca, certificate)
        self.responses.append(reply)
        return reply

    # --- what was recorded ---

    def request_id(self, reply: Response | None = None) -> str:
        """Of a refused request by its answer, of the only one that went on by what the workspace saw."""
        if reply is not None and (found := reply.header("x-request-id")):
            return found
        agent = self.the_request().header("user-agent")
        assert agent, "the workspace saw no User-Agent"
        return agent.rpartition(" req/")[2]

    def records(self, request_id: str) -> list[dict[str, Any]]:
        return [one for one in self.gateway.records() if one["request_id"] == request_id]

    def record(self, reply: Response | None = None) -> dict[str, Any]:
        """The one record of a request. Log plugins write theirs after the answer."""
        request_id = self.request_id(reply)
        found = wait_until("the audit record is written", lambda: self.records(request_id))
        assert len(found) == 1, found
        return found[0]

    # --- what the workspace saw ---

    def seen(self) -> list[Seen]:
        return [one for one in self.workspace.seen() if not one.is_for_keys]

    def api(self) -> list[Seen]:
        return self.workspace.sent_on()

    def exchanges(self, subject_token: str | None = None) -> list[Seen]:
        found = [one for one in self.seen() if one.is_exchange]
        if subject_token is not None:
            found = [
                one for one in found if subject_token in (one.form.get("subject_token"), one.form.get("assertion"))
            ]
        return found

    def the_request(self) -> Seen:
        """The only REST request that reached the workspace."""
        api = self.api()
        assert len(api) == 1, f"{len(api)} requests reached the workspace: {[(o.method, o.target) for o in api]}"
        return api[0]

    def nothing_reached(self) -> None:
        seen = [(one.method, one.target) for one in self.seen()]
        assert not seen, f"the workspace should have seen nothing, but saw {seen}"

    def no_api_reached(self) -> None:
        seen = [(one.method, one.target) for one in self.api()]
        assert not seen, f"no REST request should have reached the workspace, but it saw {seen}"

    # --- the promises that hold in every story ---

    def check_promises(self) -> None:
        minted = Minted(self.workspace)
        for one in self.seen():
            self._no_idp_token(one)
            if one.is_exchange:
                assert one.method == "POST", f"{one.method} {one.target}"
                continue
            if self.gateway.blanks_headers and one.target == UNDECIDED:
                # Kong says too late that a body never comes: what it sends by then leads nowhere, and bears nothing
                assert not any(one.all("authorization")), one.headers
                continue
            self._clean_headers(one)
            self._right_credential(one, minted)
        self._no_workspace_token_outside(minted)

    def _no_idp_token(self, one: Seen) -> None:
        body = one.body
        values = [value for _, value in one.headers]
        if one.is_exchange:
            rest = {name: value for name, value in one.form.items() if name not in ("subject_token", "assertion")}
            body = urllib.parse.urlencode(rest).encode()
        elif (
            one.header(
                "authorization",
            )
            and self.passed_through
        ):
            allowed = {f"Bearer {token}" for token in self.passed_through}
            values = [v for name, v in one.headers if not (name.lower() == "authorization" and v in allowed)]
        for value in list(values):
            if value.lower().startswith("basic "):
                values.append(base64.b64decode(value[6:]).decode("utf-8", "replace"))
        hay = "\n".join([urllib.parse.unquote(one.target), *values, body.decode("utf-8", "replace")])
        for token in self.tokens:
            for part in secret_parts(token):
                assert part not in hay, f"an IdP token reached the workspace in {one.method} {one.path}: {one.headers}"

    def _clean_headers(self, one: Seen) -> None:
        where = f"{one.method} {one.target}"
        for name, value in one.headers:
            folded = name.lower().replace("_", "-")
            if self.gateway.blanks_headers and value in ("", WORKSPACE_ID):
                continue  # this host cannot take a header off; it is empty, or names this workspace
            for pattern in NEVER_SENT:
                assert not re.fullmatch(pattern, folded), f"{name} reached the workspace in {where}"
            assert "_" not in name or not re.fullmatch(r"(authorization|x-databricks-.*)", folded), f"{name} in {where}"
        assert one.all("x-databricks-org-id") == [WORKSPACE_ID], f"{one.all('x-databricks-org-id')} in {where}"
        agents = one.all("user-agent")
        assert len(agents) == 1 and STAMP.search(agents[0]), f"User-Agent {agents} in {where}"

    def _right_credential(self, one: Seen, minted: Minted) -> None:
        where = f"{one.method} {one.target}"
        credentials = one.all("authorization")
        if self.anonymous_allowed and all(value == "" and self.gateway.blanks_headers for value in credentials):
            return
        assert len(credentials) == 1, f"{len(credentials)} Authorization headers in {where}"
        kind, _, value = credentials[0].partition(" ")
        assert kind == "Bearer", f"{kind} in {where}"
        if value in self.passed_through:
            return
        row = minted.row(value)
        assert row is not None, f"{where} bears a token that the workspace never minted"
        if principal_kind(row) == "user":
            name = principal_name(row)
            assert name in self.subjects, f"{where} bears a token of {name}, who is no caller of this test"
            claimed = one.header("x-test-caller")
            assert claimed in (None, name), f"{where} was sent by {claimed} and bears a token of {name}"

    def _no_workspace_token_outside(self, minted: Minted) -> None:
        """Databricks tokens go to Databricks alone; no token at all goes to a log."""
        jwt = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
        for reply in self.responses:
            text = reply.text + "\n".join(value for _, value in reply.headers)
            for found in jwt.findall(text):
                assert minted.row(found) is None, f"a Databricks token was handed out: {reply}"
                assert self.echoes_allowed and found in self.tokens, f"a token in an answer: {reply}"
        log = self.gateway.logs(self.log_start)
        for found in jwt.findall(log):
            assert minted.row(found) is None, "a Databricks token in the log"
        for token in self.tokens:
            for part in secret_parts(token):
                assert part not in log, "an IdP token in the log"


def nothing_leaked(outlets: dict[str, str]) -> None:
    """Reads every byte that a host wrote or showed in a whole run, for secrets of all its stories."""
    secrets = EVERY_SECRET | set(SP_SECRETS.values()) | {ENTRA_SECRET, FEED_SECRET, IDP_CLIENT_SECRET}
    secrets |= {line for key in signing.EVERY_KEY for line in key.pem.splitlines() if "-" not in line}
    for client, secret in SP_SECRETS.items():
        secrets.add(base64.b64encode(f"{client}:{secret}".encode()).decode())
    jwt = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}")
    for name, text in outlets.items():
        # records are the filter's own, and hold no token wherever it came from
        known = set() if name == "audit records" else SENT_IN_TARGETS
        found = first_of({ending(secret) for secret in secrets} - {ending(secret) for secret in known}, text)
        assert found is None, f"a secret in the host's {name}: {line_of(found, text)}"
        for found in jwt.findall(text):
            assert found.partition(".")[2] in known, f"a token in the host's {name}: {line_of(found, text)}"


def ending(secret: str) -> str:
    """What is searched for in its place: who writes all of it writes this, and grep takes a tenth of the time."""
    return secret[-32:]


def first_of(words: set[str], text: str) -> str | None:
    """The first of many words in a long text, which grep reads once for all of them."""
    assert all(words), "an empty word is everywhere"
    with tempfile.NamedTemporaryFile("w") as patterns:
        patterns.write("\n".join(words))
        patterns.flush()
        command = ["grep", "--text", "--fixed-strings", "--only-matching", "--max-count=1", f"--file={patterns.name}"]
        found = subprocess.run(
            command, input=text.encode(errors="surrogateescape"), capture_output=True, env={"LC_ALL": "C"}, check=False
        )
    assert found.returncode in {0, 1}, found.stderr
    return found.stdout.decode().splitlines()[0] if found.stdout else None


def line_of(secret: str, text: str) -> str:
    line = next(line for line in text.splitlines() if secret in line)
    return re.sub(r"eyJ[\w.-]+", "<a token>", line.replace(secret, "<the secret>"))[:1000]


def token_digest(row: dict[str, Any]) -> str:
    return row.get("token_sha256") or hashlib.sha256((row.get("token") or row["access_token"]).encode()).hexdigest()


def _principal(row: dict[str, Any]) -> dict[str, Any]:
    return row["principal"] if isinstance(row.get("principal"), dict) else row


def principal_kind(row: dict[str, Any]) -> str:
    return _principal(row)["kind"]


def principal_name(row: dict[str, Any]) -> str:
    return _principal(row)["name"]


def secret_parts(token: str) -> list[str]:
    """What must not be found elsewhere: a JWT's payload and its signature, or an opaque token as it is."""
    parts = token.split(".")
    if len(parts) != 3:
        return [token] if len(token) >= 16 else []
    return [part for part in parts[1:] if len(part) >= 16]


# --- refusals ---------------------------------------------------------------------------------------------------------


def assert_refused(reply: Response, status: int, reason: str) -> dict[str, Any]:
    """Section 8 of the contract, all of it, for one refusal. Returns the metadata of its reason."""
    assert reply.status == status, f"expected {status} {reason}, got {reply}"
    assert reply.all("content-type") == ["application/json; charset=utf-8"], str(reply)
    body = reply.json()
    assert isinstance(body["error_code"], str) and re.fullmatch(r"[A-Z_]+", body["error_code"]), str(reply)
    assert isinstance(body["message"], str) and body["message"], str(reply)
    info, request_info = body["details"][:2]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo", str(reply)
    assert info["domain"] == "databricks-kong", str(reply)
    assert info["reason"] == reason, f"expected {reason}, got {reply}"
    assert request_info["@type"] == "type.googleapis.com/google.rpc.RequestInfo", str(reply)
    request_id = reply.all("x-request-id")
    assert len(request_id) == 1 and request_id[0] == request_info["request_id"] != "", str(reply)
    for name in ("x-databricks-reason-phrase", "x-thriftserver-error-message"):
        assert len(reply.all(name)) == 1 and reply.header(name), f"{name} is missing: {reply}"
    if status == 403:
        assert body["error_code"] == "PERMISSION_DENIED", str(reply)
    challenges = reply.all("www-authenticate")
    if status == 401:
        assert len(challenges) == 1 and challenges[0].startswith("Bearer "), str(reply)
        assert "resource_metadata=" in challenges[0], str(reply)
    else:
        assert not challenges, str(reply)
    retry_after = reply.all("retry-after")
    if status in (429, 503):
        assert len(retry_after) == 1 and re.fullmatch(r"[0-9]+", retry_after[0]), f"Retry-After {retry_after}: {reply}"
    else:
        assert not retry_after, str(reply)
    everything = reply.text + "\n".join(value for _, value in reply.headers)
    for phrase in RETRY_PHRASES:
        assert phrase.lower() not in everything.lower(), f"{phrase!r} makes SDKs send the request again: {reply}"
    assert "CANARY" not in everything, f"an upstream's body in a refusal: {reply}"
    return info.get("metadata") or {}


def assert_allowed(reply: Response) -> Any:
    assert reply.status == 200, f"expected 200, got {reply}"
    assert reply.header("server") == "databricks", f"not the workspace's answer: {reply}"
    return reply.json() if reply.body else None
