"""Requests byte for byte, as no HTTP client would send them, and a proxy that passes them on just so."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from dataclasses import dataclass

SECONDS = 10.0


def request(method: str, target: str, host: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request of HTTP/1.1; no header is added."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Exchange:
    """All that came back on one connection, until it ended or nothing more came."""

    replies: list[tuple[int, bytes]]
    was_closed: bool


def exchange(port: int, sent: bytes, quiet: float = 2.0) -> Exchange:
    """Sends bytes on a connection of their own and reads what comes, until the other side closes or is quiet for so many seconds."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(sent)
        connection.settimeout(quiet)
        received, was_closed = b"", False
        try:
            while chunk := connection.recv(65536):
                received += chunk
            was_closed = True
        except TimeoutError:
            pass
        except ConnectionError:
            was_closed = True
    return Exchange(list(replies(received)), was_closed)


def replies(received: bytes):
    """The status and body of each answer, one after the other."""
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        size = int(length[1]) if length else len(rest)
        yield int(head.split(b" ")[1]), rest[:size]
        received = rest[size:].lstrip(b"\n")


def reset(port: int, sent: bytes) -> bool:
    """Sends bytes and resets the connection at once; whether there was one."""
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(sent)
        return True
    except OSError:
        return False


class Front:
    """A proxy that passes each request on as it is, all of them on one connection, as long as that is kept open."""

    def __init__(self, port: int):
        self.upstream_port = port
        self.upstream: socket.socket | None = None
        self.one_at_a_time = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, self.one_at_a_time, contextlib.suppress(OSError):
            message = _message(client)
            if self.upstream is None:
                self.upstream = socket.create_connection(("127.0.0.1", self.upstream_port), SECONDS)
            self.upstream.sendall(message)
            reply = _message(self.upstream)
            if not reply or re.search(rb"(?im)^connection: *close", reply.partition(b"\r\n\r\n")[0]):
                self.upstream.close()
                self.upstream = None
            client.sendall(reply)

    def stop(self) -> None:
        self.listener.close()
        if self.upstream:
            self.upstream.close()


def _message(connection: socket.socket) -> bytes:
    """One request or answer, whose length its `Content-Length` tells."""
    received = b""
    connection.settimeout(SECONDS)
    while b"\r\n\r\n" not in received:
        if not (chunk := connection.recv(65536)):
            return received
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    while length and len(body) < int(length[1]):
        if not (chunk := connection.recv(65536)):
            break
        body += chunk
    return head + b"\r\n\r\n" + body
