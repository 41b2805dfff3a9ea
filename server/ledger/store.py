"""The ledger's database: entries with their indexes, and sealed content off the log. SQLite, WAL, synchronous=FULL.

Owns the tables and one transaction per group. Never decides what may be appended, never signs, and never retries: any
sqlite3.Error or OSError on the way to the disk goes to the caller, who stops accepting.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from server.ledger.disk import Disk

SCHEMA_VERSION = 1
_PAGE = 1024  # rows read at a time

_SCHEMA = """
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    leaf BLOB NOT NULL,
    entry BLOB NOT NULL,
    type TEXT NOT NULL,
    actor BLOB NOT NULL,
    patient BLOB,
    patient_seq INTEGER,
    time_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX by_leaf ON entries (leaf);
CREATE UNIQUE INDEX by_patient ON entries (patient, patient_seq) WHERE patient IS NOT NULL;
CREATE INDEX by_actor ON entries (actor, number);
CREATE INDEX by_time ON entries (time_ms);
CREATE TABLE content (
    number INTEGER PRIMARY KEY,
    blob BLOB NOT NULL,
    wrapped_key BLOB NOT NULL
) STRICT;
"""


class StoreError(RuntimeError):
    """The database is not one this version can use; says what was found and what is allowed."""


class Row(NamedTuple):
    """One entry to append, with what goes beside it."""

    leaf: bytes
    entry: bytes
    type: str
    actor: bytes
    patient: bytes
    patient_seq: int
    time_ms: int
    blob: bytes
    wrapped_key: bytes


class Store:
    """One open database; used by one thread."""

    def __init__(self, path: Path, disk: Disk) -> None:
        """Open or make the database; raises StoreError or sqlite3.Error."""
        self._disk = disk
        self._db = sqlite3.connect(path, isolation_level=None, timeout=2.0)
        # Reads go through a connection of their own: it has nothing of a group in memory that it did not read back.
        self._reader = sqlite3.connect(path, isolation_level=None, timeout=2.0)
        try:
            self._prepare(path.name)
        except (sqlite3.Error, StoreError):
            self.close()
            raise

    def _prepare(self, name: str) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF"):
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        self._reader.execute("PRAGMA query_only=ON")
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            self._create()
        elif version != SCHEMA_VERSION:
            raise StoreError(f"{name} is of version {version}, this program reads version {SCHEMA_VERSION}")

    def _create(self) -> None:
        if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError("the database has tables but no version: it is not a ledger's")
        self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION};")
        self._disk.commit(self._db)

    def close(self) -> None:
        """Close the database."""
        self._reader.close()
        self._db.close()

    def size(self) -> int:
        """How many entries there are; their numbers are 0 to size - 1 when the database is whole."""
        return int(self._reader.execute("SELECT count(*) FROM entries").fetchone()[0])

    def append(self, first: int, rows: Sequence[Row]) -> None:
        """Add rows as entries first, first + 1, ...: all of them or none, durable on return."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (number, r.leaf, r.entry, r.type, r.actor, r.patient or None, r.patient_seq, r.time_ms)
                    for number, r in enumerate(rows, first)
                ),
            )
            self._db.executemany(
                "INSERT INTO content VALUES (?, ?, ?)",
                ((n, r.blob, r.wrapped_key) for n, r in enumerate(rows, first) if r.blob or r.wrapped_key),
            )
            self._disk.commit(self._db)
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.rollback()
            raise

    def entries(self, start: int, end: int) -> list[bytes]:
        """Bytes of entries start..end as they are on disk; fewer when some are missing."""
        found = self._reader.execute(
            "SELECT entry FROM entries WHERE number >= ? AND number < ? ORDER BY number", (start, end)
        )
        return [bytes(row[0]) for row in found]

    def leaves(self, start: int, end: int) -> list[bytes]:
        """Leaf hashes of entries start..end as the index has them."""
        found = self._reader.execute(
            "SELECT leaf FROM entries WHERE number >= ? AND number < ? ORDER BY number", (start, end)
        )
        return [bytes(row[0]) for row in found]

    def walk(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Every (number, leaf, entry) in order, a page at a time."""
        last = -1
        while True:
            page = self._reader.execute(
                "SELECT number, leaf, entry FROM entries WHERE number > ? ORDER BY number LIMIT ?", (last, _PAGE)
            ).fetchall()
            if not page:
                return
            yield from page
            last = page[-1][0]

    def find(self, leaf: bytes) -> int | None:
        """The number of the entry with this leaf hash."""
        row = self._reader.execute("SELECT number FROM entries WHERE leaf = ?", (leaf,)).fetchone()
        return None if row is None else int(row[0])

    def chain(self, patient: bytes, before: int = 1 << 62) -> tuple[int, bytes]:
        """What the patient's next entry must carry after entries up to `before`: (0, b"") at the first."""
        row = self._reader.execute(
            "SELECT patient_seq, leaf FROM entries WHERE patient = ? AND number < ? ORDER BY patient_seq DESC LIMIT 1",
            (patient, before),
        ).fetchone()
        return (0, b"") if row is None else (int(row[0]) + 1, bytes(row[1]))

    def patient(self, number: int) -> bytes:
        """The patient of an entry, b"" if it names none."""
        row = self._reader.execute("SELECT patient FROM entries WHERE number = ?", (number,)).fetchone()
        return bytes(row[0] or b"")

    def key_entries(self) -> list[tuple[int, bytes]]:
        """(number, entry) of every entry whose type is `key`."""
        return [(int(n), bytes(e)) for n, e in self._reader.execute(
            "SELECT number, entry FROM entries WHERE type = 'key' ORDER BY number"
        )]  # fmt: skip

    def content(self, number: int) -> tuple[bytes, bytes] | None:
        """The blob and wrapped key of an entry, if it has any."""
        row = self._reader.execute("SELECT blob, wrapped_key FROM content WHERE number = ?", (number,)).fetchone()
        return None if row is None else (bytes(row[0]), bytes(row[1]))
