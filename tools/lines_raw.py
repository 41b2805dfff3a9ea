"""Thousands of connections from one thread: raw non-blocking sockets, an epoll, and the compiled loop of `lines_loop`.

Owns the sockets and their handshakes. ZeroMQ with CURVE (`curve_target`) or WebSocket (`web_target`); frames are opaque
here but for their kind. Linux only: elsewhere there is `tools.lines.NativeLines`.
"""

import contextlib
import select
import socket
from collections.abc import Callable
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import numpy as np

from tools.lines import Letter, Mail, allow_files
from tools.lines_calls import load_sodium
from tools.lines_curve import FIRST_NONCE, CurveShake, ShakeError, Shaken, Sodium
from tools.lines_ends import (
    AT_NS,
    BASE,
    BOT,
    CLOSED,
    CURVE,
    HASH,
    KIND,
    OFFSET,
    ROOM_HOME,
    SHAKING,
    SIZE,
    SNAPSHOT_KIND,
    TICK,
    WEB,
    Bytes,
    Longs,
    make_ends,
    make_post,
    now_ns,
)  # fmt: skip
from tools.lines_loop import take_in, turn
from tools.lines_out import put, put_poses
from tools.lines_upgrade import WebShake, read_url

FILES = 65_536  # descriptors a table by descriptor has room for
SHAKE_BYTES = 65_536
WAITING_MAX = 16  # frames held until a handshake is done


class Shake(Protocol):
    """A handshake: what to send first, then bytes in, bytes out, until it is done."""

    def begin(self) -> bytes:
        """What to send first."""
        ...

    def feed(self, data: bytes) -> tuple[bytes, Shaken | None]:
        """Take in bytes; what to answer, and the end if this was it. Raises ShakeError."""
        ...


class Target(NamedTuple):
    """Where to connect to and how to begin."""

    host: str
    port: int
    mode: int
    shake: Callable[[], Shake]


def curve_target(endpoint: str, server_key: bytes) -> Target:
    """A shard's ZeroMQ endpoint (tcp://host:port) with its CURVE key. Raises OSError."""
    from zmq.utils import z85

    parts = urlsplit(endpoint)
    if parts.scheme != "tcp" or not parts.hostname or not parts.port:
        raise OSError(f"{endpoint} is no tcp://host:port")
    sodium, raw_key = Sodium(), z85.decode(server_key)
    return Target(parts.hostname, parts.port, CURVE, lambda: CurveShake(sodium, raw_key))


def web_target(url: str) -> Target:
    """An edge's WebSocket. Raises OSError."""
    address = read_url(url)
    return Target(address.host, address.port, WEB, lambda: WebShake(address))


