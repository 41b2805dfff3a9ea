"""WebSockets over bare sockets: the handshake, control frames, endings; as plain TCP, by a transport and under TLS."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import numpy as np
import pytest

from server.config import Limits
from server.edge import browser, lines, patience
from server.edge.frames import close_frame
from server.edge.lines import SocketLine, TransportLine
from server.edge.process import allow_files
from server.edge.tls import make
from server.net import wire as w
from server.sim.poses import POSE
from tests.edge.rough import HEADERS, masked, request, rough

CROWD = 300


async def frames(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    """So many short frames as they are."""
    found = []
    for _ in range(count):
        head = await reader.readexactly(2)
        found.append(head + await reader.readexactly(head[1]))
    return found


@pytest.fixture(params=["socket", "transport", "tls"])
def way(request, visiting, data, monkeypatch):
    """`async with way() as (visit, connect)`: an edge, and how to open a WebSocket of bare bytes to it."""
    settings, trust = {}, None
    if request.param == "transport":
        monkeypatch.setattr(lines, "HAS_EPOLL", False)
    if request.param == "tls":
        make(data, [], datetime.now(UTC))
        settings = {"tls_certificate": str(data / "tls/server.pem"), "tls_key": str(data / "tls/server.key")}
        trust = ssl.create_default_context(cafile=str(data / "tls/ca.pem"))

    @asynccontextmanager
    async def open_edge():
        async with visiting(**settings) as visit:
            yield visit, lambda: rough(visit, trust)
            kinds = {SocketLine if request.param == "socket" else TransportLine}
            assert {type(one.line) for one in visit.edge.exchange.browsers.values()} <= kinds

    return open_edge


def test_messages_in_pieces_and_parts_go_through_and_pings_are_answered(shard, way):
    async def story():
        async with way() as (_, connect), asyncio.timeout(20):
            reader, writer = await connect()
            said = masked(b"\x80one") + masked(b"beat", 0x89) + masked(b"\x80tw", 0x02) + masked(b"o", 0x80)
            for at in range(0, len(said), 5):
                writer.write(said[at : at + 5])
                await writer.drain()
            assert sorted(await frames(reader, 3)) == [b"\x82\x05\x90\x80one", b"\x82\x05\x90\x80two", b"\x8a\x04beat"]
            writer.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (masked(b"\x03\xe9", 0x88), close_frame(1001, "")),
        (masked(b"", 0x88), close_frame(1000, "")),
        (b"\x82\x01x", close_frame(1002, "a frame without a mask")),
        (masked(b"hello", 0x81), close_frame(1003, "binary frames only")),
        (b"\x82\xff" + bytes(5) + b"\x01\0\0", close_frame(1009, "a message of more than 16384 bytes")),
    ],
)
def test_an_ending_is_answered_and_the_shard_hears_of_it_while_others_stay(shard, way, said, answer):
    async def story():
        async with way() as (visit, connect), asyncio.timeout(20):
            (reader, writer), (other, polite) = await connect(), await connect()
            polite.write(masked(b"\x80there"))
            writer.write(masked(b"\x80here"))
            assert await frames(reader, 1) == [b"\x82\x06\x90\x80here"]
            writer.write(said)
            assert await frames(reader, 1) == [answer]
            writer.close()
            await visit.until(lambda: any(isinstance(one, w.Gone) for one in shard.heard))
            polite.write(masked(b"\x80still"))
            assert await frames(other, 2) == [b"\x82\x07\x90\x80there", b"\x82\x07\x90\x80still"]
            assert len(visit.edge.exchange.browsers) == 1
            polite.close()
            await visit.until(lambda: not visit.edge.exchange.browsers)
            runner = visit.edge._runners[0]
            await visit.until(lambda: not runner.server.connections)  # nothing of them is left with the HTTP server

    asyncio.run(story())


def test_who_is_told_to_go_and_stays_is_let_go(shard, way, monkeypatch):
    monkeypatch.setattr(browser, "CLOSE_S", 0.1)

    async def story():
        async with way() as (_, connect), asyncio.timeout(20):
            reader, writer = await connect()
            writer.write(masked(b"\x90end"))
            assert await frames(reader, 2) == [b"\x82\x04\x91bye", close_frame(4000, "banned")]
            assert await reader.read() == b""
            writer.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Upgrade": "h2c"}, 400),
        ({"Connection": "close"}, 400),
        ({"Content-Length": "5"}, 400),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Key": "é"}, 400),
        ({"Sec-WebSocket-Protocol": "other, asclepion.2"}, 400),
        ({"Sec-WebSocket-Protocol": "other, asclepion.1"}, 101),
    ],
)
def test_a_handshake_is_as_the_rfc_has_it_or_refused(shard, visiting, changed, status):
    async def story():
        async with visiting() as visit, asyncio.timeout(20):
            address = visit.edge.url.split("//")[1]
            reader, writer = await asyncio.open_connection(*address.split(":"))
            writer.write(request(address, HEADERS | changed) + b"12345" * ("Content-Length" in changed))
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            assert (b"Sec-WebSocket-Version: 13" in answer) == (status == 426)
            writer.close()

    asyncio.run(story())


def test_a_crowd_that_comes_at_once_gets_in_and_is_heard(shard, visiting):
    allow_files(Limits())

    async def story():
        async with visiting() as visit, asyncio.timeout(60):
            crowd = await asyncio.gather(*[rough(visit) for _ in range(CROWD)])
            for number, (_, writer) in enumerate(crowd):
                writer.write(masked(b"\x80" + number.to_bytes(2, "big")))
            answers = await asyncio.gather(*[frames(reader, 1) for reader, _ in crowd])
            assert [one[0][-2:] for one in answers] == [number.to_bytes(2, "big") for number in range(CROWD)]
            for _, writer in crowd:
                writer.transport.abort()
            await visit.until(lambda: not visit.edge.exchange.browsers)
            await visit.until(lambda: sum(isinstance(one, w.Gone) for one in shard.heard) == CROWD)

    asyncio.run(story())


def test_poses_of_one_who_is_greeted_go_on_as_they_are_whatever_their_mask(shard, way):
    async def story():
        async with way() as (_, connect), asyncio.timeout(20):
            reader, writer = await connect()
            writer.write(masked(b"\x80hi"))
            assert await frames(reader, 1) == [b"\x82\x04\x90\x80hi"]
            for number in range(3):
                pose = b"\x10" + bytes([number]) * 38
                writer.write(masked(pose, mask=bytes([number, 7, 200, 255])))
                assert await frames(reader, 1) == [bytes((0x82, 40)) + b"\x90" + pose]
            poses = [b"\x10" + bytes([number]) * 38 for number in range(3)]
            writer.write(b"".join(map(masked, poses)) + masked(b"\x80then") + masked(poses[0])[:20])
            answers = [b"\x82\x28\x90" + pose for pose in poses] + [b"\x82\x06\x90\x80then"]
            assert sorted(await frames(reader, 4)) == sorted(answers)
            writer.write(masked(poses[0])[20:])
            assert await frames(reader, 1) == answers[:1]
            writer.close()

    asyncio.run(story())


def test_everybody_of_every_manner_can_be_sent_away(shard, way, monkeypatch):
    monkeypatch.setattr(browser, "CLOSE_S", 0.1)

    async def story():
        async with way() as (visit, connect), asyncio.timeout(20):
            reader, writer = await connect()
            _, mute = await connect()
            mute.transport.pause_reading()
            visit.edge.exchange.end_all(1012, "restart")
            assert await frames(reader, 1) == [close_frame(1012, "restart")]
            await visit.edge.exchange.emptied()
            writer.close()
            mute.close()

    asyncio.run(story())


def test_connections_that_never_ask_for_anything_are_ended_and_others_stay(shard, visiting, monkeypatch):
    monkeypatch.setattr(patience, "LOOK_S", 0.02)
    monkeypatch.setattr(patience, "FIRST_REQUEST_S", 0.3)

    async def story():
        async with visiting() as visit, asyncio.timeout(20):
            host, port = visit.edge.url.split("//")[1].split(":")
            reader, writer = await rough(visit)
            async with visit.http.get(visit.edge.url + "/healthz") as answer:
                assert answer.status == 200
                begun = [b"", b"GET /ws HTTP/1.1\r\nHost: x\r\n"]
                silent = [await asyncio.open_connection(host, port) for _ in begun]
                for (_, out), words in zip(silent, begun, strict=True):
                    out.write(words)
                assert [await into.read() for into, _ in silent] == [b"", b""]
            writer.write(masked(b"\x80still"))
            assert await frames(reader, 1) == [b"\x82\x07\x90\x80still"]
            async with visit.http.get(visit.edge.url + "/healthz") as answer:
                assert answer.status == 200
            for _, out in [*silent, (reader, writer)]:
                out.close()

    asyncio.run(story())


def test_a_library_client_sees_a_clean_end(shard, visiting):
    async def story():
        async with visiting() as visit, visit.ws() as socket, asyncio.timeout(20):
            await socket.send_bytes(b"\x80hi")
            assert (await socket.receive()).data == b"\x90\x80hi"
            await socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
            assert socket.close_code == 1001

    asyncio.run(story())


def test_the_edge_knows_which_way_somebody_looks_once_they_sent_a_pose(shard, way):
    async def story():
        async with way() as (visit, connect), asyncio.timeout(20):
            reader, writer = await connect()
            conn = next(iter(visit.edge.exchange.browsers))
            writer.write(masked(b"\x80hi"))
            assert await frames(reader, 1) == [b"\x82\x04\x90\x80hi"]
            facing = visit.edge.wire.views.audience._facing
            assert (facing(conn), facing(conn + 1)) == (-1, -1)
            pose = np.zeros(1, POSE)
            pose["kind"], pose["yaw"] = 0x10, 777
            writer.write(masked(pose.tobytes()))
            await visit.until(lambda: facing(conn) == 777)
            writer.close()

    asyncio.run(story())
