"""Between the world and the ledger: entries out, answers in. Record, then act.

Owns the shard's signing key, the heads of the patients' chains as far as this shard knows them, and what waits for an
answer. Checks what a client signed before it becomes a command, writes the `access` entries of viewers, hands accepted
entries to the ledger process and turns its answers into commands. Never applies anything: the world does, in the tick
the answer is journalled. Nothing here waits; a ledger that is down leaves entries waiting, and new orders are refused.

One entry per patient is under way at a time, because each entry names the one before it.
"""

from collections import deque
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from server.ledger import entry as entries
from server.ledger.link import LedgerLink
from server.ledger.wire import Ack, ChainIs, KeyIs, Refuse, StatusIs
from server.world.commands import (
    AccessRecorded,
    Command,
    Enrol,
    EnrolSigned,
    OrderSigned,
    PlaceOrder,
    Recorded,
    Unrecorded,
)
from server.world.events import ToAccess, ToRecord

SHARD = 0  # the client number of what the shard itself says
ACCESS_QUEUE_MAX = 4096
KIDS_MAX = 65_536  # people whose key entry is remembered
WAITING_MAX = 512  # entries under way; the link itself holds twice as many
TROUBLE = frozenset({"disk-full", "disk-error", "damaged", "stopped"})  # refusals that say nothing about the entry


class RecordRefused(ValueError):
    """What a client signed cannot be recorded; `code` is stable, the text says what was got and what is allowed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Head(NamedTuple):
    """The end of one patient's chain: what the next entry must carry."""

    patient_seq: int
    prev: bytes


class Access(NamedTuple):
    """A viewer who may see a bed once it is on record."""

    client: int
    bed: int
    patient: bytes
    person: bytes


