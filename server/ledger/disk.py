"""What the ledger does to files outside its database: four primitives, so that tests can crash between any two.

Owns durable replacement. Never retries: an OSError goes to the caller, who stops accepting.
"""

import os
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


def replace(disk: Disk, path: Path, data: bytes, durable: bool = True, mode: int = 0o644) -> None:
    """Put `data` at `path`: a reader sees the old bytes or the new, never a part. `durable`: on disk on return."""
    temporary = path.with_name(path.name + ".new")
    disk.write(temporary, data, mode)
    if durable:
        disk.sync(temporary)
    disk.rename(temporary, path)
    if durable:
        disk.sync(path.parent)
