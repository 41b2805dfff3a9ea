"""The one writer of a log: takes groups of submissions, makes them durable, signs, and only then acknowledges.

Owns the order of the writes. Never signs before durable, never acknowledges before signed, never retries a failed
write: after the first one it accepts nothing more and says why. The order, for each group:

    1. entries.db   one transaction, fsynced: entries, their indexes, sealed content; nobody can see them yet
    2. (memory)     read back through another connection, every leaf hash recomputed, tree grown from those
    3. head.new     the signed checkpoint, fsynced
    4. head         renamed over, folder fsynced: from here on the group is part of the log
    5. (memory)     only now are the askers told their index, size and proof
    6. public/tile  at most once a second: bundles and tiles, each complete before it gets its name
    7. public/checkpoint   last: it names only what is there

A crash before 1 is done loses entries nobody was told of; between 1 and 4 the start signs them; after 4 all is done.
"""

import errno
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from itertools import chain
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.clock import Clock
from server.ledger.admit import Admission, Candidate, Rates, Refusal, check_signature, inspect
from server.ledger.checkpoint import Checkpoint, sign_checkpoint
from server.ledger.disk import Disk, ensure_folder, replace
from server.ledger.entry import leaf_hash, open_entry, verify
from server.ledger.head import Head, HeadMoved
from server.ledger.limits import LedgerLimits
from server.ledger.merkle import TILE, Tree
from server.ledger.note import VerifierKey
from server.ledger.proof import format_receipt
from server.ledger.store import Row, Store
from server.ledger.tiles import new_files, tile_path, tiles_between
from server.ledger.wire import Ack, Refuse, Submit

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_VERIFY_CHUNK = 16  # signatures a worker takes at a time


class Damaged(RuntimeError):
    """What was read back is not what was written."""


def trouble(error: Exception) -> Refusal:
    """The refusal that says what is wrong with the disk."""
    full = isinstance(error, OSError) and error.errno in _FULL
    if full or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return Refusal("disk-full", "the ledger's disk is full: nothing is recorded until it is restarted with room")
    if isinstance(error, Damaged | HeadMoved):
        return Refusal("damaged", f"{error}: nothing more is recorded, the data directory must be looked at")
    return Refusal("disk-error", "the ledger's disk failed: nothing more is recorded until it is restarted")


