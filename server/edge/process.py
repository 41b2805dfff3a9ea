"""The edge as a process: makes its parts, listens, follows the shard, stops cleanly.

Owns the event loop, the two ports and the order of stopping: not ready, browsers told, ports closed.
"""

import asyncio
import resource
import secrets
import signal
import ssl
import sys
from pathlib import Path

import structlog
from aiohttp import web

from server.clock import SystemClock
from server.config import Config, ConfigError, Limits
from server.datadir import DataError, check_version, forget_ready, tell_ready
from server.edge import admin as admin_port
from server.edge import app as public
from server.edge import logs
from server.edge.browser import NOT_KNOWN
from server.edge.exchange import RESTART, Exchange
from server.edge.patience import Patience
from server.edge.static import ClientError, client_folder, load_assets
from server.net.addresses import addresses
from server.net.edgewire import EdgeWire
from server.net.link import EdgeHello
from server.net.protocol import PROTOCOL_HASH

BACKLOG = 1024  # handshakes that wait for us, a tenth of a second's worth
STOP_S = 3.0
KEEPALIVE_S = 15.0
OTHER_FILES = 512  # besides WebSockets: pages, log files, sockets of our own


def tls_context(config: Config) -> ssl.SSLContext | None:
    """TLS as configured, None without; raises ConfigError when the files cannot be used."""
    if not config.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.tls_certificate, config.tls_key)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or error.__class__.__name__
        raise ConfigError(f"tls_certificate {config.tls_certificate} with tls_key cannot be used: {why}") from None
    return context


class Edge:
    """One running edge."""

    def __init__(
        self, config: Config, log: structlog.typing.FilteringBoundLogger, client: Path, number: int = 1
    ) -> None:
        """`client` is the folder of the built web client, `number` tells edges on one port apart.

        Raises ConfigError and ClientError.
        """
        self.config, self.log, self.number = config, log, number
        self.tls = tls_context(config)
        self.assets = load_assets(client)
        self._runners: list[web.AppRunner] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.url = self.admin_url = ""

    async def start(self) -> None:
        """Listen on both ports and begin to follow the shard; raises ConfigError if a port is taken."""
        meeting = addresses(Path(self.config.data))
        clock = SystemClock()
        hello = EdgeHello(PROTOCOL_HASH, self._name())
        self.wire = EdgeWire(meeting.edge, meeting.views, hello, self.config.limits, self._facing)
        self.exchange = Exchange(self.wire, self.config.limits, clock, self.log)
        self.exchange.browsers_max = self._browsers_max()
        self.admin = admin_port.Admin(self.exchange)
        parts = public.Parts(self.config, self.exchange, self.assets, clock)
        config = self.config
        self.url = await self._listen(public.build(parts), "edge_port", config.edge_host, config.edge_port, self.tls)
        self.admin_url = await self._listen(
            admin_port.build(self.admin), "admin_port", config.admin_host, self._admin_port(), None
        )
        self._tasks.append(asyncio.create_task(self.exchange.follow()))

    def _facing(self, conn: int) -> int:
        """Which way a browser's person looks; see `net.edgewire.Views`."""
        browser = self.exchange.browsers.get(conn)
        return browser.yaw if browser is not None else NOT_KNOWN

    def _name(self) -> str:
        """What the shard knows this edge by: the same after a restart, its own among all edges of a shard."""
        return f"{self.config.edge_port or secrets.token_hex(8)}/{self.number}"

    def _admin_port(self) -> int:
        return self.config.admin_port + self.number - 1 if self.config.admin_port else 0

    def _browsers_max(self) -> int:
        """As many as the shard can hold, or as the system lets us open files for."""
        wanted, files = browsers_wanted(self.config.limits), open_files()
        if wanted + OTHER_FILES > files:
            self.log.warning("files_limited", open_files=files, wanted=wanted + OTHER_FILES)
        return min(wanted, max(1, files - OTHER_FILES))

    async def _listen(self, app: web.Application, name: str, host: str, port: int, tls: ssl.SSLContext | None) -> str:
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=STOP_S, keepalive_timeout=KEEPALIVE_S
        )
        patience = Patience(SystemClock())
        app.middlewares.append(patience.note)
        await runner.setup()
        self._runners.append(runner)
        if runner.server is not None:
            self._tasks.append(asyncio.create_task(patience.watch(runner.server)))
        shared = self.config.edges > 1 and name == "edge_port"
        site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=BACKLOG, reuse_port=shared or None)
        try:
            await site.start()
        except OSError as error:
            flag = "--" + name.replace("_", "-")
            raise ConfigError(f"{host}:{port} cannot be listened on ({error.strerror}): give another {flag}") from None
        real = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if tls else 'http'}://{shown}:{real}"

    async def stop(self) -> None:
        """Not ready first, then browsers are told to come back, then the ports close."""
        self.admin.draining = True
        self.exchange.end_all(RESTART, "restart")
        try:
            await asyncio.wait_for(self.exchange.emptied(), STOP_S)
        except TimeoutError:
            self.log.warning("browsers_left", count=len(self.exchange.browsers))
        await self.close()

    async def close(self) -> None:
        """Let go of ports and sockets."""
        if exchange := getattr(self, "exchange", None):
            exchange.close()
        for runner in self._runners:
            await runner.cleanup()
        for task in self._tasks:
            task.cancel()
        self.wire.close()


def browsers_wanted(limits: Limits) -> int:
    """How many browsers there may be at once, if the system lets us."""
    return limits.avatars_max + limits.unverified_peers_max


def open_files() -> int:
    """How many files this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


def allow_files(limits: Limits) -> None:
    """Ask the system for as many open files as there may be connections, as far as it lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = browsers_wanted(limits) + OTHER_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if open_files() < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _main(config: Config, number: int) -> int:
    log = logs.set_up(config.log_level)
    stopping = asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, stopping.set)
    try:
        edge = Edge(config, log, client_folder(), number)
    except ClientError as error:
        raise ConfigError(str(error)) from error
    data, name = Path(config.data), "edge" if number == 1 else f"edge-{number}"
    try:
        await edge.start()
    except ConfigError:
        await edge.close()
        raise
    log.info("listening", url=edge.url, admin=edge.admin_url)
    announcing = asyncio.create_task(_announce(edge, data, name))
    await stopping.wait()
    announcing.cancel()
    forget_ready(data, name)
    await edge.stop()
    log.info("stopped")
    return 0


async def _announce(edge: Edge, data: Path, name: str) -> None:
    """Ready is who listens and has a shard behind."""
    await edge.exchange.welcomed.wait()
    tell_ready(data, name, {"url": edge.url, "admin": edge.admin_url})


def run(config: Config, number: int = 1) -> int:
    """Run an edge until SIGTERM or SIGINT; 0 after a clean stop. Raises ConfigError and DataError with one line.

    `number`: which of the `config.edges` that share a port.
    """
    check_version(Path(config.data))
    allow_files(config.limits)
    try:
        import uvloop
    except ImportError:  # not made for every system
        return asyncio.run(_main(config, number))
    try:
        return uvloop.run(_main(config, number))
    except PermissionError as error:
        raise DataError(str(error)) from error
