"""Where the cost of the native wire goes: the same ticks through libzmq in different ways, side by side.

Owns bare ROUTER sockets with clients in a process of their own. Each tick every client is sent a shared snapshot and
what the clients sent is read. All variants take turns within one run, so that a loaded machine is unfair to none.
Processor time of the serving process with all its threads, of which the tick's own thread is given apart.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zmq

from server.clock import SystemClock
from server.net import zmq_calls
from server.net.gate import ROUTE_BYTES, PoseGate, key_of
from server.net.keys import CurvePair, load_or_make_curve
from server.net.zap import DOMAIN, Doorkeeper, ZapThread
from tools.bench_fanout import COME_IN_S, Clients, FanoutError, frames_of_a_room
from tools.bench_timing import Row, sample_of
from tools.lines import allow_files

CLIENTS = 200
TICKS, ROUNDS = 45, 3
TICK_S = 1 / 30
POSES_HZ = 20.0
TITLE = f"Native wire, {CLIENTS} clients: a snapshot out to each at 30 Hz, poses in at 20 Hz, ways of calling libzmq"


class Way(NamedTuple):
    """How libzmq is used."""

    name: str
    compiled: bool = True
    io_threads: int = 1
    curve: bool = True
    local: bool = False  # ipc instead of tcp
    options: tuple[tuple[int, int], ...] = ()


WAYS = (
    Way("as served: compiled calls, one I/O thread, CURVE"),
    Way("pyzmq calls", compiled=False),
    Way("two I/O threads", io_threads=2),
    Way("pyzmq calls, two I/O threads", compiled=False, io_threads=2),
    Way("without CURVE", curve=False),
    Way("ipc instead of tcp", local=True),
    Way("no heartbeats", options=((zmq.HEARTBEAT_IVL, 0),)),
    Way("kernel buffer as the kernel likes", options=((zmq.SNDBUF, -1),)),
)


class Bare:
    """A ROUTER and nothing else."""

    def __init__(self, way: Way, folder: Path, curve: CurvePair) -> None:
        self.way = way
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(way.io_threads)
        self.socket = self.context.socket(zmq.ROUTER)
        self.zap: ZapThread | None = None
        options = {zmq.LINGER: 0, zmq.ROUTER_MANDATORY: 1, zmq.SNDHWM: 8, zmq.RCVHWM: 64, zmq.SNDBUF: 32_768,
                   zmq.HEARTBEAT_IVL: 5000} | dict(way.options)  # fmt: skip
        if way.curve:
            self._with_curve(curve)
        for option, value in options.items():
            self.socket.setsockopt(option, value)
        self.socket.bind(f"ipc://{folder}/bare.ipc" if way.local else "tcp://127.0.0.1:*")
        key = curve.public.encode() if way.curve else b""
        endpoint = str(self.socket.get_string(zmq.LAST_ENDPOINT))
        self.there = Clients(endpoint, CLIENTS, key, POSES_HZ)
        self.gate = PoseGate(64)
        self.routes = self._routes()
        self.inbox = zmq_calls.new_inbox(8192, 1024, 1 << 20)

    def _with_curve(self, curve: CurvePair) -> None:
        self.socket.curve_server = True
        self.socket.curve_secretkey = curve.secret.encode()
        self.socket.curve_publickey = curve.public.encode()
        self.socket.setsockopt_string(zmq.ZAP_DOMAIN, DOMAIN)
        self.socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        monitor = self.socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.zap = ZapThread(self.context, monitor, Doorkeeper(2 * CLIENTS, SystemClock()))

    def _routes(self) -> list[bytes]:
        found: dict[bytes, None] = {}
        deadline_s = time.monotonic() + COME_IN_S
        while len(found) < CLIENTS:
            if self.socket.poll(100):
                route = self.socket.recv()
                frame = self.socket.recv(copy=False)
                if route not in found:
                    user = str(frame.get("User-Id")) if self.way.curve else ""
                    self.gate.let(key_of(route), len(found), user)
                    found[route] = None
            elif time.monotonic() > deadline_s:
                raise FanoutError(f"only {len(found)} of {CLIENTS} clients came in within {COME_IN_S:.0f} s")
        return list(found)

    def tick(self, frame: bytes) -> None:
        """Read all that waits, send a frame to everybody."""
        if self.way.compiled:
            self._compiled_tick(frame)
        else:
            self._plain_tick(frame)

    def _compiled_tick(self, frame: bytes) -> None:
        handle, known, ids = self.socket.underlying, self.gate.known, np.frombuffer(b"".join(self.routes), np.uint8)
        zmq_calls.read_peers(handle, np.frombuffer(zmq_calls.USER_ID, np.uint8), known, 16_384, self.inbox)
        outcomes = np.zeros(CLIENTS, np.uint8)
        shared = np.frombuffer(frame, np.uint8)
        zmq_calls.send_to_all(handle, ids.reshape(-1, ROUTE_BYTES), shared, outcomes)

    def _plain_tick(self, frame: bytes) -> None:
        noblock, more = int(zmq.NOBLOCK), int(zmq.SNDMORE)
        with suppress(zmq.Again):
            while True:
                self.socket.recv(noblock)
                part = self.socket.recv(noblock, copy=False)
                if self.way.curve:
                    str(part.get("User-Id"))
                part.bytes  # noqa: B018 - the copy is what is measured
        shared = zmq.Frame(frame)
        for route in self.routes:
            with suppress(zmq.Again):
                self.socket.send(route, more | noblock)
                self.socket.send(shared, 0, copy=False)

    def close(self) -> None:
        """End it and its clients."""
        self.there.stop()
        if self.zap is not None:
            self.socket.disable_monitor()
            self.zap.stop()
        self.socket.close(0)
        self.context.term()


def cost_of(way: Way, frames: Sequence[bytes], folder: Path, curve: CurvePair) -> tuple[float, float]:
    """Microseconds per client and tick: all threads, and the tick's own."""
    bare = Bare(way, folder, curve)
    due_s = time.monotonic()
    for number in range(-10, TICKS):
        if number == 0:
            all_s, own_s = time.process_time(), time.thread_time()
        bare.tick(frames[number % len(frames)])
        due_s += TICK_S
        time.sleep(max(0.0, due_s - time.monotonic()))
    spent = time.process_time() - all_s, time.thread_time() - own_s
    bare.close()
    return spent[0] / (TICKS * CLIENTS) * 1e6, spent[1] / (TICKS * CLIENTS) * 1e6


def run() -> list[Row]:
    """The section."""
    allow_files(2 * CLIENTS)
    frames, _ = frames_of_a_room()
    found: dict[str, list[tuple[float, float]]] = {way.name: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="asclepion-bench-") as folder:
        curve = load_or_make_curve(Path(folder) / "keys")
        for _ in range(ROUNDS):
            for way in WAYS:
                if zmq_calls.AVAILABLE or not way.compiled:
                    found[way.name].append(cost_of(way, frames, Path(folder), curve))
    rows = []
    for name, values in found.items():
        if values:
            own = sample_of([thread for _, thread in values])
            note = f"{own.median:.2f} of it on the tick's thread"
            rows.append(Row(name, "us/client/tick", sample_of([whole for whole, _ in values]), 0.0, note))
    return rows