class Writer:
    """Made by `start.open_log`, which has checked that everything below fits together."""

    def __init__(
        self, directory: Path, store: Store, tree: Tree, head: Head, private_key: Ed25519PrivateKey, origin: str,
        pool: Executor, clock: Clock, limits: LedgerLimits, disk: Disk,
    ) -> None:  # fmt: skip
        self.public = directory / "public"
        self._unpublished = directory / "public.new"  # a public file until it gets its name
        self.origin = origin
        self.stopped: Refusal | None = None  # set once, never cleared
        self.signed_size = 0
        self.published_size = -1  # -1: there is no checkpoint yet
        self._store, self._tree, self._head, self._disk = store, tree, head, disk
        self._private_key, self._pool = private_key, pool
        self._keys: dict[int, bytes] = {}  # log index of a key entry -> its public key
        self._kids: dict[bytes, int] = {}  # fingerprint -> log index of its newest key entry
        self._clock, self._limits, self._rates = clock, limits, Rates(limits)
        self._published_s = clock.monotonic_s() - limits.publish_every_s

    @property
    def vkey(self) -> str:
        """The log's verifier key, as text."""
        return VerifierKey(self.origin, self._private_key.public_key().public_bytes_raw()).text()

    def chain(self, patient: bytes) -> tuple[int, bytes]:
        """What the patient's next entry must carry: (patient_seq, prev)."""
        return self._store.chain(patient)

    def entry(self, index: int) -> bytes:
        """The bytes of a signed entry as they are on disk. Raises LookupError if there is none."""
        found = self._store.entries(index, index + 1) if 0 <= index < self.signed_size else []
        if not found:
            raise LookupError(f"entry {index} was asked for, {self.signed_size} are signed")
        return found[0]

    def kid(self, actor: bytes) -> int:
        """Log index of the newest key entry of this fingerprint, -1 if there is none."""
        return self._kids.get(actor, -1)

    def fail(self, error: Exception) -> Refusal:
        """Stop for good, because of `error` or what came before it; the refusal that says why."""
        self.stopped = self.stopped or trouble(error)
        return self.stopped

    # --- one group ----------------------------------------------------------------------------------------------------

    def record(self, group: Sequence[Submit]) -> list[Ack | Refuse]:
        """Record a group (at most `group_max`); one answer for each, in order."""
        assert len(group) <= self._limits.group_max
        try:
            return self._record(group)
        except (OSError, sqlite3.Error, Damaged, HeadMoved) as error:
            refusal = self.fail(error)
            return [Refuse(s.request, leaf_hash(s.entry), *refusal) for s in group]

    def _record(self, group: Sequence[Submit]) -> list[Ack | Refuse]:
        leaves = [leaf_hash(submit.entry) for submit in group]
        numbers = [self._store.find(leaf) for leaf in leaves]
        admission = Admission(self._store.chain, self._limits.entries_max - self._tree.size)
        refusals = self._admit([s for s, number in zip(group, numbers, strict=True) if number is None], admission)
        first = self._tree.size
        if admission.rows:
            self._commit(admission.rows)
        answers: list[Ack | Refuse] = []
        for submit, leaf, number in zip(group, leaves, numbers, strict=True):
            refusal = next(refusals) if number is None else None
            if refusal is None:
                place = first + admission.places[leaf] if number is None else number
                if place < self.signed_size:
                    answers.append(self._ack(submit.request, leaf, place))
                    continue
                assert self.stopped is not None, "only a failed write leaves an entry on disk unsigned"
                refusal = self.stopped
            answers.append(Refuse(submit.request, leaf, *refusal))
        return answers

    def _admit(self, fresh: Sequence[Submit], admission: Admission) -> Iterator[Refusal | None]:
        """Check what is new and fill the group to append; one refusal or None for each."""
        if self.stopped is not None:
            return iter([self.stopped] * len(fresh))
        found = [inspect(submit, self._keys) for submit in fresh]
        verdicts = self._verify([one for one in found if isinstance(one, Candidate)])
        now_s = self._clock.monotonic_s()
        refusals: list[Refusal | None] = []
        for one in found:
            if isinstance(one, Refusal):
                refusals.append(one)
                continue
            bad = next(verdicts)
            if bad is None and not self._rates.take(one.signed.entry.actor, now_s):
                bad = Refusal("too-fast", f"at most {self._limits.actor_per_s:g} entries per second and author")
            refusals.append(bad or admission.add(one))
        return iter(refusals)

    def _verify(self, candidates: Sequence[Candidate]) -> Iterator[Refusal | None]:
        chunks = [candidates[i : i + _VERIFY_CHUNK] for i in range(0, len(candidates), _VERIFY_CHUNK)]
        return chain.from_iterable(self._pool.map(_check_all, chunks))

    def _commit(self, rows: Sequence[Row]) -> None:
        """Writes 1 to 4 of the module's order."""
        first = self._tree.size
        self._store.append(first, rows)
        self.grow(self._store.entries(first, first + len(rows)), [row.leaf for row in rows])
        for number, row in enumerate(rows, first):
            if row.type == "key":
                self.learn_key(number, row.entry)
        self.sign()

    def grow(self, entries: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        """Add entries read back from disk to the tree; raises Damaged unless they hash to `leaves`."""
        found = [leaf_hash(entry) for entry in entries]
        if found != list(leaves):
            raise Damaged(f"entries read back from entry {self._tree.size} on are not those written")
        for leaf in found:
            self._tree.append(leaf)

    def learn_key(self, number: int, entry: bytes) -> None:
        """Take note of the key in a `key` entry at log index `number`; raises EntryError if it is none."""
        signed = open_entry(entry)
        verify(signed, signed.entry.extra)
        self._keys[number] = signed.entry.extra
        self._kids[signed.entry.actor] = number

    def sign(self) -> None:
        """Writes 3 and 4: sign the whole tree and durably make that the head."""
        size = self._tree.size
        self._head.swap(sign_checkpoint(Checkpoint(self.origin, size, self._tree.root(size)), self._private_key))
        self.signed_size = size

    def check_unsigned(self) -> None:
        """Entries that are durable but not yet signed must still be ones that may be signed; raises Damaged."""
        first = self.signed_size
        for number, entry in enumerate(self._store.entries(first, self._tree.size), first):
            keys = {index: key for index, key in self._keys.items() if index < number}
            found = inspect(Submit(0, entry, *(self._store.content(number) or (b"", b""))), keys)
            bad = found if isinstance(found, Refusal) else check_signature(found) or self._check_link(found, number)
            if bad is not None:
                raise Damaged(f"entry {number}, durable but not signed, may not be signed: {bad.text}")

    def _check_link(self, candidate: Candidate, number: int) -> Refusal | None:
        entry = candidate.signed.entry
        if not entry.patient or (entry.patient_seq, entry.prev) == self._store.chain(entry.patient, number):
            return None
        return Refusal("chain-moved", "it does not follow the patient's entry before it")

    def _ack(self, request: int, leaf: bytes, number: int) -> Ack:
        size = self.signed_size
        proof = format_receipt(number, self._tree.inclusion(number, size), self._head.note)
        patient = self._store.patient(number)
        return Ack(request, leaf, number, size, proof, *(self._store.chain(patient) if patient else (0, b"")))

    # --- the public files ---------------------------------------------------------------------------------------------

    def publish(self, at_once: bool = False) -> None:
        """Writes 6 and 7, when they are due or `at_once`. A failure stops the writer."""
        now_s = self._clock.monotonic_s()
        due = at_once or now_s - self._published_s >= self._limits.publish_every_s
        if self.stopped or not due or self.published_size == self.signed_size:
            return
        self._published_s = now_s
        try:
            self._publish(max(0, self.published_size), self.signed_size)
        except (OSError, sqlite3.Error) as error:
            self.fail(error)

    def _publish(self, old: int, new: int) -> None:
        for file in new_files(self._tree, old, new, self._store.entries):
            self._put(file.path, file.data)
        self._put("vkey", f"{self.vkey}\n".encode())
        self._put("checkpoint", self._head.note)
        self.published_size = new
        for level, index, width in tiles_between(old, new):
            if width == TILE:
                self._drop_partials(level, index)

    def _put(self, path: str, data: bytes) -> None:
        target = self.public / path
        ensure_folder(self._disk, target.parent)
        replace(self._disk, target, data, self._unpublished)

    def _drop_partials(self, level: int, index: int) -> None:
        """Remove the partial forms of a tile that is full now; whatever is in the way stays."""
        for kind in (level, "entries") if level == 0 else (level,):
            full = self.public / tile_path(kind, index, TILE)
            shutil.rmtree(full.with_name(full.name + ".p"), ignore_errors=True)

    def close(self) -> None:
        """Publish what is signed and close the database, the latter whatever becomes of the former."""
        try:
            self.publish(at_once=True)
        finally:
            self._store.close()


def _check_all(candidates: Sequence[Candidate]) -> list[Refusal | None]:
    return [check_signature(candidate) for candidate in candidates]
