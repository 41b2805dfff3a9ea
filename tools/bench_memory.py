"""What a connected client costs the shard in memory: resident bytes, with the sockets and queues of libzmq in use.

Owns a wire with clients in processes of their own, turned as fast as it goes until every queue has been through, so
that what grows late is counted. The kernel's socket buffers are not in this figure.
"""

import gc
import tempfile
import time
from pathlib import Path

import psutil

from server.config import Limits
from server.net import link, uplink
from server.net.keys import load_or_make_curve
from server.net.memory import MemoryWire
from server.net.sessions import Sessions
from server.net.transport import Wire
from server.net.uplink import poses_of
from server.net.wire import Inbound, Peer
from tools.bench_fanout import COME_IN_S, Clients, FanoutError, frames_of_a_room
from tools.bench_timing import Row, sample_of
from tools.lines import allow_files

FEW, MANY = 50, 350
BROWSERS = 5000
TURNS = 640  # more than two pieces of libzmq's queues, which hold 256 messages each
POSES_HZ = 60.0
TURN_S = 1 / 120
TITLE = "Memory of the shard for each connected client"


def _resident_kb() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 1024


class Natives:
    """A wire, and clients that send poses and read what they get."""

    def __init__(self, folder: Path) -> None:
        curve = load_or_make_curve(folder / "keys")
        views, edge = f"ipc://{folder}/v.ipc", f"ipc://{folder}/e.ipc"
        self.wire = Wire("tcp://127.0.0.1:*", edge, views, curve, Limits(avatars_max=MANY))
        self.sessions = Sessions(self.wire.limits)
        self.key = curve.public.encode()
        self.there: list[Clients] = []
        self.peers: dict[Peer, None] = {}

    def grow(self, count: int) -> None:
        """Let clients in until there are `count`."""
        self.there.append(Clients(self.wire.endpoint, count - len(self.peers), self.key, POSES_HZ))
        deadline_s = time.monotonic() + COME_IN_S
        while len(self.peers) < count:
            self.wire.wait(time.monotonic() + 0.05)
            for item in self.wire.receive(8192):
                if isinstance(item, Inbound) and item.peer not in self.peers:
                    self.peers[item.peer] = None
                    self.wire.verified(item.peer, self.sessions.open(len(self.peers), 0.0).row)
            if time.monotonic() > deadline_s:
                raise FanoutError(f"only {len(self.peers)} of {count} clients came in within {COME_IN_S:.0f} s")

    def turn(self, frame: bytes) -> float:
        """Tick until all queues have been through; resident KB then."""
        for _ in range(TURNS):
            self.wire.receive(8192)
            self.wire.show(frame, list(self.peers))
            self.wire.flush()
            time.sleep(TURN_S)
        return _resident_kb()

    def close(self) -> None:
        """End all."""
        for clients in self.there:
            clients.stop()
        self.wire.shut()


def native_kb() -> float:
    """KB for each native client, from FEW to MANY."""
    allow_files(2 * MANY)
    frame = frames_of_a_room()[0][1]
    with tempfile.TemporaryDirectory(prefix="asclepion-bench-") as folder:
        bench = Natives(Path(folder))
        try:
            bench.grow(FEW)
            before = bench.turn(frame)
            bench.grow(MANY)
            return (bench.turn(frame) - before) / (MANY - FEW)
        finally:
            bench.close()


def browser_kb() -> float:
    """KB for each client behind an edge: what the wire and the sessions hold of it."""
    uplink.prime()
    limits = Limits(avatars_max=4096, unverified_peers_max=2 * BROWSERS)
    wire, sessions = MemoryWire(limits), Sessions(limits)
    edge = wire.edge()
    before = _resident_kb()
    edge.send(link.FromBrowsers([(conn, b"\x90") for conn in range(1, 1 + BROWSERS)]))
    for item in wire.receive(2 * BROWSERS):
        if isinstance(item, Inbound):
            session = sessions.open(item.peer.conn, 0.0)
            wire.verified(item.peer, session.row)
            sessions.take(poses_of([(session.row, bytes(39))]), 0.0)
    return (_resident_kb() - before) / BROWSERS


def run() -> list[Row]:
    """The section."""
    note = f"growth of resident memory from {FEW} to {MANY} clients, CURVE"
    browsers = sample_of([browser_kb()])
    return [
        Row("native client", "KB", sample_of([native_kb()]), 0.0, note),
        Row("client behind an edge, in the shard", "KB", browsers, 0.0, "its WebSocket is the edge's"),
    ]
