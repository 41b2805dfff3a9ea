"""The admin port: /livez, /readyz, /metrics, /version, for operators and their monitoring.

Owns the names of the metrics. They come from the shard's figures and the edge's own counters; none names a person, a
room or a patient.
"""

import re
from collections.abc import Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server import __version__
from server.edge.exchange import Exchange
from server.edge.guard import harden
from server.net.protocol import PROTOCOL_HASH

NAME = re.compile(r"[a-z][a-z0-9_]{0,79}")
NAMES_MAX = 500
OWN = (
    "browsers_opened", "browsers_refused", "browsers_too_slow", "frames_dropped", "frames_refused",
    "origins_refused", "requests_throttled", "snapshots_sent", "snapshots_skipped",
    "held_back_pipe_full",
)  # fmt: skip


class Figures(Collector):
    """Everything /metrics shows, gathered when it is asked for."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def collect(self) -> Iterable[Metric]:
        """Counters and gauges of the edge, then the shard's newest figures as gauges."""
        exchange = self.exchange
        yield GaugeMetricFamily("asclepion_edge_linked", "1 while the shard is there", value=float(exchange.linked))
        yield GaugeMetricFamily("asclepion_edge_browsers", "WebSockets open now", value=len(exchange.browsers))
        for name in OWN:
            yield CounterMetricFamily(f"asclepion_edge_{name}", _words(name), value=exchange.counters[name])
        audience, views = exchange.wire.views.audience, exchange.wire.views
        yield GaugeMetricFamily("asclepion_edge_views", "distinct looks of browsers now", value=audience.views)
        for name, value in (exchange.wire.counters | views.counters | audience.counters).items():
            yield CounterMetricFamily(f"asclepion_edge_{name}", _words(name), value=value)
        for name in sorted(exchange.stats)[:NAMES_MAX]:
            if NAME.fullmatch(name):
                yield GaugeMetricFamily(f"asclepion_shard_{name}", _words(name), value=exchange.stats[name])


def _words(name: str) -> str:
    return name.replace("_", " ")


class Admin:
    """The handlers of the admin port."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.draining = False
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Figures(exchange))

    async def livez(self, _request: web.Request) -> web.StreamResponse:
        """The process turns its loop."""
        return web.json_response({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.StreamResponse:
        """Whether browsers can be sent here; if not, why."""
        checks = {
            "shard": "ok" if self.exchange.linked else "not linked to the shard",
            "edge": "stopping" if self.draining else "ok",
        }
        good = all(state == "ok" for state in checks.values())
        body = {"status": "ok" if good else "not ready", "checks": checks}
        return web.json_response(body, status=200 if good else 503)

    async def metrics(self, _request: web.Request) -> web.StreamResponse:
        """Prometheus text."""
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=generate_latest(self._registry), headers=headers)

    async def version(self, _request: web.Request) -> web.StreamResponse:
        """What runs here."""
        return web.json_response({"asclepion": __version__, "protocol": PROTOCOL_HASH.hex()})


def build(admin: Admin) -> web.Application:
    """The admin application."""
    app = web.Application(middlewares=[harden], client_max_size=1024)
    app.router.add_routes(
        [
            web.get("/livez", admin.livez),
            web.get("/readyz", admin.readyz),
            web.get("/metrics", admin.metrics),
            web.get("/version", admin.version),
        ]
    )
    return app
