"""Captures what the dashboards are tested with: a metrics page at many times, and records, of a real Kong with the shipped kong.yml.

    KONG_BIN=/usr/local/bin/kong tests/dashboards/capture [--minutes 16]

People, a pipeline, an agent and strangers ask for a quarter of an hour; in it, Databricks' token endpoint fails for a while, and then
the identity provider. The workspaces and the identity provider are stand-ins; Kong and the filter are real.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "kong"), str(HERE.parent / "stories"), str(HERE)]

from shipped import DEVELOPMENT, EGRESS, PRODUCTION, Around, Kong, machine  # noqa: E402
from stack import REPO, SP_ETL, SP_SECRETS, admin, send  # noqa: E402

from series import CAPTURED, from_pages, write  # noqa: E402

RECORDS = HERE / "records/kong-3.9.3.jsonl"
SCRAPES = 15  # seconds between two
# of the page, what dashboards and alerts use; the rest is on Kong's memory, timers and bandwidth
KEPT = re.compile(r"pw_databricks_kong_|kong_http_requests_total|kong_(kong|upstream)_latency_ms_bucket|kong_node_info")
RUN_NOW, JOBS_LIST, STATEMENTS = "/api/2.2/jobs/run-now", "/api/2.2/jobs/list", "/api/2.0/sql/statements"
WAREHOUSE = "a7066a8ef796be84"
# Roles that a site would have and the shipped file has not: an emergency access, and who may mint tokens.
ROLES = """          - name: on-call
            match: {groups: [on-call]}
            grant: {break_glass: true, ticket: INC-4711, approved_by: head-of-data}
            credential: {type: user_federation}
            allow:
            - operations: [jobs.cancel_all_runs, clusters.restart, tokens.create]
