"""Many clients' connections in one process: frames out, frames in with the time they came.

Owns what such connections are (`Lines`) and the plain way to have them: a libzmq DEALER for each client. The way that
carries thousands is `tools.lines_raw`. Frames are opaque here but for their first bytes.
"""

import resource
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import zmq

Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
FILES_SPARE = 256
SNAPSHOT_KIND, HEADER_BYTES, FIRST_MESSAGE_BYTE = 1, 9, 0x80
KNOWN_MAX = 8192


class Letter(NamedTuple):
    """A frame that is not a snapshot, of one client."""

    bot: int
    frame: bytes
    at_ns: int  # monotonic


class Mail(NamedTuple):
    """What came in one take. Row i of the arrays is one snapshot of one client."""

    bot: Longs  # (k,)
    at_ns: Longs  # (k,)
    size: Longs  # (k,) bytes of the frame
    tick: Longs  # (k,)
    room: Longs  # (k,)
    home: Longs  # (k,) the viewer's cell
    key: Longs  # (k,) equal frames have equal keys
    base: Longs  # (k,) the tick whose frame one has to have for this one to be of use; of a keyframe its own
    fresh: list[tuple[int, bytes]]  # (row, frame) of those whose key is new
    letters: list[Letter]  # of the wanted kinds, in order
    gone: list[int]  # connections that ended


class Arrival(NamedTuple):
    """What one client got in one message."""

    bot: int
    frames: Sequence[bytes]
    at_ns: int  # monotonic


class Lines(Protocol):
    """What `tools.fleet` calls."""

    def want(self, tags: dict[int, int]) -> None:
        """Which messages are handed out, by tag: 1 every one, 2 the first of equal ones. Others are only counted."""
        ...

    def open(self, bot: int) -> None:
        """(Re)connect a client with fresh keys; what was on the old connection is dropped."""
        ...

    def drop(self, bot: int) -> None:
        """End a client's connection without a word; nothing if it has none."""
        ...

    def send(self, bot: int, frame: bytes) -> bool:
        """Send one frame; False if it could not go out at once."""
        ...

    def poses(self, bots: Longs, rows: Bytes, seq: Longs, sent_ns: Longs) -> int:
        """Send row b of `rows` (n, 39) for each b of `bots`, numbered by the next of `seq` (n,); how many went.

        `sent_ns` (n, 256) takes when, by the number's low byte.
        """
        ...

    def take(self, timeout_s: float) -> Mail:
        """What came, waiting at most so long for the first."""
        ...

    def counted(self) -> dict[int, int]:
        """Messages so far by tag, wanted or not; from 256 on the reasons of `tools.lines_loop`."""
        ...

    def close(self) -> None:
        """Close everything."""
        ...


def allow_files(count: int) -> None:
    """Raise the limit on open files; raises OSError if the machine's hard limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + FILES_SPARE
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise OSError(f"{count} connections need {wanted} open files, the limit of this machine is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class NativeLines:
    """One DEALER with its own CURVE key for each client (with an empty `server_key` without CURVE, for benches)."""

    def __init__(self, endpoint: str, server_key: bytes, count: int) -> None:
        allow_files(4 * count)
        self._endpoint, self._server_key = endpoint, server_key
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._context.set(zmq.MAX_SOCKETS, max(1023, 2 * count + 64))
        self._poller = zmq.Poller()
        self._sockets: list[zmq.Socket[bytes] | None] = [None] * count
        self._bots: dict[zmq.Socket[bytes], int] = {}
        self._tags: dict[int, int] = {}
        self._counted: dict[int, int] = {}
        self._known: dict[bytes, None] = {}

    def want(self, tags: dict[int, int]) -> None:
        """See Lines."""
        self._tags = tags

    def open(self, bot: int) -> None:
        """See Lines."""
        self.drop(bot)
        socket = self._context.socket(zmq.DEALER)
        if self._server_key:
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = self._server_key
        socket.linger = 0
        socket.set_hwm(1000)
        socket.connect(self._endpoint)
        self._sockets[bot] = socket
        self._bots[socket] = bot
        self._poller.register(socket, zmq.POLLIN)

    def drop(self, bot: int) -> None:
        """See Lines."""
        socket = self._sockets[bot]
        if socket is not None:
            self._poller.unregister(socket)
            del self._bots[socket]
            socket.close(0)
            self._sockets[bot] = None

    def send(self, bot: int, frame: bytes) -> bool:
        """See Lines."""
        socket = self._sockets[bot]
        if socket is None:
            return False
        try:
            socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def poses(self, bots: Longs, rows: Bytes, seq: Longs, sent_ns: Longs) -> int:
        """See Lines."""
        count = 0
        for bot in bots.tolist():
            number = int(seq[bot]) + 1
            frame = rows[bot].tobytes()
            at_ns = time.monotonic_ns()
            if self.send(bot, frame[:1] + number.to_bytes(4, "little") + frame[5:]):
                seq[bot], sent_ns[bot, number & 255] = number, at_ns
                count += 1
        return count

    def poll(self, timeout_s: float) -> list[Arrival]:
        """Messages as they came, at most one of each client, waiting at most so long for the first."""
        ready = self._poller.poll(max(0, int(timeout_s * 1000)))
        bots, now = self._bots, time.monotonic_ns
        return [Arrival(bots[socket], socket.recv_multipart(zmq.NOBLOCK), now()) for socket, _ in ready]

    def take(self, timeout_s: float) -> Mail:
        """See Lines. libzmq connects again by itself, so nobody is ever gone."""
        rows: list[tuple[int, ...]] = []
        fresh: list[tuple[int, bytes]] = []
        letters: list[Letter] = []
        for bot, frames, at_ns in self.poll(timeout_s):
            for frame in frames:
                if len(frame) >= HEADER_BYTES and frame[0] == SNAPSHOT_KIND:
                    if self._first(frame):
                        fresh.append((len(rows), frame))
                    rows.append((bot, at_ns, len(frame), *read_header(frame), hash(frame), base_of(frame)))
                elif self._wanted(frame):
                    letters.append(Letter(bot, frame, at_ns))
        columns = np.array(rows, np.int64).reshape(-1, 8).T
        bots, at, size, tick, room, home, key, base = columns
        return Mail(bots, at, size, tick, room, home, key, base, fresh, letters, [])

    def _wanted(self, frame: bytes) -> bool:
        if len(frame) < 2 or frame[0] < FIRST_MESSAGE_BYTE:
            return False
        tag = frame[1]
        self._counted[tag] = self._counted.get(tag, 0) + 1
        how = self._tags.get(tag, 0)
        return how == 1 or (how == 2 and self._first(frame))

    def _first(self, frame: bytes) -> bool:
        if frame in self._known:
            return False
        self._known[frame] = None
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return True

    def counted(self) -> dict[int, int]:
        """See Lines."""
        return self._counted

    def close(self) -> None:
        """See Lines."""
        for bot in range(len(self._sockets)):
            self.drop(bot)
        self._context.term()


def read_header(frame: bytes) -> tuple[int, int, int]:
    """Tick, room and home cell of a snapshot."""
    return int.from_bytes(frame[2:6], "little"), frame[1], int.from_bytes(frame[6:8], "little")


def base_of(frame: bytes) -> int:
    """The tick whose frame this one is against, if it is of one block; else its own."""
    tick = int.from_bytes(frame[2:6], "little")
    return tick - frame[HEADER_BYTES + 4] if frame[8] == 1 and len(frame) > HEADER_BYTES + 4 else tick
