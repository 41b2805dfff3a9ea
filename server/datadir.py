"""The data directory: whether it may be used, whose it is, and which version wrote it. Never looks into parts' folders.

Owns DATA/VERSION, the locks DATA/run/<verb>.lock and the notes DATA/run/<verb>.ready.
Writing order, each step leaving a directory that can be used:
  1. the directory and DATA/run, empty
  2. the lock             held from here to the end of the process
  3. VERSION              written beside, flushed, renamed
"""

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path

VERSION = 2
FREE_BYTES_MIN = 32 * 1024 * 1024


class DataError(RuntimeError):
    """The data directory cannot be used; one line says why and what would help."""


def check_version(data: Path) -> None:
    """Raises DataError if another version wrote the directory, or somebody else altogether."""
    mark = data / "VERSION"
    try:
        if not mark.exists():
            if data.is_dir() and any(child.name not in ("run", "lost+found") for child in data.iterdir()):
                raise DataError(f"{data} has files but no VERSION, so it is not a data directory: give another --data")
            return
        found = mark.read_text()[:40].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{mark} cannot be read: {error}") from None
    if found != str(VERSION):
        raise DataError(
            f"{data} is of data version {found!r}, this program reads version {VERSION}: give another --data "
            "(asclepion ledger verify reads the log of any)"
        )


def _make(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / "run").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise DataError(f"{data} cannot be written: {error.strerror}") from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise DataError(f"{data} cannot be written: permission denied")


def check_space(data: Path) -> None:
    """Raises DataError if the disk has less than FREE_BYTES_MIN left."""
    free = shutil.disk_usage(data).free
    if free < FREE_BYTES_MIN:
        raise DataError(f"the disk of {data} has {free >> 20} MiB free, at least {FREE_BYTES_MIN >> 20} MiB are needed")


class Lock:
    """Held while one process of its name uses the data directory; the kernel lets go when the process ends."""

    def __init__(self, data: Path, name: str) -> None:
        """Take it; raises DataError naming the process that has it."""
        self.path = data / "run" / f"{name}.lock"
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataError(f"{self.path} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._file, 20).decode(errors="replace").strip() or "?"
            os.close(self._file)
            raise DataError(f"{data} is in use by another `asclepion {name}` (process {owner})") from None
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(self._file)
            raise DataError(f"{self.path} cannot be written: {error.strerror}") from None

    def release(self) -> None:
        """Let go."""
        os.close(self._file)


def _write_version(data: Path) -> None:
    mark, fresh = data / "VERSION", data / "run/VERSION.new"
    if mark.exists():
        return
    try:
        with fresh.open("w") as file:
            file.write(f"{VERSION}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(mark)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise DataError(f"{mark} cannot be written: {error.strerror}") from None


def open_data(data: Path, name: str) -> Lock:
    """Check, make and lock the data directory for the verb `name`; raises DataError and leaves nothing half written."""
    check_version(data)
    _make(data)
    check_space(data)
    lock = Lock(data, name)
    try:
        check_version(data)
        _write_version(data)
    except DataError:
        lock.release()
        raise
    return lock


def tell_ready(data: Path, name: str, facts: dict[str, object]) -> None:
    """Process `name` does its work from now on; `facts` (JSON, may hold invites: mode 0600) are for the supervisor."""
    path = data / "run" / f"{name}.ready"
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(facts, file)
    fresh.replace(path)


def read_ready(data: Path, name: str) -> dict[str, object] | None:
    """What process `name` said when it became ready; None while it has not."""
    try:
        facts = json.loads((data / "run" / f"{name}.ready").read_text())
    except FileNotFoundError:
        return None
    assert isinstance(facts, dict)
    return facts


def forget_ready(data: Path, name: str) -> None:
    """Process `name` is (about to be) started, or gone."""
    (data / "run" / f"{name}.ready").unlink(missing_ok=True)
