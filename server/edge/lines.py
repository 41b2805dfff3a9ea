"""The ways bytes reach a browser and come from it: a socket of our own, or an asyncio transport.

Owns what waits on a connection and its bound. A `SocketLine` is a plain TCP socket taken from the HTTP server: it is
written to at once, and all of them are read together when `Sockets.read` is called, once a tick, so that thousands of
frames wake the process up once. TLS, and systems without epoll, go by a `TransportLine`. Neither knows what a frame is.
"""

import asyncio
import contextlib
import os
import select
import socket
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

READ_BYTES = 2048  # of one browser at once, and what is missing of a frame that has begun: who sends more waits in TCP
UNSENT_BYTES = 32_768  # in the kernel: what a slow reader has not fetched is thinned out here, not stored there
NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)
HAS_EPOLL = hasattr(select, "epoll")


class Line(Protocol):
    """One connection's way out."""

    @property
    def waiting(self) -> int:
        """Bytes taken and not yet given to the system."""
        ...

    def write(self, data: bytes, waiting_max: int) -> bool:
        """Send, or keep, all of `data`; False, and nothing done, if more than `waiting_max` bytes would wait."""
        ...

    def finish(self) -> None:
        """Nothing more will be written: the other side is told once what waits is sent."""
        ...

    def close(self) -> None:
        """End at once; what waits is lost. More than once does no harm."""
        ...


class SocketLine:
    """A connected TCP socket of our own, non-blocking; `loop` is used only while something waits."""

    __slots__ = ("_finished", "_kept", "_loop", "socket")

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # no TCP socket, or the peer is gone already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if NOTSENT_LOWAT is not None:
                sock.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, UNSENT_BYTES)
        self.socket = sock
        self._loop = loop
        self._kept = b""
        self._finished = False

    @property
    def waiting(self) -> int:
        """See Line."""
        return len(self._kept)

    def write(self, data: bytes, waiting_max: int) -> bool:
        """See Line. That a connection is lost is found by reading it."""
        if self._kept:
            return self._keep_more(data, waiting_max)
        if len(data) > waiting_max:
            return False
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return True
        if sent < len(data):
            self._kept = data[sent:]
            self._loop.add_writer(self.socket.fileno(), self._flush)
        return True

    def _keep_more(self, data: bytes, waiting_max: int) -> bool:
        if len(self._kept) + len(data) > waiting_max:
            return False
        self._kept += data
        return True

    def _flush(self) -> None:
        try:
            self._kept = self._kept[self.socket.send(self._kept) :]
        except BlockingIOError:
            return
        except OSError:
            self._kept = b""
        if not self._kept:
            self._loop.remove_writer(self.socket.fileno())
            if self._finished:
                self._shut()

    def finish(self) -> None:
        """See Line."""
        self._finished = True
        if not self._kept:
            self._shut()

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """See Line."""
        if self._kept:
            self._loop.remove_writer(self.socket.fileno())
            self._kept = b""
        self.socket.close()


class TransportLine:
    """An asyncio transport, whatever is behind it."""

    __slots__ = ("_transport",)

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    @property
    def waiting(self) -> int:
        """See Line."""
        waiting: int = self._transport.get_write_buffer_size()
        return waiting

    def write(self, data: bytes, waiting_max: int) -> bool:
        """See Line."""
        if self.waiting + len(data) > waiting_max:
            return False
        self._transport.write(data)
        return True

    def finish(self) -> None:
        """See Line. TLS cannot be closed on one side: it is closed on both once what waits is sent."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def close(self) -> None:
        """See Line."""
        self._transport.abort()


class Listener(Protocol):
    """Whose socket it is. `wanted`: bytes missing of the frame that has begun."""

    wanted: int


Who = TypeVar("Who", bound=Listener)


class Sockets(Generic[Who]):
    """All socket lines of the process, read together."""

    def __init__(self) -> None:
        self._epoll = select.epoll() if HAS_EPOLL else None
        self._there: dict[int, tuple[Who, socket.socket]] = {}

    def add(self, who: Who, line: SocketLine) -> None:
        """Read this one, too, from now on."""
        assert self._epoll is not None, "without epoll there are only transports"
        number = line.socket.fileno()
        self._there[number] = (who, line.socket)
        self._epoll.register(number, select.EPOLLIN)

    def remove(self, line: SocketLine) -> None:
        """No more; before it is closed."""
        number = line.socket.fileno()
        if self._epoll is not None and self._there.pop(number, None) is not None:
            self._epoll.unregister(number)

    def read(self) -> Iterator[tuple[Who, bytes]]:
        """Who sent something, and the bytes; none when the connection ended. Each is read once.

        What is more than READ_BYTES and what is `wanted` stays with the kernel, whose window stops the sender.
        """
        if self._epoll is None or not self._there:
            return
        there = self._there
        for number, _ in self._epoll.poll(0, len(there)):
            if number not in there:
                continue  # removed since the poll
            who, sock = there[number]
            try:
                data = sock.recv(READ_BYTES + who.wanted)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            yield who, data

    def close(self) -> None:
        """Forget all; the sockets are their lines' to close."""
        self._there.clear()
        if self._epoll is not None:
            self._epoll.close()


def take_over(transport: asyncio.Transport) -> socket.socket | None:
    """The plain TCP socket behind a transport, which lets go of it; None if the transport has to stay.

    It has to where there is no epoll, under TLS, and while bytes wait to be written by it.
    """
    if not HAS_EPOLL or transport.get_extra_info("sslcontext") is not None or transport.get_write_buffer_size():
        return None
    number = os.dup(transport.get_extra_info("socket").fileno())
    transport.abort()  # closes its own descriptor only: ours keeps the connection
    return socket.socket(fileno=number)
