"""A server of the swarm's own: ledger and shard (and edge) as processes, their processor time, and their end.

Owns the processes it starts and the data directory it is given. Also reads what any running server leaves in its data
directory for local tools: keys and figures. Never starts a process twice and never ends one it has not started.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from server.prime import is_primed

START_S = 120.0  # kernels may have to be compiled
STOP_S = 20.0


class HouseError(RuntimeError):
    """The server cannot be started or found; one line says why."""


def read_stats(data: Path) -> dict[str, float]:
    """The shard's figures of the last second, empty while there are none."""
    try:
        return msgspec.json.decode((data / "run" / "stats.json").read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError):
        return {}


def prime(tell: Callable[[str], None]) -> None:
    """Have the server's kernels compiled before a server is started; raises HouseError if that fails."""
    if is_primed():
        return
    tell("compiling the kernels, once")
    done = subprocess.run(
        [sys.executable, "-m", "server", "prime"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HouseError(
            f"the kernels cannot be compiled: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
        )


class House:
    """Server processes on one data directory."""

    def __init__(
        self,
        data: Path,
        settings: dict[str, str],
        parts: tuple[str, ...] = ("ledger", "shard"),
        cores: tuple[int, ...] = (),
        enter: tuple[str, ...] = (),
    ) -> None:
        """Start `parts` with settings as the command line names them (data is added); on `cores`, if any are given.

        `enter`: words before each command, to run it elsewhere (`tools.link_kernel`). Raises HouseError.
        """
        self.data, self._cores, self._enter = data, cores, enter
        self._processes: dict[str, psutil.Popen] = {}
        self._logs = {part: data.parent / f"{part}.out" for part in parts}
        self._words = ["--data", str(data), *(word for name, value in settings.items() for word in _flag(name, value))]
        for part in parts:
            self._start(part)

    def again(self, part: str) -> None:
        """Kill a process without warning and start it anew."""
        self._processes[part].kill()
        self._processes[part].wait()
        self._start(part)

    def _start(self, part: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ASCLEPION_")}
        with self._logs[part].open("wb") as out:
            self._processes[part] = psutil.Popen(
                [*self._enter, sys.executable, "-m", "server", part, *self._words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
        if self._cores:
            self._processes[part].cpu_affinity(list(self._cores))  # before it has any other thread

    def wait_ready(self, tell: Callable[[str], None]) -> None:
        """Until the shard has turned its first tick. Raises HouseError with the last line of whoever died."""
        deadline = time.monotonic() + START_S
        while not all((self.data / "run" / f"{part}.ready").exists() for part in self._processes if part != "ledger"):
            self.check()
            if time.monotonic() > deadline:
                raise HouseError(f"the server was not ready within {START_S:.0f} s")
            tell("starting the server")
            time.sleep(0.05)

    def check(self) -> None:
        """Raises HouseError if one of the processes has ended."""
        for part, process in self._processes.items():
            status = process.poll()
            if status is not None:
                lines = self._logs[part].read_text(errors="replace").strip().splitlines() or ["it said nothing"]
                raise HouseError(f"the {part} ended with status {status}: {lines[-1]}")

    def __enter__(self) -> "House":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Stop; a bad end is only worth a word when nothing else went wrong before."""
        try:
            self.stop()
        except HouseError:
            if error is None:
                raise

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds of each process so far, user and system, all threads."""
        return {part: _cpu_s(process) for part, process in self._processes.items()}

    def pids(self) -> dict[str, int]:
        """Process id of each part."""
        return {part: process.pid for part, process in self._processes.items()}

    def stop(self) -> None:
        """End the processes, the shard before the ledger; raises HouseError if one does not end cleanly."""
        bad = []
        for part, process in reversed(self._processes.items()):
            if process.poll() is None:
                process.terminate()
            try:
                status = process.wait(STOP_S)
            except psutil.TimeoutExpired:
                process.kill()
                status = process.wait()
            if status:
                bad.append(f"the {part} ended with status {status}")
        self._processes.clear()
        if bad:
            raise HouseError("; ".join(bad))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _flag(name: str, value: str) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if value in ("true", "false"):
        return [flag if value == "true" else "--no-" + flag[2:]]
    return [flag, value]
