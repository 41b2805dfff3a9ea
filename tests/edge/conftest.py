"""A real edge on real ports, and at its other end a shard's real sockets turned by a thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
import structlog

from server.config import Config, Limits
from server.datadir import open_data
from server.edge.process import Edge
from server.net import wire as w
from server.net.addresses import addresses
from server.net.keys import load_or_make_curve
from server.net.protocol import SUBPROTOCOL
from server.net.transport import Wire
from tests.net.net_sheets import join, publish

TICK_HZ = 50


class ShardEnd:
    """The shard's side of the sockets: echoes frames, shows views, answers questions; keeps what it heard."""

    def __init__(self, data: Path, native: str = "tcp://127.0.0.1:0", limits: Limits | None = None) -> None:
        meeting = addresses(data)
        curve = load_or_make_curve(data / "keys")
        self.wire = Wire(native, meeting.edge, meeting.views, curve, limits or Limits(), TICK_HZ)
        self.heard: list[w.Received] = []
        self.batches: list[int] = []
        self.peers: dict[int, w.Peer] = {}
        self.snapshot = b"snapshot"  # body of the one block of both views
        self.answers = True
        self.ended = threading.Event()
        self._orders: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._turn)
        self._thread.start()

    def soon(self, what: Callable[[], None]) -> None:
        """Do this on the shard's thread in its next tick."""
        self._orders.append(what)

    def _turn(self) -> None:
        tick = 0
        while not self.ended.wait(1 / TICK_HZ):
            tick += 1
            received = self.wire.receive(10_000)
            self.heard += received
            self.batches.append(sum(isinstance(one, w.Inbound) for one in received))
            for one in received:
                self._meet(one)
            orders, self._orders = self._orders, []
            for order in orders:
                order()
            for view in (1, 2):
                publish(self.wire, view, tick, self.snapshot)
            self.wire.flush()
        self.wire.shut()

    def _meet(self, one: w.Received) -> None:
        if isinstance(one, w.Inbound):
            self.peers[one.peer.conn] = one.peer
            self.wire.verified(one.peer)
            if one.frame.startswith(b"\x90view"):
                join(self.wire, one.peer, int(one.frame[5:]))
            elif one.frame == b"\x90leave":
                self.wire.leave_room(one.peer)
            elif one.frame == b"\x90end":
                self.wire.post([one.peer], b"\x91bye")
                self.wire.close(one.peer, "banned")
            else:
                self.wire.post([one.peer], b"\x90" + one.frame)
        elif isinstance(one, w.Asked) and self.answers:
            body = msgspec.json.encode({"kind": one.kind, "text": "heard"})
            self.wire.answer(one.edge, one.request, 202 if one.kind == "feed" else 200, body)

    def stop(self) -> None:
        """End the thread and close the sockets."""
        self.ended.set()
        self._thread.join(10)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "d"
    open_data(folder, "serve").release()
    return folder


@pytest.fixture
def shard(data: Path) -> Iterator[ShardEnd]:
    end = ShardEnd(data)
    yield end
    end.stop()


@pytest.fixture
def client_dist(tmp_path: Path) -> Path:
    """A built client in small."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>plain</title>")
    (folder / "index.html.br").write_bytes(b"brotli form")
    (folder / "index.html.gz").write_bytes(b"gzip form")
    (folder / "assets/main-abc123.js").write_text("export {}")
    (folder / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / ".sources").write_text("not for anybody")
    return folder


class Visit:
    """A running edge and one HTTP client of it."""

    def __init__(self, edge: Edge, http: aiohttp.ClientSession) -> None:
        self.edge, self.http = edge, http

    def ws(self, **more: object) -> "aiohttp.client._WSRequestContextManager":
        """Open a WebSocket."""
        options: dict[str, object] = {"protocols": (SUBPROTOCOL,)} | more
        return self.http.ws_connect(self.edge.url + "/ws", **options)  # type: ignore[arg-type]

    async def until(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        """Let the loop turn until something is true."""
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.005)


@pytest.fixture
def visiting(data: Path, client_dist: Path):
    """`async with visiting(**settings) as visit`: an edge that is linked to its shard, unless told not to wait."""

    @asynccontextmanager
    async def open_edge(wait: bool = True, client: Path = client_dist, **settings: object) -> AsyncIterator[Visit]:
        config = Config(data=str(data), edge_port=0, admin_port=0, **settings)  # type: ignore[arg-type]
        edge = Edge(config, structlog.get_logger(), client)
        await edge.start()
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as http:
                visit = Visit(edge, http)
                if wait:
                    await visit.until(lambda: edge.exchange.linked)
                yield visit
        finally:
            await edge.stop()

    return open_edge
