"""What an hour does to a gateway, in a minute: tokens that live for seconds, keys that change, a token endpoint that fails.

Everything that comes back is judged by what the caller knows: when its token ended, and by which key it was signed.
"""

from __future__ import annotations

import collections
import http.client
import http.server
import json
import random
import re
import statistics
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forge import b64, compact, new_ec
from stack import SP_ETL, SP_SECRETS, WORKSPACE_ID, Workspace

TARGET = "/api/2.2/jobs/list"
AUDIENCE = "databricks"
CONNECTIONS = 64
# Seconds. A key is listed for long enough to be known before it signs; refreshes are at least 30 s apart (contract, section 12).
ROTATION = 3.0
LISTED_AHEAD = 20
LISTED_AFTER = 5
LIFE = (4, 9)
WORKSPACE_LIFE = 5
PAUSE = 0.15
# Clocks of several processes, and claims in whole seconds.
TOLERANCE = 1.2
FAULTS = [
    {"kind": "status", "status": 500},
    {"kind": "close"},
    {"kind": "garbage"},
    {"kind": "throttle"},
    {"kind": "truncate"},
    {"kind": "delay", "delay_ms": 1500},
    {"kind": "status", "status": 503, "headers": {"retry-after": "1"}},
]


class Provider:
    """An identity provider with a new signing key every few seconds. Most keys are listed well before they sign."""

    name = "soak"

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.serial = 0
        self.keys: list[tuple[str, Any]] = []
        self.fetches = 0
        for _ in range(LISTED_AHEAD + LISTED_AFTER + 1):
            self._add()
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet for head and body: two would wait for an acknowledgement

            def do_GET(self) -> None:
                provider.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _add(self) -> None:
        self.serial += 1
        self.keys.append((f"soak-{self.serial}", new_ec()))

    def rotate(self) -> None:
        with self.lock:
            self._add()
            self.keys.pop(0)

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        if request.path == "/.well-known/openid-configuration":
            body = json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"})
        else:
            with self.lock:
                self.fetches += 1
                body = json.dumps({"keys": [public_jwk(kid, key) for kid, key in self.keys]})
        data = body.encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Cache-Control", "max-age=60")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def token(self, sub: str, group: str, life: float, newest: bool) -> Token:
        """Signed by the key whose turn it is, or by the newest, which a gateway may not know yet."""
        with self.lock:
            kid, key = self.keys[-1] if newest else self.keys[LISTED_AFTER]
        now = time.time()
        ends = int(now + life)
        payload = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": sub,
            "client_id": "soak",
            "groups": [group],
            "iat": int(now),
            "exp": ends,
            "jti": uuid.uuid4().hex,
        }
        return Token(compact({"alg": "ES256", "typ": "at+jwt", "kid": kid}, payload, key), ends, newest)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass
class Token:
    text: str
    ends: int
    may_be_unknown: bool


def public_jwk(kid: str, key: Any) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig"}


def config(provider: Provider, workspace: Workspace, public_url: str) -> dict[str, Any]:
    secret = {"type": "service_principal_secret", "client_id": SP_ETL, "client_secret": SP_SECRETS[SP_ETL]}
    return {
        "workspace": {"url": workspace.url, "id": WORKSPACE_ID, "public_url": public_url, "upstream": "databricks"},
        "identity_providers": [
            {
                "name": "soak",
                "issuer": provider.url,
                "audiences": [AUDIENCE],
                "upstream": "idp_soak",
                "algorithms": ["ES256"],
                "clock_skew": 0,
            }
        ],
        "roles": [
            {"name": "person", "match": {"groups": ["people"]}, "credential": {"type": "user_federation"}},
            {"name": "pipeline", "match": {"groups": ["pipelines"]}, "credential": secret},
            {
                "name": "nothing",
                "match": {"groups": ["readers"]},
                "credential": secret,
                "deny": [{"operations": ["jobs.list"]}],
            },
        ],
        "callouts": {"timeout": 1000, "attempts": 2},
    }


@dataclass
class Tally:
    """What came back, and whatever of it was wrong."""

    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    tokens: int = 0
    wrong: list[str] = field(default_factory=list)
    newest_passed: int = 0

    def add(self, other: Tally) -> None:
        self.answers += other.answers
        self.tokens += other.tokens
        self.wrong += other.wrong
        self.newest_passed += other.newest_passed


def group_of(number: int) -> str:
    return {2: "readers", 3: "pipelines", 7: "pipelines"}.get(number % 8, "people")


def subjects() -> list[str]:
    return [f"soak-{number}@example.com" for number in range(CONNECTIONS)]


