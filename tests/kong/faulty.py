"""A provider, a token endpoint and a workspace in one process, whose answers to callouts fail in every way that there is.

    python faulty.py        reads one line of JSON (the key sets by issuer), prints one with its ports, ends with its input

The workspace looks at every request that reaches it: whether it is the one that its client says it sent, with a token of the client's.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import hashlib
import json
import random
import socket
import struct
import sys
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

JOB, OTHER_JOB = 101, 999
LIFE = 20


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass
class World:
    keys: dict[str, Any]
    # what a callout of this sort meets, and how often (1: always)
    faults: dict[str, tuple[str, int]] = field(default_factory=dict)
    met: collections.Counter[str] = field(default_factory=collections.Counter)
    reached: int = 0
    wrong: list[str] = field(default_factory=list)
    turn: int = 0

    def fault(self, sort: str) -> str | None:
        kind, every = self.faults.get(sort, ("", 1))
        self.turn += 1
        if not kind or self.turn % every:
            return None
        self.met[f"{sort} {kind}"] += 1
        return kind


async def read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:size]
            await reader.readexactly(2)
        else:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Request(method, target, headers, body)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return None


def answer(status: int, body: bytes, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Some Reason", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def as_json(value: Any, status: int = 200) -> bytes:
    return answer(status, json.dumps(value).encode())


async def faulted(kind: str, good: bytes, writer: asyncio.StreamWriter) -> None:
    """Answers wrongly; the connection is of no more use then."""
    match kind:
        case "slow":
            await asyncio.sleep(random.uniform(0.5, 2.5))
            writer.write(good)
        case "dripping":
            for at in range(0, 60):
                writer.write(good[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0.05)
        case "garbage":
            writer.write(answer(200, random.randbytes(200)))
        case "no json object":
            writer.write(answer(200, b"[[[[1]]]]"))
        case "truncated":
            writer.write(good[: len(good) - len(good) // 3])
        case "empty":
            pass
        case "cut headers":
            writer.write(good[:25])
        case "500":
            writer.write(answer(500, b"oops"))
        case "503":
            writer.write(answer(503, b"", Retry_After="1"))
        case "429":
            writer.write(answer(429, b"{}", Retry_After="1"))
        case "redirect":
            writer.write(answer(302, b"", Location="http://127.0.0.1:9/elsewhere"))
        case "long headers":
            # whoever bears them gets the right answer: `{}` would be the answer of a run without a job
            writer.write(good.replace(b"\r\n", b"\r\nX-Long: " + b"x" * 40_000 + b"\r\n", 1))
        case "long body":
            writer.write(answer(200, b'{"a":"' + b"x" * 900_000))
        case "without length":
            writer.write(good.replace(b"Content-Length", b"X-No-Length"))
        case "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(ConnectionError):
        await writer.drain()


KINDS = [
    *("slow", "dripping", "garbage", "no json object", "truncated", "empty", "cut headers", "500", "503", "429"),
    *("redirect", "long headers", "long body", "without length", "reset", "refused"),
]


class Servers:
    def __init__(self, world: World):
        self.world = world
        self.listening: dict[str, asyncio.Server] = {}
        self.ports: dict[str, int] = {}

    async def start(self) -> None:
        for name in ("provider", "tokens", "workspace", "control"):
            await self.listen(name, 0)

    async def listen(self, name: str, port: int) -> None:
        handler = getattr(self, f"on_{name}")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while (request := await read(reader)) and await handler(request, writer):
                    await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=512)
        self.listening[name] = server
        self.ports[name] = server.sockets[0].getsockname()[1]

    async def on_provider(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        issuer = request.path.split("/")[1]
        if request.path.endswith("/.well-known/openid-configuration"):
            url = f"http://127.0.0.1:{self.ports['provider']}/{issuer}"
            return await self.reply("discovery", as_json({"issuer": url, "jwks_uri": f"{url}/keys"}), writer)
        return await self.reply("keys", as_json({"keys": self.world.keys[issuer]}), writer)

    async def on_tokens(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        payload = form["subject_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        token = base64.urlsafe_b64encode(f"{claims['sub']} {random.random()}".encode()).decode().rstrip("=")
        minted = {"access_token": token, "token_type": "Bearer", "expires_in": LIFE, "scope": form.get("scope", "")}
        return await self.reply("token", as_json(minted), writer)

    async def on_workspace(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        if "x-test-id" not in request.headers:
            run = int(dict(urllib.parse.parse_qsl(request.target.partition("?")[2]))["run_id"])
            job = JOB if run % 2 == 0 else OTHER_JOB
            return await self.reply("lookup", as_json({"run_id": run, "job_id": job}), writer)
        self.world.reached += 1
        self.world.wrong += [
            f"{what}: {request.method} {request.target} {request.headers}" for what in oddities(request)
        ]
        writer.write(as_json({"id": request.headers["x-test-id"]}))
        return True

    async def reply(self, sort: str, good: bytes, writer: asyncio.StreamWriter) -> bool:
        kind = self.world.fault(sort)
        if kind is None:
            writer.write(good)
            return True
        await faulted(kind, good, writer)
        return False

    async def on_control(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        order = json.loads(request.body or b"{}")
        self.world.faults = {sort: (kind, every) for sort, (kind, every) in order.get("faults", {}).items()}
        for name, sorts in {"provider": ("keys", "discovery"), "tokens": ("token",)}.items():
            is_refused = any(self.world.faults.get(sort, ("", 1))[0] == "refused" for sort in sorts)
            if is_refused and self.listening[name].is_serving():
                self.listening[name].close()
            elif not is_refused and not self.listening[name].is_serving():
                await self.listen(name, self.ports[name])
        state = {"reached": self.world.reached, "wrong": self.world.wrong[:50], "met": dict(self.world.met)}
        writer.write(as_json(state))
        return True


def oddities(request: Request) -> list[str]:
    """How a request differs from what its client says it sent, and from what it may do."""
    headers, found = request.headers, []
    token = headers.get("authorization", "").removeprefix("Bearer ")
    try:
        who = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().split(" ")[0]
    except ValueError:
        who = "nobody"
    for what, came, sent in [
        ("another target", request.target, headers["x-test-target"]),
        ("another method", request.method, headers["x-test-method"]),
        ("another body", hashlib.sha256(request.body).hexdigest()[:16], headers["x-test-body"]),
        ("another's token", who, headers["x-test-who"]),
    ]:
        if came != sent:
            found.append(f"{what}, {came!r} for {sent!r}")
    if headers["x-test-expected"] != "200":
        found.append(f"what should have been {headers['x-test-expected']}")
    return found


async def main() -> None:
    servers = Servers(World(json.loads(sys.stdin.readline())))
    await servers.start()
    print(json.dumps(servers.ports), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
