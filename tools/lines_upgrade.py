"""A WebSocket client's side of the opening handshake (RFC 6455, section 4): bytes in, bytes out.

Owns what is said until the connection is a WebSocket; after that `tools.lines_loop` frames and masks. Never touches a
socket. Plain ws:// only: a swarm loads an edge, not its TLS.
"""

import base64
import hashlib
import os
from typing import NamedTuple
from urllib.parse import urlsplit

from server.net.protocol import SUBPROTOCOL
from tools.lines_curve import ShakeError, Shaken

ANSWER_BYTES_MAX = 16_384
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Address(NamedTuple):
    """Where a WebSocket is."""

    host: str
    port: int
    path: str


def read_url(url: str) -> Address:
    """The parts of an http:// or ws:// URL. Raises OSError for others."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "ws") or not parts.hostname:
        raise OSError(f"{url} is no http:// or ws:// URL: the swarm speaks plain WebSocket only")
    return Address(parts.hostname, parts.port or 80, parts.path or "/ws")


class WebShake:
    """One connection's handshake; `feed` until it gives a Shaken."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._key = base64.b64encode(os.urandom(16))
        self._got = b""

    def begin(self) -> bytes:
        """What to send first."""
        host, port, path = self._address
        return (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"
            f"Sec-WebSocket-Key: {self._key.decode()}\r\n\r\n"
        ).encode()

    def feed(self, data: bytes) -> tuple[bytes, Shaken | None]:
        """Take in bytes; nothing is ever to be answered. Raises ShakeError."""
        self._got += data
        head, end, rest = self._got.partition(b"\r\n\r\n")
        if not end:
            if len(self._got) > ANSWER_BYTES_MAX:
                raise ShakeError("no end of the answer's head")
            return b"", None
        status, *lines = head.split(b"\r\n")
        if status.split(b" ")[1:2] != [b"101"]:
            raise ShakeError(f"answered with {status.decode(errors='replace')[:80]}")
        said = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        proof = base64.b64encode(hashlib.sha1(self._key + MAGIC, usedforsecurity=False).digest())
        if said.get(b"sec-websocket-accept") != proof:
            raise ShakeError("an answer without the proof")
        return b"", Shaken(b"", rest)
