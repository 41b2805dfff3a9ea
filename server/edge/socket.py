"""The WebSocket of a browser: who may open one, what it may send, how it ends.

Owns the life of one connection on the edge. Frames are opaque; each goes to the exchange as it is.
"""

import asyncio
from typing import cast

from aiohttp import WSMessage, WSMsgType, web

from server.edge.exchange import RESTART, Browser, Exchange
from server.edge.guard import origin_allowed, refusal
from server.net.protocol import SUBPROTOCOL

HEARTBEAT_S = 15.0
CLOSE_S = 2.0
UNSUPPORTED, POLICY = 1003, 1008


def _offers(request: web.Request) -> list[str]:
    return [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]


def refused(request: web.Request, exchange: Exchange, allowed: tuple[str, ...]) -> web.Response | None:
    """Why this request may not become a WebSocket, if it may not."""
    if not origin_allowed(request, allowed):
        exchange.counters["origins_refused"] += 1
        return refusal(403, "origin", "a page of another origin may not connect here")
    if SUBPROTOCOL not in _offers(request):
        return refusal(400, "subprotocol", f"the WebSocket subprotocol has to be {SUBPROTOCOL}")
    if exchange.full:
        exchange.counters["browsers_refused"] += 1
        return refusal(503, "full", "no room for one more connection")
    return None


async def serve(request: web.Request, exchange: Exchange, allowed: tuple[str, ...]) -> web.StreamResponse:
    """Turn a request into a browser's connection and stay with it until it ends."""
    no = refused(request, exchange, allowed)
    if no is not None:
        return no
    socket = web.WebSocketResponse(
        protocols=(SUBPROTOCOL,), heartbeat=HEARTBEAT_S, timeout=CLOSE_S, compress=False,
        max_msg_size=exchange.limits.frame_bytes_max, decode_text=False, autoclose=False,
    )  # fmt: skip
    await socket.prepare(request)
    transport = request.transport
    if transport is None or not exchange.linked:
        await socket.close(code=RESTART, message=b"restart")
        return socket
    browser = Browser(cast(asyncio.WriteTransport, transport))
    conn = exchange.enter(browser)
    try:
        await _listen(socket, conn, exchange)
    finally:
        exchange.leave(conn)
    if browser.ending:
        transport.close()  # our Close frame went out before: a second one would be a fault
    return socket


async def _listen(socket: web.WebSocketResponse, conn: int, exchange: Exchange) -> None:
    try:
        first = await socket.receive(timeout=exchange.limits.hello_timeout_s)
    except TimeoutError:
        exchange.counters["hellos_missing"] += 1
        await socket.close(code=POLICY, message=b"no hello in time")
        return
    await _take(first, socket, conn, exchange)
    async for message in socket:
        await _take(message, socket, conn, exchange)


async def _take(message: WSMessage, socket: web.WebSocketResponse, conn: int, exchange: Exchange) -> None:
    if message.type is WSMsgType.BINARY:
        exchange.receive(conn, message.data)
    elif message.type is WSMsgType.TEXT:
        exchange.counters["frames_refused"] += 1
        await socket.close(code=UNSUPPORTED, message=b"binary frames only")
    elif message.type is WSMsgType.ERROR:
        exchange.counters["frames_refused"] += 1
