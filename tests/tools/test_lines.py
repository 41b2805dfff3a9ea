"""Both ways to connect many clients: what is sent arrives, in order, and what ends is said to have ended."""

import asyncio
import threading
import time

import pytest
import zmq
from aiohttp import web

from server.net.protocol import SUBPROTOCOL
from tools.lines import NativeLines
from tools.lines_web import WebLines

WAIT_S = 10.0
CLIENTS = 3


class Echo:
    """A WebSocket server that says everything twice, and ends when told b"end"."""

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
            await socket.send_bytes(message.data * 2)
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


def gather(lines, count):
    """The next `count` arrivals, in order."""
    found, deadline_s = [], time.monotonic() + WAIT_S
    while len(found) < count:
        assert time.monotonic() < deadline_s, found
        found += lines.poll(0.05)
    return found


def test_websockets_carry_frames_even_those_sent_before_they_stand(echo):
    lines = WebLines(f"http://127.0.0.1:{echo.port}/ws", CLIENTS)
    try:
        for bot in range(CLIENTS):
            lines.open(bot)
            assert lines.send(bot, b"early%d" % bot)
        early = gather(lines, CLIENTS)
        assert sorted((a.bot, a.frames[0]) for a in early) == [(b, b"early%d" % b * 2) for b in range(CLIENTS)]
        for number in range(5):
            assert lines.send(1, b"n%d" % number)
        assert [a.frames[0] for a in gather(lines, 5)] == [b"n%d" % n * 2 for n in range(5)]
        lines.send(2, b"end")
        assert [(a.bot, a.frames) for a in gather(lines, 1)] == [(2, ())]
        assert not lines.send(2, b"to nobody")
    finally:
        lines.close()


def test_an_edge_that_is_not_there_is_a_connection_that_is_gone():
    lines = WebLines("http://127.0.0.1:1/ws", 1)
    try:
        lines.open(0)
        assert [(a.bot, a.frames) for a in gather(lines, 1)] == [(0, ())]
    finally:
        lines.close()


def test_native_lines_carry_frames_under_curve_and_reopen_as_somebody_new():
    public, secret = zmq.curve_keypair()
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    router.curve_server, router.curve_secretkey, router.curve_publickey = True, secret, public
    router.bind("tcp://127.0.0.1:*")
    lines = NativeLines(router.get_string(zmq.LAST_ENDPOINT), public, CLIENTS)
    try:
        routes = []
        for _ in range(2):
            lines.open(0)
            assert lines.send(0, b"hello")
            assert router.poll(WAIT_S * 1000)
            route, frame = router.recv_multipart()
            assert frame == b"hello"
            routes.append(route)
            router.send_multipart([route, b"a", b"b"])
            assert [(a.bot, list(a.frames)) for a in gather(lines, 1)] == [(0, [b"a", b"b"])]
        assert routes[0] != routes[1]
    finally:
        lines.close()
        router.close()
        context.term()
