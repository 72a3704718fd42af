"""The names of a shipped configuration, made real on this machine: a DNS server, and TLS at each name's own loopback address.

So kong.yml runs byte for byte as it is shipped, with `https://adb-….azuredatabricks.net` in it.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
import threading
from pathlib import Path

A, IN, NXDOMAIN = 1, 1, 3


def loopback() -> str:
    return f"127.{random.randrange(80, 250)}.{random.randrange(256)}.{random.randrange(1, 255)}"


class Names:
    """A DNS server that knows these names and no others."""

    def __init__(self, listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.addresses: dict[str, str] = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(listen)
        self.address = "{}:{}".format(*self.socket.getsockname())
        threading.Thread(target=self._serve, daemon=True).start()

    def add(self, name: str) -> str:
        return self.addresses.setdefault(name, loopback())

    def _serve(self) -> None:
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
                self.socket.sendto(self._answer(query), peer)
            except OSError:
                return

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12 : at + 5]
        (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
        address = self.addresses.get(".".join(labels).lower())
        answers = [address] if address and kind == A else []
        flags = 0x8180 | (0 if address else NXDOMAIN)
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", A, IN, 60, 4) + socket.inet_aton(one) for one in answers)
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(answers), 0, 0) + question + records

    def stop(self) -> None:
        self.socket.close()


class Door:
    """TLS at `address`:443, with what comes through it passed on to a plain port. With `listen` 0 it takes a free port."""

    def __init__(
        self, address: str, certificate: tuple[Path, Path], port: int, clients: Path | None = None, listen: int = 443
    ):
        self.address, self.port = address, port
        # common names of the clients' certificates, in the order in which the clients came
        self.visitors: list[str] = []
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
        context.load_cert_chain(*certificate)
        context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self._connection, address, listen, ssl=context, reuse_address=True)
        )
        self.listens_at: int = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if peer := writer.get_extra_info("peercert"):
            self.visitors += [value for part in peer["subject"] for key, value in part if key == "commonName"]
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def _close(self) -> None:
        self.server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass  # the other side went away: so does this one
    finally:
        writer.close()
