"""What the ledger does to the disk: a few primitives, so that tests can crash between any two.

Owns durable replacement. Never retries: an OSError or sqlite3.Error goes to the caller, who stops accepting.
"""

import os
import sqlite3
from pathlib import Path


class Disk:
    """The machine's own file system."""

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Create or overwrite `path`; afterwards the bytes may still be in memory only."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
        finally:
            os.close(handle)

    def sync(self, path: Path) -> None:
        """Make a file's bytes, or a folder's names, durable."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Put `old` in the place of `new` at once."""
        os.replace(old, new)

    def make_folder(self, path: Path) -> None:
        """Make one folder; its name may still be in memory only."""
        path.mkdir()

    def commit(self, database: sqlite3.Connection) -> None:
        """End a transaction; durable on return when the database is synchronous=FULL."""
        database.execute("COMMIT")


def ensure_folder(disk: Disk, path: Path) -> None:
    """Durably make a folder and those above it that are missing."""
    if not path.is_dir():
        ensure_folder(disk, path.parent)
        disk.make_folder(path)
        disk.sync(path.parent)


def replace(disk: Disk, path: Path, data: bytes, temporary: Path, mode: int = 0o644) -> None:
    """Durably put `data` at `path` by way of `temporary`: a reader sees the old bytes or the new, never a part."""
    disk.write(temporary, data, mode)
    disk.sync(temporary)
    disk.rename(temporary, path)
    disk.sync(path.parent)
