"""A soak of a real Kong: 48 clients, faults of every callout, resets, HTTP/2, reloads and changed configurations.

SOAK_SECONDS makes it longer (`make soak-kong`: 600), SOAK_HOST=native has the native plugin in the filter's place.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import endurance
from declared import GUARD, settings, shipped_pre_function
from endurance import HOST, Tally
from forge import compact, new_ec
from shipped import Around, Kong
from soak import public_jwk, resident
from stack import Process, free_ports, send, wait_until
from test_workers_live import ENDED_TWICE

SECONDS = float(os.environ.get("SOAK_SECONDS", "45"))
IS_NATIVE = os.environ.get("SOAK_HOST") == "native"
PROVIDERS = 6
RELOADED_EVERY, CHANGED_EVERY, FAULTS_EVERY = 40.0, 9.0, 2.0
# a new worker compiles the filter, and serves nothing until then
pytestmark = pytest.mark.timeout(SECONDS + 400)


class Issuers:
    """Providers whose keys `faulty.py` serves."""

    def __init__(self) -> None:
        self.keys = {f"idp{number}": new_ec() for number in range(PROVIDERS)}
        self.port = 0

    def jwks(self) -> dict[str, Any]:
        return {name: [public_jwk(name, key)] for name, key in self.keys.items()}

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def token(self, sub: str, number: int) -> tuple[str, float]:
        name = f"idp{number % PROVIDERS}"
        now = time.time()
        ends = int(now) + random.randint(8, 20)
        payload = {"iss": self.url(name), "aud": "databricks", "sub": sub, "groups": ["people"]}
        payload |= {"iat": int(now), "exp": ends, "jti": uuid.uuid4().hex}
        return compact({"alg": "ES256", "typ": "at+jwt", "kid": name}, payload, self.keys[name]), float(ends)


@dataclass
class Soak:
    kong: Kong
    process: Process
    ports: dict[str, int]
    issuers: Issuers
    http2_port: int
    declaration: Path
    tally: Tally = field(default_factory=lambda: Tally(bears_many_headers=IS_NATIVE))
    # of each generation of workers, the last that was seen before the next reload
    memory: list[int] = field(default_factory=list)
    reloads: int = 0
    changes: int = 0
    state: dict[str, Any] = field(default_factory=dict)

    def config(self, timeout: int) -> dict[str, Any]:
        workspace = f"http://127.0.0.1:{self.ports['workspace']}"
        allow = [
            {"operations": ["jobs.list", "jobs.get"]},
            {"operations": ["jobs.run_now"], "resources": {"job": [str(endurance.JOB)]}},
            {"operations": ["jobs.get_run"], "resources": {"job": [str(endurance.JOB)]}, "lookup": True},
        ]
        providers = [
            {"name": name, "issuer": self.issuers.url(name), "audiences": ["databricks"], "algorithms": ["ES256"]}
            for name in self.issuers.keys
        ]
        person = {"name": "person", "match": {"groups": ["people"]}, "credential": {"type": "user_federation"}}
        return {
            "workspace": {
                "url": workspace,
                "id": "7405619408829168",
                "public_url": f"https://{HOST}",
                "token_url": f"http://127.0.0.1:{self.ports['tokens']}/oidc/v1/token",
            },
            "identity_providers": providers,
            "roles": [{**person, "allow": allow}],
            "callouts": {"timeout": timeout, "attempts": 2},
            "audit": {"log": False},
        }

    def declared(self) -> dict[str, Any]:
        config = self.config(1000 + self.changes % 2)
        route: dict[str, Any] = {"name": "endurance", "hosts": [HOST], "paths": ["/"], "strip_path": False}
        plugins = [{"name": "databricks-kong-late"}] if IS_NATIVE else [shipped_pre_function()]
        if IS_NATIVE:
            route["plugins"] = [{"name": "databricks-kong", "config": config}]
        else:
            chain = [{"name": "databricks_kong", "config": one} for one in (config, GUARD)]
            route["filter_chains"] = [{"filters": chain}]
        url = f"http://127.0.0.1:{self.ports['workspace']}"
        service = {"name": "endurance", "url": url, "retries": 0, "routes": [route]}
        return {"_format_version": "3.0", "services": [service], "plugins": plugins}

    def control(self, faults: dict[str, Any]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["control"], timeout=30)
        connection.request("POST", "/", json.dumps({"faults": faults}))
        self.state = json.loads(connection.getresponse().read())
        connection.close()

    def run(self) -> None:
        loading = threading.Thread(target=self._load)
        loading.start()
        began, chosen = time.monotonic(), random.Random(7)
        due = {"fault": 0.0, "change": CHANGED_EVERY, "reload": RELOADED_EVERY}
        while loading.is_alive():
            now = time.monotonic() - began
            if now > due["fault"]:
                self.control(endurance.faults(chosen))
                due["fault"] = now + FAULTS_EVERY
            if now > due["change"] and now < SECONDS:
                self.change()
                due["change"] = now + CHANGED_EVERY
            if now > due["reload"] and now < SECONDS:
                self.reload()
                due["reload"] = time.monotonic() - began + RELOADED_EVERY
            loading.join(0.2)
        self.control({})

    def _load(self) -> None:
        ports = (self.kong.plain_port, self.http2_port)
        asyncio.run(endurance.load(ports, self.issuers.token, SECONDS, self.tally))

    def change(self) -> None:
        self.changes += 1
        declared = json.dumps(self.declared())
        self.declaration.write_text(declared)
        url = f"http://127.0.0.1:{self.kong.admin_port}"
        # a worker that is being replaced does not take it
        wait_until(
            "the configuration is taken",
            lambda: send(url, "POST", "/config", {"Content-Type": "application/json"}, declared).status == 201,
            timeout=60,
        )

    def reload(self) -> None:
        self.memory.append(resident(list(self.kong.workers())))
        self.tally.reloaded = time.monotonic()
        argv = [self.kong.kong, "reload", "-p", str(self.kong.prefix)]
        subprocess.run(argv, env=self.kong.environment, capture_output=True, timeout=120, check=True)
        self.reloads += 1

    # --- what is looked at afterwards

    def deaths(self) -> list[str]:
        return re.findall(r"worker process \d+ exited on signal \d+", self.kong.logs())

    def complaints(self) -> list[str]:
        return [line for line in self.kong.complaints() if ENDED_TWICE not in line]

    def __str__(self) -> str:
        answers = ", ".join(f"{count} {name}" for name, count in self.tally.answers.most_common())
        memory = ", ".join(f"{one / 2**20:.0f}" for one in self.memory)
        met = ", ".join(f"{count} {name}" for name, count in sorted(self.state.get("met", {}).items()))
        return (
            f"{SECONDS:.0f} s, {self.tally.total} requests ({answers}); the workspace saw {self.state.get('reached')}; slowest {self.tally.slowest:.1f} s; "
            f"{self.reloads} reloads, {self.changes} changed configurations; resident before each reload, MiB: {memory}; "
            f"{len(self.deaths())} deaths of workers; faults met: {met}"
        )


def host_settings() -> dict[str, str]:
    if not IS_NATIVE:
        return {}
    from native_gateway import LUA_PATH, PLUGIN

    plugins = "bundled,databricks-kong,databricks-kong-late"
    return {"PLUGINS": plugins, "LUA_PACKAGE_PATH": LUA_PATH, "LUA_PACKAGE_CPATH": f"{PLUGIN}/?.so;;", "WASM": "off"}


@pytest.fixture(scope="module")
def soaked(around: Around) -> Iterator[Soak]:
    issuers = Issuers()
    argv = [sys.executable, "-B", str(Path(__file__).with_name("faulty.py"))]
    process = Process("faulty", argv, around.run_dir)
    assert process.child.stdin
    process.child.stdin.write(json.dumps(issuers.jwks()).encode() + b"\n")
    process.child.stdin.flush()
    ports = process.first_json_line()
    issuers.port = ports["provider"]
    plain, http2_port = free_ports(2)
    declaration = around.run_dir / "endurance.json"
    soak = Soak(None, process, ports, issuers, http2_port, declaration)  # type: ignore[arg-type]
    given = settings(around, declaration, soak.declared())
    given |= {"NGINX_WORKER_PROCESSES": "2", "LOG_LEVEL": "notice", "NGINX_HTTP_CLIENT_BODY_BUFFER_SIZE": "1m"}
    given |= {"PROXY_LISTEN": f"127.0.0.1:{plain}, 127.0.0.1:{http2_port} http2", **host_settings()}
    soak.kong = Kong(around.run_dir / "kong-endurance", given)
    soak.kong.plain_port = plain
    wait_until("the gateway serves", lambda: serves(soak), timeout=120)
    try:
        soak.run()
        print(f"\nsoak of Kong: {soak}")
        yield soak
    finally:
        soak.kong.stop()
        process.stop()


def serves(soak: Soak) -> bool:
    tally = Tally()
    client = endurance.Client(0, soak.kong.plain_port, soak.http2_port, soak.issuers.token, tally)
    client.token, _ = soak.issuers.token(client.sub, 0)
    asyncio.run(client.anew(endurance.allowed("GET", "/api/2.2/jobs/list?limit=1")))
    return tally.answers["200"] == 1


def test_no_worker_dies(soaked: Soak):
    assert soaked.deaths() == [], f"{soaked}"


def test_the_host_has_nothing_to_complain_of(soaked: Soak):
    assert soaked.complaints() == [], f"{soaked}"


def test_what_reached_the_workspace_is_what_its_client_sent(soaked: Soak):
    assert soaked.state["wrong"] == [], f"{soaked}"


def test_every_answer_is_one_of_the_contract(soaked: Soak):
    wrong = soaked.tally.wrong
    assert not wrong, f"{len(wrong)} of {soaked}\n" + "\n".join(wrong[:40])
    lost = soaked.tally.answers["closed while workers were replaced"]
    assert lost <= 0.001 * soaked.tally.total, f"{soaked}"


def test_everything_happened_that_should(soaked: Soak):
    """A soak in which nothing was reached or failed would show nothing."""
    answers = soaked.tally.answers
    names = ["200", "403 NO_RULE", "400 unsupported_grant_type", "broken off by its client"]
    for name in names if IS_NATIVE else [*names, "400 REQUEST_AMBIGUOUS"]:
        assert answers[name] > 0, f"no {name}: {soaked}"
    assert answers["200"] > 0.2 * soaked.tally.total, f"{soaked}"
    assert {name.split(" ")[0] for name in soaked.state["met"]} >= {"token", "lookup"}, f"{soaked}"


@pytest.mark.skipif(SECONDS < 300, reason="too short to tell")
def test_memory_stays_as_it_is(soaked: Soak):
    later, early = soaked.memory[-1], soaked.memory[1]
    assert later < 1.2 * early, f"{soaked}"