class RawLines:
    """`count` connections to one target; see `tools.lines.Lines`."""

    def __init__(self, target: Target, count: int) -> None:
        allow_files(count)
        load_sodium()  # the compiled loop names its functions, whatever is spoken
        self._target = target
        self._epoll = select.epoll()
        self._ends, self._post = make_ends(count, FILES), make_post(count)
        self._sockets: list[socket.socket | None] = [None] * count
        self._shakes: dict[int, Shake] = {}
        self._waiting: dict[int, list[bytes]] = {}
        self._refused: list[int] = []
        self.counters: dict[str, int] = {}
        self._compile()

    def _compile(self) -> None:
        """Have everything compiled before anybody waits for an answer."""
        none = np.zeros(0, np.int64)
        turn(self._ends, self._post, self._epoll.fileno(), 0)
        put(self._ends, self._post, 0, np.zeros(1, np.uint8))
        put_poses(self._ends, self._post, none, np.zeros((1, 39), np.uint8), none, np.zeros((1, 256), np.int64))

    def want(self, tags: dict[int, int]) -> None:
        """See Lines."""
        self._post.wanted[:] = 0
        for tag, how in tags.items():
            self._post.wanted[tag] = how

    def open(self, bot: int) -> None:
        """See Lines."""
        self.drop(bot)
        end = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.connect_ex((self._target.host, self._target.port))
        self._sockets[bot], self._shakes[bot], self._waiting[bot] = end, self._target.shake(), []
        ends = self._ends
        ends.fd[bot], ends.mode[bot], ends.have[bot], ends.waits[bot] = end.fileno(), SHAKING, 0, 0
        ends.owner[end.fileno()] = bot
        self._epoll.register(end.fileno(), select.EPOLLOUT | select.EPOLLIN)

    def drop(self, bot: int) -> None:
        """See Lines."""
        end = self._sockets[bot]
        if end is None:
            return
        self._ends.owner[end.fileno()] = -1
        self._ends.mode[bot] = CLOSED
        self._shakes.pop(bot, None)
        self._waiting.pop(bot, None)
        end.close()
        self._sockets[bot] = None

    def send(self, bot: int, frame: bytes) -> bool:
        """See Lines."""
        if self._ends.mode[bot] == SHAKING:
            waiting = self._waiting[bot]
            if len(waiting) < WAITING_MAX:
                waiting.append(frame)
                return True
            return False
        return bool(put(self._ends, self._post, bot, np.frombuffer(frame, np.uint8)))

    def poses(self, bots: Longs, rows: Bytes, seq: Longs, sent_ns: Longs) -> int:
        """See Lines."""
        return int(put_poses(self._ends, self._post, bots, rows, seq, sent_ns))

    def take(self, timeout_s: float) -> Mail:
        """See Lines."""
        post = self._post
        turn(self._ends, post, self._epoll.fileno(), max(0, int(timeout_s * 1e9)))
        for bot in post.shaking[: post.fill[3]].tolist():
            self._shake(bot)
        gone = post.gone[: post.fill[2]].tolist() + self._refused
        self._refused = []
        for bot in gone:
            self.drop(bot)
        return self._mail(gone)

    def _mail(self, gone: list[int]) -> Mail:
        post = self._post
        log = post.log[: post.fill[0]]
        shown = log[:, KIND] == SNAPSHOT_KIND
        snapshots = log[shown]
        letters = [self._letter(row) for row in log[~shown].tolist() if row[OFFSET] >= 0]
        fresh = [(i, self._letter(row).frame) for i, row in enumerate(snapshots.tolist()) if row[OFFSET] >= 0]
        return Mail(
            bot=snapshots[:, BOT], at_ns=snapshots[:, AT_NS], size=snapshots[:, SIZE], tick=snapshots[:, TICK],
            room=snapshots[:, ROOM_HOME] & 255, home=snapshots[:, ROOM_HOME] >> 8, key=snapshots[:, HASH],
            base=snapshots[:, BASE],
            fresh=fresh, letters=letters, gone=gone,
        )  # fmt: skip

    def _letter(self, row: list[int]) -> Letter:
        return Letter(row[BOT], self._post.arena[row[OFFSET] : row[OFFSET] + row[SIZE]].tobytes(), row[AT_NS])

    # --- handshakes ---------------------------------------------------------------------------------------------------

    def _shake(self, bot: int) -> None:
        """Go on with a handshake; a connection that cannot be made is gone."""
        end, shake = self._sockets[bot], self._shakes.get(bot)
        if end is None or shake is None:
            return
        try:
            if self._ends.have[bot] == 0:
                self._begin(bot, end, shake)
                return
            data = end.recv(SHAKE_BYTES)
            if not data:
                raise ShakeError("closed")
            answer, done = shake.feed(data)
            if answer:
                end.sendall(answer)
            if done is not None:
                self._done(bot, done)
        except BlockingIOError:
            return
        except (OSError, ShakeError) as why:
            self._count(f"handshake: {why}")
            self._refused.append(bot)

    def _begin(self, bot: int, end: socket.socket, shake: Shake) -> None:
        status = end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            raise OSError(status, "cannot connect")
        end.sendall(shake.begin())
        self._ends.have[bot] = -1  # begun
        self._epoll.modify(end.fileno(), select.EPOLLIN)

    def _done(self, bot: int, done: Shaken) -> None:
        ends = self._ends
        if done.key:
            ends.key[bot] = np.frombuffer(done.key, np.uint8)
        ends.nonce[bot] = FIRST_NONCE
        ends.inbox[bot, : len(done.rest)] = np.frombuffer(done.rest, np.uint8)
        ends.have[bot], ends.mode[bot] = len(done.rest), self._target.mode
        del self._shakes[bot]
        for frame in self._waiting.pop(bot):
            put(ends, self._post, bot, np.frombuffer(frame, np.uint8))
        if done.rest:
            take_in(ends, self._post, bot, now_ns(self._post.clock))

    def _count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1

    # --- the end ------------------------------------------------------------------------------------------------------

    @property
    def bytes_in(self) -> Longs:
        """(n,) bytes each connection has got, framing and sealing included."""
        return self._ends.bytes_in

    def counted(self) -> dict[int, int]:
        """See Lines."""
        return {int(tag): int(self._post.counters[tag]) for tag in np.flatnonzero(self._post.counters)}

    def close(self) -> None:
        """See Lines."""
        for bot in range(len(self._sockets)):
            self.drop(bot)
        with contextlib.suppress(OSError):
            self._epoll.close()
