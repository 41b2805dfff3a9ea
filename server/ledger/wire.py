"""What a shard and the ledger process say to each other: MessagePack arrays [tag, field...], one message per frame.

Owns the shape and size of the messages, both ways. Never carries clinical plaintext: `blob` is ciphertext. Requests
have a number of the asker's choice that comes back in the answer.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from server.ledger.entry import ENTRY_BYTES_MAX

BLOB_BYTES_MAX = 65_536
WRAPPED_KEY_BYTES_MAX = 4096
MESSAGE_BYTES_MAX = 131_072

Request = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Wire(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Base of every message."""


class Submit(Wire, frozen=True, tag=1):
    """Record an entry; keep `blob` (the sealed content it names) and `wrapped_key` off the log. Answer: Ack or Refuse.

    The same entry again is answered with the same index, so an unanswered Submit may be sent again at any time.
    """

    request: Request
    entry: Annotated[bytes, Meta(min_length=1, max_length=ENTRY_BYTES_MAX)]
    blob: Annotated[bytes, Meta(max_length=BLOB_BYTES_MAX)] = b""
    wrapped_key: Annotated[bytes, Meta(max_length=WRAPPED_KEY_BYTES_MAX)] = b""


class Chain(Wire, frozen=True, tag=2):
    """Ask what the patient's next entry must carry. Answer: ChainIs."""

    request: Request
    patient: Bytes16


class Status(Wire, frozen=True, tag=3):
    """Ask how the ledger is. Answer: StatusIs."""

    request: Request


class FindKey(Wire, frozen=True, tag=4):
    """Ask for the newest key entry of the signing key with this fingerprint. Answer: KeyIs."""

    request: Request
    actor: Bytes16


class Ack(Wire, frozen=True, tag=16):
    """The entry is durable and signed. `proof` is a tlog-proof text (the receipt) for a log of `size` entries.

    `patient_seq` and `prev` are what the patient's *next* entry must carry; 0 and empty when the entry names none.
    """

    request: int
    leaf: bytes
    index: int
    size: int
    proof: bytes
    patient_seq: int
    prev: bytes


class Refuse(Wire, frozen=True, tag=17):
    """The entry is not acknowledged. `code` is stable, `text` for people.

    Codes that a peer causes: bad-entry, unknown-key, bad-signature, chain-moved, bad-blob, too-fast, log-full.
    Codes of trouble here: disk-full, disk-error, damaged. After one of those an entry may or may not be on record:
    submitted again to the restarted ledger it gets its index.
    """

    request: int
    leaf: bytes
    code: str
    text: str


class ChainIs(Wire, frozen=True, tag=18):
    """What the patient's next entry must carry: 0 and empty for a patient without entries."""

    request: int
    patient: bytes
    next_seq: int
    prev: bytes


class StatusIs(Wire, frozen=True, tag=19):
    """How the ledger is. `boot` is random per process start. Not accepting: `reason` says why."""

    request: int
    origin: str
    vkey: str
    size: int
    accepting: bool
    reason: str
    boot: bytes


class KeyIs(Wire, frozen=True, tag=20):
    """`index` is the log index of the key's newest entry (the kid to use), -1 if it has none."""

    request: int
    actor: bytes
    index: int


Asked = Submit | Chain | Status | FindKey
Answer = Ack | Refuse | ChainIs | StatusIs | KeyIs

asked_decoder = msgspec.msgpack.Decoder(Asked)
answer_decoder = msgspec.msgpack.Decoder(Answer)
encoder = msgspec.msgpack.Encoder()
