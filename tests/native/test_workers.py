"""What the workers of one nginx share: tokens, sealed, and whose turn it is to ask for one. Nothing depends on it."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from nginx_gateway import NginxGateway
from stack import SP_ETL, Idp, Response, Workspace, send, wait_until

LIST = "/api/2.1/clusters/list"
GROUPS = {"groups": ["data-engineering"]}
COLD = 1000


class Two(NginxGateway):
    """Two workers with a dictionary."""

    workers = 2
    dictionary = "lua_shared_dict databricks_kong 8m;"
    used: tuple[str, ...] = ("main",)

    def routes(self) -> list[dict[str, Any]]:
        return [one for one in super().routes() if one["name"] in self.used]


class Apart(Two):
    """Two workers without one."""

    dictionary = ""


class Narrow(Two):
    """Two workers with one that hardly anything fits into."""

    dictionary = "lua_shared_dict databricks_kong 12k;"


class WithRoles(Two):
    """Two workers, and roles whose tokens the gateway can have by itself."""

    used = ("main", "roles")


class Host:
    """A gateway, its callers, and what reached the workspace."""

    def __init__(self, gateway: NginxGateway, idp: Idp, workspace: Workspace):
        self.gateway, self.idp, self.workspace = gateway, idp, workspace
        self.tokens: dict[str, str] = {}

    def token(self, sub: str, groups: dict[str, Any] = GROUPS) -> str:
        if sub not in self.tokens:
            self.workspace.add_user(sub)
            self.tokens[sub] = self.idp.login("rs", sub, groups, audience="databricks")
        return self.tokens[sub]

    def ask(self, sub: str, route: str = "main", groups: dict[str, Any] = GROUPS) -> Response:
        """A request of its own connection, so that either worker may get it."""
        token = self.token(sub, groups)
        headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
        return send(self.gateway.url(route), "GET", LIST, headers)

    def exchanges(self) -> list[Any]:
        return [one for one in self.workspace.seen() if one.is_exchange]

    def workers_that_served(self, since: int = 0) -> set[int]:
        return {entry["worker"] for entry in self.gateway.entries()[since:]}

    def ask_until_both_have_served(self, sub: str, route: str = "main", groups: dict[str, Any] = GROUPS) -> None:
        since = len(self.gateway.entries())
        # one token for all of them
        self.token(sub, groups)

        def both() -> bool:
            with ThreadPoolExecutor(16) as pool:
                statuses = list(pool.map(lambda _: self.ask(sub, route).status, range(16)))
            assert set(statuses) == {200}, statuses
            return len(self.workers_that_served(since)) == 2

        wait_until("both workers have served", both)

    def shared(self, lua: str | None = None) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.gateway.port}"
        reply = send(url, "POST" if lua else "GET", "/-/shared", {}, lua) if lua else send(url, "GET", "/-/shared")
        assert reply.status == 200, str(reply)
        return [{**one, "value": base64.b64decode(one["value"])} for one in json.loads(reply.text or "[]") or []]

    def sealed(self) -> list[dict[str, Any]]:
        return [one for one in self.shared() if one["kind"] == "sealed"]

    def turns(self) -> list[int]:
        """The workers whose turn it is."""
        return [int(one["value"].split(b":")[0]) for one in self.shared() if one["kind"] == "turn"]


@pytest.fixture
def host(tmp_path: Path, idp: Idp, workspace: Workspace) -> Iterator[Any]:
    started: list[NginxGateway] = []

    def begin(kind: type[NginxGateway] = Two) -> Host:
        started.append(kind(idp, workspace, tmp_path))
        made = Host(started[-1], idp, workspace)
        workspace.forget_requests()
        return made

    yield begin
    for one in started:
        # what a story does itself
        complaints = [line for line in one.complaints() if "exited on signal 9" not in line]
        one.stop()
        assert not complaints, complaints


def burst(host: Host, token: str, count: int, route: str = "main") -> list[int]:
    """So many requests at once, each on a connection of its own that is open before the first byte is sent."""
    path = host.gateway.path(route) + LIST
    request = f"GET {path} HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()
    sockets = [socket.create_connection(("127.0.0.1", host.gateway.port), 30) for _ in range(count)]
    for one in sockets:
        one.sendall(request)
    statuses = []
    for one in sockets:
        one.settimeout(60)
        head = b""
        while b"\r\n" not in head:
            chunk = one.recv(4096)
            if not chunk:
                break
            head += chunk
        statuses.append(int(head.split(b" ")[1]) if head else 0)
        one.close()
    return statuses


def test_a_thousand_cold_requests_of_two_workers_cost_one_exchange(host: Any) -> None:
    two = host()
    token = two.token("cold-alice")
    two.workspace.fault("token", "delay", delay_ms=300, times=1)
    statuses = burst(two, token, COLD)
    assert statuses.count(200) == COLD, {status: statuses.count(status) for status in set(statuses)}
    assert len(two.workers_that_served()) == 2
    assert len(two.exchanges()) == 1
    assert {one.who for one in two.workspace.sent_on()} == {"cold-alice"}


def test_without_a_dictionary_each_worker_obtains_it_once_and_says_so_once(host: Any) -> None:
    apart = host(Apart)
    token = apart.token("cold-bob")
    apart.workspace.fault("token", "delay", delay_ms=300, times=2)
    statuses = burst(apart, token, COLD)
    assert statuses.count(200) == COLD
    assert len(apart.exchanges()) == len(apart.workers_that_served()) == 2
    assert apart.gateway.logs().count("no shared dictionary `databricks_kong`") == 1


def test_what_one_worker_obtained_serves_the_other_and_nobody_else(host: Any) -> None:
    two = host()
    for sub in ("anna-of-two", "ben-of-two"):
        two.ask_until_both_have_served(sub)
    assert len(two.exchanges()) == 2
    for one in two.workspace.seen():
        assert one.is_exchange or one.who in ("anna-of-two", "ben-of-two")
    served = [one.who for one in two.workspace.sent_on()]
    assert served == sorted(served), "each was served as itself"


def test_what_lies_in_the_dictionary_shows_nothing(host: Any) -> None:
    two = host()
    assert two.ask("shown-anna").status == 200
    secrets = [two.token("shown-anna").encode()]
    for one in two.workspace.seen():
        bearer = one.header("authorization") or ""
        secrets.append(bearer.removeprefix("Bearer ").removeprefix("Basic ").encode())
    values = b"".join(one["value"] + base64.b64decode(one["name"]) for one in two.shared())
    assert two.sealed() and len(secrets) > 1
    assert not any(secret and secret in values for secret in secrets)
    assert b"access_token" not in values


TAMPER = """for _, key in ipairs(shared:get_keys(0)) do
  local value = shared:get(key)
  if key:sub(1, 7) == "sealed:" then %s end
