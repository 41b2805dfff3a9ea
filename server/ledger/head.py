"""The signed head: the newest checkpoint this log has put its name to, in a file apart from the entries.

Owns the file `head` and its durable compare-and-swap. It is what keeps a database that was rolled back or damaged from
being signed again: the start refuses any database that does not reproduce it.
"""

from pathlib import Path

from server.ledger.disk import Disk, replace


class HeadMoved(RuntimeError):
    """Somebody else wrote the head, or it was damaged, since this process read it."""


class Head:
    """The head file of one log."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        self.note = path.read_bytes() if path.exists() else b""  # b"": nothing was ever signed

    def swap(self, note: bytes) -> None:
        """Durably replace the head that this process knows by `note`; raises HeadMoved or OSError."""
        found = self.path.read_bytes() if self.path.exists() else b""
        if found != self.note:
            raise HeadMoved("the head file was changed by somebody else")
        replace(self._disk, self.path, note, self.path.with_name("head.new"), 0o600)
        self.note = note
