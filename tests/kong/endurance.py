"""Clients of every sort on a gateway whose callouts fail, for as long as it is told to; knows no host, only an address.

Each request says in headers what it is (`X-Test-…`), so that whoever gets it can tell whether it is whole and its own; each answer is
judged by what its client knows. Clients that break off are part of it: they expect nothing.
"""

from __future__ import annotations

import asyncio
import collections
import hashlib
import itertools
import json
import random
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import http2
from faulty import JOB, KINDS, OTHER_JOB

CLIENTS = 48
HOST = "endurance.example.com"
SORTS = ("discovery", "keys", "token", "lookup")
PATIENCE = 60.0
# Workers that are replaced end within this time.
CHANGING = 20.0
# What a fault of a callout may come to.
UNAVAILABLE = {"503 KEYS_UNAVAILABLE", "503 EXCHANGE_UNAVAILABLE"}


@dataclass(frozen=True)
class Ask:
    """A request, and all that may be said to it: a status and a reason, or `200`."""

    method: str
    target: str
    body: bytes
    expected: frozenset[str]
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False
    has_token: bool = True


def json_body(value: Any) -> bytes:
    return json.dumps(value).encode()


def allowed(method: str, target: str, body: bytes = b"", **more: Any) -> Ask:
    return Ask(method, target, body, frozenset({"200", *UNAVAILABLE}), **more)


def refused(reason: str, method: str, target: str, body: bytes = b"", unavailable: bool = True, **more: Any) -> Ask:
    expected = {reason, *(UNAVAILABLE if unavailable else ())}
    return Ask(method, target, body, frozenset(expected), **more)


JSON = (("Content-Type", "application/json"),)
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
GRANT = b"grant_type=x"
RUN_NOW, RUN = "/api/2.2/jobs/run-now", "/api/2.2/jobs/runs/get?run_id="
TOO_MANY = tuple((f"X-Spare-{number}", "x" * (number % 60)) for number in range(130))


def asks(number: int, turn: int, bears_many_headers: bool) -> list[tuple[int, Ask]]:
    """The mix, each with its weight; the targets are nobody else's."""
    own = number * 1_000_000 + turn * 2
    crowded = f"/api/2.2/jobs/list?y={own}"
    too_many = refused("400 REQUEST_AMBIGUOUS", "GET", crowded, unavailable=False, headers=TOO_MANY)
    return [
        (8, allowed("GET", f"/api/2.2/jobs/list?limit={own}")),
        (4, allowed("GET", f"/api/2.2/jobs/get?job_id={JOB}&x={own}")),
        (4, allowed("POST", RUN_NOW, json_body({"job_id": JOB, "idempotency_token": str(own)}), headers=JSON)),
        (2, allowed("POST", RUN_NOW, json_body({"job_id": JOB}), headers=JSON, chunked=True)),
        (3, refused("403 NO_RULE", "POST", RUN_NOW, json_body({"job_id": OTHER_JOB, "x": own}), headers=JSON)),
        (4, allowed("GET", f"{RUN}{own}")),
        (2, refused("403 NO_RULE", "GET", f"{RUN}{own + 1}")),
        (2, refused("403 NO_RULE", "GET", f"/api/2.0/clusters/get?cluster_id={own}")),
        (1, refused("400 unsupported_grant_type", "POST", "/oidc/v1/token", GRANT, False, headers=FORM)),
        (1, refused("200 own", "GET", "/.well-known/databricks-config", unavailable=False)),
        (1, refused("401 TOKEN_MISSING", "GET", f"/api/2.2/jobs/list?x={own}", unavailable=False, has_token=False)),
        (1, allowed("GET", crowded, headers=TOO_MANY) if bears_many_headers else too_many),
    ]


@dataclass
class Tally:
    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)
    # whether the gateway lets requests through that have more headers than Kong's wasm module bears
    bears_many_headers: bool = False
    # when workers were last replaced
    reloaded: float = float("-inf")
    slowest: float = 0.0

    @property
    def total(self) -> int:
        return self.answers.total()


