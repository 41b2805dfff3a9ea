"""The room-epoch key: snapshots published to edges are sealed, and who left cannot open what comes after.

Owns the nonce and the associated data (PROTOCOL.md, Sealed views). Never reuses a nonce: an epoch's key is fresh and
random, and a view publishes at most one frame per tick. Never keeps a key.
"""

import os
import struct
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
TOPIC = struct.Struct("<cI")  # b"v", view
HEADER = struct.Struct("<HII")  # room, epoch, tick
NONCE = struct.Struct("<III")  # room, epoch, tick


class SealError(ValueError):
    """Not sealed under this key, or changed on the way."""


class SealedHeader(NamedTuple):
    """What everybody may read of a sealed snapshot."""

    room: int
    epoch: int
    tick: int


def new_key() -> bytes:
    """A fresh epoch key."""
    return os.urandom(KEY_BYTES)


def topic(view: int) -> bytes:
    """First part of a publication, what an edge subscribes to."""
    return TOPIC.pack(b"v", view)


def seal(key: bytes, room: int, epoch: int, tick: int, frame: bytes) -> tuple[bytes, bytes]:
    """Second and third part of a publication: header, sealed frame."""
    header = HEADER.pack(room, epoch, tick)
    return header, AESGCM(key).encrypt(NONCE.pack(room, epoch, tick), frame, header)


def read_header(header: bytes) -> SealedHeader:
    """The open part; raises SealError."""
    if len(header) != HEADER.size:
        raise SealError(f"a sealed header has {len(header)} bytes, it must have {HEADER.size}")
    return SealedHeader(*HEADER.unpack(header))


def open_sealed(key: bytes, header: bytes, sealed: bytes) -> bytes:
    """The snapshot frame; raises SealError."""
    room, epoch, tick = read_header(header)
    try:
        return AESGCM(key).decrypt(NONCE.pack(room, epoch, tick), sealed, header)
    except InvalidTag as bad:
        raise SealError(f"epoch {epoch} of room {room}: not sealed under this key") from bad