end"""


@pytest.mark.parametrize(
    "change",
    [
        "shared:set(key, value:sub(1, -2) .. string.char((value:byte(-1) + 1) % 256))",
        "shared:set(key, string.char((value:byte(1) + 1) % 256) .. value:sub(2))",
        "shared:set(key, value:sub(1, 20))",
        'shared:set(key, "")',
    ],
)
def test_what_was_tampered_with_is_refused_and_obtained_anew(host: Any, change: str) -> None:
    two = host()
    assert two.ask("tampered-anna").status == 200
    two.shared(TAMPER % change)
    two.ask_until_both_have_served("tampered-anna")
    assert len(two.exchanges()) == 2, "one of each worker: the second could not open what the first had kept"
    assert "what another worker kept cannot be opened" in two.gateway.logs()


def test_what_is_moved_to_another_callers_name_does_not_open(host: Any) -> None:
    two = host()
    assert two.ask("moved-anna").status == 200
    annas = {one["name"] for one in two.sealed()}
    assert two.ask("moved-ben").status == 200
    swap = """local names, values = {}, {}
    for _, key in ipairs(shared:get_keys(0)) do
      if key:sub(1, 7) == "sealed:" then names[#names + 1] = key; values[#values + 1] = shared:get(key) end
    end
    for at, name in ipairs(names) do shared:set(name, values[at % #names + 1]) end"""
    assert len({one["name"] for one in two.sealed()} - annas) == 1
    two.shared(swap)
    for sub in ("moved-anna", "moved-ben"):
        two.workspace.forget_requests()
        two.ask_until_both_have_served(sub)
        assert {one.who for one in two.workspace.sent_on()} == {sub}
    assert "what another worker kept cannot be opened" in two.gateway.logs()


def test_a_worker_that_is_killed_in_its_turn_holds_nobody_up(host: Any) -> None:
    two = host()
    token = two.token("killed-anna")
    two.workspace.fault("token", "delay", delay_ms=1900, times=1)
    first: list[int] = []
    asking = threading.Thread(target=lambda: first.extend(burst(two, token, 1)))
    asking.start()
    (pid,) = wait_until("a worker asks", two.turns)
    wait_until("the workspace is asked", two.exchanges)
    os.kill(pid, signal.SIGKILL)
    asking.join()
    assert first == [0], "its client's connection ended with it"
    statuses = burst(two, token, 40)
    assert statuses == [200] * 40
    assert len(two.exchanges()) == 2
    assert {one.who for one in two.workspace.sent_on()} == {"killed-anna"}


def test_a_dictionary_that_is_full_fails_nobody(host: Any) -> None:
    narrow = host(Narrow)
    subs = [f"narrow-{number}" for number in range(24)]
    for sub in subs:
        narrow.token(sub)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda sub: narrow.ask(sub).status, subs * 2))
    assert set(statuses) == {200}
    assert {one.who for one in narrow.workspace.sent_on()} == set(subs)


def test_a_token_that_the_workspace_refused_is_used_by_no_worker_again(host: Any) -> None:
    two = host()
    two.ask_until_both_have_served("refused-anna")
    two.workspace.revoke("refused-anna")
    two.workspace.forget_requests()

    def served() -> bool:
        return all(two.ask("refused-anna").status == 200 for _ in range(12))

    # each worker learns of it by the workspace's 401, which passes on
    wait_until("both workers have a new one", served)
    assert 1 <= len(two.exchanges()) <= 2


def test_a_token_that_the_workspace_refused_lies_ready_for_nobody(host: Any) -> None:
    two = host()
    two.ask_until_both_have_served("ready-anna")
    (kept,) = two.sealed()
    two.workspace.revoke("ready-anna")
    # whichever worker is told of it forgets it for all
    assert two.ask("ready-anna").status == 401
    assert kept["value"] not in [one["value"] for one in two.sealed()]


def test_roles_have_their_tokens_before_the_first_request_and_once_for_all_workers(host: Any) -> None:
    two = host(WithRoles)
    # `etl`, `etl-jobs`, `first`, `second`, `not-for-multi`
    wait_until("the roles have their tokens", lambda: len(two.exchanges()) >= 5)
    assert {one.form["grant_type"] for one in two.exchanges()} == {"client_credentials"}
    two.ask_until_both_have_served("role-anna", route="roles", groups={"groups": ["batch"]})
    assert len(two.exchanges()) == 5
    assert {one.who for one in two.workspace.sent_on()} == {SP_ETL}
