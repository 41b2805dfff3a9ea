"""What an entry must be before it may be appended: well-formed, signed by a key on record, next in its chain, in time.

Owns the order of the checks and their refusal codes. Never writes: `Admission` only remembers what was admitted to the
group being formed. Signatures are checked by the caller's pool, because that is where the time goes.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple

from server.ledger.entry import EntryError, SignedEntry, leaf_hash, open_entry, verify
from server.ledger.limits import LedgerLimits
from server.ledger.store import Row
from server.ledger.wire import Submit


class Refusal(NamedTuple):
    """A stable code and a sentence without content."""

    code: str
    text: str


class Candidate(NamedTuple):
    """A well-formed submission and the key that must have signed it."""

    submit: Submit
    signed: SignedEntry
    leaf: bytes
    public_key: bytes


def inspect(submit: Submit, keys: Mapping[int, bytes]) -> Candidate | Refusal:
    """Decode one submission and find its key; everything that needs no signature check and no state of the chain."""
    try:
        signed = open_entry(submit.entry)
    except EntryError as error:
        return Refusal("bad-entry", str(error))
    public_key = signed.entry.extra if signed.kid is None else keys.get(signed.kid)
    if public_key is None:
        return Refusal("unknown-key", f"kid {signed.kid} is not the index of a key entry")
    named = signed.entry.ct_hash
    if named != (sha256(submit.blob).digest() if submit.blob else b"") or (submit.wrapped_key and not submit.blob):
        return Refusal("bad-blob", "the blob must be the one whose hash the entry names, and absent when it names none")
    return Candidate(submit, signed, leaf_hash(submit.entry), public_key)


def check_signature(candidate: Candidate) -> Refusal | None:
    """Check the author's signature; runs in worker threads."""
    try:
        verify(candidate.signed, candidate.public_key)
    except EntryError as error:
        return Refusal("bad-signature", str(error))
    return None


class Rates:
    """A token bucket for each author. Only entries with a good signature are charged to their author."""

    def __init__(self, limits: LedgerLimits) -> None:
        self._limits = limits
        self._buckets: dict[bytes, tuple[float, float]] = {}  # actor -> (tokens, when)

    def take(self, actor: bytes, now_s: float) -> bool:
        """Charge one entry; False when the author has none left."""
        full = float(self._limits.actor_burst)
        tokens, then = self._buckets.get(actor, (full, now_s))
        tokens = min(full, tokens + (now_s - then) * self._limits.actor_per_s)
        if tokens < 1.0:
            self._buckets[actor] = (tokens, now_s)
            return False
        if actor not in self._buckets and len(self._buckets) >= self._limits.actors_tracked_max:
            self._forget(now_s)
        self._buckets[actor] = (tokens - 1.0, now_s)
        return True

    def _forget(self, now_s: float) -> None:
        """Drop the authors whose buckets are full again by now, else the one that wrote longest ago."""
        full_s = self._limits.actor_burst / self._limits.actor_per_s
        self._buckets = {a: b for a, b in self._buckets.items() if now_s - b[1] < full_s}
        if len(self._buckets) >= self._limits.actors_tracked_max:
            del self._buckets[min(self._buckets, key=lambda actor: self._buckets[actor][1])]


class Admission:
    """The group being formed: chains as they will be when it is appended."""

    def __init__(self, chain: Callable[[bytes], tuple[int, bytes]], room: int) -> None:
        self._chain = chain
        self._room = room
        self._heads: dict[bytes, tuple[int, bytes]] = {}
        self.rows: list[Row] = []
        self.places: dict[bytes, int] = {}  # leaf -> position in rows

    def add(self, candidate: Candidate) -> Refusal | None:
        """Admit one verified candidate, or say why not."""
        entry, leaf = candidate.signed.entry, candidate.leaf
        if leaf in self.places:
            return None
        if len(self.rows) >= self._room:
            return Refusal("log-full", "this log has reached its greatest size: a new one must be started")
        if entry.patient:
            want = self._heads.get(entry.patient) or self._chain(entry.patient)
            if (entry.patient_seq, entry.prev) != want:
                return Refusal("chain-moved", f"patient_seq is {entry.patient_seq}, the next one is {want[0]}")
            self._heads[entry.patient] = (entry.patient_seq + 1, leaf)
        self.places[leaf] = len(self.rows)
        submit = candidate.submit
        self.rows.append(
            Row(leaf, submit.entry, entry.type, entry.actor, entry.patient, entry.patient_seq, entry.time_ms,
                submit.blob, submit.wrapped_key)
        )  # fmt: skip
        return None
