"""The connections of a compiled loop as arrays, and what a turn of it hands out.

Owns these tables and the few things both ways need: the clock, addresses, numbers. Never reads or writes a socket.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from tools.lines_calls import CLOCK_MONOTONIC, EVENT_WORDS, NONCE_BYTES, clock_gettime

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

CLOSED, SHAKING, CURVE, WEB = 0, 1, 2, 3  # modes of a connection
IN_BYTES, OUT_BYTES = 262_144, 8_192  # of one connection; a longer frame ends it
EVENTS_MAX = 1024  # of one turn
LOG_ROWS, ARENA_BYTES = 65_536, 8 << 20
LOG_ROWS_OF_A_READ = 16_384  # frames that IN_BYTES can hold
KNOWN = 8192  # hashes remembered
POSE_BYTES = 39
SNAPSHOT_KIND, HEADER_BYTES, FIRST_MESSAGE_BYTE = 1, 9, 0x80
COLUMNS = 9  # of a log row
BOT, AT_NS, SIZE, KIND, TICK, ROOM_HOME, OFFSET, HASH, BASE = range(COLUMNS)
# ROOM_HOME: home << 8 | room. OFFSET: in the arena, -1 if its bytes were handed out before. BASE: the tick whose frame
# one has to have for this one to be of use, if that can be said: of a frame of one block.
WAVES, PINGS, TOO_LONG, NOT_A_BOX, READ_FAILED = 256, 257, 258, 259, 260  # counters after those of the tags
COUNTERS = 264
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Ends(NamedTuple):
    """Connection i is row i of every array."""

    fd: npt.NDArray[np.int32]  # (n,)
    mode: npt.NDArray[np.int8]  # (n,)
    key: Bytes  # (n, 32) shared key of CURVE
    nonce: Words  # (n,) of the next message out
    have: Longs  # (n,) bytes in `inbox`
    inbox: Bytes  # (n, IN_BYTES)
    waits: Longs  # (n,) bytes in `outbox` that the kernel has not taken
    outbox: Bytes  # (n, OUT_BYTES)
    owner: npt.NDArray[np.int32]  # (files,) connection of a file descriptor
    bytes_in: Longs  # (n,) of all messages as they came, framing and boxes included


class Post(NamedTuple):
    """What a turn hands out, and scratch memory.

    `fill`: log rows, bytes in the arena, ends gone, ends in handshake, log rows that are no snapshots.
    """

    log: Longs  # (LOG_ROWS, COLUMNS)
    arena: Bytes  # (ARENA_BYTES,)
    gone: Longs  # (n,)
    shaking: Longs  # (n,)
    fill: Longs  # (5,)
    known: Words  # (KNOWN,) hashes of what was handed out
    wanted: npt.NDArray[np.int8]  # (128,) by tag of a message: 0 counted only, 1 every one, 2 the first of equal ones
    counters: Longs  # (COUNTERS,)
    events: npt.NDArray[np.uint32]  # (EVENTS_MAX * EVENT_WORDS,)
    plain: Words  # an opened message: flags in byte 7, the frame from byte 8 on
    nonces: Bytes  # (2, NONCE_BYTES) out, in
    clock: Longs  # (2,)


def make_ends(count: int, files: int) -> Ends:
    """Closed connections."""
    return Ends(
        fd=np.full(count, -1, np.int32), mode=np.zeros(count, np.int8), key=np.zeros((count, 32), np.uint8),
        nonce=np.zeros(count, np.uint64), have=np.zeros(count, np.int64), inbox=np.empty((count, IN_BYTES), np.uint8),
        waits=np.zeros(count, np.int64), outbox=np.empty((count, OUT_BYTES), np.uint8),
        owner=np.full(files, -1, np.int32), bytes_in=np.zeros(count, np.int64),
    )  # fmt: skip


def make_post(count: int) -> Post:
    """Empty."""
    nonces = np.frombuffer(b"CurveZMQMESSAGEC" + bytes(8) + b"CurveZMQMESSAGES" + bytes(8), np.uint8)
    return Post(
        log=np.zeros((LOG_ROWS, COLUMNS), np.int64), arena=np.empty(ARENA_BYTES, np.uint8),
        gone=np.zeros(count, np.int64), shaking=np.zeros(count, np.int64), fill=np.zeros(5, np.int64),
        known=np.zeros(KNOWN, np.uint64), wanted=np.zeros(128, np.int8), counters=np.zeros(COUNTERS, np.int64),
        events=np.zeros(EVENTS_MAX * EVENT_WORDS, np.uint32), plain=np.zeros(IN_BYTES // 8 + 2, np.uint64),
        nonces=nonces.reshape(2, NONCE_BYTES).copy(), clock=np.zeros(2, np.int64),
    )  # fmt: skip


@njit(cache=True)
def now_ns(clock: Longs) -> int:
    """Monotonic."""
    clock_gettime(CLOCK_MONOTONIC, clock.ctypes.data)
    return clock[0] * 1_000_000_000 + clock[1]


@njit(cache=True)
def address(block: Bytes, at: int) -> Any:
    """Of the byte `at` of a block, for C."""
    return np.uintp(block.ctypes.data + at)


@njit(cache=True)
def big_endian(block: Bytes, at: int, size: int) -> Any:
    """An unsigned number of `size` bytes."""
    out = np.int64(0)
    for i in range(size):
        out = out << 8 | np.int64(block[at + i])
    return out


@njit(cache=True)
def put_big_endian(block: Bytes, at: int, size: int, value: int) -> None:
    """The inverse."""
    for i in range(size):
        block[at + i] = np.uint8(np.uint64(value) >> np.uint64(8 * (size - 1 - i)) & np.uint64(255))
