"""A ledger's disk that stops, fails or loses power at a chosen write.

Owns the count of writes and what a power cut would undo. A machine that has stopped writes nothing more.
"""

import shutil
import sqlite3
from pathlib import Path

from server.ledger.disk import Disk


class Crash(BaseException):
    """The machine stops here."""


class Faulty(Disk):
    """Counts writes; at number `at` it stops the machine or fails with `error`. Knows what a power cut would undo."""

    def __init__(self) -> None:
        self.count = 0
        self.at = -1
        self.mode = "before"
        self.error: Exception | None = None
        self.stopped = False
        self._unsynced: list[tuple[Path, bytes | None]] = []  # (path, what was there), oldest first
        self._folders: list[Path] = []  # made, but their name not durable

    def arm(self, at: int, mode: str = "before", error: Exception | None = None) -> None:
        """Go wrong at the write `at` writes from now: "before" it, "after" it, or with half of it done ("torn")."""
        self.count, self.at, self.mode, self.error, self.stopped = 0, at, mode, error, False

    def _go_wrong(self) -> None:
        self.stopped = self.error is None
        raise self.error or Crash

    def _due(self, mode: str) -> bool:
        return self.count == self.at and self.mode == mode

    def _step(self) -> None:
        if self.stopped:
            raise Crash
        if self._due("before"):
            self._go_wrong()
        self.count += 1

    def _after(self) -> None:
        if self.count - 1 == self.at and self.mode == "after":
            self._go_wrong()

    def _remember(self, path: Path) -> None:
        self._unsynced.append((path, path.read_bytes() if path.exists() else None))

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """See Disk."""
        self._remember(path)
        if self._due("torn"):
            super().write(path, data[: len(data) // 2], mode)
            self._go_wrong()
        self._step()
        super().write(path, data, mode)
        self._after()

    def sync(self, path: Path) -> None:
        """See Disk."""
        self._step()
        super().sync(path)
        self._unsynced = [one for one in self._unsynced if one[0] != path and one[0].parent != path]
        self._folders = [folder for folder in self._folders if folder.parent != path]
        self._after()

    def rename(self, old: Path, new: Path) -> None:
        """See Disk."""
        self._step()
        self._remember(old)
        self._remember(new)
        super().rename(old, new)
        self._after()

    def make_folder(self, path: Path) -> None:
        """See Disk."""
        self._step()
        self._folders.append(path)
        super().make_folder(path)
        self._after()

    def commit(self, database: sqlite3.Connection) -> None:
        """See Disk."""
        self._step()
        super().commit(database)
        self._after()

    def cut_power(self) -> None:
        """Undo whatever was not made durable."""
        for path, data in reversed(self._unsynced):
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(data)
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
