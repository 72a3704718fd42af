"""Kong 3.9.3 under what ends its workers or mixes its requests: shown as Kong is, and gone with the shipped files."""

from __future__ import annotations

import collections
import http.client
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from declared import ENGINEERS, GUARD, RUNNERS, config, declaration, settings, shipped_pre_function
from shipped import PRODUCTION, Around, Kong, reason
from stack import send, wait_until
from wire import exchange, request, reset

# No token, no rule, no known caller: the filter answers it from the phase in which the body is read.
GRANT = request(
    "POST",
    "/oidc/v1/token",
    PRODUCTION,
    {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "12"},
    b"grant_type=x",
)
LOAD = 32
# What Kong's module makes nginx say of each answer that could not be written: the request was ended twice. Nothing is read or written then.
ENDED_TWICE = "http request count is zero while closing request"


def start(around: Around, name: str, declared: dict[str, Any], **changes: str) -> Kong:
    given = settings(around, around.run_dir / f"{name}.json", declared)
    return Kong(around.run_dir / name, given | {"NGINX_WORKER_PROCESSES": "1"} | changes)


def complaints(kong: Kong) -> list[str]:
    return [line for line in kong.complaints() if ENDED_TWICE not in line]


def deaths(kong: Kong) -> int:
    return len(re.findall(r"exited on signal", kong.logs()))


@pytest.fixture(scope="module")
def shipped(around: Around) -> Iterator[Kong]:
    """The filter with what kong/minimal.yml has around it, and the settings that it needs."""
    one = start(around, "kong-lives", declaration(config(), GUARD) | {"plugins": [shipped_pre_function()]})
    yield one
    one.stop()


# --- connections that are reset ---------------------------------------------------------------------------------------------


@pytest.mark.timeout(200)
@pytest.mark.parametrize("lingering, count", [("off", 10_000), ("on", 4_000)])
def test_resets_end_no_worker(around: Around, lingering: str, count: int):
    """An answer to a body that cannot be written is ended twice by Kong's module; a kept connection goes on in freed memory then.

    The filter ends the connection with such an answer. It did not once, and one request without a token was enough: `GRANT` and
    a reset where nginx lingers (its default), `GRANT + GRANT` and a reset where it does not.
    """
    kong = start(
        around, f"kong-lingering-{lingering}", declaration(config(), GUARD), NGINX_PROXY_LINGERING_CLOSE=lingering
    )
    try:
        workers = kong.workers()
        refused = refused_by_its_body(around.token("alice", "job-runners"))
        other = request("POST", "/oidc/v1/token", PRODUCTION, {"Content-Length": "9"}, b"x" * 9)
        sent = [GRANT, refused, refused[:-4], other, GRANT + GRANT, refused + GRANT[:60], GRANT * 20]
        with ThreadPoolExecutor(8) as pool:
            done = sum(pool.map(lambda number: reset(kong.plain_port, sent[number % len(sent)]), range(count)))
        assert done == count
        # what was refused by its body was refused in that phase: the same request without a reset says so
        came = exchange(kong.plain_port, refused)
        assert (came.replies[0][0], b"NO_RULE" in came.replies[0][1]) == (403, True), came
        assert came.was_closed
        assert kong.workers() == workers
        assert deaths(kong) == 0 and not complaints(kong)
    finally:
        kong.stop()


def refused_by_its_body(token: str) -> bytes:
    body = b'{"job_id": 999}'
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Content-Length": str(len(body))}
    return request("POST", "/api/2.2/jobs/run-now", PRODUCTION, headers, body)


# --- long answers to callouts -------------------------------------------------------------------------------------------------