@dataclass
class Came:
    """An answer; whether it says when to come again is known of HTTP/1 only."""

    status: int
    body: bytes
    says_when: bool = True

    def says(self, request_id: str) -> str:
        """A status with the contract's reason, or what is odd about the answer."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return f"{self.status} {self.body[:60]!r}"
        if self.status == 200 and "id" in value:
            return "200" if value["id"] == request_id else "200 for another's request"
        if self.status == 200 and "oidc_endpoint" in value:
            return "200 own"
        reason = value["details"][0]["reason"] if "details" in value else value.get("error") or value.get("message")
        when = "" if self.status not in (429, 503) or self.says_when else " without Retry-After"
        return f"{self.status} {reason}{when}"


class Client:
    """One client: a token of its own for some seconds, one request after the other, each on a connection of its own or on a kept one."""

    def __init__(
        self, number: int, port: int, http2_port: int, token: Callable[[str, int], tuple[str, float]], tally: Tally
    ):
        self.number, self.port, self.http2_port, self.make_token, self.tally = number, port, http2_port, token, tally
        self.sub = f"client-{number}@example.com"
        self.random = random.Random(number)
        self.token, self.ends = "", 0.0
        self.ids = itertools.count(1)
        self.kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        way: dict[int, Callable[[Ask], Awaitable[None]]] = {
            0: self.keeps,
            1: self.http2,
            2: self.breaks,
            3: self.breaks_http2,
        }
        self.way = way.get(number % 8, self.anew)

    async def run(self, until: float) -> None:
        for turn in itertools.count(1):
            if time.monotonic() > until:
                break
            if time.time() > self.ends - 2:
                self.token, self.ends = self.make_token(self.sub, self.number)
            weights, mix = zip(*asks(self.number, turn, self.tally.bears_many_headers), strict=True)
            await self.way(self.random.choices(mix, weights)[0])
        self.drop()

    def drop(self) -> None:
        if self.kept:
            self.kept[1].close()
            self.kept = None

    # --- what is sent

    def headers(self, ask: Ask) -> tuple[str, list[tuple[str, str]]]:
        request_id = f"{self.number}-{next(self.ids)}"
        told = {"Id": request_id, "Target": ask.target, "Method": ask.method, "Who": self.sub}
        told["Body"] = hashlib.sha256(ask.body).hexdigest()[:16]
        told["Expected"] = "200" if "200" in ask.expected else min(ask.expected)
        pairs = [(f"X-Test-{name}", value) for name, value in told.items()]
        pairs += [("Authorization", f"Bearer {self.token}")] if ask.has_token else []
        return request_id, [*pairs, *ask.headers]

    def message(self, ask: Ask, connection: str) -> tuple[str, bytes]:
        request_id, pairs = self.headers(ask)
        body = ask.body
        if ask.chunked:
            pairs.append(("Transfer-Encoding", "chunked"))
            body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        elif ask.method != "GET":
            pairs.append(("Content-Length", str(len(body))))
        lines = [f"{ask.method} {ask.target} HTTP/1.1", f"Host: {HOST}", f"Connection: {connection}"]
        lines += [f"{name}: {value}" for name, value in pairs]
        return request_id, "\r\n".join([*lines, "", ""]).encode() + body

    # --- clients of each way

    async def anew(self, ask: Ask) -> None:
        request_id, message = self.message(ask, "close")
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await self.judged(ask, request_id, self.answer(reader, writer, message))
        finally:
            writer.close()

    async def keeps(self, ask: Ask) -> None:
        """Asks on the connection that it has. A gateway may end one at any time between two requests."""
        request_id, message = self.message(ask, "keep-alive")
        is_used = self.kept is not None
        self.kept = self.kept or await asyncio.open_connection("127.0.0.1", self.port)
        status = await self.judged(ask, request_id, self.answer(*self.kept, message), may_be_closed=is_used)
        if status != "200":
            self.drop()

    async def http2(self, ask: Ask) -> None:
        request_id, pairs = self.headers(ask)
        body = ask.body if ask.method != "GET" else None
        if body is not None and not ask.chunked:
            pairs.append(("content-length", str(len(body))))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http2_port)

        async def answer() -> Came | None:
            writer.write(http2.opening(ask.method, ask.target, HOST, pairs, body))
            writer.write(http2.content(body) if body is not None else b"")
            read = await http2.answer(reader, writer)
            return Came(read.status, bytes(read.body)) if read.ended else None

        try:
            await self.judged(ask, request_id, answer())
        finally:
            writer.close()

    async def breaks(self, ask: Ask) -> None:
        """Sends all or a part, with more behind it or not, waits or not, and resets or closes."""
        _, message = self.message(ask, self.random.choice(["close", "keep-alive"]))
        head = message.index(b"\r\n\r\n") + 4
        cut = self.random.choice([len(message), len(message), self.random.randint(head, len(message)), head // 2])
        behind = self.random.choice([b"", b"", message, message[:70]])
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(message[:cut] + behind)
        await self.broken_off(writer)

    async def breaks_http2(self, ask: Ask) -> None:
        _, pairs = self.headers(ask)
        body = ask.body if ask.method != "GET" else None
        _, writer = await asyncio.open_connection("127.0.0.1", self.http2_port)
        writer.write(http2.opening(ask.method, ask.target, HOST, pairs, body))
        sent = http2.content(body) if body is not None else b""
        writer.write(sent[: self.random.choice([0, len(sent) // 2, len(sent)])])
        if self.random.random() < 0.4:
            await asyncio.sleep(self.random.choice([0, 0.002, 0.05]))
            writer.write(http2.frame(http2.RST_STREAM, 0, 1, http2.CANCEL))
        await self.broken_off(writer)

    async def broken_off(self, writer: asyncio.StreamWriter) -> None:
        try:
            await writer.drain()
            await asyncio.sleep(self.random.choice([0, 0, 0.001, 0.02, 0.2, 1.0]))
            if self.random.random() < 0.8:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.tally.answers["broken off by its client"] += 1
        writer.close()

    # --- what comes back

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes) -> Came | None:
        try:
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            says_when = bool(re.search(rb"(?i)\r\nretry-after: *\d+\r\n", head))
            if length := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
                body = await reader.readexactly(int(length[1]))
            else:
                body = b""
                while size := int(await reader.readline(), 16):
                    body += (await reader.readexactly(size + 2))[:size]
                await reader.readexactly(2)
            return Came(int(head.split(b" ")[1]), body, says_when)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def judged(
        self, ask: Ask, request_id: str, answer: Awaitable[Came | None], may_be_closed: bool = False
    ) -> str:
        began = time.monotonic()
        try:
            came = await asyncio.wait_for(answer, PATIENCE)
            said = came.says(request_id) if came else "closed without an answer"
        except TimeoutError:
            said = f"no answer within {PATIENCE:.0f} s"
        took = time.monotonic() - began
        self.tally.slowest = max(self.tally.slowest, took)
        if said == "closed without an answer" and may_be_closed:
            said = "a kept connection was closed"
        elif said == "closed without an answer" and began - self.tally.reloaded < CHANGING:
            said = "closed while workers were replaced"
        elif said == "401 TOKEN_EXPIRED" and time.time() > self.ends - 1:
            said = "its token ended while it waited"
        elif said not in ask.expected:
            self.tally.wrong.append(f"{said} for {ask.method} {ask.target} of {self.sub}, after {took:.1f} s")
        self.tally.answers[said] += 1
        return said


def faults(chosen: random.Random) -> dict[str, tuple[str, int]]:
    """What callouts meet for the next seconds, and every how many of them."""
    every = {"discovery": 2, "keys": 2, "token": 3, "lookup": 3}
    return {sort: (chosen.choice(KINDS), every[sort]) for sort in SORTS if chosen.random() < 0.8}


async def load(
    ports: tuple[int, int], token: Callable[[str, int], tuple[str, float]], seconds: float, tally: Tally
) -> None:
    until = time.monotonic() + seconds
    clients = [Client(number, *ports, token, tally) for number in range(CLIENTS)]
    results = await asyncio.gather(*(survives(client, until) for client in clients))
    tally.wrong += [result for result in results if result]


async def survives(client: Client, until: float) -> str | None:
    """Goes on where Kong does not take a connection: a worker that died is counted elsewhere, but so that nothing hides it."""
    while time.monotonic() < until:
        try:
            await client.run(until)
        except OSError as error:
            client.drop()
            client.tally.answers[f"no connection: {type(error).__name__}"] += 1
            await asyncio.sleep(0.2)
        except Exception as error:
            return f"client {client.number}: {error!r}"
    return None