class Caller(threading.Thread):
    """One client with one connection. It uses each token until a little after its end."""

    def __init__(self, number: int, provider: Provider, url: str, stop: threading.Event):
        super().__init__(name=f"caller-{number}")
        self.sub = f"soak-{number}@example.com"
        self.group = group_of(number)
        self.newest = number % 8 == 5
        self.provider, self.stop = provider, stop
        self.url = urllib.parse.urlsplit(url)
        self.random = random.Random(number)
        self.tally = Tally()

    def run(self) -> None:
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=20)
        try:
            while not self.stop.is_set():
                token = self.provider.token(self.sub, self.group, self.random.uniform(*LIFE), self.newest)
                self.tally.tokens += 1
                until = token.ends + self.random.uniform(-0.5, 0.5)
                while time.time() < until and not self.stop.is_set():
                    self.ask(connection, token)
                    self.stop.wait(PAUSE)
        except Exception as error:  # a thread's error is a finding, not noise on stderr
            self.tally.wrong.append(f"{self.sub}: {error!r}")
        finally:
            connection.close()

    def ask(self, connection: http.client.HTTPConnection, token: Token) -> None:
        asked = time.time()
        headers = {"Authorization": f"Bearer {token.text}", "X-Test-Caller": self.sub}
        connection.request("GET", self.url.path + TARGET, headers=headers)
        reply = connection.getresponse()
        body = reply.read()
        answered = time.time()
        reason = refusal(reply, body)
        self.tally.answers[f"{reply.status} {reason}".strip()] += 1
        if error := self.judge(reply, reason, token, asked, answered):
            self.tally.wrong.append(f"{self.sub} ({self.group}): {error}: {reply.status} {reason} {body[:300]!r}")

    def judge(
        self, reply: http.client.HTTPResponse, reason: str, token: Token, asked: float, answered: float
    ) -> str | None:
        has_ended, may_have_ended = asked > token.ends + TOLERANCE, answered > token.ends - TOLERANCE
        match reply.status, reason:
            case 200, "":
                self.tally.newest_passed += token.may_be_unknown
                if self.group == "readers":
                    return "let through what is denied"
                return "let through after its end" if has_ended else None
            case 403, "RULE_DENIED":
                return None if self.group == "readers" else "denied what is allowed"
            case 401, "TOKEN_EXPIRED":
                return None if may_have_ended else "called ended what lives"
            case 401, "TOKEN_INVALID":
                return None if token.may_be_unknown else "refused a key that is listed"
            case 503, "EXCHANGE_UNAVAILABLE":
                if self.group == "readers":
                    return "exchanged for what is denied"
                return (
                    None if re.fullmatch(r"[0-9]+", reply.getheader("retry-after", "")) else "no time to come back at"
                )
            case 403, "EXCHANGE_REFUSED" | "upstream":
                # the workspace found that it had ended, a moment after the gateway found that it had not
                return None if may_have_ended and self.group == "people" else "refused what lives"
            case _:
                return "no answer of the contract"


def refusal(reply: http.client.HTTPResponse, body: bytes) -> str:
    """The reason code of the gateway's refusal; of another's answer that is no success, `upstream`."""
    if reply.status == 200:
        return ""
    try:
        info = json.loads(body)["details"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return "upstream"
    return info["reason"] if info.get("domain") == "databricks-kong" else "upstream"


@dataclass
class Report:
    tally: Tally
    of_another: list[str]
    reached: int
    rotations: int
    fetches: int
    exchanges: int
    exchanges_failed: int
    memory: list[int]

    @property
    def growth(self) -> float:
        """The process's memory in the last fifth of the run, over that in the second fifth."""
        fifth = max(1, len(self.memory) // 5)
        return statistics.median(self.memory[-fifth:]) / statistics.median(self.memory[fifth : 2 * fifth])

    def __str__(self) -> str:
        answers = ", ".join(f"{count} {name}" for name, count in sorted(self.tally.answers.items()))
        fifth = max(1, len(self.memory) // 5)
        resident = statistics.median(self.memory[fifth : 2 * fifth]) / 2**20
        return (
            f"{sum(self.tally.answers.values())} requests with {self.tally.tokens} tokens ({answers}); "
            f"{self.rotations} rotations, {self.fetches} key fetches; {self.exchanges} exchanges, {self.exchanges_failed} of them answered with a failure; "
            f"resident {resident:.1f} MiB, at the end {self.memory[-1] / 2**20:.1f} MiB (ratio {self.growth:.3f})"
        )


def resident(pids: list[int]) -> int:
    """Bytes of memory that processes hold."""
    total = 0
    for pid in pids:
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
        total += int(found.group(1)) * 1024 if found else 0
    return total


def run(provider: Provider, workspace: Workspace, url: str, pids: list[int], seconds: float) -> Report:
    workspace.token_lifetime(WORKSPACE_LIFE)
    stop = threading.Event()
    callers = [Caller(number, provider, url, stop) for number in range(CONNECTIONS)]
    for caller in callers:
        caller.start()
    started = time.monotonic()
    report = Report(Tally(), [], 0, 0, 0, 0, 0, [])
    while (passed := time.monotonic() - started) < seconds:
        if passed >= report.rotations * ROTATION:
            provider.rotate()
            workspace.clear_faults()
            workspace.fault("token", every=3, **FAULTS[report.rotations % len(FAULTS)])
            report.rotations += 1
        report.memory.append(resident(pids))
        stop.wait(0.5)
    stop.set()
    for caller in callers:
        caller.join()
        report.tally.add(caller.tally)
    look_at_what_reached(workspace, report)
    report.fetches = provider.fetches
    workspace.clear_faults()
    return report


def look_at_what_reached(workspace: Workspace, report: Report) -> None:
    """Every request that went on bears a token of exactly its caller."""
    for one in workspace.seen():
        if one.is_exchange:
            report.exchanges += 1
            report.exchanges_failed += one.status != 200
            continue
        report.reached += 1
        caller = one.header("x-test-caller") or ""
        expected = SP_ETL if group_of(int(caller.partition("@")[0].removeprefix("soak-"))) == "pipelines" else caller
        # a token that ended on its way is nobody's
        if one.who != expected and (one.who, one.status) != (None, 403):
            report.of_another.append(f"{caller} went on as {one.who} and got {one.status}")
