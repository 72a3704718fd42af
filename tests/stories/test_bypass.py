"""The attempts of tests/bypass, sent to a real host byte for byte. tests/flow/bypass.rs runs the same through the core."""

from __future__ import annotations

import http.client
import json
import re
import socket
import urllib.parse
from dataclasses import dataclass

import pytest

from stack import REPO, Response
from world import World, assert_refused

TABLES = [REPO / f"tests/bypass/{name}.tsv" for name in ("attempts", "generated")]
POLICIES = [json.loads((REPO / f"tests/bypass/{name}.json").read_text()) for name in ("policy", "generated")]
CALLERS = POLICIES[0]["callers"] | POLICIES[1]["callers"]


@dataclass
class Attempt:
    """One line of the table."""

    name: str
    source: str
    caller: str
    method: str
    target: str
    headers: str
    body: str
    framing: str
    status: str
    reason: str
    text: str
    host: str


LINES = [line for table in TABLES for line in table.read_text().splitlines()]
ATTEMPTS = [Attempt(*line.split("\t")) for line in LINES if line and not line.startswith("#")]


def written(text: str) -> bytes:
    """Undoes `<<0d 0a>>` and `<<60*[>>`."""

    def special(found: re.Match[bytes]) -> bytes:
        times, star, repeated = found[1].partition(b"*")
        return repeated * int(times) if star else bytes.fromhex(found[1].decode())

    return re.sub(rb"<<(.*?)>>", special, text.encode(), flags=re.DOTALL)


def head(attempt: Attempt, world: World) -> tuple[bytes, bytes]:
    """The request line with the headers, and the body."""
    url = urllib.parse.urlsplit(world.gateway.url("bypass"))
    target = written(attempt.target)
    if target.startswith(b"/"):
        target = url.path.encode() + target
    lines = [b" ".join([attempt.method.encode(), target, b"HTTP/1.1"])]
    if not attempt.headers.startswith("Host: "):
        lines.append(b"Host: " + url.netloc.encode())
    if attempt.caller != "-":
        who = CALLERS[attempt.caller]
        token = world.user(*who["groups"], name=attempt.caller).token(client=who.get("client", "tests"))
        lines.append(b"Authorization: Bearer " + token.encode())
    if attempt.headers != "-":
        lines += written(attempt.headers).split(b" | ")
    names = {line.partition(b":")[0].lower() for line in lines[1:]}
    body = b"" if attempt.body == "-" else written(attempt.body)
    if attempt.body != "-":
        if b"content-type" not in names:
            lines.append(b"Content-Type: application/json")
        if attempt.framing.startswith("chunks"):
            lines.append(b"Transfer-Encoding: chunked")
        elif b"content-length" not in names:
            lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n", body


def pieces(body: bytes, framing: str) -> list[bytes]:
    """What is written at once: the body, parts of it, or chunks."""
    kind, _, size = framing.partition("=")
    parts = [body[start : start + int(size)] for start in range(0, len(body), int(size))] if size else [body]
    if kind == "chunks":
        return [b"%x\r\n%s\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"]
    return parts


def exchange(world: World, attempt: Attempt) -> Response | None:
    """Sends a request as it is written; None if the host closes the connection without an answer."""
    url = urllib.parse.urlsplit(world.gateway.url("bypass"))
    start, body = head(attempt, world)
    with socket.create_connection((url.hostname, url.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection.sendall(start)
            for piece in pieces(body, attempt.framing) if attempt.body != "-" else []:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered before all of it was sent
        answer = http.client.HTTPResponse(connection, method=attempt.method)
        try:
            answer.begin()
            content = answer.read()
        except (ConnectionResetError, http.client.HTTPException):
            return None
        reply = Response(answer.status, answer.getheaders(), content)
    world.responses.append(reply)
    return reply


def is_the_hosts_own(attempt: Attempt, world: World) -> bool:
    """Whether this host may refuse the request, or make it plain, before the filter sees it."""
    return attempt.host in ("host", "rewrites") or (attempt.host == "path" and world.gateway.normalizes_paths)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_attempt(world: World, attempt: Attempt):
    if attempt.host == "core":
        pytest.skip("hosts take this apart before the filter sees it")
    if attempt.status == "forward" and "%2F" in attempt.target and world.gateway.decodes_slashes:
        pytest.skip("this host, which stands in for kong, decodes the slashes")
    if attempt.host == "plain" and world.gateway.normalizes_paths:
        pytest.skip("this host makes the path plain, and the plain one is allowed")
    if attempt.name == "more headers than are seen" and world.gateway.sees_all_headers:
        pytest.skip("this host shows all of them")
    reply = exchange(world, attempt)
    if attempt.status == "forward":
        assert reply is not None and reply.header("server") == "databricks", str(reply)
        assert (world.the_request().method, world.the_request().target) == (attempt.method, attempt.target)
        return
    world.nothing_reached()
    if is_the_hosts_own(attempt, world):
        assert reply is None or reply.status >= 400, str(reply)
        return
    assert reply is not None, "the connection was closed without an answer"
    if attempt.method == "HEAD":
        assert reply.status == int(attempt.status), str(reply)
    elif attempt.reason == "-":
        assert reply.status == int(attempt.status) and attempt.text in reply.text, str(reply)
    else:
        assert_refused(reply, int(attempt.status), attempt.reason)
        assert attempt.text == "-" or attempt.text in reply.text, str(reply)
