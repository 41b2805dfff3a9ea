"""The ledger as a process: one ROUTER socket, one loop. The only module here that receives from a socket.

Owns the loop and the process's end. Everything that waits at the socket while one group is being written makes the next
group, so a group forms without any timer. Never parses more than `group_max` messages before it writes.
"""

import os
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import zmq

from server.clock import Clock, SystemClock
from server.ledger.limits import LedgerLimits
from server.ledger.start import DirectoryLock, StartError, open_log
from server.ledger.wire import (
    MESSAGE_BYTES_MAX,
    Answer,
    Asked,
    Chain,
    ChainIs,
    FindKey,
    KeyIs,
    Status,
    StatusIs,
    Submit,
    asked_decoder,
    encoder,
)
from server.ledger.writer import Writer

_POLL_MS = 100
_LOOPBACK = ("ipc://", "inproc://", "tcp://127.0.0.1:", "tcp://[::1]:")


def run(
    directory: Path,
    address: str,
    origin: str,
    stop: Callable[[], bool],
    *,
    ready: Callable[[Writer], None] = lambda _: None,
    log: Callable[[str], None] = lambda _: None,
    limits: LedgerLimits | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve the log in `directory` at `address` until `stop()` is true; `ready` is called once it is bound.

    Raises StartError with one line when the directory cannot be used or the address not bound. `log` gets lines
    without patient data.
    """
    limits, clock = limits or LedgerLimits(), clock or SystemClock()
    if not address.startswith(_LOOPBACK):
        raise StartError(f"address {address} is not local: ipc or loopback tcp is allowed")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StartError(f"cannot make {directory}: {error.strerror}") from None
    lock = DirectoryLock(directory)
    try:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "verify") as pool:
            writer = open_log(directory, origin, pool, clock, limits)
            try:
                with _bound(address, limits) as socket:
                    ready(writer)
                    _Loop(socket, writer, limits, log).serve(stop)
            finally:
                writer.close()
    finally:
        lock.release()


@contextmanager
def _bound(address: str, limits: LedgerLimits) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.RCVHWM, limits.queue_max)
        socket.setsockopt(zmq.SNDHWM, 2 * limits.queue_max)
        socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            raise StartError(f"cannot listen on {address}: {error.strerror}") from None
        if address.startswith("ipc://"):
            os.chmod(address.removeprefix("ipc://"), 0o600)
        yield socket


class _Loop:
    def __init__(
        self, socket: zmq.Socket[bytes], writer: Writer, limits: LedgerLimits, log: Callable[[str], None]
    ) -> None:
        self._socket, self._writer, self._limits, self._log = socket, writer, limits, log
        self._boot = os.urandom(8)
        self._counts: Counter[str] = Counter()
        self._said: str | None = None

    def serve(self, stop: Callable[[], bool]) -> None:
        while not stop():
            if self._socket.poll(_POLL_MS):
                self._serve_group()
            self._writer.publish()
            self._say_trouble()

    def _serve_group(self) -> None:
        """Take what waits, at most one group; questions are answered after the group's entries."""
        submits: list[tuple[bytes, Submit]] = []
        others: list[tuple[bytes, Asked]] = []
        for peer, asked in self._waiting():
            if isinstance(asked, Submit):
                submits.append((peer, asked))
            else:
                others.append((peer, asked))
        if submits:
            answers = self._writer.record([submit for _, submit in submits])
            for (peer, _), answer in zip(submits, answers, strict=True):
                self._send(peer, answer)
        for peer, asked in others:
            try:
                self._send(peer, self._answer(asked))
            except sqlite3.Error as error:
                self._writer.fail(error)

    def _waiting(self) -> Iterator[tuple[bytes, Asked]]:
        for _ in range(self._limits.group_max):
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                if len(parts) != 2:
                    raise msgspec.DecodeError("a message has one frame")
                yield parts[0], asked_decoder.decode(parts[1])
            except (ValueError, RecursionError):  # msgspec's errors and bad UTF-8 are ValueErrors
                self._counts["malformed"] += 1
                if self._counts["malformed"] == 1:
                    self._log("a malformed message was dropped; more of them are only counted")

    def _answer(self, asked: Asked) -> Answer:
        writer = self._writer
        match asked:
            case Chain():
                return ChainIs(asked.request, asked.patient, *writer.chain(asked.patient))
            case FindKey():
                return KeyIs(asked.request, asked.actor, writer.kid(asked.actor))
            case Status():
                reason = "" if writer.stopped is None else writer.stopped.text
                return StatusIs(
                    asked.request, writer.origin, writer.vkey, writer.signed_size, not reason, reason, self._boot
                )
        raise AssertionError(asked)

    def _send(self, peer: bytes, answer: Answer) -> None:
        try:
            self._socket.send_multipart((peer, encoder.encode(answer)), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            self._counts["unsent"] += 1  # the asker is gone or does not read; it asks again

    def _say_trouble(self) -> None:
        reason = self._writer.stopped
        if reason is not None and self._said != reason.code:
            self._said = reason.code
            self._log(f"{reason.code}: {reason.text}")


def main(directory: str, address: str, origin: str) -> int:
    """Run until SIGTERM or SIGINT; the exit status: 0 stopped as asked, 1 could not start."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    def log(line: str) -> None:
        print(f"ledger: {line}", file=sys.stderr, flush=True)

    try:
        run(
            Path(directory), address, origin, ended.is_set,
            ready=lambda writer: log(f"ready, {writer.signed_size} entries, key {writer.vkey}"), log=log,
        )  # fmt: skip
    except StartError as error:
        log(str(error))
        return 1
    log("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
