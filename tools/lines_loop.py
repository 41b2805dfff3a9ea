"""One compiled loop for thousands of connections: read what is ready, take messages apart, note what came.

Owns the way in of ZMTP with CURVE and of WebSocket on raw non-blocking sockets; handshakes are Python's
(`tools.lines_curve`, `tools.lines_upgrade`), the way out is `tools.lines_out`. Snapshots become rows of a log, each
different one is handed out once, by its hash; other frames are handed out if their kind is wanted. Never decodes a
snapshot beyond its header.
"""

from typing import Any

import numpy as np
from numba import njit

from tools.lines_calls import (
    AGAIN,
    BOX_BYTES,
    EVENT_FD,
    EVENT_WORDS,
    INTERRUPTED,
    MSG_DONTWAIT,
    box_open,
    epoll_wait,
    errno,
    memmove,
    recv,
)
from tools.lines_ends import (
    ARENA_BYTES,
    AT_NS,
    BASE,
    BOT,
    CLOSED,
    CURVE,
    EVENTS_MAX,
    FIRST_MESSAGE_BYTE,
    HASH,
    HASH_FACTOR,
    HEADER_BYTES,
    IN_BYTES,
    KIND,
    KNOWN,
    LOG_ROWS,
    LOG_ROWS_OF_A_READ,
    NOT_A_BOX,
    OFFSET,
    PINGS,
    READ_FAILED,
    ROOM_HOME,
    SHAKING,
    SIZE,
    SNAPSHOT_KIND,
    TICK,
    TOO_LONG,
    WAVES,
    Ends,
    Post,
    Words,
    address,
    big_endian,
    now_ns,
)  # fmt: skip
from tools.lines_out import flush, queue_curve, queue_web


@njit(cache=True)
def frame_hash(plain: Words, size: int) -> np.uint64:
    """Of the `size` bytes from word 1 on; what follows them in the last word is cleared. Never 0."""
    last, tail = size // 8, size % 8
    h = np.uint64(size) * HASH_FACTOR
    if tail:
        plain[1 + last] &= (np.uint64(1) << np.uint64(8 * tail)) - np.uint64(1)
        last += 1
    for i in range(1, 1 + last):
        h = (h ^ plain[i]) * HASH_FACTOR
        h ^= h >> np.uint64(29)
    return h | np.uint64(1)


@njit(cache=True)
def _keep(post: Post, bot: int, at_ns: int, size: int, kind: Any, once: bool) -> None:
    """A log row for the frame in `plain`; its bytes too, unless the same ones were handed out before."""
    fill, frame = post.fill, post.plain.view(np.uint8)
    row = post.log[fill[0]]
    fill[0] += 1
    h = frame_hash(post.plain, size) if once else np.uint64(0)
    row[BOT], row[AT_NS], row[SIZE], row[KIND], row[OFFSET], row[HASH] = bot, at_ns, size, kind, -1, np.int64(h)
    if kind == SNAPSHOT_KIND and size >= HEADER_BYTES:
        words = post.plain
        row[TICK] = np.int64(words[1] >> np.uint64(16) & np.uint64(0xFFFFFFFF))
        home = np.int64(words[1] >> np.uint64(48)) & 0xFFFF
        row[ROOM_HOME] = home << 8 | np.int64(frame[9])
        whole = frame[8 + 8] != 1 or size <= HEADER_BYTES + 4  # several blocks, or one without a body
        row[BASE] = row[TICK] - (0 if whole else np.int64(frame[8 + HEADER_BYTES + 4]))
    if once and post.known[h % np.uint64(KNOWN)] == h:
        return
    if once:
        post.known[h % np.uint64(KNOWN)] = h
    row[OFFSET] = fill[1]
    memmove(address(post.arena, fill[1]), address(frame, 8), np.uintp(size))
    fill[1] += size


@njit(cache=True)
def _frame(post: Post, bot: int, at_ns: int, size: int) -> None:
    """The frame in `plain`."""
    frame = post.plain.view(np.uint8)
    if size == 0:
        return
    kind = np.int64(frame[8])
    if kind == SNAPSHOT_KIND:
        _keep(post, bot, at_ns, size, kind, True)
    elif kind < FIRST_MESSAGE_BYTE:
        post.counters[WAVES] += 1
    elif size > 1:
        tag = np.int64(frame[9]) & 127
        post.counters[tag] += 1
        if post.wanted[tag]:
            _keep(post, bot, at_ns, size, kind, post.wanted[tag] == 2)
            post.fill[4] += 1


@njit(cache=True)
def _message(ends: Ends, post: Post, bot: int, at: int, size: int, at_ns: int) -> bool:
    """Open a CURVE message of the inbox; False if it cannot be opened."""
    inbox, plain = ends.inbox[bot], post.plain.view(np.uint8)
    if size < 16 + BOX_BYTES + 1 or inbox[at] != 7:
        return True  # a command after the handshake: nothing a DEALER minds
    post.nonces[1, 16:24] = inbox[at + 8 : at + 16]
    box = address(inbox, at + 16)
    if box_open(address(plain, 7), box, np.uint64(size - 16), address(post.nonces[1], 0), address(ends.key[bot], 0)):
        return False
    inner = size - 16 - BOX_BYTES - 1
    if plain[7] & 2:
        if inner >= 7 and plain[9] == 80 and plain[10] == 73:  # "PI" of PING: answered with its context
            post.counters[PINGS] += 1
            _pong(ends, post, bot, inner)
        return True
    _frame(post, bot, at_ns, inner)
    return True


