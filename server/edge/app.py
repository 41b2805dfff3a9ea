"""The edge's public HTTP: the client's pages, the questions of the join page, device data, the log, the WebSocket.

Owns the routes. Each handler checks form and size and passes on; what is allowed is the shard's to say.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from server.clock import Clock
from server.config import Config
from server.edge import fhir, log_files, socket
from server.edge.exchange import Exchange, NoAnswer, Question
from server.edge.guard import Rate, harden, read_body, refusal
from server.edge.outcome import outcome
from server.edge.static import Asset, answer

API_BYTES_MAX = 4096
ROOM = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers work with; made by `server.edge.process`."""

    config: Config
    exchange: Exchange
    assets: dict[str, Asset]
    clock: Clock


class Site:
    """The handlers of one edge."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.exchange = parts.exchange
        self.public = Path(parts.config.data) / "ledger/public"
        limits = parts.config.limits
        self._api_rate = Rate(limits.api_per_s, parts.clock)
        self._fhir_rate = Rate(limits.fhir_per_s, parts.clock)

    def routes(self) -> list[web.RouteDef]:
        """Every address of the public port; what is not here is looked for among the client's files."""
        return [
            web.get("/", self.home),
            web.get("/r/{room}", self.room),
            web.get("/r/{room}/", self.room),
            web.get("/ws", self.websocket),
            web.get("/healthz", self.health),
            web.get("/log/{name:.+}", self.log),
            web.post("/api/redeem", self.redeem),
            web.post("/api/who", self.who),
            web.post("/fhir/Observation", self.observation),
            web.get("/{name:.+}", self.file),
        ]

    async def home(self, _request: web.Request) -> web.StreamResponse:
        """Lead to the lobby; the part behind # stays with the browser."""
        return web.Response(status=302, headers={"Location": "/r/lobby", "Cache-Control": "no-store"})

    async def room(self, request: web.Request) -> web.StreamResponse:
        """The client's page; which room it shows is the client's business."""
        if not ROOM.fullmatch(request.match_info["room"]):
            raise web.HTTPNotFound
        return answer(request, self.parts.assets["index.html"])

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A file of the client."""
        asset = self.parts.assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        return answer(request, asset)

    async def health(self, _request: web.Request) -> web.StreamResponse:
        """Whether one could come in now."""
        status, state = (200, "ok") if self.exchange.linked else (503, "the shard is not there")
        return web.json_response({"status": state}, status=status, headers={"Cache-Control": "no-store"})

    async def log(self, request: web.Request) -> web.StreamResponse:
        """A public file of the ledger."""
        return log_files.serve(request, self.public)

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """A browser's connection."""
        return await socket.serve(request, self.exchange, self.parts.config.allowed_origins)

    async def redeem(self, request: web.Request) -> web.StreamResponse:
        """Use an invite for a join token."""
        return await self._ask(request, "redeem")

    async def who(self, request: web.Request) -> web.StreamResponse:
        """Who is inside, for the holder of an invite."""
        return await self._ask(request, "who")

    async def _ask(self, request: web.Request, kind: Question) -> web.StreamResponse:
        if not self._api_rate.take(request.remote or ""):
            self.exchange.counters["requests_throttled"] += 1
            return refusal(429, "too-many", "too many requests from this address: wait a second")
        if request.content_type != "application/json":
            return refusal(415, "media-type", f"the body is {request.content_type}, allowed is application/json")
        body = await read_body(request, API_BYTES_MAX)
        try:
            said = await self.exchange.ask(kind, body)
        except NoAnswer as error:
            return refusal(503, "not-open", f"{error}: try again in a moment")
        headers = {"Cache-Control": "no-store"}
        return web.Response(status=said.status, body=said.body, content_type="application/json", headers=headers)

    async def observation(self, request: web.Request) -> web.StreamResponse:
        """Device data of one bed as a FHIR Observation."""
        if not self._fhir_rate.take(request.remote or ""):
            self.exchange.counters["requests_throttled"] += 1
            return outcome(429, "too many requests from this address: wait a second")
        return await fhir.post(request, self.exchange)


def build(parts: Parts) -> web.Application:
    """The public application."""
    app = web.Application(middlewares=[harden], client_max_size=fhir.BODY_BYTES_MAX)
    app.router.add_routes(Site(parts).routes())
    return app
