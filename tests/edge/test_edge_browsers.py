"""Browsers over real sockets: what goes through, who may come, who is let go."""

import asyncio
import random

import aiohttp
import pytest

from server.config import Limits
from server.edge import process
from server.net import wire as w
from server.net.protocol import SUBPROTOCOL
from tests.edge.rough import deaf, masked


async def binary(socket: aiohttp.ClientWebSocketResponse, start: bytes) -> bytes:
    """The next frame that begins so; others are passed over."""
    async with asyncio.timeout(10):
        while True:
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.BINARY, message
            if message.data.startswith(start):
                return message.data


async def close_code(socket: aiohttp.ClientWebSocketResponse) -> int:
    async with asyncio.timeout(10):
        while not socket.closed:
            await socket.receive()
    return socket.close_code or 0


def test_frames_go_to_the_shard_and_back_unchanged(shard, visiting):
    async def story() -> None:
        async with visiting() as visit, visit.ws() as socket:
            for payload in (b"\x80", b"\x10" * 39, b"\x93" + bytes(range(256)) * 30):
                await socket.send_bytes(payload)
                assert await binary(socket, b"\x90") == b"\x90" + payload

    asyncio.run(story())


def test_only_the_members_of_a_view_see_it_and_leaving_ends_it(shard, visiting):
    async def story() -> None:
        async with visiting() as visit, visit.ws() as inside, visit.ws() as outside:
            await outside.send_bytes(b"\x90hello")
            await inside.send_bytes(b"\x90view1")
            assert (await binary(inside, b"\x01")).endswith(b"snapshot")
            await inside.send_bytes(b"\x90leave")
            await visit.until(lambda: not any(v.conns for v in visit.edge.wire.views.views.values()))
            shard.snapshot = b"secret"
            await inside.send_bytes(b"\x90last")
            late = []
            while not (late and late[-1] == b"\x90\x90last"):
                late.append((await inside.receive()).data)
            assert not any(frame.endswith(b"secret") for frame in late)
            await outside.send_bytes(b"\x90last")
            seen = [(await outside.receive()).data for _ in range(2)]
            assert seen == [b"\x90\x90hello", b"\x90\x90last"]

    asyncio.run(story())


def test_a_burst_of_frames_goes_in_few_batches_in_order(shard, visiting):
    async def story() -> None:
        async with visiting() as visit, visit.ws() as socket:
            for number in range(50):
                await socket.send_bytes(b"\x80" + bytes([number]))
            got = [await binary(socket, b"\x90") for _ in range(50)]
            assert got == [b"\x90\x80" + bytes([number]) for number in range(50)]
            assert sum(1 for size in shard.batches if size) <= 10

    asyncio.run(story())


def test_a_browser_that_sends_too_much_loses_frames_which_are_counted(shard, visiting):
    async def story() -> None:
        async with visiting(limits=Limits(inbound_queue_max=4)) as visit, visit.ws() as socket:
            for _ in range(400):
                await socket.send_bytes(b"\x80x")
            await visit.until(lambda: visit.edge.exchange.counters["frames_dropped"] > 0)
            await socket.send_bytes(b"\x80end")
            assert not socket.closed

    asyncio.run(story())


@pytest.mark.parametrize(("kind", "code"), [("text", 1003), ("large", 1009)])
def test_a_wrong_frame_ends_that_connection_only(shard, visiting, kind, code):
    async def story() -> None:
        async with visiting() as visit, visit.ws() as rude, visit.ws() as polite:
            await (rude.send_str("hello") if kind == "text" else rude.send_bytes(bytes(20_000)))
            assert await close_code(rude) == code
            await polite.send_bytes(b"\x80still")
            assert await binary(polite, b"\x90") == b"\x90\x80still"
            await visit.until(lambda: len(visit.edge.exchange.browsers) == 1)

    asyncio.run(story())


def test_the_shard_hears_who_is_gone(shard, visiting):
    async def story() -> None:
        async with visiting() as visit:
            async with visit.ws() as socket:
                await socket.send_bytes(b"\x80hi")
                await binary(socket, b"\x90")
            await visit.until(lambda: any(isinstance(one, w.Gone) for one in shard.heard))

    asyncio.run(story())


def test_the_last_word_arrives_before_the_shard_ends_a_connection(shard, visiting):
    async def story() -> None:
        async with visiting() as visit, visit.ws() as socket:
            await socket.send_bytes(b"\x90end")
            assert await binary(socket, b"\x91") == b"\x91bye"
            assert await close_code(socket) == 4000

    asyncio.run(story())


@pytest.mark.parametrize(
    ("origin", "status"), [("http://evil.example", 403), ("null", 403), ("http://good.example", 101)]
)
def test_pages_of_other_origins_may_not_connect_unless_configured(shard, visiting, origin, status):
    async def story() -> None:
        async with visiting(allowed_origins=("http://good.example",)) as visit:
            if status == 101:
                async with visit.ws(origin=origin) as socket:
                    assert socket.protocol == SUBPROTOCOL
                return
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await visit.ws(origin=origin)
            assert refused.value.status == status

    asyncio.run(story())


def test_our_own_pages_may_connect(shard, visiting):
    async def story() -> None:
        async with visiting() as visit, visit.ws(origin=visit.edge.url) as socket:
            assert not socket.closed

    asyncio.run(story())


def test_without_our_subprotocol_there_is_no_connection(shard, visiting):
    async def story() -> None:
        async with visiting() as visit:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await visit.ws(protocols=("graphql-ws",))
            assert refused.value.status == 400

    asyncio.run(story())


