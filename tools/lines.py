"""Many clients' connections in one process: frames out, frames in with the time they came.

Owns sockets. Frames are opaque here. `NativeLines` speaks ZeroMQ with CURVE, `tools.lines_web` WebSockets to an edge.
"""

import resource
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import zmq

FILES_SPARE = 256


class Arrival(NamedTuple):
    """What one client got in one message. No frames at all: the connection is gone."""

    bot: int
    frames: Sequence[bytes]
    at_ns: int  # monotonic


class Lines(Protocol):
    """What `tools.fleet` calls."""

    def open(self, bot: int) -> None:
        """(Re)connect a client with fresh keys; what was on the old connection is dropped."""
        ...

    def send(self, bot: int, frame: bytes) -> bool:
        """Send one frame; False if it could not go out at once."""
        ...

    def poll(self, timeout_s: float) -> list[Arrival]:
        """What came, waiting at most so long for the first."""
        ...

    def drop(self, bot: int) -> None:
        """End a client's connection without a word; nothing if it has none."""
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
        assert socket is not None, "open comes before send"
        try:
            socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def poll(self, timeout_s: float) -> list[Arrival]:
        """See Lines. At most one message of each client."""
        ready = self._poller.poll(max(0, int(timeout_s * 1000)))
        bots, now = self._bots, time.monotonic_ns
        return [Arrival(bots[socket], socket.recv_multipart(zmq.NOBLOCK), now()) for socket, _ in ready]

    def close(self) -> None:
        """See Lines."""
        for bot in range(len(self._sockets)):
            self.drop(bot)
        self._context.term()