def test_a_long_answer_after_an_exchange_is_read_whole(around: Around):
    """In pieces. In the soak a worker has died of one; see docs/install-kong.md."""
    rule = {"operations": ["jobs.get_run"], "resources": {"job": ["101"]}, "lookup": True}
    kong = start(around, "kong-long-answers", declaration(config(RUNNERS | {"allow": [rule]}), GUARD))
    answer = json.dumps({"tasks": [{"task_key": "x" * 60} for _ in range(3_000)], "job_id": 101})
    callers = [f"caller-{run}" for run in range(1, 31)]
    around.production.add_users([f"{caller}@example.com" for caller in callers])
    around.production.fault("api", "status", status=200, headers={"content-type": "application/json"}, body=answer)
    try:
        for run, caller in enumerate(callers, 1):
            headers = {"Authorization": f"Bearer {around.token(caller, 'job-runners')}", "Connection": "close"}
            sent = request("GET", f"/api/2.2/jobs/runs/get?run_id={run}", PRODUCTION, headers)
            came = exchange(kong.plain_port, sent)
            assert came.replies[0][0] == 200, came
        assert deaths(kong) == 0 and not complaints(kong)
    finally:
        around.production.clear_faults()
        kong.stop()


# --- many headers -----------------------------------------------------------------------------------------------------------


def test_requests_with_many_headers_under_load_are_refused_and_spoil_nothing(shipped: Kong, around: Around):
    workers, seconds = shipped.workers(), 20.0
    token = {"Authorization": f"Bearer {around.token('alice', 'data-engineering')}"}

    # the keys and the first exchange are fetched by one request; others would be told to come again
    warm = request("GET", "/api/2.2/jobs/list", PRODUCTION, {**token, "Connection": "close"})
    assert exchange(shipped.plain_port, warm).replies[0][0] == 200

    def client(number: int) -> collections.Counter[tuple[int, int]]:
        seen: collections.Counter[tuple[int, int]] = collections.Counter()
        until, turn = time.monotonic() + seconds, number
        while time.monotonic() < until:
            count = (3, 40, 120, 88, 250)[turn % 5]
            spare = {f"X-Spare-{one}": "x" * (one % 50) for one in range(count - 2)}
            sent = request("GET", "/api/2.2/jobs/list", PRODUCTION, {**token, **spare, "Connection": "close"})
            came = exchange(shipped.plain_port, sent)
            seen[count, came.replies[0][0] if came.replies else 0] += 1
            turn += 1
        return seen

    with ThreadPoolExecutor(16) as pool:
        seen = sum(pool.map(client, range(16)), collections.Counter())
    assert {status for (count, status), _ in seen.items() if count > 90} == {400}, seen
    assert {status for (count, status), _ in seen.items() if count < 90} == {200}, seen
    assert shipped.workers() == workers and deaths(shipped) == 0
    assert not complaints(shipped)


# --- chains that change while requests wait for callouts -----------------------------------------------------------------------


class Waiting:
    """Requests that wait for an exchange that fails, so that each of them makes a callout, and others that make Lua collect its garbage."""

    def __init__(self, kong: Kong, around: Around):
        self.kong, self.ended = kong, threading.Event()
        self.token = f"Bearer {around.token('alice', 'data-engineering')}"
        self.said = collections.Counter[str]()
        tokens = [{"Authorization": self.token}] * 16 + [{}] * 6
        self.threads = [threading.Thread(target=self._run, args=(headers,)) for headers in tokens]

    def _run(self, headers: dict[str, str]) -> None:
        while not self.ended.is_set():
            try:
                reply = self.kong.ask(PRODUCTION, "GET", "/api/2.2/jobs/list", headers)
                self.said[f"{reply.status} {reason(reply)}"] += 1
            except (OSError, http.client.HTTPException) as error:
                self.said[type(error).__name__] += 1

    def __enter__(self) -> Waiting:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def change(kong: Kong, around: Around, turn: int, plugins: list[Any]) -> None:
    changed = config(ENGINEERS) | {"callouts": {"timeout": 2000 + turn, "attempts": 1}}
    declared = json.dumps(declaration(changed, GUARD) | {"plugins": plugins})
    url = f"http://127.0.0.1:{kong.admin_port}"
    assert send(url, "POST", "/config", {"Content-Type": "application/json"}, declared).status == 201


def changed_under_callouts(kong: Kong, around: Around, plugins: list[Any], times: int) -> collections.Counter[str]:
    around.production.fault("token", "delay", delay_ms=300)
    around.production.fault("token", "garbage")
    with Waiting(kong, around) as waiting:
        for turn in range(times):
            goal = waiting.said.total() + 1000
            wait_until("requests wait", lambda goal=goal: waiting.said.total() >= goal or deaths(kong), timeout=60)
            if deaths(kong):
                break
            change(kong, around, turn, plugins)
    return waiting.said


