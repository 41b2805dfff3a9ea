"""A ZeroMQ DEALER's side of the greeting and the CURVE handshake (ZMTP 3.1, RFC 37 and RFC 26): bytes in, bytes out.

Owns what is said until both sides have the connection's key; after that `tools.lines_loop` seals and opens. Never
touches a socket. libzmq's own client does the same; this one lets thousands of connections share one compiled loop.
"""

import ctypes
import os
from typing import NamedTuple

from tools.lines_calls import BOX_BYTES, KEY_BYTES, load_sodium

GREETING_BYTES = 64
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
WELCOME_BYTES, COOKIE_BYTES = 168, 96
COMMAND = 4
FIRST_NONCE = 3  # of messages: 1 and 2 are the handshake's
METADATA = b"\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"


class ShakeError(ValueError):
    """The other side does not speak as it must, or refuses."""


class Shaken(NamedTuple):
    """A finished handshake: the shared key (empty without sealing) and the bytes that came after it."""

    key: bytes
    rest: bytes


class Sodium:
    """The few boxes a handshake needs."""

    def __init__(self) -> None:
        self._library = load_sodium()

    def keypair(self) -> tuple[bytes, bytes]:
        """A fresh public and secret key."""
        public, secret = ctypes.create_string_buffer(KEY_BYTES), ctypes.create_string_buffer(KEY_BYTES)
        self._library.crypto_box_keypair(public, secret)
        return public.raw, secret.raw

    def shared(self, public: bytes, secret: bytes) -> bytes:
        """The key two sides share."""
        out = ctypes.create_string_buffer(KEY_BYTES)
        if self._library.crypto_box_beforenm(out, public, secret):
            raise ShakeError("a public key that cannot be one")
        return out.raw

    def seal(self, text: bytes, nonce: bytes, key: bytes) -> bytes:
        """A box."""
        out = ctypes.create_string_buffer(len(text) + BOX_BYTES)
        self._library.crypto_box_easy_afternm(out, text, ctypes.c_ulonglong(len(text)), nonce, key)
        return out.raw

    def open(self, box: bytes, nonce: bytes, key: bytes) -> bytes:
        """What is in a box. Raises ShakeError."""
        out = ctypes.create_string_buffer(max(1, len(box) - BOX_BYTES))
        if len(box) < BOX_BYTES or self._library.crypto_box_open_easy_afternm(
            out, box, ctypes.c_ulonglong(len(box)), nonce, key
        ):
            raise ShakeError("a box that cannot be opened")
        return out.raw[: len(box) - BOX_BYTES]


def command(body: bytes) -> bytes:
    """A ZMTP command frame."""
    if len(body) < 256:
        return bytes((COMMAND, len(body))) + body
    return bytes((COMMAND | 2,)) + len(body).to_bytes(8, "big") + body


class CurveShake:
    """One connection's handshake; `feed` until it gives a Shaken."""

    def __init__(self, sodium: Sodium, server_key: bytes) -> None:
        self._sodium, self._server = sodium, server_key
        self._public, self._secret = sodium.keypair()  # of the person behind the connection
        self._brief_public, self._brief_secret = sodium.keypair()  # of the connection only
        self._hello_key = sodium.shared(server_key, self._brief_secret)
        self._key = b""
        self._got = b""
        self._step = self._greeted

    def begin(self) -> bytes:
        """What to send first."""
        return GREETING

    def feed(self, data: bytes) -> tuple[bytes, Shaken | None]:
        """Take in bytes; what to answer, and the end if this was it. Raises ShakeError."""
        self._got += data
        out = b""
        while True:
            answer = self._step()
            if answer is None:
                return out, None
            if isinstance(answer, Shaken):
                return out, answer
            out += answer

    def _greeted(self) -> bytes | Shaken | None:
        if len(self._got) < GREETING_BYTES:
            return None
        if self._got[0] != 0xFF or self._got[10] < 3 or self._got[12:17] != b"CURVE":
            raise ShakeError("no ZMTP 3 greeting with CURVE")
        self._got, self._step = self._got[GREETING_BYTES:], self._welcomed
        box = self._sodium.seal(bytes(64), b"CurveZMQHELLO---" + (1).to_bytes(8, "big"), self._hello_key)
        return command(b"\x05HELLO\x01\x00" + bytes(72) + self._brief_public + (1).to_bytes(8, "big") + box)

    def _welcomed(self) -> bytes | Shaken | None:
        body = self._command()
        if body is None:
            return None
        if not body.startswith(b"\x07WELCOME") or len(body) != WELCOME_BYTES:
            raise ShakeError(_refusal(body))
        opened = self._sodium.open(body[24:], b"WELCOME-" + body[8:24], self._hello_key)
        brief_server, cookie = opened[:KEY_BYTES], opened[KEY_BYTES:]
        self._key, self._step = self._sodium.shared(brief_server, self._brief_secret), self._ready
        vouch_nonce = os.urandom(16)
        vouch = self._sodium.seal(
            self._brief_public + self._server,
            b"VOUCH---" + vouch_nonce,
            self._sodium.shared(brief_server, self._secret),
        )
        box = self._sodium.seal(
            self._public + vouch_nonce + vouch + METADATA, b"CurveZMQINITIATE" + (2).to_bytes(8, "big"), self._key
        )
        return command(b"\x08INITIATE" + cookie + (2).to_bytes(8, "big") + box)

    def _ready(self) -> bytes | Shaken | None:
        body = self._command()
        if body is None:
            return None
        if not body.startswith(b"\x05READY"):
            raise ShakeError(_refusal(body))
        self._sodium.open(body[14:], b"CurveZMQREADY---" + body[6:14], self._key)
        return Shaken(self._key, self._got)

    def _command(self) -> bytes | None:
        """The next whole command's body."""
        if len(self._got) < 2:
            return None
        flags = self._got[0]
        head, size = (9, int.from_bytes(self._got[1:9], "big")) if flags & 2 else (2, self._got[1])
        if not flags & COMMAND or size > 1 << 16:
            raise ShakeError("no command where one has to be")
        if len(self._got) < head + size:
            return None
        body, self._got = self._got[head : head + size], self._got[head + size :]
        return body


def _refusal(body: bytes) -> str:
    if body.startswith(b"\x05ERROR"):
        return f"refused with {body[7:].decode(errors='replace')}"
    return "a command that is not the handshake's next"
