"""The WebSocket of a browser begins here: who may open one, and how the connection leaves HTTP.

Owns the opening handshake (RFC 6455, section 4.2). Behind it nothing of the HTTP server is left on the connection: a
plain TCP socket is taken from it, under TLS its transport is given another protocol.
"""

import asyncio
import base64
import binascii
import hashlib

from aiohttp import web

from server.edge.exchange import Exchange
from server.edge.guard import origin_allowed, refusal
from server.edge.lines import SocketLine, TransportLine, take_over
from server.net.protocol import SUBPROTOCOL

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION = "13"
KEY_BYTES = 16
ANSWER_BYTES_MAX = 1024
ANSWER = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\nServer: asclepion\r\n\r\n"
)


def _words(request: web.Request, header: str) -> list[str]:
    return [word.strip() for line in request.headers.getall(header, []) for word in line.split(",")]


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def switching(key: str) -> bytes:
    """The answer that turns a connection into a WebSocket, for the client's Sec-WebSocket-Key."""
    accept = base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()
    return ANSWER.format(accept=accept, protocol=SUBPROTOCOL).encode()


def refused(request: web.Request, exchange: Exchange, allowed: tuple[str, ...]) -> web.Response | None:
    """Why this request may not become a WebSocket, if it may not."""
    if "websocket" not in map(str.lower, _words(request, "Upgrade")):
        return refusal(400, "upgrade", "this address is for WebSockets only")
    if "upgrade" not in map(str.lower, _words(request, "Connection")) or request.body_exists:
        return refusal(400, "upgrade", "the request does not ask for a WebSocket as RFC 6455 has it")
    if request.headers.get("Sec-WebSocket-Version", "") != VERSION:
        answer = refusal(426, "version", f"the WebSocket version has to be {VERSION}")
        answer.headers["Sec-WebSocket-Version"] = VERSION
        return answer
    if not _is_key(request.headers.get("Sec-WebSocket-Key", "")):
        return refusal(400, "key", f"Sec-WebSocket-Key has to be {KEY_BYTES} bytes in base64")
    if not origin_allowed(request, allowed):
        exchange.counters["origins_refused"] += 1
        return refusal(403, "origin", "a page of another origin may not connect here")
    if SUBPROTOCOL not in _words(request, "Sec-WebSocket-Protocol"):
        return refusal(400, "subprotocol", f"the WebSocket subprotocol has to be {SUBPROTOCOL}")
    if exchange.full:
        exchange.counters["browsers_refused"] += 1
        return refusal(503, "full", "no room for one more connection")
    return None


async def serve(request: web.Request, exchange: Exchange, allowed: tuple[str, ...]) -> web.StreamResponse:
    """Turn a request into a browser's connection. What is returned is for the HTTP server and reaches nobody."""
    no = refused(request, exchange, allowed)
    if no is not None:
        return no
    loop = asyncio.get_running_loop()
    answer = switching(request.headers["Sec-WebSocket-Key"])
    transport = request.transport
    if transport is None or transport.is_closing():
        return web.Response()
    own = take_over(transport)
    if own is not None:
        line = SocketLine(own, loop)
        line.write(answer, ANSWER_BYTES_MAX)
        exchange.enter(line)
        return web.Response()
    visit = Visit(transport, exchange)
    transport.write(answer)
    visit.begin()
    await visit.ended
    return web.Response()


class Visit(asyncio.Protocol):
    """A browser whose connection has to stay with its transport."""

    def __init__(self, transport: asyncio.Transport, exchange: Exchange) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport, self._exchange = transport, exchange
        self._http = transport.get_protocol()
        transport.set_protocol(self)

    def begin(self) -> None:
        """Enter, once the handshake is answered."""
        self._browser = self._exchange.enter(TransportLine(self._transport))

    def data_received(self, data: bytes) -> None:
        """Bytes of the browser."""
        self._exchange.hear(self._browser, data)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is over for both protocols."""
        self._exchange.leave(self._browser)
        self._http.connection_lost(error)
        if not self.ended.done():
            self.ended.set_result(None)
