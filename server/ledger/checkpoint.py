"""Checkpoints (C2SP tlog-checkpoint): the signed size and root of a log.

Owns the three lines; never writes extension lines.
"""

import base64
import re
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.ledger.merkle import HASH_BYTES
from server.ledger.note import NoteError, VerifierKey, decode_base64, open_note, sign_note

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(NamedTuple):
    """A log's head: how many leaves it has, and their root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_number(text: str, what: str) -> int:
    """An ASCII decimal without leading zeroes, below 10^19; raises NoteError."""
    if not _NUMBER.fullmatch(text):
        raise NoteError(f"{what} must be a decimal number without leading zeroes")
    return int(text)


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint note; raises NoteError. Extension lines are refused: this house writes none."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise NoteError("a checkpoint has exactly three lines: origin, size, root")
    root = decode_base64(lines[2], "the root hash")
    if len(root) != HASH_BYTES:
        raise NoteError(f"the root hash is {len(root)} bytes, SHA-256 has {HASH_BYTES}")
    return Checkpoint(lines[0], parse_number(lines[1], "the tree size"), root)


def sign_checkpoint(checkpoint: Checkpoint, private_key: Ed25519PrivateKey) -> bytes:
    """The checkpoint as a note signed under its origin's name."""
    return sign_note(checkpoint.text(), checkpoint.origin, private_key)


def open_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a note signed by `key`, whose name must be the origin; raises NoteError."""
    checkpoint = parse_checkpoint(open_note(note, key))
    if checkpoint.origin != key.name:
        raise NoteError(f"the checkpoint is of another log than the key {key.name}")
    return checkpoint