@njit(cache=True)
def _pong(ends: Ends, post: Post, bot: int, inner: int) -> None:
    plain = post.plain.view(np.uint8)
    context = min(16, inner - 7)
    answer = np.zeros(5 + context, np.uint8)
    answer[0], answer[1], answer[2], answer[3], answer[4] = 4, 80, 79, 78, 71
    answer[5:] = plain[15 : 15 + context]
    queue_curve(ends, post, bot, answer, 2)
    flush(ends, bot)


@njit(cache=True)
def _parse_curve(ends: Ends, post: Post, bot: int, at_ns: int) -> int:
    """Take whole ZMTP frames out of the inbox; bytes used, or -1 to end the connection."""
    inbox, have, at = ends.inbox[bot], ends.have[bot], 0
    while have - at >= 2:
        head = 9 if inbox[at] & 2 else 2
        if have - at < head:
            break
        size = big_endian(inbox, at + 1, head - 1)
        if size < 0 or head + size > IN_BYTES:
            post.counters[TOO_LONG] += 1
            return -1
        if have - at < head + size:
            break
        if not _message(ends, post, bot, at + head, size, at_ns):
            post.counters[NOT_A_BOX] += 1
            return -1
        at += head + size
    return at


@njit(cache=True)
def _parse_web(ends: Ends, post: Post, bot: int, at_ns: int) -> int:
    """Take whole WebSocket frames out of the inbox; bytes used, or -1 to end the connection."""
    inbox, have, at = ends.inbox[bot], ends.have[bot], 0
    while have - at >= 2:
        size = int(inbox[at + 1]) & 127
        head = 2 if size < 126 else 4 if size == 126 else 10
        if have - at < head:
            break
        if head > 2:
            size = big_endian(inbox, at + 2, head - 2)
        if size < 0 or head + size > IN_BYTES:
            post.counters[TOO_LONG] += 1
            return -1
        if have - at < head + size:
            break
        code = inbox[at] & 15
        if code == 8:
            return -1
        if code == 9:
            post.counters[PINGS] += 1
            queue_web(ends, bot, inbox[at + head : at + head + size], 10)
            flush(ends, bot)
        elif code == 2:
            memmove(address(post.plain.view(np.uint8), 8), address(inbox, at + head), np.uintp(size))
            _frame(post, bot, at_ns, size)
        at += head + size
    return at


@njit(cache=True)
def take_in(ends: Ends, post: Post, bot: int, at_ns: int) -> None:
    """Take apart what is in the inbox; the rest of the last message stays for the next time."""
    used = _parse_curve(ends, post, bot, at_ns) if ends.mode[bot] == CURVE else _parse_web(ends, post, bot, at_ns)
    if used < 0:
        _end(ends, post, bot)
        return
    left = ends.have[bot] - used
    if used and left:
        memmove(address(ends.inbox[bot], 0), address(ends.inbox[bot], used), np.uintp(left))
    ends.have[bot] = left
    ends.bytes_in[bot] += used


@njit(cache=True)
def _end(ends: Ends, post: Post, bot: int) -> None:
    ends.mode[bot] = CLOSED
    post.gone[post.fill[2]] = bot
    post.fill[2] += 1


@njit(cache=True)
def _read(ends: Ends, post: Post, bot: int) -> None:
    have = ends.have[bot]
    got = recv(ends.fd[bot], address(ends.inbox[bot], have), np.uintp(IN_BYTES - have), MSG_DONTWAIT)
    if got > 0:
        ends.have[bot] = have + got
        take_in(ends, post, bot, now_ns(post.clock))
    elif got == 0:
        _end(ends, post, bot)
    else:
        why = errno()
        if why not in (AGAIN, INTERRUPTED):
            post.counters[READ_FAILED] += 1
            _end(ends, post, bot)


@njit(cache=True)
def _events(ends: Ends, post: Post, count: int) -> bool:
    """Read each ready connection once. False if the log or the arena might not hold another read: the rest stays ready
    for the next time.
    """
    for i in range(count):
        if post.fill[0] + LOG_ROWS_OF_A_READ > LOG_ROWS or post.fill[1] + IN_BYTES > ARENA_BYTES:
            return False
        bot = ends.owner[post.events[i * EVENT_WORDS + EVENT_FD]]
        if bot < 0:
            continue
        if ends.mode[bot] == SHAKING:
            post.shaking[post.fill[3]] = bot
            post.fill[3] += 1
        elif ends.mode[bot] != CLOSED:
            _read(ends, post, bot)
    return True


@njit(cache=True)
def turn(ends: Ends, post: Post, poll_fd: int, wait_ns: int) -> None:
    """Read what comes within `wait_ns`; less if there is something that does not bear waiting: all but snapshots."""
    post.fill[:] = 0
    until = now_ns(post.clock) + wait_ns
    left = wait_ns
    while True:
        count = epoll_wait(
            np.int32(poll_fd), np.uintp(post.events.ctypes.data), np.int32(EVENTS_MAX),
            np.int32((left + 999_999) // 1_000_000),
        )  # fmt: skip
        if not _events(ends, post, count) or post.fill[2] or post.fill[3] or post.fill[4]:
            return
        left = until - now_ns(post.clock)
        if left <= 0:
            return