"""
PLACE = "          # whoever an AI agent acts for"


class Traffic:
    """Who asks, and for what."""

    def __init__(self, kong: Kong, around: Around):
        self.kong, self.around = kong, around
        self.employee = around.company.issue("employee-laptop")
        self.tokens: dict[tuple[Any, ...], tuple[str, float]] = {}
        self.lock = threading.Lock()
        self.sent: Counter[str] = Counter()
        self.workspace_token = ("", 0.0)

    def token(self, who: str, *groups: str, fresh: bool = False, **claims: Any) -> str:
        """People log in anew every two minutes or so."""
        key = (who, groups, tuple(sorted(claims.items(), key=str)))
        with self.lock:
            token, until = self.tokens.get(key, ("", 0.0))
            if fresh or until < time.time():
                claims = {k: dict(v) if isinstance(v, tuple) else v for k, v in claims.items()}
                token = self.around.token(who, *groups, **claims)
                self.tokens[key] = token, time.time() + random.uniform(60, 180)
            return token

    def ask(self, host: str, method: str, target: str, token: str | None, address: str, body: Any = None, **more: Any):
        headers = [("X-Forwarded-For", address)]
        headers += [("Authorization", f"Bearer {token}")] if token else []
        headers += [("Content-Type", "application/json")] if body is not None else []
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        certificate = more.get("certificate", self.employee)
        return self.kong.ask(host, method, target, headers, text, certificate, self.around.authority.path)

    def statement(self, token: str, sql: str, address: str):
        body = {"statement": sql, "warehouse_id": WAREHOUSE, "wait_timeout": "30s"}
        return self.ask(PRODUCTION, "POST", STATEMENTS, token, address, body)

    # --- each with how often, of 100 requests ---

    def actions(self) -> dict[str, tuple[float, Callable[[], Any]]]:
        alice = lambda **c: self.token("alice", "job-runners", "data-engineering", **c)  # noqa: E731
        bob = lambda **c: self.token("bob", "analysts", **c)  # noqa: E731
        agent = lambda: self.token(  # noqa: E731
            "alice", "job-runners", client_id="copilot-app", act=(("sub", "agent:planner"),)
        )
        trial = lambda: self.token("bob", "trial")  # noqa: E731
        etl = lambda: self.token("nightly", client_id="nightly-etl")  # noqa: E731
        on_call = lambda: self.token("alice", "on-call")  # noqa: E731
        a, b, n, c = "10.1.2.3", "10.1.2.4", "10.1.9.9", "10.1.7.7"
        return {
            "alice runs a job": (10, lambda: self.ask(PRODUCTION, "POST", RUN_NOW, alice(), a, {"job_id": 101})),
            "alice lists jobs": (14, lambda: self.ask(PRODUCTION, "GET", JOBS_LIST, alice(), a)),
            "alice looks at a job": (
                8,
                lambda: self.ask(PRODUCTION, "GET", "/api/2.2/jobs/get?job_id=202", alice(), a),
            ),
            "bob reads orders": (16, lambda: self.statement(bob(), "SELECT 42 FROM main.sales.orders", b)),
            "the pipeline runs": (8, lambda: self.ask(PRODUCTION, "POST", RUN_NOW, etl(), n, {"job_id": 303})),
            "the agent lists jobs": (9, lambda: self.ask(PRODUCTION, "GET", JOBS_LIST, agent(), c)),
            "clusters are listed": (8, lambda: self.ask(DEVELOPMENT, "GET", "/api/2.1/clusters/list", alice(), a)),
            "notebooks are listed": (
                4,
                lambda: self.ask(
                    DEVELOPMENT,
                    "GET",
                    "/api/2.0/workspace/list?path=/Users/alice@example.com",
                    alice(),
                    a,
                ),
            ),
            "code in Databricks asks for prices": (
                5,
                lambda: self.ask(EGRESS, "GET", "/v1/prices/widget", self.egress(), "10.9.9.9", certificate=None),
            ),
            "the agent tries a job": (1.6, lambda: self.ask(PRODUCTION, "POST", RUN_NOW, agent(), c, {"job_id": 101})),
            "another job": (1.2, lambda: self.ask(PRODUCTION, "POST", RUN_NOW, alice(), a, {"job_id": 999})),
            "bob tries salaries": (1.0, lambda: self.statement(bob(), "SELECT 42 FROM main.hr.salaries", b)),
            "a trial": (1.5, lambda: self.ask(DEVELOPMENT, "GET", "/api/2.0/sql/warehouses", trial(), b)),
            "a deletion": (
                0.6,
                lambda: self.ask(DEVELOPMENT, "POST", "/api/2.2/jobs/delete", alice(), a, {"job_id": 1}),
            ),
            "a token is asked for": (
                0.4,
                lambda: self.ask(DEVELOPMENT, "POST", "/api/2.0/token/create", alice(), a, {}),
            ),
            "the emergency access": (
                0.8,
                lambda: self.ask(PRODUCTION, "POST", "/api/2.0/token/create", on_call(), a, {}),
            ),
            "a path unheard of": (0.5, lambda: self.ask(DEVELOPMENT, "GET", "/api/2.0/no-such-thing", alice(), a)),
            "another workspace": (0.3, lambda: self.ask(PRODUCTION, "GET", JOBS_LIST + "?o=1", alice(), a)),
            "half a body": (0.3, lambda: self.ask(PRODUCTION, "POST", RUN_NOW, alice(), a, "{")),
            "nobody's role": (0.6, lambda: self.ask(PRODUCTION, "GET", JOBS_LIST, self.token("carol", "sales"), b)),
            "unknown to Databricks": (
                0.3,
                lambda: self.ask(DEVELOPMENT, "GET", JOBS_LIST, self.token("dave", "data-engineering"), b),
            ),
            "no token": (1.0, lambda: self.ask(PRODUCTION, "GET", JOBS_LIST, None, "10.66.6.6")),
            "an old token": (1.2, lambda: self.ask(PRODUCTION, "GET", JOBS_LIST, self.old(), a)),
            "a forged token": (0.6, lambda: self.ask(PRODUCTION, "GET", JOBS_LIST, self.forged(), "10.66.6.6")),
            "from outside": (0.8, lambda: self.ask(PRODUCTION, "GET", JOBS_LIST, alice(), "203.0.113.9")),
            "without a certificate": (
                0.6,
                lambda: self.ask(PRODUCTION, "GET", JOBS_LIST, alice(), a, certificate=None),
            ),
        }

    def egress(self) -> str:
        """What code in the workspace has, for two minutes each; the old one while there is no new one."""
        token, until = self.workspace_token
        if until < time.time():
            with contextlib.suppress(KeyError):
                token = egress_token(self.around)
            self.workspace_token = token, time.time() + 90
        return token

    def old(self) -> str:
        return self.around.token("alice", "job-runners", exp=int(time.time()) - 4000, iat=int(time.time()) - 8000)

    def forged(self) -> str:
        return self.around.forger.token("mallory@example.com", header={"kid": f"key-{random.random()}"})

    def one(self, name: str, action: Callable[[], Any]) -> None:
        try:
            reply = action()
            self.sent[f"{name} -> {reply.status}"] += 1
        except OSError as error:
            self.sent[f"{name} -> {type(error).__name__}"] += 1


def egress_token(around: Around) -> str:
    import base64

    basic = "Basic " + base64.b64encode(f"{SP_ETL}:{SP_SECRETS[SP_ETL]}".encode()).decode()
    headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", basic)]
    reply = send(
        around.production.url, "POST", "/oidc/v1/token", headers, "grant_type=client_credentials&scope=all-apis"
    )
    return reply.json()["access_token"]


def pace(share: float) -> float:
    """Requests a second; a wave and a little noise, as offices have them."""
    return 9 + 4 * math.sin(share * 5.2 - 0.7) + random.uniform(-1.0, 1.0)


def line(entry: dict[str, Any]) -> dict[str, Any]:
    """What compose/fluent-bit.yaml makes of a log entry of Kong's: the audit record, and what Kong knows."""
    audit = entry.get("databricks_audit")
    record = json.loads(audit) if audit else {"decision": "none"}
    proxy, upstream = entry["latencies"].get("proxy", -1), entry.get("upstream_status") or ""
    kong = {
        "status": entry["response"]["status"],
        "latency_ms": entry["latencies"]["request"],
        "proxy_ms": proxy if proxy >= 0 else None,
        "upstream_status": int(upstream) if upstream.isdigit() else None,
        "route": entry.get("route", {}).get("name"),
        "service": entry.get("service", {}).get("name"),
        "client_ip": entry["client_ip"],
    }
    return record | {"kong": {name: value for name, value in kong.items() if value is not None}}


