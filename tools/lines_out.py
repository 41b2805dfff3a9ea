"""Frames out over compiled connections: sealed for CURVE or masked for WebSocket; a whole fleet's poses in one call.

Owns the framing of what is sent and the outboxes. Never reads.
"""

import numpy as np
from numba import njit

from tools.lines_calls import BOX_BYTES, MSG_DONTWAIT, MSG_NOSIGNAL, box_seal, memmove, send
from tools.lines_ends import (
    CURVE,
    HASH_FACTOR,
    OUT_BYTES,
    WEB,
    Bytes,
    Ends,
    Longs,
    Post,
    address,
    now_ns,
    put_big_endian,
)


@njit(cache=True)
def queue_curve(ends: Ends, post: Post, bot: int, frame: Bytes, flags: int) -> bool:
    """Seal a frame into the outbox; False if it has no room there."""
    size = 16 + BOX_BYTES + 1 + len(frame)
    head = 2 if size < 256 else 9
    out, at = ends.outbox[bot], ends.waits[bot]
    if at + head + size > OUT_BYTES:
        return False
    plain = np.empty(1 + len(frame), np.uint8)
    plain[0] = flags
    plain[1:] = frame
    out[at] = 0 if head == 2 else 2
    put_big_endian(out, at + 1, head - 1, size)
    at += head
    out[at], out[at + 1], out[at + 2], out[at + 3] = 7, 77, 69, 83
    out[at + 4], out[at + 5], out[at + 6], out[at + 7] = 83, 65, 71, 69
    put_big_endian(out, at + 8, 8, ends.nonce[bot])
    post.nonces[0, 16:24] = out[at + 8 : at + 16]
    ends.nonce[bot] += np.uint64(1)
    box_seal(
        address(out, at + 16), address(plain, 0), np.uint64(len(plain)), address(post.nonces[0], 0),
        address(ends.key[bot], 0),
    )  # fmt: skip
    ends.waits[bot] = at + size
    return True


@njit(cache=True)
def queue_web(ends: Ends, bot: int, frame: Bytes, code: int) -> bool:
    """Frame and mask into the outbox; False if it has no room there. The mask is a number drawn from a counter."""
    size = len(frame)
    head = 2 if size < 126 else 4
    out, at = ends.outbox[bot], ends.waits[bot]
    if size > 65_535 or at + head + 4 + size > OUT_BYTES:
        return False
    out[at] = 128 | code
    out[at + 1] = 128 | (size if head == 2 else 126)
    if head == 4:
        put_big_endian(out, at + 2, 2, size)
    at += head
    ends.nonce[bot] += np.uint64(1)
    put_big_endian(out, at, 4, ends.nonce[bot] * HASH_FACTOR >> np.uint64(32))
    for i in range(size):
        out[at + 4 + i] = frame[i] ^ out[at + (i & 3)]
    ends.waits[bot] = at + 4 + size
    return True


@njit(cache=True)
def flush(ends: Ends, bot: int) -> bool:
    """Give the kernel what waits; whether it took all. A broken connection shows when it is read."""
    sent = send(
        ends.fd[bot], address(ends.outbox[bot], 0), np.uintp(ends.waits[bot]), MSG_DONTWAIT | MSG_NOSIGNAL
    )  # fmt: skip
    if sent > 0:
        left = ends.waits[bot] - sent
        if left:
            memmove(address(ends.outbox[bot], 0), address(ends.outbox[bot], sent), np.uintp(left))
        ends.waits[bot] = left
    return ends.waits[bot] == 0


@njit(cache=True)
def put(ends: Ends, post: Post, bot: int, frame: Bytes) -> bool:
    """Send one frame; False if the connection is not open or has no room for it."""
    mode = ends.mode[bot]
    if mode == CURVE:
        room = queue_curve(ends, post, bot, frame, 0)
    elif mode == WEB:
        room = queue_web(ends, bot, frame, 2)
    else:
        return False
    flush(ends, bot)
    return room


@njit(cache=True)
def put_poses(ends: Ends, post: Post, bots: Longs, rows: Bytes, seq: Longs, sent_ns: Longs) -> int:
    """Send row `bots[i]` of `rows` (n, POSE_BYTES) for each of `bots`, numbered by the next of `seq`; how many went.

    `sent_ns` (n, 256) takes when, by the number's low byte. Whose outbox is not empty is left out: it does not keep up.
    """
    count = 0
    for bot in bots:
        if ends.waits[bot] and not flush(ends, bot):
            continue
        number = seq[bot] + 1
        row = rows[bot]
        for i in range(4):
            row[1 + i] = np.uint8(number >> (8 * i) & 255)
        at_ns = now_ns(post.clock)
        if put(ends, post, bot, row):
            seq[bot] = number
            sent_ns[bot, number & 255] = at_ns
            count += 1
    return count
