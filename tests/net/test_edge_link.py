"""The link between shard and edges over real sockets: batches, opened views, restarts on both sides."""

import asyncio
import time
from collections.abc import Callable

from net_stage import PATIENCE_S, SERVER, Stage

from server.net import link
from server.net.edgewire import EdgeWire, LinkDown, LinkUp, Seen
from server.net.protocol import PROTOCOL_HASH
from server.net.transport import Wire
from server.net.wire import EdgeDown, EdgeUp, Gone, Inbound, Peer
from tests.net.net_sheets import frame_of, join, publish


class EdgeEnd:
    """An edge on its own loop, turned together with the shard's wire."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage, self.events = stage, []
        self.wire = EdgeWire(stage.meeting.edge, stage.meeting.views, link.EdgeHello(PROTOCOL_HASH, name), stage.limits)
        self.task = asyncio.create_task(self.listen())

    async def listen(self) -> None:
        async for event in self.wire.events():
            self.events.append(event)

    async def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"waited in vain; edge {self.events}, shard {self.stage.heard}"
            self.stage.heard += self.stage.wire.receive(1000)
            self.stage.wire.flush()
            await asyncio.sleep(0.002)

    async def join(self, *conns: int) -> list[Peer]:
        await self.until(lambda: self.wire.up and any(isinstance(e, link.EdgeWelcome) for e in self.events))
        assert self.wire.send(link.FromBrowsers([(conn, b"\x90") for conn in conns]))
        seen = len(self.stage.heard)
        await self.until(lambda: sum(isinstance(i, Inbound) for i in self.stage.heard[seen:]) == len(conns))
        return [i.peer for i in self.stage.heard[seen:] if isinstance(i, Inbound)]

    def seen(self) -> list[Seen]:
        return [e for e in self.events if isinstance(e, Seen)]

    def close(self) -> None:
        self.task.cancel()
        self.wire.close()


def test_edges_get_frames_answers_and_opened_views(stage: Stage) -> None:
    async def story() -> None:
        edge = EdgeEnd(stage, "one")
        (a, b) = await edge.join(1, 2)
        assert isinstance(edge.events[0], LinkUp) and isinstance(edge.events[1], link.EdgeWelcome)
        stage.wire.post([a, b], b"\x90x")
        for peer in (a, b):
            join(stage.wire, peer, 7)
        await edge.until(lambda: link.ToBrowsers([([1, 2], b"\x90x")]) in edge.events)
        tick = 0

        def seen() -> bool:
            nonlocal tick
            tick += 1
            publish(stage.wire, 7, tick, bytes([tick % 256]))
            return bool(edge.seen())

        await edge.until(seen)
        got = edge.seen()[0]
        assert got == Seen(7, got.tick, frame_of(7, got.tick, bytes([got.tick % 256])), (1, 2))
        edge.wire.send(link.Ask(1, "who", b"{}"))
        await edge.until(lambda: any(type(i).__name__ == "Asked" for i in stage.heard))
        edge.close()

    asyncio.run(story())


def test_a_revoked_member_reads_nothing_more_and_the_others_see_no_gap(stage: Stage) -> None:
    async def story() -> None:
        staying, leaving = EdgeEnd(stage, "one"), EdgeEnd(stage, "two")
        (stayer,) = await staying.join(1)
        (leaver,) = await leaving.join(1)
        for peer in (stayer, leaver):
            join(stage.wire, peer, 7)
        tick = 0

        def both() -> bool:
            nonlocal tick
            tick += 1
            publish(stage.wire, 7, tick)
            return bool(staying.seen() and leaving.seen())

        await staying.until(both)
        first, left = staying.seen()[0].tick, tick
        stage.wire.leave_room(leaver)
        for tick in range(left + 1, left + 30):
            publish(stage.wire, 7, tick)
            stage.wire.flush()
        await staying.until(lambda: bool(staying.seen()) and staying.seen()[-1].tick == left + 29)
        ticks = [s.tick for s in staying.seen()]
        assert ticks == list(range(first, left + 30))
        assert max(s.tick for s in leaving.seen()) <= left
        staying.close()
        leaving.close()

    asyncio.run(story())


def test_an_edge_says_hello_again_to_a_shard_that_was_restarted(stage: Stage) -> None:
    async def story() -> None:
        edge = EdgeEnd(stage, "one")
        (peer,) = await edge.join(1)
        join(stage.wire, peer, 7)
        await edge.until(lambda: bool(edge.wire.views.views))
        stage.wire.shut()
        end = time.monotonic() + PATIENCE_S
        while edge.wire.up:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        assert not edge.wire.send(link.Gone([1])) and edge.wire.counters["link_dropped"] == 1
        assert not edge.wire.views.views
        stage.wire = Wire("tcp://127.0.0.1:*", stage.meeting.edge, stage.meeting.views, SERVER, stage.limits)
        stage.heard, edge.events = [], []
        await edge.join(2)
        kinds = [type(e) for e in edge.events]
        assert kinds[-2:] == [LinkUp, link.EdgeWelcome] and set(kinds[:-2]) <= {LinkDown}
        edge.close()

    asyncio.run(story())


def test_an_edge_that_dies_is_reported_with_its_browsers(stage: Stage) -> None:
    async def story() -> None:
        edge = EdgeEnd(stage, "one")
        (peer,) = await edge.join(1)
        edge.close()
        end = time.monotonic() + PATIENCE_S
        while not any(isinstance(i, EdgeDown) for i in stage.heard):
            assert time.monotonic() < end
            stage.wire.stats({"x": 1.0})
            stage.wire.flush()
            stage.heard += stage.wire.receive(10)
            await asyncio.sleep(0.01)
        assert Gone(peer, "edge") in stage.heard and EdgeUp(peer.route) in stage.heard

    asyncio.run(story())


def test_an_edge_the_shard_has_forgotten_is_asked_for_its_hello(stage: Stage) -> None:
    async def story() -> None:
        edge = EdgeEnd(stage, "one")
        await edge.join(1)
        stage.wire._drop_edge(next(iter(stage.wire._edges.values())))
        edge.events.clear()
        edge.wire.send(link.FromBrowsers([(1, b"\x90")]))
        await edge.until(lambda: [type(e) for e in edge.events] == [LinkDown, LinkUp, link.EdgeWelcome])
        await edge.join(2)
        edge.close()

    asyncio.run(story())
