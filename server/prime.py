"""Compiles the numba kernels ahead of time and keeps their cache honest. Imports a kernel module only to prime it.

Owns the stamp beside the package that names the sources the cache was made from. Numba looks only at the file of a
kernel, not at the kernels it calls: so when any source in `FOLDERS` changed, all cached code is dropped.
"""

import contextlib
import hashlib
import importlib
import os
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

PACKAGE = Path(__file__).parent
FOLDERS = ("sim", "twin", "world", "net")
MODULES: tuple[str, ...] = (  # callees first: who calls them finds them compiled
    "server.sim.rotation",
    "server.sim.motion",
    "server.sim.grid",
    "server.sim.snapshot",
    "server.sim.blocks",
    "server.sim.physiology.body",
    "server.sim.physiology.waves",
    "server.net.uplink",
    "server.net.gate",
    "server.net.zmq_calls",
)


def kernel_sources(package: Path = PACKAGE) -> Iterator[Path]:
    """Every source file that can hold a kernel, in a fixed order."""
    for folder in FOLDERS:
        yield from sorted((package / folder).rglob("*.py"))


def source_hash(package: Path = PACKAGE) -> str:
    """Hex hash over names, times and contents of the kernel sources (numba looks at times too) and numba's version."""
    total = hashlib.sha256(version("numba").encode())
    for path in kernel_sources(package):
        total.update(f"{path.relative_to(package).as_posix()}\0{path.stat().st_mtime_ns}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _stamp(package: Path) -> Path:
    return package / "__pycache__" / "kernels.stamp"


def _stamped(package: Path) -> list[str]:
    stamp = _stamp(package)
    return stamp.read_text().split() if stamp.is_file() else []


def drop_stale(package: Path = PACKAGE) -> bool:
    """Delete cached kernels made from other sources; True if any sources changed since the last call."""
    wanted = source_hash(package)
    if _stamped(package)[:1] == [wanted]:
        return False
    for folder in FOLDERS:
        for cached in (package / folder).rglob("*.nb[ic]"):
            with contextlib.suppress(OSError):
                cached.unlink()
    _write_stamp(package, wanted)
    return True


def _write_stamp(package: Path, text: str) -> None:
    """A package folder that cannot be written has no stamp; numba then keeps its cache in the user's own folder."""
    stamp = _stamp(package)
    with contextlib.suppress(OSError):
        stamp.parent.mkdir(exist_ok=True)
        fresh = stamp.with_suffix(f".{os.getpid()}")
        fresh.write_text(text + "\n")
        fresh.replace(stamp)


def is_primed(package: Path = PACKAGE) -> bool:
    """True if every kernel was compiled from the sources as they are now."""
    return _stamped(package) == [source_hash(package), "primed"]


def prime_all(say: Callable[[str], None], modules: tuple[str, ...] = MODULES, package: Path = PACKAGE) -> None:
    """Compile every kernel, telling `say` one line per module; quick when all are cached."""
    drop_stale(package)
    for number, name in enumerate(modules, start=1):
        started = time.monotonic()
        importlib.import_module(name).prime()
        say(f"kernels {number}/{len(modules)}: {name} ({time.monotonic() - started:.1f} s)")
    _write_stamp(package, f"{source_hash(package)} primed")
