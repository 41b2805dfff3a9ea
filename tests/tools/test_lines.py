"""All ways to connect many clients: what is sent arrives, in order, and what ends is said to have ended."""

import asyncio
import threading
import time

import numpy as np
import pytest
import zmq
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from server.net.protocol import SUBPROTOCOL
from server.sim.frame import write_frame
from server.sim.poses import POSE, POSE_KIND
from tools.lines import NativeLines
from tools.lines_curve import CurveShake, ShakeError, Sodium
from tools.lines_loop import frame_hash
from tools.lines_raw import RawLines, curve_target, web_target
from tools.lines_upgrade import WebShake, read_url

WAIT_S = 60.0
CLIENTS = 3


class Echo:
    """A WebSocket server that says everything again, its first two bytes twice, and ends when told b"end"."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self.up = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        assert self.up.wait(WAIT_S)

    async def serve(self, request):
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
        await socket.prepare(request)
        async for message in socket:
            if message.data == b"end":
                break
            await socket.send_bytes(message.data[:2] + message.data)
        return socket

    def run(self):
        asyncio.set_event_loop(self.loop)
        app = web.Application()
        app.router.add_get("/ws", self.serve)
        self.runner = web.AppRunner(app)
        self.loop.run_until_complete(self.runner.setup())
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        self.loop.run_until_complete(site.start())
        self.port = site._server.sockets[0].getsockname()[1]
        self.up.set()
        self.loop.run_forever()

    def stop(self):
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(WAIT_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(WAIT_S)
        self.loop.close()


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.stop()


SAID, OTHER = 99, 97  # tags


def message(tag, text):
    return bytes((0x91, tag)) + text


def snapshot(tick, body, room=3, home=5):
    return write_frame(room, tick, home, [(5, body)])


@pytest.fixture
def router():
    """A ROUTER with CURVE that minds its peers' heartbeats: (socket, endpoint, public key)."""
    public, secret = zmq.curve_keypair()
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    socket.curve_server, socket.curve_secretkey, socket.curve_publickey = True, secret, public
    socket.setsockopt(zmq.HEARTBEAT_IVL, 300)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 30_000)
    socket.bind("tcp://127.0.0.1:*")
    yield socket, socket.get_string(zmq.LAST_ENDPOINT), public
    socket.close()
    context.term()


def raw_lines(router):
    return RawLines(curve_target(router[1], router[2]), CLIENTS)


def libzmq_lines(router):
    return NativeLines(router[1], router[2], CLIENTS)


def heard(lines, socket):
    """The next message the router gets, with the lines going on meanwhile."""
    deadline_s = time.monotonic() + WAIT_S
    while not socket.poll(0):
        assert time.monotonic() < deadline_s
        lines.take(0.01)
    return socket.recv_multipart()


def taken(lines, done):
    """What is taken until `done` says it is enough: letters, snapshot rows, fresh frames, bots gone."""
    letters, rows, fresh, gone = [], [], [], []
    deadline_s = time.monotonic() + WAIT_S
    while not done(letters, rows, fresh, gone):
        assert time.monotonic() < deadline_s, (letters, rows, fresh, gone)
        mail = lines.take(0.01)
        letters += [(letter.bot, letter.frame) for letter in mail.letters]
        fresh += [frame for _, frame in mail.fresh]
        rows += list(zip(*(column.tolist() for column in mail[:7]), strict=True))
        gone += mail.gone
    return letters, rows, fresh, gone


@pytest.mark.parametrize("kind", [raw_lines, libzmq_lines])
def test_frames_go_both_ways_under_curve_and_each_snapshot_is_handed_out_once(router, kind):
    socket, lines = router[0], kind(router)
    lines.want({SAID: 1})
    try:
        routes = []
        for bot in range(2):
            lines.open(bot)
            assert lines.send(bot, b"hello%d" % bot)
            route, frame = heard(lines, socket)
            assert frame == b"hello%d" % bot
            routes.append(route)
        frames = [snapshot(70_000, b"a" * 700), message(SAID, b"x" * 9), message(OTHER, b"y")]
        for route in routes:
            socket.send_multipart([route, *frames])
        letters, rows, fresh, _ = taken(lines, lambda letters, *_: len(letters) == 2)
        assert sorted(letters) == [(0, frames[1]), (1, frames[1])]
        assert fresh == [frames[0]]
        assert sorted(row[0] for row in rows) == [0, 1] and len({row[6] for row in rows}) == 1
        assert {row[2:6] for row in rows} == {(len(frames[0]), 70_000, 3, 5)}
        assert lines.counted()[SAID] == lines.counted()[OTHER] == 2
    finally:
        lines.close()


@pytest.mark.parametrize("kind", [raw_lines, libzmq_lines])
def test_poses_are_numbered_stamped_and_arrive(router, kind):
    socket, lines = router[0], kind(router)
    rows = np.zeros(CLIENTS, POSE)
    rows["kind"], rows["yaw"] = POSE_KIND, np.arange(CLIENTS) + 100
    raw = rows.view(np.uint8).reshape(CLIENTS, -1)
    seq, sent_ns = np.full(CLIENTS, 300), np.zeros((CLIENTS, 256), np.int64)
    try:
        lines.open(1)
        lines.send(1, b"hello")
        heard(lines, socket)
        assert lines.poses(np.array([1]), raw, seq, sent_ns) == 1
        got = np.frombuffer(heard(lines, socket)[1], POSE)[0]
        assert (got["seq"], got["yaw"]) == (301, 101)
        assert seq.tolist() == [300, 301, 300]
        assert sent_ns[1, 301 & 255] > 0 and np.count_nonzero(sent_ns) == 1
    finally:
        lines.close()


