"""Runs ledger, shard, edge and the demonstration's bots as child processes, and brings back one that dies.

Owns the children and the lock of the data directory. Never speaks to the world: what the banner shows is what each
child wrote when it became ready. A child that ends with USAGE_STATUS met an operator's mistake: then all is stopped.
Children notice the end of this process by the end of their standard input.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from server.config import Config, ConfigError
from server.datadir import check_version, forget_ready, open_data, read_ready
from server.prime import is_primed
from server.settings import to_environment

USAGE_STATUS = 2  # exit status for what only an operator can mend
KILLED_STATUS = 130
BOTS = "wardround"  # the demonstration's, from a checkout; a server without them is whole
PARTS = ("ledger", "shard", "edge")  # in starting order; stopped the other way round
MORE_EDGES = "edge-"  # and a number from 2 on: edges besides the first
BACKOFF_S, BACKOFF_MAX_S = 0.2, 10.0
STEADY_S = 30.0  # a child that lived so long starts again without waiting
STOP_S = 15.0
READY_POLL_S = 0.05


def say(text: str) -> None:
    """One plain line to the operator; nobody listening is no reason to stop."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def check_port(name: str, host: str, port: int) -> None:
    """Raises ConfigError if nobody could listen there."""
    if port == 0:
        return
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        flag = "--" + name.replace("_", "-")
        raise ConfigError(f"{host}:{port} cannot be listened on ({error.strerror}): give another {flag}") from None


def check_ports(config: Config) -> None:
    """Raises ConfigError for the first of our ports that is taken, or given twice."""
    asked: list[tuple[str, str, int]] = [("edge_port", config.edge_host, config.edge_port)]
    asked += [
        ("admin_port", config.admin_host, config.admin_port and config.admin_port + more)
        for more in range(config.edges)
    ]
    if config.native.startswith("tcp://"):
        host, _, digits = config.native.removeprefix("tcp://").rpartition(":")
        if not digits.isdigit():
            raise ConfigError(f"native is {config.native!r}, allowed is tcp://ADDRESS:PORT")
        asked.append(("native", host.strip("[]"), int(digits)))
    taken: dict[int, str] = {}
    for name, host, port in asked:
        if port and port in taken:
            raise ConfigError(f"{name} and {taken[port]} are both {port}, allowed is one port each")
        taken[port] = name
        check_port(name, host, port)


