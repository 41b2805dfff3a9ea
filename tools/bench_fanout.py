"""What it costs to give a tick's snapshot to everybody: real sockets, processor time of the serving process.

Owns a child process with the clients, so that their cost is not counted. Beside it the naive way: a plain ROUTER
without CURVE that sends each client its own MessagePack of all rows with `send_multipart`.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

from server.config import Limits
from server.net.keys import load_or_make_curve
from server.net.transport import Wire
from server.net.wire import Inbound, Peer
from server.sim.frame import write_frame
from server.sim.snapshot import delta_body, keyframe_body, view_of
from server.sim.state import new_things
from tools.bench_codec import a_scene, naive_bytes
from tools.bench_timing import Row, Sample, sample_of
from tools.lines import NativeLines, allow_files

CLIENTS = (50, 200)
ROOM = 20  # people in a room; each room is a view
TICKS, REPEATS = 24, 5
TICK_S = 1 / 60  # faster than in life, so that the bench is shorter
COME_IN_S = 20.0
INBOUND_MAX = 8192
TITLE = "Fan-out (rooms of 20, one message per client and tick, all threads counted)"


class FanoutError(RuntimeError):
    """The clients did not come in."""


class Clients:
    """Clients in a process of their own: they say one word, then read. `curve`: the server's key, empty for none."""

    def __init__(self, endpoint: str, count: int, curve: bytes, poses_hz: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_read, args=(endpoint, count, curve, poses_hz, theirs), daemon=True)
        self._process.start()

    def stop(self) -> int:
        """End them; how many messages they got."""
        self._pipe.send("stop")
        got = int(self._pipe.recv())
        self._process.join(5.0)
        return got


def _read(endpoint: str, count: int, curve: bytes, poses_hz: float, pipe: "Connection[int, str]") -> None:
    lines = NativeLines(endpoint, curve, count)
    for client in range(count):
        lines.open(client)
        lines.send(client, b"\x00")
    pose, got, due_s = b"\x10" + bytes(38), 0, time.monotonic()
    while not pipe.poll():
        got += len(lines.poll(0.005))
        if poses_hz and time.monotonic() >= due_s:
            due_s += 1 / poses_hz
            for client in range(count):
                lines.send(client, pose)
    lines.close()
    pipe.send(got)


def frames_of_a_room() -> tuple[list[bytes], list[bytes]]:
    """Ten ticks of a room of ROOM people, as our frames and as MessagePack."""
    things, slots, base = new_things(1), None, None
    ours, naive = [], []
    for tick, avatars in enumerate(a_scene(ROOM, 10)):
        slots = avatars.alive.nonzero()[0]
        view = view_of(avatars, things, 0, slots, slots[:0], tick)
        base = base or view
        body = keyframe_body(view) if view is base else delta_body(view, base)
        ours.append(write_frame(0, tick, 0, ((0, body),)))
        naive.append(naive_bytes(avatars))
    return ours, naive


def _paced(send: Callable[[int], None], clients: int) -> Sample:
    """Processor microseconds per client and tick; each repeat is TICKS ticks at their pace."""
    values = []
    for _ in range(REPEATS):
        start, due_s = time.process_time(), time.monotonic()
        for tick in range(TICKS):
            send(tick)
            due_s += TICK_S
            time.sleep(max(0.0, due_s - time.monotonic()))
        values.append((time.process_time() - start) / (TICKS * clients))
    return sample_of(values).scaled(1e6)


def our_wire(clients: int, frames: list[bytes], poses_hz: float) -> Sample:
    """The shard's own wire, one shared frame for each room."""
    with tempfile.TemporaryDirectory(prefix="asclepion-bench-") as folder:
        curve = load_or_make_curve(Path(folder) / "keys")
        views = f"ipc://{folder}/v.ipc"
        wire = Wire("tcp://127.0.0.1:*", f"ipc://{folder}/e.ipc", views, curve, Limits(avatars_max=1024))
        try:
            there = Clients(wire.endpoint, clients, curve.public.encode(), poses_hz)
            peers = _come_in(wire, clients)
            rooms = [peers[i : i + ROOM] for i in range(0, clients, ROOM)]

            def send(tick: int) -> None:
                wire.receive(INBOUND_MAX)
                for members in rooms:
                    wire.show(frames[tick % len(frames)], members)
                wire.flush()

            sample = _paced(send, clients)
            there.stop()
            return sample
        finally:
            wire.shut()


def _come_in(wire: Wire, clients: int) -> list[Peer]:
    peers: dict[Peer, None] = {}
    deadline_s = time.monotonic() + COME_IN_S
    while len(peers) < clients:
        wire.wait(time.monotonic() + 0.05)
        for item in wire.receive(INBOUND_MAX):
            if isinstance(item, Inbound) and item.peer not in peers:
                peers[item.peer] = None
                wire.verified(item.peer)
        if time.monotonic() > deadline_s:
            raise FanoutError(f"only {len(peers)} of {clients} clients came in within {COME_IN_S:.0f} s")
    return list(peers)


def plain_router(clients: int, frames: list[bytes]) -> Sample:
    """No CURVE, no sharing: each client's bytes are handed over on their own."""
    allow_files(2 * clients)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    router.bind("tcp://127.0.0.1:*")
    there = Clients(str(router.get_string(zmq.LAST_ENDPOINT)), clients, b"", 0.0)
    routes: list[bytes] = []
    deadline_s = time.monotonic() + COME_IN_S
    while len(routes) < clients:
        if router.poll(1000):
            routes.append(router.recv_multipart()[0])
        elif time.monotonic() > deadline_s:
            raise FanoutError(f"only {len(routes)} of {clients} clients came in within {COME_IN_S:.0f} s")

    def send(tick: int) -> None:
        for route in routes:
            router.send_multipart([route, frames[tick % len(frames)]])

    sample = _paced(send, clients)
    there.stop()
    router.close(0)
    context.term()
    return sample


def run() -> list[Row]:
    """The section."""
    ours, naive = frames_of_a_room()
    rows = []
    for clients in CLIENTS:
        plain = plain_router(clients, naive)
        size = f"{sum(map(len, ours)) // len(ours)} B"
        out = our_wire(clients, ours, 0.0)
        rows.append(Row(f"out, {clients} clients, CURVE", "us/client/tick", out, plain.median, size))
        rows.append(Row(f"out and poses in at 20 Hz, {clients} clients, CURVE", "us/client/tick",
                        our_wire(clients, ours, 20.0), 0.0, f"{size}, poses 39 B"))  # fmt: skip
        rows.append(Row(f"naive out, {clients} clients, no CURVE, MessagePack", "us/client/tick", plain, 0.0,
                        f"{sum(map(len, naive)) // len(naive)} B"))  # fmt: skip
    return rows