def test_raw_lines_answer_heartbeats_and_open_again_as_somebody_new(router):
    socket, lines = router[0], raw_lines(router)
    try:
        lines.open(0)
        lines.send(0, b"hello")
        first = heard(lines, socket)[0]
        taken(lines, lambda *_: lines.counted().get(257, 0) >= 3)
        lines.open(0)
        lines.send(0, b"again")
        route, frame = heard(lines, socket)
        assert frame == b"again" and route != first
    finally:
        lines.close()


def test_long_frames_and_many_at_once_come_whole(router):
    socket, lines = router[0], raw_lines(router)
    lines.want({SAID: 1})
    sizes = [1, 5, 200, 255, 256, 60_000, 150_000, 3, *range(1, 80)]
    try:
        lines.open(2)
        lines.send(2, b"h" * 2000)
        route, frame = heard(lines, socket)
        assert frame == b"h" * 2000
        for number, size in enumerate(sizes):
            socket.send_multipart([route, message(SAID, bytes((number % 256,)) * size)])
        letters, *_ = taken(lines, lambda letters, *_: len(letters) == len(sizes))
        assert [(frame[2], len(frame) - 2) for _, frame in letters] == list(enumerate(sizes))
    finally:
        lines.close()


def test_a_server_that_goes_away_or_is_not_there_is_a_connection_that_is_gone(router):
    lines = raw_lines(router)
    nobody = RawLines(curve_target("tcp://127.0.0.1:1", router[2]), 1)
    try:
        lines.open(0)
        lines.send(0, b"hello")
        heard(lines, router[0])
        router[0].close()
        assert taken(lines, lambda _l, _r, _f, gone: bool(gone))[3] == [0]
        nobody.open(0)
        assert taken(nobody, lambda _l, _r, _f, gone: bool(gone))[3] == [0]
    finally:
        lines.close()
        nobody.close()


def test_websockets_carry_frames_even_those_sent_before_they_stand(echo):
    lines = RawLines(web_target(f"http://127.0.0.1:{echo.port}/ws"), CLIENTS)
    lines.want({SAID: 1, OTHER: 2})
    try:
        for bot in range(CLIENTS):
            lines.open(bot)
            assert lines.send(bot, message(SAID, b"early"))
        early = taken(lines, lambda letters, *_: len(letters) == CLIENTS)[0]
        assert sorted(early) == [(bot, message(SAID, message(SAID, b"early"))) for bot in range(CLIENTS)]
        for size in (0, 100, 130, 5000):
            assert lines.send(1, message(SAID, b"n" * size))
            letters = taken(lines, lambda letters, *_: len(letters) == 1)[0]
            assert letters == [(1, message(SAID, message(SAID, b"n" * size)))]
        for bot in (0, 1):
            assert lines.send(bot, message(OTHER, b"same"))
        assert len(taken(lines, lambda *_: lines.counted().get(OTHER) == 2)[0]) == 1
        lines.send(2, b"end")
        assert taken(lines, lambda _l, _r, _f, gone: bool(gone))[3] == [2]
        assert not lines.send(2, b"to nobody")
    finally:
        lines.close()


def test_a_websocket_that_is_not_offered_is_a_connection_that_is_gone(echo):
    lines = RawLines(web_target(f"http://127.0.0.1:{echo.port}/elsewhere"), 1)
    try:
        lines.open(0)
        taken(lines, lambda _l, _r, _f, gone: bool(gone))
        assert any("404" in reason for reason in lines.counters)
    finally:
        lines.close()


@pytest.mark.parametrize("url", ["https://x/ws", "x", "tcp://127.0.0.1:5"])
def test_other_addresses_are_refused(url):
    with pytest.raises(OSError, match="plain WebSocket only"):
        web_target(url)
    with pytest.raises(OSError, match="no tcp://host:port"):
        curve_target("ipc://x", zmq.curve_keypair()[0])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 200))
def test_no_bytes_whatever_break_a_handshake_otherwise_than_by_refusal(data, cut):
    sodium = Sodium()
    for shake in (CurveShake(sodium, sodium.keypair()[0]), WebShake(read_url("ws://x:1/ws"))):
        greeting = shake.begin()[:64]
        try:
            shake.feed(greeting[:cut])
            assert shake.feed(greeting[cut:] + data)[1] is None
        except ShakeError:
            pass


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.binary(max_size=8))
def test_equal_frames_have_equal_hashes_whatever_lay_behind_them(frame, rubbish):
    found = set()
    for behind in (b"", rubbish):
        words = np.zeros(12, np.uint64)
        data = np.frombuffer(frame + behind, np.uint8)
        words.view(np.uint8)[8 : 8 + len(data)] = data
        found.add(int(frame_hash(words, len(frame))))
    assert len(found) == 1 and 0 not in found
    changed = bytearray(frame)
    changed[len(frame) // 2] ^= 1
    words = np.zeros(12, np.uint64)
    words.view(np.uint8)[8 : 8 + len(frame)] = np.frombuffer(bytes(changed), np.uint8)
    assert int(frame_hash(words, len(frame))) not in found