def test_who_says_no_hello_in_time_is_let_go_and_others_stay(shard, visiting):
    async def story() -> None:
        async with visiting(limits=Limits(hello_timeout_s=0.3)) as visit, visit.ws() as mute, visit.ws() as polite:
            await polite.send_bytes(b"\x80hi")
            await binary(polite, b"\x90")
            assert await close_code(mute) == 1008
            assert visit.edge.exchange.counters["hellos_missing"] == 1
            await polite.send_bytes(b"\x80still")
            assert await binary(polite, b"\x90") == b"\x90\x80still"

    asyncio.run(story())


def test_there_is_a_limit_to_connections(shard, visiting):
    async def story() -> None:
        limits = Limits(avatars_max=1, unverified_peers_max=1)
        async with visiting(limits=limits) as visit, visit.ws(), visit.ws():
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await visit.ws()
            assert refused.value.status == 503

    asyncio.run(story())


def test_browsers_of_two_edges_see_the_same_and_one_edge_can_go(shard, visiting):
    async def story() -> None:
        async with visiting() as stays, stays.ws() as here:
            async with visiting() as goes, goes.ws() as there:
                for one in (here, there):
                    await one.send_bytes(b"\x90view1")
                    assert (await binary(one, b"\x01")).endswith(b"snapshot")
            await stays.until(lambda: sum(isinstance(one, w.Gone) for one in shard.heard) == 1)
            shard.snapshot = b"after"
            while not (await binary(here, b"\x01")).endswith(b"after"):
                continue
            await here.send_bytes(b"\x80still")
            assert await binary(here, b"\x90") == b"\x90\x80still"

    asyncio.run(story())


def test_an_edge_that_may_open_few_files_says_so_and_takes_fewer_browsers(shard, visiting, monkeypatch, capsys):
    monkeypatch.setattr(process, "open_files", lambda: process.OTHER_FILES + 1)

    async def story() -> None:
        async with visiting() as visit, visit.ws():
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await visit.ws()
            assert refused.value.status == 503

    asyncio.run(story())
    assert "files_limited" in capsys.readouterr().out


def test_browsers_are_told_to_come_back_when_the_shard_restarts_and_can(shard, visiting, data):
    async def story() -> None:
        async with visiting() as visit, visit.ws() as socket:
            await socket.send_bytes(b"\x80hi")
            await binary(socket, b"\x90")
            await asyncio.to_thread(shard.stop)
            assert await close_code(socket) == 1012
            async with visit.ws() as early:
                assert await close_code(early) == 1012
            again = type(shard)(data)
            try:
                await visit.until(lambda: visit.edge.exchange.linked)
                async with visit.ws() as back:
                    await back.send_bytes(b"\x80again")
                    assert await binary(back, b"\x90") == b"\x90\x80again"
            finally:
                await asyncio.to_thread(again.stop)

    asyncio.run(story())


def test_a_slow_browser_misses_snapshots_and_grows_no_queue(shard, visiting):
    shard.snapshot = bytes(20_000)

    async def story() -> None:
        async with visiting() as visit, visit.ws(max_msg_size=0) as quick:
            writer = await deaf(visit)
            writer.write(masked(b"\x90view1"))
            await quick.send_bytes(b"\x90view1")
            shard.snapshot = bytes(60_000)
            counters = visit.edge.exchange.counters

            async def read() -> None:
                while True:
                    await quick.receive()

            reading = asyncio.create_task(read())
            await visit.until(lambda: counters["snapshots_skipped"] > 20, 30)
            waiting = [b.line.waiting for b in visit.edge.exchange.browsers.values()]
            assert max(waiting) <= 262_144
            reading.cancel()
            writer.transport.abort()

    asyncio.run(story())


def test_a_browser_that_reads_no_control_frames_is_let_go_and_others_stay(shard, visiting):
    async def story() -> None:
        async with visiting() as visit, visit.ws() as polite:
            writer = await deaf(visit)
            writer.write(masked(b"\x80here"))
            await polite.send_bytes(b"\x80first")
            await binary(polite, b"\x90\x80first")
            await visit.until(lambda: len(shard.peers) == 2)
            exchange = visit.edge.exchange
            slow = next(peer for conn, peer in shard.peers.items() if conn == max(shard.peers))
            await visit.until(lambda: len(exchange.browsers) == 2)

            def pour() -> None:
                shard.wire.post([slow], b"\x90" + bytes(100_000))
                if slow.conn in exchange.browsers:
                    shard.soon(pour)

            shard.soon(pour)
            await visit.until(lambda: exchange.counters["browsers_too_slow"] == 1, 30)
            await visit.until(lambda: len(exchange.browsers) == 1)
            await polite.send_bytes(b"\x80still")
            assert await binary(polite, b"\x90\x80still")
            writer.transport.abort()

    asyncio.run(story())


def test_no_bytes_whatever_on_a_connection_harm_the_others(shard, visiting):
    lots = random.Random(7)

    async def rude(visit, start: bytes) -> None:
        host, port = visit.edge.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(start + lots.randbytes(lots.randrange(1, 400)))
        writer.write_eof()
        async with asyncio.timeout(10):
            await reader.read()
        writer.close()

    async def story() -> None:
        async with visiting() as visit, visit.ws() as polite:
            for _ in range(40):
                writer = await deaf(visit)
                writer.write(lots.randbytes(lots.randrange(1, 400)))
                writer.close()
                await rude(visit, b"GET /ws HTTP/1.1\r\n")
            await polite.send_bytes(b"\x80still")
            assert await binary(polite, b"\x90") == b"\x90\x80still"
            await visit.until(lambda: len(visit.edge.exchange.browsers) == 1)

    asyncio.run(story())