class Recorder:
    """The shard's side of the ledger."""

    def __init__(self, link: LedgerLink, key: Ed25519PrivateKey, wrap_master: bytes) -> None:
        self.link = link
        self.public = key.public_key().public_bytes_raw()
        self.actor = entries.fingerprint(self.public)
        self.kids: dict[bytes, int] = {}  # actor fingerprint -> log index of its key entry, -1 none
        self.heads: dict[bytes, Head] = {}
        self.counters = {"entries_recorded": 0, "entries_refused": 0, "access_queued_out": 0}
        self._key = key
        self._wrap_master = wrap_master
        self._busy: dict[bytes, bytes] = {}  # patient -> leaf under way
        self._reserved: set[bytes] = set()  # leaves that await the world's word this tick
        self._waiting: dict[bytes, ToRecord] = {}  # leaf -> what the world waits for
        self._access: deque[Access] = deque()
        self._access_by_leaf: dict[bytes, Access] = {}
        self._access_entries: dict[bytes, bytes] = {}
        self._own_enrolment = b""
        self._asked_chains: set[bytes] = set()
        self._boot = b""
        self._moved: list[bytes] = []
        self._found: list[bytes] = []

    @property
    def up(self) -> bool:
        """Whether an order given now can be recorded."""
        return self.link.accepting and self.link.waiting < WAITING_MAX

    @property
    def why_down(self) -> str:
        """The reason, for people."""
        return self.link.reason or "too many entries wait for their record"

    @property
    def vkey(self) -> str:
        """The log's verifier key, empty until the ledger answered once."""
        return self.link.status.vkey if self.link.status is not None else ""

    @property
    def size(self) -> int:
        """Entries in the log, as far as known."""
        return self.link.status.size if self.link.status is not None else 0

    # --- what clients signed ----------------------------------------------------------------------------------------

    def check_order(self, person: bytes, public: bytes, patient: bytes, asked: PlaceOrder) -> OrderSigned:
        """The command a signed order becomes. Raises RecordRefused for whatever its signer can have got wrong."""
        if not self.up:
            raise RecordRefused("ledger-down", f"orders cannot be recorded now ({self.why_down}); nothing was given")
        signed = self._open(asked.entry, "order", person)
        payload = signed.entry
        kid = self.kids.get(person, -1)
        if kid < 0 or signed.kid != kid:
            raise RecordRefused("not-enrolled", f"the entry names key {signed.kid}, this person's key is entry {kid}")
        self._verify(signed, public)
        head = self.heads.get(patient)
        if payload.patient != patient:
            raise RecordRefused("wrong-patient", "the entry is about another patient than the bed's")
        if head is None or patient in self._busy or (payload.patient_seq, payload.prev) != head:
            raise RecordRefused("chain-moved", "another entry of this patient came first: sign again")
        blob, commit, ct_hash = entries.seal_content(asked.content, asked.key, asked.nonce, asked.salt)
        if payload.commit != commit or payload.ct_hash != ct_hash:
            raise RecordRefused("wrong-commitment", "the entry does not commit to the content that came with it")
        leaf = entries.leaf_hash(asked.entry)
        self._busy[patient] = leaf
        self._reserved.add(leaf)
        wrapped = asked.salt + aes_key_wrap(
            self._compartment_key(patient, payload.compartment, payload.epoch), asked.key
        )
        return OrderSigned(asked.seq, asked.bed, leaf, asked.entry, asked.content, blob, wrapped)

    def check_enrol(self, person: bytes, public: bytes, asked: Enrol) -> EnrolSigned:
        """The command a key entry becomes. Raises RecordRefused."""
        if not self.up:
            raise RecordRefused("ledger-down", f"keys cannot be recorded now ({self.why_down})")
        signed = self._open(asked.entry, "key", person)
        if signed.entry.extra != public or signed.kid is not None:
            raise RecordRefused("wrong-key", "a key entry holds the session's own key and names no other")
        self._verify(signed, public)
        if person not in self.kids:
            self.know_key(person)
            raise RecordRefused("ledger-busy", "the ledger is being asked for this key: try again in a moment")
        return EnrolSigned(asked.seq, entries.leaf_hash(asked.entry), asked.entry)

    def _open(self, data: bytes, kind: str, person: bytes) -> entries.SignedEntry:
        try:
            signed = entries.open_entry(data)
        except entries.EntryError as error:
            raise RecordRefused("bad-entry", str(error)) from error
        if signed.entry.type != kind:
            raise RecordRefused("bad-entry", f"the entry's type is {signed.entry.type!r}, expected {kind!r}")
        if signed.entry.actor != person:
            raise RecordRefused("wrong-actor", "the entry's actor is not the person of this session")
        return signed

    def _verify(self, signed: entries.SignedEntry, public: bytes) -> None:
        try:
            entries.verify(signed, public)
        except entries.EntryError as error:
            raise RecordRefused("bad-signature", str(error)) from error

    def _compartment_key(self, patient: bytes, compartment: str, epoch: int) -> bytes:
        info = b"asclepion/compartment/1\0" + patient + compartment.encode() + epoch.to_bytes(4, "big")
        return HKDF(SHA256(), 32, None, info).derive(self._wrap_master)

    # --- what the world wants recorded ------------------------------------------------------------------------------

    def submit(self, wanted: ToRecord) -> None:
        """Hand an accepted entry to the ledger; its answer comes with `answers`. The same leaf twice is one entry."""
        self._reserved.discard(wanted.leaf)
        if wanted.leaf not in self._waiting:
            self._waiting[wanted.leaf] = wanted
            patient = entries.open_entry(wanted.entry).entry.patient
            if patient:
                self._busy[patient] = wanted.leaf
            self.link.submit(wanted.entry, wanted.blob, wanted.wrapped_key)

    def access(self, wanted: ToAccess, person: bytes) -> None:
        """Note that a viewer needs an `access` entry, which will name them by their key's fingerprint."""
        self._want_access(Access(wanted.client, wanted.bed, wanted.patient, person))

    def _want_access(self, wanted: Access) -> None:
        if len(self._access) >= ACCESS_QUEUE_MAX:
            self.counters["access_queued_out"] += 1
        elif wanted not in self._access and wanted not in self._access_by_leaf.values():
            self._access.append(wanted)

    def know(self, patient: bytes) -> None:
        """Ask for the head of a patient's chain, if it is not known yet."""
        if patient not in self.heads and patient not in self._asked_chains:
            self._asked_chains.add(patient)
            self.link.ask_chain(patient)

    def know_key(self, person: bytes) -> None:
        """Ask which entry enrols this person's key, if it is not known yet."""
        if person not in self.kids:
            self.link.ask_key(person)

    def settle(self) -> None:
        """End of the tick: what the world did not accept no longer holds its patient's chain."""
        if self._reserved:
            self._busy = {p: leaf for p, leaf in self._busy.items() if leaf not in self._reserved}
            self._reserved.clear()

    def work(self, tick: int, unix_s: float) -> None:
        """Sign and submit the access entries whose patient's chain is free."""
        if not self.up:
            return
        kid = self.kids.get(self.actor, -1)
        if kid < 0:
            self._enrol_self(tick, unix_s)
            return
        for _ in range(len(self._access)):
            wanted = self._access.popleft()
            head = self.heads.get(wanted.patient)
            if head is None or wanted.patient in self._busy:
                self.know(wanted.patient)
                self._access.append(wanted)
                continue
            self._sign_access(wanted, head, kid, tick, unix_s)

    def _sign_access(self, wanted: Access, head: Head, kid: int, tick: int, unix_s: float) -> None:
        payload = entries.Entry(
            type="access",
            time_ms=int(unix_s * 1000),
            tick=tick,
            patient=wanted.patient,
            patient_seq=head.patient_seq,
            prev=head.prev,
            actor=self.actor,
            purpose="TREAT",
            extra=wanted.person,
        )
        data = entries.sign(payload, self._key, kid)
        leaf = entries.leaf_hash(data)
        self._busy[wanted.patient] = leaf
        self._access_by_leaf[leaf] = wanted
        self._access_entries[leaf] = data
        self.link.submit(data, b"", b"")

    def _enrol_self(self, tick: int, unix_s: float) -> None:
        if self.actor not in self.kids or self._own_enrolment:
            self.know_key(self.actor)
            return
        self._own_enrolment = entries.key_entry(self._key, int(unix_s * 1000), tick)
        self.link.submit(self._own_enrolment, b"", b"")

    # --- what the ledger answered -----------------------------------------------------------------------------------

    def answers(self) -> list[Command]:
        """Everything the ledger said since last asked, as commands for the coming tick."""
        commands: list[Command] = []
        for answer in self.link.poll():
            match answer:
                case Ack():
                    commands += self._recorded(answer)
                case Refuse():
                    commands += self._refused(answer)
                case ChainIs():
                    self._asked_chains.discard(answer.patient)
                    self._learn(answer.patient, Head(answer.next_seq, answer.prev))
                case KeyIs():
                    self._know_kid(answer.actor, answer.index)
                    self._found.append(answer.actor)
                case StatusIs():
                    self._status(answer)
        return commands

    def moved(self) -> list[bytes]:
        """Patients whose chain has a new head since last asked, in the order they moved."""
        moved, self._moved = list(dict.fromkeys(self._moved)), []
        return moved

    def _know_kid(self, actor: bytes, index: int) -> None:
        """Who was told of longest ago is forgotten first when the table is full; the ledger can be asked again."""
        self.kids.pop(actor, None)
        if len(self.kids) >= KIDS_MAX:
            del self.kids[next(iter(self.kids))]
        self.kids[actor] = index

    def found(self) -> set[bytes]:
        """Fingerprints of keys that the ledger told about since last asked."""
        found, self._found = set(self._found), []
        return found

    def _learn(self, patient: bytes, head: Head) -> None:
        self.heads[patient] = head
        self._moved.append(patient)

    def _status(self, status: StatusIs) -> None:
        if status.boot != self._boot:
            self._boot = status.boot
            self._again()

    def _again(self) -> None:
        """A ledger process that is new: whatever is unanswered is asked again (it knows what it has already)."""
        for patient in sorted(self._asked_chains):
            self.link.ask_chain(patient)
        for wanted in self._waiting.values():
            self.link.submit(wanted.entry, wanted.blob, wanted.wrapped_key)
        for data in [*self._access_entries.values(), *([self._own_enrolment] if self._own_enrolment else [])]:
            self.link.submit(data, b"", b"")

    def _recorded(self, ack: Ack) -> list[Command]:
        self.counters["entries_recorded"] += 1
        self._free(ack.leaf, ack)
        access = self._access_by_leaf.pop(ack.leaf, None)
        self._access_entries.pop(ack.leaf, None)
        if access is not None:
            return [Command(SHARD, 0, AccessRecorded(access.client, access.bed, ack.index))]
        if self._own_enrolment and ack.leaf == entries.leaf_hash(self._own_enrolment):
            self._know_kid(self.actor, ack.index)
            self._own_enrolment = b""
            return []
        wanted = self._waiting.pop(ack.leaf, None)
        if wanted is not None:
            payload = entries.open_entry(wanted.entry).entry
            if payload.type == "key":
                self._know_kid(payload.actor, ack.index)
            return [Command(SHARD, 0, Recorded(ack.leaf, ack.index, ack.proof))]
        return []

    def _refused(self, refuse: Refuse) -> list[Command]:
        if refuse.code in TROUBLE:
            return []  # it may be on record: it is submitted again to the ledger's next process
        self.counters["entries_refused"] += 1
        self._free(refuse.leaf, None)
        access = self._access_by_leaf.pop(refuse.leaf, None)
        self._access_entries.pop(refuse.leaf, None)
        if access is not None:
            self.heads.pop(access.patient, None)  # the chain was not where we thought: ask, then sign again
            self._want_access(access)
            return []
        wanted = self._waiting.pop(refuse.leaf, None)
        if wanted is None:
            return []
        patient = entries.open_entry(wanted.entry).entry.patient
        if patient:
            self.heads.pop(patient, None)
            self.know(patient)
        return [Command(SHARD, 0, Unrecorded(refuse.leaf, f"{refuse.code}: {refuse.text}"[:120]))]

    def _free(self, leaf: bytes, ack: Ack | None) -> None:
        for patient, busy in self._busy.items():
            if busy == leaf:
                del self._busy[patient]
                if ack is not None:
                    self._learn(patient, Head(ack.patient_seq, ack.prev))
                return


def load_or_make_keys(secret: bytes) -> tuple[Ed25519PrivateKey, bytes]:
    """The shard's signing key and the master of its compartment keys, both derived from one 32-byte secret."""
    seed = HKDF(SHA256(), 32, None, b"asclepion/shard-signing/1").derive(secret)
    master = HKDF(SHA256(), 32, None, b"asclepion/shard-wrapping/1").derive(secret)
    return Ed25519PrivateKey.from_private_bytes(seed), master
