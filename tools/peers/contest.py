"""One run: a server on its core, the load generator on the other, and what came of it.

Owns both processes for the time of a run and a temporary folder. What a server is, is `tools.peers.entrants`.
"""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from tools.peers import build
from tools.peers.pinned import LOAD_CORE, SERVER_CORE, core_busy_s, cpu_s, memory_kb, on_core
from tools.peers.plan import Counted, Errand, Found, read_found

STARTING_S = 30.0
STOPPING_S = 20.0
LISTEN_S = 0.05


class ContestError(RuntimeError):
    """A run could not be made; one line says why."""


class Spent(NamedTuple):
    """What the measured time cost: processor seconds of the server by part, of anybody else; memory by the clients."""

    server_s: dict[str, float]
    others_s: float
    memory_kb: int


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_listening(port: int, alive: Callable[[], None]) -> None:
    """Until somebody listens there; `alive` raises if nobody ever will. Raises ContestError."""
    deadline = time.monotonic() + STARTING_S
    while time.monotonic() < deadline:
        alive()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(LISTEN_S)
    raise ContestError(f"nobody listens on port {port} after {STARTING_S:.0f} s")


@contextlib.contextmanager
def served(words: list[str], port: int, log: Path) -> Iterator[int]:
    """A server on its core while the block runs; its process id. Raises ContestError if it does not start."""
    with log.open("wb") as out, on_core(SERVER_CORE):
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, "NODE_ENV": "production"})  # fmt: skip

    def alive() -> None:
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise ContestError(f"{Path(words[0]).name} ended with status {process.returncode}: {said[-1]}")

    try:
        wait_listening(port, alive)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOPPING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Meter:
    """Processor time between two moments."""

    def __init__(self, parts: dict[str, int]) -> None:
        """`parts`: process ids of the server by name; children count to their part."""
        self._parts = parts
        self._before: dict[str, float] = {}
        self._busy_before = 0.0
        self._memory_before = memory_kb(list(parts.values()))

    def start(self) -> None:
        """The measured time begins."""
        self._busy_before = sum(core_busy_s())
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return {name: cpu_s([pid]) for name, pid in self._parts.items()}

    def stop(self) -> Spent:
        """The measured time is over; `others_s` still holds the load generator's share."""
        spent = {name: now - self._before[name] for name, now in self._now().items()}
        others = sum(core_busy_s()) - self._busy_before - sum(spent.values())
        return Spent(spent, others, memory_kb(list(self._parts.values())) - self._memory_before)


def drive(errand: Errand, parts: dict[str, int], folder: Path) -> tuple[Found, Spent]:
    """Send the generator on its errand against the server of these processes. Raises ContestError."""
    plan, stem = folder / "plan", folder / "load"
    plan.write_bytes(errand.to_bytes())
    sodium = build.libsodium() if errand.server_key else None
    words = [str(build.load_generator()), str(plan), str(stem), str(LOAD_CORE), *([str(sodium)] if sodium else [])]
    meter, spent = Meter(parts), None
    marks: dict[str, int] = {}
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        last = ""
        for line in process.stdout:
            word, _, value = line.partition(" ")
            if word == "start":
                meter.start()
            elif word == "end":
                spent = meter.stop()
            marks[word] = int(value) if word in ("start", "end", "ready") else 0
            last = line
        said = process.stderr.read().strip()
    if process.returncode or spent is None:
        raise ContestError(said or f"the load generator ended with status {process.returncode}")
    counted = msgspec.json.decode(last, type=Counted)
    counted.start_ns, counted.end_ns = marks["start"], marks["end"]
    return read_found(counted, stem), spent._replace(others_s=spent.others_s - counted.cpu_s)


@contextlib.contextmanager
def workshop() -> Iterator[Path]:
    """A folder for the files of one run."""
    with tempfile.TemporaryDirectory(prefix="asclepion-peers-") as folder:
        yield Path(folder)
