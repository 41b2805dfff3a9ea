"""What a browser costs the edge: processor time of the edge's process per WebSocket and tick, poses in, snapshots out.

Owns three servers, each in a process of its own (the edge, aiohttp's own WebSockets, and a bare loop of recv and send:
the kernel's floor), and a load of plain sockets in another that sends prebuilt frames and reads without looking.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import select
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from server.config import Config, Limits
from server.datadir import open_data
from server.edge import lines
from server.edge.frames import frame
from server.edge.process import Edge
from server.edge.socket import switching
from server.net.addresses import addresses
from server.net.compose import Chunk, Look, Sheet, write_sheet
from server.net.keys import load_or_make_curve
from server.net.protocol import SUBPROTOCOL
from server.net.transport import Wire
from server.net.wire import Inbound, Peer
from server.sim.frame import BLOCK, HEADER
from tools.bench_timing import Row, Sample, sample_of
from tools.lines import allow_files

LOADS = ((200, 400), (200, 1200), (1000, 400))  # WebSockets, bytes of a snapshot
ROOM = 20  # browsers that see the same
TICK_HZ, POSE_HZ = 30, 20
SETTLE_TICKS, REPEAT_TICKS, REPEATS = 20, 30, 5
READ_EVERY_S = 0.004  # of the load, by the clock: if each frame woke it up, waking it up is what one would measure
COME_IN_S = 60.0
BATCH_AT = 0.7  # of a tick: when the bare loop reads
KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
)
POSE = b"\x82\xa7\0\0\0\0\x10" + bytes(38)  # a mask of zeros costs the server as much as any other
HELLO = b"\x82\x82\0\0\0\0\x80x"
TITLE = "Edge (a WebSocket's poses in at 20 Hz and snapshots out at 30 Hz, all threads counted)"


class EdgeBenchError(RuntimeError):
    """The browsers did not come in."""


def process_s(pid: int) -> float:
    """Processor seconds of a process, all its threads; nanoseconds fine (Linux: clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


# --- the load ---------------------------------------------------------------------------------------------------------


def load(port: int, count: int, ended: "Connection[str, Any]") -> None:
    """`count` browsers that come in, then send poses evenly spread over time and read what there is."""
    allow_files(2 * count)
    watch = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(REQUEST.format(port=port).encode())
        while b"\r\n\r\n" not in one.recv(4096):
            continue
        one.sendall(HELLO)
        one.setblocking(False)
        sockets[one.fileno()] = one
        watch.register(one.fileno(), select.EPOLLIN)
    everybody = list(sockets.values())
    began_s, sent = time.monotonic(), 0
    with contextlib.suppress(ConnectionError):  # the server may end first
        while not ended.poll():
            due = int((time.monotonic() - began_s) * count * POSE_HZ)
            for number in range(sent, due):
                everybody[number % count].send(POSE)
            sent = due
            for number, _ in watch.poll(0, count):
                sockets[number].recv(65_536)
            time.sleep(READ_EVERY_S)


@contextmanager
def loaded(port: int, count: int) -> Iterator[None]:
    """The load in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=load, args=(port, count, theirs), daemon=True)
    process.start()
    try:
        yield
    finally:
        ours.send("end")
        process.join(10.0)


def ticks(cost_s: Callable[[], float], count: int, tick: Callable[[int], None]) -> Sample:
    """Processor microseconds per browser and tick of whoever `cost_s` is about, while `tick` is called in its time."""
    values, before_s, due_s = [], 0.0, time.monotonic()
    for number in range(SETTLE_TICKS + REPEATS * REPEAT_TICKS + 1):
        if number >= SETTLE_TICKS and (number - SETTLE_TICKS) % REPEAT_TICKS == 0:
            values.append(cost_s() - before_s)
            before_s += values[-1]
        tick(number)
        due_s += 1 / TICK_HZ
        time.sleep(max(0.0, due_s - time.monotonic()))
    return sample_of(values[1:]).scaled(1e6 / (REPEAT_TICKS * count))


# --- the edge ---------------------------------------------------------------------------------------------------------


def _edge(data: str, count: int, transports: bool, pipe: "Connection[Any, str]") -> None:
    import uvloop

    lines.HAS_EPOLL = lines.HAS_EPOLL and not transports

    async def main() -> None:
        client = Path(data) / "client"
        client.mkdir()
        (client / "index.html").write_text("bench")
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
        config = Config(data=data, edge_port=0, admin_port=0, limits=Limits(avatars_max=max(1024, count)))
        edge = Edge(config, structlog.get_logger(), client)
        await edge.start()
        await edge.exchange.welcomed.wait()
        pipe.send(edge.url)
        while not pipe.poll():
            await asyncio.sleep(0.5)
        await edge.stop()

    allow_files(2 * count)
    uvloop.run(main())


def _come_in(wire: Wire, count: int) -> list[Peer]:
    peers: list[Peer] = []
    deadline_s = time.monotonic() + COME_IN_S
    while len(peers) < count:
        wire.wait(time.monotonic() + 0.05)
        for item in wire.receive(8192):
            if isinstance(item, Inbound) and item.frame == b"\x80x":
                peers.append(item.peer)
                wire.verified(item.peer)
                wire.join_room(item.peer, len(peers) // ROOM)
                wire.look(item.peer, Look(len(peers) // ROOM, 0, (0,)))
        wire.flush()
        if time.monotonic() > deadline_s:
            raise EdgeBenchError(f"only {len(peers)} of {count} browsers came in within {COME_IN_S:.0f} s")
    return peers


def our_edge(count: int, size: int, transports: bool = False) -> Sample:
    """The edge, and here the shard's end of its link. `transports`: as where there is no epoll."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="asclepion-bench-") as folder:
        data = Path(folder) / "d"
        open_data(data, "serve").release()
        meeting = addresses(data)
        curve = load_or_make_curve(data / "keys")
        limits = Limits(avatars_max=max(1024, count))
        wire = Wire("tcp://127.0.0.1:*", meeting.edge, meeting.views, curve, limits, TICK_HZ)
        ours, theirs = context.Pipe()
        process = context.Process(target=_edge, args=(str(data), count, transports, theirs), daemon=True)
        process.start()
        while not ours.poll(0.02):
            wire.receive(8192)
            wire.flush()
        port = int(ours.recv().rsplit(":", 1)[1])
        try:
            with loaded(port, count):
                _come_in(wire, count)
                body = b"\0" + os.urandom(size - HEADER.size - BLOCK.size - 1)
                block = Chunk(BLOCK.pack(0, len(body)) + body, ROOM, False)

                def tick(number: int) -> None:
                    wire.receive(8192)
                    for room in range(count // ROOM + 1):
                        wire.publish(room, number, write_sheet(Sheet(room, number, 1, {0: block})))
                    wire.flush()

                assert process.pid is not None
                pid = process.pid
                return ticks(lambda: process_s(pid), count, tick)
        finally:
            ours.send("end")
            process.join(10.0)
            wire.shut()


# --- beside it --------------------------------------------------------------------------------------------------------


def _plain(kind: str, count: int, size: int, pipe: "Connection[Any, Any]") -> None:
    allow_files(2 * count)
    logging.disable()  # aiohttp tells of every WebSocket that it has to end when it shuts down
    {"floor": _floor, "aiohttp": _aiohttp}[kind](count, os.urandom(size), pipe)


def _floor(count: int, snapshot: bytes, pipe: "Connection[Any, Any]") -> None:
    """Nothing but recv and send, once a tick."""
    with socket.create_server(("127.0.0.1", 0), backlog=count) as server:
        pipe.send(server.getsockname()[1])
        watch, sockets = select.epoll(), {}
        for _ in range(count):
            one, _ = server.accept()
            one.recv(4096)
            one.sendall(switching(KEY))
            one.setblocking(False)
            sockets[one.fileno()] = one
            watch.register(one.fileno(), select.EPOLLIN)
    data, everybody = frame(snapshot), list(sockets.values())

    def tick(_: int) -> None:
        for one in everybody:
            one.send(data)
        time.sleep(BATCH_AT / TICK_HZ)
        for number, _ in watch.poll(0, count):
            sockets[number].recv(2048)

    pipe.send(ticks(time.process_time, count, tick))


def _aiohttp(count: int, snapshot: bytes, pipe: "Connection[Any, Any]") -> None:
    """aiohttp's WebSocketResponse, a task for each browser."""
    import uvloop

    uvloop.run(_serve_aiohttp(count, snapshot, pipe))


async def _serve_aiohttp(count: int, snapshot: bytes, pipe: "Connection[Any, Any]") -> None:
    there: list[web.WebSocketResponse] = []
    heard: list[bytes] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        one = web.WebSocketResponse(protocols=(SUBPROTOCOL,), heartbeat=15.0, compress=False, decode_text=False)
        await one.prepare(request)
        there.append(one)
        async for message in one:
            heard.append(message.data)
        return one

    app = web.Application()
    app.router.add_get("/ws", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=count).start()
    pipe.send(runner.addresses[0][1])
    while len(there) < count:
        await asyncio.sleep(0.05)
    values, due_s, before_s = [], time.monotonic(), time.process_time()
    for number in range((REPEATS + 1) * REPEAT_TICKS):
        for one in there:
            await one.send_bytes(snapshot)
        heard.clear()
        due_s += 1 / TICK_HZ
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        if number % REPEAT_TICKS == REPEAT_TICKS - 1:
            values.append(time.process_time() - before_s)
            before_s += values[-1]
    pipe.send(sample_of(values[1:]).scaled(1e6 / (REPEAT_TICKS * count)))
    await runner.cleanup()


def plain(kind: str, count: int, size: int) -> Sample:
    """The floor, or aiohttp."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_plain, args=(kind, count, size, theirs), daemon=True)
    process.start()
    try:
        with loaded(ours.recv(), count):
            found: Sample = ours.recv()
            return found
    finally:
        process.join(10.0)


def run() -> list[Row]:
    """The section."""
    rows = []
    for count, size in LOADS:
        naive = plain("aiohttp", count, size)
        note = f"{size} B out, 39 B in"
        unit = "us/browser/tick"
        rows.append(Row(f"edge, {count} browsers", unit, our_edge(count, size), naive.median, note))
        if (count, size) == LOADS[-1]:
            by_transport = our_edge(count, size, transports=True)
            rows.append(Row(f"edge by uvloop's transports, {count}", unit, by_transport, naive.median, note))
        rows.append(Row(f"naive: aiohttp's WebSockets, {count}", unit, naive, 0.0, note))
        rows.append(Row(f"the kernel's floor, {count}", unit, plain("floor", count, size), naive.median, note))
    return rows
