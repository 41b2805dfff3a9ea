"""Processes on one core, and what they cost: the server and all its threads and helpers on the counted core.

Owns the affinity and the reading of /proc. Linux only.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

SERVER_CORE, LOAD_CORE = 0, 1
CORES_NEEDED = 2


class PinError(RuntimeError):
    """This machine cannot keep the server and the load apart."""


def check_machine() -> None:
    """Raises PinError."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if not {SERVER_CORE, LOAD_CORE} <= allowed:
        raise PinError(f"cores {SERVER_CORE} and {LOAD_CORE} are needed, this process may use {sorted(allowed)}")


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started within runs on this core, with all its children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _thread_ns(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


def cpu_s(roots: list[int]) -> float:
    """Processor seconds so far of these processes, their children and all their threads, to the nanosecond."""
    pids = set(roots)
    for root in roots:
        pids |= {child.pid for child in psutil.Process(root).children(recursive=True)}
    return sum(_thread_ns(pid) for pid in pids) / 1e9


def threads(roots: list[int]) -> int:
    """How many threads they have."""
    return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in roots)


def memory_kb(roots: list[int]) -> int:
    """Memory of their own (USS), kilobytes."""
    return sum(int(psutil.Process(pid).memory_full_info().uss) for pid in roots) // 1024


def core_busy_s() -> tuple[float, float]:
    """Seconds that the server's and the load's core have been busy, whoever it was for."""
    busy = []
    for times in psutil.cpu_times(percpu=True)[:CORES_NEEDED]:
        busy.append(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
    return busy[0], busy[1]