class Child:
    """A process of ours: started, watched, started again. `words` are what follows the interpreter."""

    def __init__(self, name: str, config: Config, words: tuple[str, ...] = ()) -> None:
        self.name = name
        self.words = words or ("-m", "server", name)
        self.data = Path(config.data)
        self.process: asyncio.subprocess.Process | None = None
        self.pause_s = BACKOFF_S / 2
        self.starts = 0
        self._environment = dict(os.environ) | to_environment(config)
        self._environment.pop("ASCLEPION_CONFIG", None)

    async def start(self) -> None:
        """Start it; it reads its settings from the environment and ends when our end of its input closes."""
        forget_ready(self.data, self.name)
        self.starts += 1
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *self.words, "--supervised",
            stdin=asyncio.subprocess.PIPE, env=self._environment, start_new_session=True,
        )  # fmt: skip

    def send(self, number: signal.Signals) -> None:
        """Send a signal if it still runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def wait(self) -> int:
        """Its exit status, negative for a signal."""
        assert self.process is not None
        return await self.process.wait()

    def next_pause_s(self, lived_s: float) -> float:
        """How long to wait before it is started again; doubles up to BACKOFF_MAX_S while it keeps dying."""
        self.pause_s = BACKOFF_S if lived_s >= STEADY_S else min(self.pause_s * 2, BACKOFF_MAX_S)
        return self.pause_s


class Supervisor:
    """The children of one data directory."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.data = Path(config.data)
        self.children = {name: Child(name, config) for name in PARTS}
        for number in range(2, config.edges + 1):
            name = f"{MORE_EDGES}{number}"
            self.children[name] = Child(name, config, ("-m", "server", "edge", "--number", str(number)))
        self.parts = tuple(self.children)
        if config.demo and config.demo_bots and find_spec("tools") is not None:
            words = ("-m", "tools.wardround", "--data", config.data, "--bots", str(config.demo_bots))
            self.children[BOTS] = Child(BOTS, config, words)
        self.status = 0
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Until a signal or an operator's mistake ends it; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        started = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for child in self.children.values():
                tasks.create_task(self._keep(child))
            greeter = tasks.create_task(self._greet(started))
            await self._stopping.wait()
            greeter.cancel()
            await self._stop()
        return self.status

    def _signalled(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            say("stopping; once more stops at once")
            return
        self.status = KILLED_STATUS
        for child in self.children.values():
            child.send(signal.SIGKILL)

    async def _keep(self, child: Child) -> None:
        while child.name == BOTS and read_ready(self.data, "shard") is None and not self._stopping.is_set():
            await asyncio.sleep(READY_POLL_S)
        while not self._stopping.is_set():
            began = time.monotonic()
            await child.start()
            back = asyncio.create_task(self._tell_back(child)) if child.starts > 1 else None
            status = await child.wait()
            if back is not None:
                back.cancel()
            if self._stopping.is_set():
                return
            if status == USAGE_STATUS and child.name == BOTS:
                return
            if status == USAGE_STATUS:
                self.status = USAGE_STATUS
                self._stopping.set()
                return
            pause_s = child.next_pause_s(time.monotonic() - began)
            say(f"{child.name} ended ({_ending(status)}); starting it again in {pause_s:.1f} s")
            await self._nap(pause_s)

    async def _tell_back(self, child: Child) -> None:
        while read_ready(self.data, child.name) is None:
            await asyncio.sleep(READY_POLL_S)
        say(f"{child.name} is back")

    async def _nap(self, pause_s: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), pause_s)
        except TimeoutError:
            return

    async def _stop(self) -> None:
        """Edge, shard, ledger: each is told only when those that need it are gone."""
        for child in reversed(self.children.values()):
            if child.process is None or child.process.returncode is not None:
                continue
            child.send(signal.SIGTERM)
            try:
                status = await asyncio.wait_for(child.wait(), STOP_S)
            except TimeoutError:
                say(f"{child.name} did not stop within {STOP_S:.0f} s and is ended")
                child.send(signal.SIGKILL)
                status = await child.wait()
            early = status == -signal.SIGTERM  # it had not yet come so far as to catch it
            if status and not early and not self.status:
                say(f"{child.name} ended badly ({_ending(status)})")
                self.status = 1

    async def _greet(self, started: float) -> None:
        facts: dict[str, dict[str, object]] = {}
        while len(facts) < len(self.parts):
            await asyncio.sleep(READY_POLL_S)
            facts = {name: found for name in self.parts if (found := read_ready(self.data, name)) is not None}
        for line in banner(self.config, facts):
            say(line)
        say(f"ready after {time.monotonic() - started:.1f} s; Ctrl-C stops")


def _ending(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"


def _rows(value: object) -> Iterable[dict[str, str]]:
    return value if isinstance(value, list) else []


def banner(config: Config, facts: dict[str, dict[str, object]]) -> list[str]:
    """What to open, from what the edge (url, admin) and the shard (invites, feeds) wrote when they became ready."""
    url, admin = facts["edge"]["url"], facts["edge"]["admin"]
    lines = ["", "Asclepion is up. Open one of these in a browser:"]
    rows = list(_rows(facts["shard"].get("invites")))
    lines += [f"  {row['role']:<10} {url}/r/{row['room']}#{row['code']}" for row in rows]
    lines += [] if rows else [f"  {'page':<10} {url}/ (needs an invite)"]
    admins = [admin, *[found["admin"] for name, found in facts.items() if name.startswith(MORE_EDGES)]]
    lines += ["", *[f"  {'admin':<10} {one}/readyz" for one in admins], f"  {'native':<10} {config.native}"]
    lines += [f"  {'data':<10} {Path(config.data).resolve()}"]
    for row in _rows(facts["shard"].get("feeds")):
        lines.append(f"  {'feed':<10} bed {row['bed']}, token {row['token']}")
    return [*lines, ""]


async def _prime(config: Config) -> int:
    """Compile the kernels in a process of its own, its progress shown; returns its status."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "server", "prime")
    return await process.wait()


def serve(config: Config) -> int:
    """Check, prime, supervise. Raises ConfigError and DataError before anything is written."""
    data = Path(config.data)
    check_version(data)
    check_ports(config)
    lock = open_data(data, "serve")
    try:
        if not is_primed():
            status = asyncio.run(_prime(config))
            if status:
                return status
        return asyncio.run(_supervise(config))
    finally:
        lock.release()


async def _supervise(config: Config) -> int:
    return await Supervisor(config).run()
