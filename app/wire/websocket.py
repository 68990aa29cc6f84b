"""The client's side of a WebSocket (RFC 6455), without I/O: enough for the attach stream.

Only binary messages in one piece are sent; what arrives may be fragmented. The server's frames are not
masked, the client's are, as the RFC demands.
"""

from __future__ import annotations

from binascii import b2a_base64

try:
    from _sha1 import sha1
except ImportError:  # an interpreter built without its own SHA-1
    from hashlib import sha1

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KNOWN = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
LARGEST = 1 << 24  # bytes in one message; the attach stream's are far smaller
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class BadFrame(Exception):
    """The peer does not speak WebSocket as agreed."""


def handshake_headers(random: bytes) -> tuple[list[tuple[str, str]], str]:
    """The headers that ask for an upgrade, from 16 random bytes, and the accept value to expect."""
    key = b2a_base64(random, newline=False)
    accept = b2a_base64(sha1(key + _GUID, usedforsecurity=False).digest(), newline=False).decode()
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key.decode()),
    ]
    return headers, accept


def encode(payload: bytes, mask: bytes, opcode: int = BINARY) -> bytes:
    """One masked frame; `mask` is 4 random bytes."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + mask + _masked(payload, mask)


def _masked(payload: bytes, mask: bytes) -> bytes:
    """XOR with the repeated mask, as one big number: the interpreter has no faster way of its own."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


class Decoder:
    """Turns bytes from the server into messages: `(opcode, payload)`, fragments joined."""

    __slots__ = ("_buffer", "_opcode", "_parts", "_size")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        self._opcode = BINARY
        self._size = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Raises BadFrame for anything a server may not send."""
        self._buffer += data
        messages = []
        while frame := self._frame():
            final, opcode, payload = frame
            if opcode >= CLOSE:
                messages.append((opcode, payload))
                continue
            if (opcode == CONTINUATION) != bool(self._parts):
                raise BadFrame("a fragment that continues nothing, or a message inside another")
            self._opcode = opcode or self._opcode
            self._parts.append(payload)
            self._size += len(payload)
            if self._size > LARGEST:
                raise BadFrame("a message larger than any that was agreed")
            if final:
                messages.append((self._opcode, b"".join(self._parts)))
                self._parts.clear()
                self._size = 0
        return messages

    def _frame(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[0] & 0x70 or buffer[1] & 0x80:
            raise BadFrame("reserved bits or a masked frame from the server")
        final, opcode = bool(buffer[0] & 0x80), buffer[0] & 0x0F
        size, start = buffer[1], 2
        if opcode not in KNOWN or (opcode >= CLOSE and (size > 125 or not final)):
            raise BadFrame(f"a frame of kind {opcode} as no server may send it")
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if size > LARGEST:
            raise BadFrame("a frame larger than any that was agreed")
        if len(buffer) < start + size:
            return None
        with memoryview(buffer) as view:
            payload = bytes(view[start : start + size])
        del buffer[: start + size]
        return final, opcode, payload