def sample(entries: list[dict[str, Any]], start: float, each: int = 3) -> list[str]:
    """Of each kind of record a few, with the second in which it came."""
    kinds: Counter[tuple[Any, ...]] = Counter()
    found = []
    for entry in sorted(entries, key=lambda one: one["started_at"]):
        one = line(entry)
        kind = tuple(one.get(name) for name in ("decision", "reason", "operation", "subject", "agent")) + (
            one["kong"]["status"],
            one.get("callout_ms", 0) > 0,
        )
        kinds[kind] += 1
        if kinds[kind] <= each:
            at = round(entry["started_at"] / 1000 - start, 3)
            found.append(json.dumps({"at": at, "line": one}, separators=(",", ":")))
    return found


def capture(minutes: float, raw: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="databricks-kong-capture-") as path:
        around = Around(Path(path))
        declaration = Path(path) / "kong.yml"
        text = (REPO / "kong/kong.yml").read_text()
        assert PLACE in text
        declaration.write_text(text.replace(PLACE, ROLES + PLACE))
        for workspace in (around.production, around.development):
            admin(workspace.admin_url, "PATCH", "/state", {"token_lifetime": 120})
        kong = Kong(
            around.run_dir / "kong", machine(around) | {"DECLARATIVE_CONFIG": str(declaration)}, REPO / "kong/kong.conf"
        )
        try:
            run(kong, around, minutes, raw)
        finally:
            kong.stop()
            around.stop()


