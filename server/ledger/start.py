"""Opening a log's directory: keys, lock, and the checks without which nothing is signed.

Owns the layout `log.key`, `entries.db`, `head`, `lock`, `public/`. Refuses to start, with one line, on anything that
does not fit together; never repairs what was signed. Entries that are durable but not yet signed (a crash between the
two) are checked again and signed.
"""

import fcntl
import os
import sqlite3
from concurrent.futures import Executor
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.clock import Clock
from server.ledger.checkpoint import Checkpoint, open_checkpoint
from server.ledger.disk import Disk, replace
from server.ledger.entry import EntryError
from server.ledger.head import Head
from server.ledger.limits import LedgerLimits
from server.ledger.merkle import Tree
from server.ledger.note import NoteError, VerifierKey, check_name
from server.ledger.store import Store, StoreError
from server.ledger.tiles import needed_paths
from server.ledger.writer import Damaged, Writer


class StartError(RuntimeError):
    """The ledger cannot be started from this directory; one line that says why and what is allowed."""


class DirectoryLock:
    """Held while a ledger runs on a directory; the system lets go of it when the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        """Take the lock; raises StartError when another process has it."""
        self._handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise StartError(f"another ledger runs on {directory}: one at a time is allowed") from None

    def release(self) -> None:
        """Let go."""
        os.close(self._handle)


def load_key(path: Path, may_create: bool, disk: Disk) -> Ed25519PrivateKey:
    """The log's signing key (PKCS#8 PEM, readable by its owner alone); raises StartError."""
    if not path.exists():
        if not may_create:
            raise StartError(f"{path.name} is missing, but the directory holds a log: put the log's key back")
        made = Ed25519PrivateKey.generate()
        pem = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        replace(disk, path, pem, path.with_name("log.key.new"), 0o600)
    if path.stat().st_mode & 0o077:
        raise StartError(f"{path.name} can be read by others than its owner: mode 0600 is required")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        raise StartError(f"{path.name} is no readable private key: PKCS#8 PEM without a password is required") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise StartError(f"{path.name} is of another kind: Ed25519 is required")
    return key


def open_log(
    directory: Path, origin: str, pool: Executor, clock: Clock, limits: LedgerLimits, disk: Disk | None = None
) -> Writer:
    """Open or make the log in `directory` and check it; raises StartError. The caller holds the lock."""
    disk = disk or Disk()
    try:
        check_name(origin)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        head = Head(directory / "head", disk)
        database = directory / "entries.db"
        key = load_key(directory / "log.key", not head.note and not database.exists(), disk)
        if head.note and not database.exists():
            raise StartError("entries.db is missing, but a head was signed: put the database back")
        store = Store(database, disk)
    except NoteError as error:
        raise StartError(f"origin {origin!r}: {error}") from None
    except (OSError, sqlite3.Error, StoreError) as error:
        raise StartError(f"cannot open the ledger in {directory}: {error}") from None
    tree = Tree(store.leaves)
    writer = Writer(directory, store, tree, head, key, origin, pool, clock, limits, disk)
    try:
        _fill(writer, store)
        own = VerifierKey(origin, key.public_key().public_bytes_raw())
        _check_head(writer, tree, head, own, store)
        _check_public(writer, tree, own)
    except (OSError, sqlite3.Error, Damaged, EntryError) as error:
        store.close()
        raise StartError(f"the ledger in {directory} is damaged: {error}") from None
    except StartError:
        store.close()
        raise
    return writer


def _fill(writer: Writer, store: Store) -> None:
    """Grow the tree from the bytes on disk and learn the keys."""
    for expected, (number, leaf, entry) in enumerate(store.walk()):
        if number != expected:
            raise Damaged(f"entry {expected} is missing from the database")
        writer.grow([entry], [leaf])
    for number, entry in store.key_entries():
        writer.learn_key(number, entry)


def _check_head(writer: Writer, tree: Tree, head: Head, key: VerifierKey, store: Store) -> None:
    """Refuse a database that does not reproduce the signed head; sign what lies beyond it."""
    signed = Checkpoint(writer.origin, 0, tree.root(0))
    if head.note:
        try:
            signed = open_checkpoint(head.note, key)
        except NoteError as error:
            raise StartError(f"the signed head is not of this log, key and origin {writer.origin}: {error}") from None
    elif tree.size:
        raise StartError("the database has entries but no head was signed: put the head file back")
    if tree.size < signed.size:
        raise StartError(f"the database has {tree.size} entries, the signed head {signed.size}: entries are missing")
    if tree.root(signed.size) != signed.root:
        raise StartError(f"the database does not reproduce the signed root at {signed.size} entries: it was changed")
    writer.signed_size = signed.size
    writer.check_unsigned()
    if tree.size > signed.size or not head.note:
        writer.sign()


def _check_public(writer: Writer, tree: Tree, key: VerifierKey) -> None:
    """Refuse to go back behind what was published; what is unreadable or missing is published anew."""
    path = writer.public / "checkpoint"
    if not path.exists():
        return
    try:
        shown = open_checkpoint(path.read_bytes(), key)
    except NoteError:
        return
    if shown.size > tree.size or tree.root(shown.size) != shown.root:
        raise StartError(f"a checkpoint of {shown.size} entries was published that the database does not reproduce")
    if all((writer.public / path).is_file() for path in needed_paths(shown.size)):
        writer.published_size = shown.size
