"""Receipts (C2SP tlog-proof): an entry's index, its inclusion proof and the checkpoint it leads to, as text."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from server.ledger.checkpoint import Checkpoint, open_checkpoint, parse_number
from server.ledger.merkle import HASH_BYTES, verify_inclusion
from server.ledger.note import NoteError, VerifierKey, decode_base64

PROOF_BYTES_MAX = 131_072
_FIRST = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A parsed receipt; nothing in it is verified. `checkpoint` is the signed note as it came."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes


def format_receipt(index: int, path: Sequence[bytes], checkpoint: bytes) -> bytes:
    """The receipt's text."""
    hashes = "".join(base64.b64encode(value).decode() + "\n" for value in path)
    return f"{_FIRST}\nindex {index}\n{hashes}\n".encode() + checkpoint


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt; raises NoteError. An `extra` line is refused: this house writes none, and none is trusted."""
    if len(data) > PROOF_BYTES_MAX:
        raise NoteError(f"receipt is {len(data)} bytes, at most {PROOF_BYTES_MAX} are allowed")
    head, gap, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise NoteError("receipt is not ASCII above its checkpoint") from None
    if not gap or len(lines) < 2 or lines[0] != _FIRST or not lines[1].startswith("index "):
        raise NoteError(f"a receipt begins with {_FIRST} and an index line, and has an empty line above the checkpoint")
    path = tuple(decode_base64(line, "a proof hash") for line in lines[2:])
    if any(len(value) != HASH_BYTES for value in path):
        raise NoteError(f"a proof hash is not {HASH_BYTES} bytes")
    return Receipt(parse_number(lines[1][6:], "the index"), path, checkpoint)


def verify_receipt(data: bytes, leaf: bytes, key: VerifierKey) -> tuple[int, Checkpoint]:
    """The index of the entry with leaf hash `leaf` and the checkpoint that holds it; raises NoteError or ProofError."""
    receipt = parse_receipt(data)
    checkpoint = open_checkpoint(receipt.checkpoint, key)
    verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.path, checkpoint.root)
    return receipt.index, checkpoint