def run(kong: Kong, around: Around, minutes: float, raw: Path) -> None:
    traffic = Traffic(kong, around)
    actions = traffic.actions()
    names, weights = list(actions), [weight for weight, _ in actions.values()]
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir(parents=True)
    start, began = time.monotonic(), time.time()
    end = start + minutes * 60
    pool = ThreadPoolExecutor(12)
    stop = threading.Event()
    pages: dict[int, str] = {}

    def scrape() -> None:
        at = 0
        while not stop.wait(max(0.0, start + at - time.monotonic())):
            pages[at] = kong.metrics()
            (raw / f"page-{at:05d}.txt").write_text(pages[at])
            at += SCRAPES

    scraper = threading.Thread(target=scrape)
    scraper.start()
    outages = [
        (
            0.66,
            0.77,
            "exchange",
            lambda: [w.fault("token", "status", status=503) for w in (around.production, around.development)],
        ),
        (0.83, 0.95, "keys", lambda: setattr(around.okta, "answers", {})),
    ]
    now_out, published = "", around.okta.answers
    with (raw / "entries.jsonl").open("w") as entries:
        while time.monotonic() < end:
            share = (time.monotonic() - start) / (minutes * 60)
            out = next((o for o in outages if o[0] <= share < o[1]), None)
            if (out[2] if out else "") != now_out:
                now_out = out[2] if out else ""
                for workspace in (around.production, around.development):
                    workspace.clear_faults()
                around.okta.answers = published
                if out:
                    out[3]()
            boosted = [
                weight * (25 if now_out == "keys" and name == "a forged token" else 1)
                for name, weight in zip(names, weights, strict=True)
            ]
            (name,) = random.choices(names, boosted)
            pool.submit(traffic.one, name, actions[name][1])
            time.sleep(random.expovariate(pace(share)))
            for *_, body in around.shipper.drain():
                entries.writelines(json.dumps(entry) + "\n" for entry in json.loads(body))
        pool.shutdown(wait=True)
        time.sleep(SCRAPES)
        stop.set()
        scraper.join()
        for *_, body in around.shipper.drain():
            entries.writelines(json.dumps(entry) + "\n" for entry in json.loads(body))
    (raw / "sent.json").write_text(json.dumps(dict(sorted(traffic.sent.items())), indent=1))
    (raw / "kong.log").write_text(kong.logs())
    assert not kong.complaints(), kong.complaints()
    entries = [json.loads(text) for text in (raw / "entries.jsonl").read_text().splitlines()]
    every = sample(entries, began, each=len(entries))
    (raw / "records.jsonl").write_text("\n".join(every) + "\n")
    keep(pages, entries, began, minutes)


def keep(pages: dict[int, str], entries: list[dict[str, Any]], began: float, minutes: float) -> None:
    """Writes what the tests read, for a run that is long enough to be one."""
    comments = [
        f"Captured on {datetime.now(UTC):%Y-%m-%d} from a real Kong 3.9.3 with kong/kong.yml by tests/dashboards/capture:",
        f"{minutes:g} minutes, a page each {SCRAPES} seconds, {len(entries)} requests. Only what dashboards and alerts use.",
        "One line a series: its value at each of `times` (seconds), `-` where the page did not have it yet.",
    ]
    CAPTURED.parent.mkdir(exist_ok=True)
    RECORDS.parent.mkdir(exist_ok=True)
    write(CAPTURED, from_pages(pages, KEPT), comments)
    RECORDS.write_text("\n".join(sample(entries, began)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=16)
    parser.add_argument("--raw", type=Path, default=REPO / ".cache/dashboards/capture", help="where all of it is kept")
    options = parser.parse_args()
    random.seed(7)
    started = datetime.now(UTC)
    capture(options.minutes, options.raw)
    print(f"captured from {started:%H:%M} to {datetime.now(UTC):%H:%M} UTC into {options.raw}")


if __name__ == "__main__":
    main()