@pytest.mark.timeout(300)
def test_chains_that_change_while_requests_wait_for_callouts_end_no_worker(around: Around):
    plugins = [shipped_pre_function()]
    kong = start(around, "kong-changes", declaration(config(ENGINEERS), GUARD) | {"plugins": plugins})
    try:
        workers = kong.workers()
        said = changed_under_callouts(kong, around, plugins, times=20)
        assert deaths(kong) == 0, said
        assert set(said) == {"503 EXCHANGE_UNAVAILABLE", "503 KEYS_UNAVAILABLE", "401 TOKEN_MISSING"}, said
        assert kong.workers() == workers and not complaints(kong)
    finally:
        kong.stop()


@pytest.mark.timeout(300)
def test_without_the_pre_function_a_chain_that_changes_ends_a_worker(around: Around):
    """Why it keeps what Kong forgets. Kong's module drops the instance that a callout under way belongs to."""
    kong = start(around, "kong-forgets", declaration(config(ENGINEERS), GUARD))
    try:
        said = changed_under_callouts(kong, around, [], times=40)
        assert deaths(kong), said
    finally:
        kong.stop()


# --- paths after a reload ---------------------------------------------------------------------------------------------------


class Clients:
    """Clients that ask for paths of their own, each request for one that nobody else asks for, and say in a header what they asked for."""

    def __init__(self, kong: Kong, around: Around):
        self.kong, self.ended = kong, threading.Event()
        self.token = f"Bearer {around.token('alice', 'data-engineering')}"
        self.asked = collections.Counter[int]()
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(LOAD)]

    def _run(self, number: int) -> None:
        turn = 0
        while not self.ended.is_set():
            turn += 1
            target = f"/api/2.2/jobs/{'list' if turn % 2 else 'get'}?job_id={number}{turn:06}"
            headers = {"Authorization": self.token, "X-Test-Asked": target}
            try:
                self.kong.ask(PRODUCTION, "GET", target, headers)
                self.asked[number] += 1
            except OSError:
                self.asked[-1] += 1

    def __enter__(self) -> Clients:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def reload(kong: Kong) -> None:
    workers = kong.workers()
    argv = [kong.kong, "reload", "-p", str(kong.prefix)]
    done = subprocess.run(argv, env=kong.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until("the workers are new", lambda: not workers & kong.workers(), timeout=60)


def mixed(around: Around) -> list[tuple[str | None, str]]:
    """What was asked for and what went on, where these differ by more than the query that Kong puts behind the path last of all."""
    seen = [(one.header("x-test-asked"), one.target) for one in around.production.seen() if not one.is_exchange]
    return [(asked, sent) for asked, sent in seen if asked != sent]


def reloaded(kong: Kong, around: Around, times: int, enough: Callable[[], Any] = lambda: False) -> int:
    """How many requests were asked for while Kong was reloaded that often under load."""
    with Clients(kong, around) as clients:
        for _ in range(times):
            goal = clients.asked.total() + 5 * LOAD
            wait_until("there is load", lambda goal=goal: clients.asked.total() >= goal, timeout=60)
            reload(kong)
            if enough():
                break
        goal = clients.asked.total() + 5 * LOAD
        wait_until("there is load", lambda: clients.asked.total() >= goal, timeout=60)
    return clients.asked.total()


@pytest.mark.timeout(600)
def test_reloads_under_load_send_no_request_on_with_the_path_of_another(shipped: Kong, around: Around):
    asked = reloaded(shipped, around, times=20)
    assert mixed(around) == [], f"of {asked}"
    assert deaths(shipped) == 0 and not complaints(shipped)


@pytest.mark.timeout(400)
def test_without_paths_kong_sends_requests_on_with_the_path_of_another(around: Around):
    """Why every route has them. Kong does so without any filter."""
    declared = declaration()
    del declared["services"][0]["routes"][0]["paths"]
    kong = start(around, "kong-mixes", declared)
    try:
        asked = reloaded(kong, around, times=10, enough=lambda: mixed(around))
        assert mixed(around), f"none of {asked}: if Kong has mended it, E104 can go"
    finally:
        kong.stop()
