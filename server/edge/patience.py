"""Connections that never ask for anything: how long the HTTP server waits for a first request.

Owns which connections have asked. Between requests the HTTP server's own keep-alive time-out holds; behind a
WebSocket's handshake it is the exchange that looks after a connection.
"""

import asyncio

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from server.clock import Clock
from server.edge.guard import Handler

FIRST_REQUEST_S = 10.0  # from connecting, or its TLS handshake, to the last line of the first request's head
LOOK_S = 1.0


class Patience:
    """Who has not asked yet, since when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: set[RequestHandler] = set()
        self._silent: dict[RequestHandler, float] = {}

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware: this connection has asked."""
        self._asked.add(request.protocol)
        return await handler(request)

    def look(self, server: web.Server) -> None:
        """End the connections that have been silent for too long."""
        now_s, there = self._clock.monotonic_s(), server.connections
        self._asked.intersection_update(there)
        self._silent = {one: self._silent.get(one, now_s) for one in there if one not in self._asked}
        for one, since_s in self._silent.items():
            if now_s - since_s >= FIRST_REQUEST_S:
                one.force_close()

    async def watch(self, server: web.Server) -> None:
        """Look now and then, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look(server)
