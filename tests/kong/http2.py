"""As much of HTTP/2 (RFC 9113) as one client needs for one request on one connection of its own, and for breaking it off."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = struct.pack(">I", 8)
# the whole answers of the static table of RFC 7541, appendix A
STATUSES = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(text: bytes) -> bytes:
    """A string of RFC 7541 section 5.2, without Huffman's code."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, encoded = len(text) - 127, bytearray([127])
    while rest >= 128:
        encoded.append(rest % 128 + 128)
        rest //= 128
    return bytes(encoded) + bytes([rest]) + text


def opening(method: str, target: str, host: str, headers: list[tuple[str, str]], body: bytes | None) -> bytes:
    """The first bytes of a connection with one request; `body` without a length, as HTTP/2 allows."""
    pairs = [(":method", method), (":scheme", "http"), (":path", target), (":authority", host)]
    pairs += [(name.lower(), value) for name, value in headers]
    block = b"".join(b"\x00" + literal(name.encode()) + literal(value.encode()) for name, value in pairs)
    sent = PREFACE + frame(SETTINGS, 0, 0)
    # a frame holds 16 KiB: a longer list goes on in continuations
    parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    for number, part in enumerate(parts):
        flags = (END_HEADERS if number == len(parts) - 1 else 0) | (END_STREAM if body is None and number == 0 else 0)
        sent += frame(HEADERS if number == 0 else 9, flags, 1, part)
    return sent


def content(body: bytes) -> bytes:
    parts = [body[at : at + 16_000] for at in range(0, len(body), 16_000)] or [b""]
    return b"".join(
        frame(DATA, END_STREAM if number == len(parts) - 1 else 0, 1, part) for number, part in enumerate(parts)
    )


@dataclass
class Answer:
    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    """Reads the answer of stream 1; one that is not `ended` was broken off."""
    read = Answer()
    while not read.ended:
        try:
            head = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return read
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
        if kind in (SETTINGS, PING) and not flags & ACK:
            writer.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY or (kind == RST_STREAM and stream == 1 and not read.status):
            return read
        elif stream == 1 and kind == HEADERS and not read.status:
            read.status = status(payload)
        elif stream == 1 and kind == DATA:
            read.body += payload
        read.ended = stream == 1 and kind in (HEADERS, DATA) and bool(flags & END_STREAM)
    return read


def status(block: bytes) -> int:
    """The status comes first of all; nginx writes those that the static table lacks as three digits."""
    if block and 0x20 <= block[0] <= 0x3F:  # a new size of the dynamic table
        block = block[1:]
    if block[:1] and block[0] in STATUSES:
        return STATUSES[block[0]]
    return int(block[2:5]) if block[:2] in (b"\x48\x03", b"\x08\x03") else 0
