"""Checks a log's public directory offline and names the first bad byte. Stands alone: imports nothing else of ours.

Owns a second reading of every format (signed note, checkpoint, tiles, bundles, entries), so that a mistake of the
writer is not repeated by its checker. Never writes. What it cannot see: a log replaced as a whole by a shorter or
another one signed with the same key. Against that give `since`: an older checkpoint or any receipt of this log.

    python -m server.ledger.verify DIR [--vkey KEY] [--since FILE]      0 verified, 1 bad, 2 not a log
"""

import argparse
import base64
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_WIDE = 256
_HEAD = b"\xa3\x01\x27\x03\x78\x24application/vnd.asclepion.entry+cbor\x04"  # protected header up to the kid
_FIELDS = (int, str, int, int, bytes, int, bytes, bytes, str, int, bytes, bytes, str, int, bytes, bytes)
_NOTE = re.compile(rb"(([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]{44})\n)\n((?:\xe2\x80\x94 [^ \n]+ [^ \n]+\n)+)")


class Bad(Exception):
    """Something is wrong: the file (relative to the public directory), the byte where it begins, and what."""

    def __init__(self, file: str, offset: int, text: str) -> None:
        super().__init__(f"{file} byte {offset}: {text}")
        self.file, self.offset, self.text = file, offset, text


class Head(NamedTuple):
    """A verified checkpoint."""

    origin: str
    size: int
    root: bytes


def _root(rows: Sequence[Sequence[bytes]]) -> bytes:
    """RFC 6962 root from the incomplete tile of every level, lowest level first."""
    level: list[bytes] = []
    for row in rows:
        level = [*row, *level]
        while len(level) > 1:
            pairs = [sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
            level = pairs + level[len(pairs) * 2 :]
    return level[0] if level else sha256(b"").digest()


def _differ(got: bytes, want: bytes) -> int:
    return next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), min(len(got), len(want)))


def _b64(text: bytes) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw) != text:
        raise ValueError("base64 not in its one right form")
    return raw


def read_vkey(line: bytes) -> tuple[bytes, bytes, bytes]:
    """(name, key id, public key) of a verifier key line."""
    try:
        name, number, key = line.removesuffix(b"\n").split(b"+", 2)
        raw = _b64(key)
    except ValueError:
        raise Bad("vkey", 0, "no verifier key of the form name+id+base64") from None
    known = sha256(name + b"\n" + raw).digest()[:4]
    if len(raw) != 33 or raw[0] != 1 or number != known.hex().encode():
        raise Bad("vkey", 0, "the key does not fit its own id, or is not Ed25519")
    return name, known, raw[1:]


def read_checkpoint(note: bytes, vkey: tuple[bytes, bytes, bytes], file: str = "checkpoint") -> Head:
    """The checkpoint in a note that `vkey` alone has signed."""
    name, number, key = vkey
    found = _NOTE.fullmatch(note)
    if found is None or found[2] != name:
        raise Bad(file, 0, f"not a signed checkpoint of {name.decode(errors='replace')}")
    try:
        for line in found[5].splitlines():
            raw = _b64(line.split(b" ")[2])
            if line.split(b" ")[1] != name or raw[:4] != number:
                raise ValueError("signed by another key")
            Ed25519PublicKey.from_public_bytes(key).verify(raw[4:], found[1])
        return Head(name.decode(), int(found[3]), _b64(found[4]))
    except (ValueError, InvalidSignature):
        raise Bad(file, 0, "the signature does not verify: the text above it, or the signature, was changed") from None


def _item(data: bytes, at: int) -> tuple[int, int | bytes | str, int]:
    """(major type, value, next position) of one item in the shortest CBOR; arrays, maps and tags give their number."""
    major, value, start, at = data[at] >> 5, data[at] & 31, at, at + 1
    if value >= 24:
        size = 1 << (value - 24)
        value = int.from_bytes(data[at : at + size], "big")
        at += size
        if size > 8 or at > len(data) or value < (24 if size == 1 else 1 << (4 * size)):
            raise ValueError(f"its byte {start}: not a number in the shortest form")
    if major not in (2, 3):
        return major, -1 - value if major == 1 else value, at
    if at + value > len(data):
        raise ValueError(f"its byte {start}: runs over the end")
    part = data[at : at + value]
    return major, part.decode() if major == 3 else part, at + value


def parse_entry(data: bytes) -> tuple[int | None, list[int | bytes | str], bytes, bytes]:
    """(kid, payload fields, bytes under the signature, signature); raises ValueError, or IndexError at the end."""
    _, protected, middle = _item(data, 2)
    _, payload, tail = _item(data, middle + 1)
    _, signature, end = _item(data, tail)
    if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
        raise ValueError("header, payload and signature must be byte strings")
    if data[:2] != b"\xd2\x84" or data[middle] != 0xA0 or end != len(data) or len(signature) != 64:
        raise ValueError("not a tagged COSE_Sign1 with an empty unprotected header and an Ed25519 signature")
    kid = protected[len(_HEAD) + 1 :]
    if protected != _HEAD + bytes((0x40 + len(kid),)) + kid or len(kid) not in (0, 8):
        raise ValueError("another protected header than entries have")
    fields: list[int | bytes | str] = []
    at = 1
    for kind in _FIELDS:
        major, value, at = _item(payload, at)
        if type(value) is not kind or major > 3:
            raise ValueError(f"field {len(fields)} is of another type")
        fields.append(value)
    if payload[0] != 0x80 + len(_FIELDS) or at != len(payload) or fields[0] != 1:
        raise ValueError("another payload than version 1 has")
    signed = b"\x84\x6aSignature1" + data[2:middle] + b"\x40" + data[middle + 1 : tail]
    return int.from_bytes(kid, "big") if kid else None, fields, signed, signature


def _path(kind: int | str, index: int, width: int) -> str:
    parts = [f"{index % 1000:03d}"]
    while index := index // 1000:
        parts.insert(0, f"x{index % 1000:03d}")
    return f"tile/{kind}/{'/'.join(parts)}" + ("" if width == _WIDE else f".p/{width}")


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset of its length, entry) of a bundle; the last one may be cut short, and then hashes to something else."""
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        yield at, data[at + 2 : end]
        at = end


class _Log:
    """One pass over the files of a log of `head.size` entries."""

    def __init__(self, folder: Path, head: Head, since: Head | None, pool: ThreadPoolExecutor) -> None:
        self.folder, self.head, self.since, self.pool = folder, head, since, pool
        self.rows: list[list[bytes]] = [[]]  # [level]: hashes of the tile not yet complete
        self.counts = [0]  # [level]: complete tiles
        self.seen = {"checkpoint", "vkey"}
        self.keys: dict[int, bytes] = {}
        self.chains: dict[bytes, tuple[int, bytes]] = {}

    def read(self, path: str) -> bytes:
        self.seen.add(path)
        try:
            return (self.folder / path).read_bytes()
        except OSError as error:
            raise Bad(path, 0, f"cannot be read: {error.strerror}") from None

    def run(self, progress: Callable[[int], None]) -> None:
        for start in range(0, self.head.size, _WIDE):
            self.bundle(start, min(_WIDE, self.head.size - start))
            progress(min(start + _WIDE, self.head.size))
        for level, row in enumerate(self.rows):
            if level and row:
                self.compare(level, row)
        if _root(self.rows) != self.head.root:
            raise Bad("checkpoint", 0, "the signed root is not the root of these files")
        self.others()

    def bundle(self, start: int, width: int) -> None:
        """Check one bundle against its tile, then what its entries say."""
        path, tile_path = _path("entries", start // _WIDE, width), _path(0, start // _WIDE, width)
        records, tile = list(_records(self.read(path))), self.read(tile_path)
        leaves = [sha256(b"\x00" + entry).digest() for _, entry in records]
        if b"".join(leaves) != tile or len(leaves) != width:
            self.blame(path, records, leaves, tile_path, tile, width)
        old = self.since
        if old and 0 < old.size - start <= width and _root([leaves[: old.size - start], *self.rows[1:]]) != old.root:
            raise Bad("checkpoint", 0, f"the first {old.size} entries are not those of the older checkpoint")
        checks = []
        for number, ((offset, entry), leaf) in enumerate(zip(records, leaves, strict=True), start):
            try:
                checks.append((number, offset, *self.author(number, entry, leaf)))
            except (ValueError, IndexError) as error:
                raise Bad(path, offset, f"entry {number}: {error}") from None
        for (number, offset, *_), good in zip(checks, self.pool.map(_signature_good, checks), strict=True):
            if not good:
                raise Bad(path, offset, f"entry {number}: the author's signature does not verify")
        self.grow(0, leaves)

    def author(self, number: int, data: bytes, leaf: bytes) -> tuple[bytes, bytes, bytes]:
        """Check which key must have signed, and the patient's chain: (public key, bytes under it, signature)."""
        kid, fields, signed, signature = parse_entry(data)
        patient, link, actor, extra = fields[4], (fields[5], fields[6]), fields[7], fields[15]
        if (kid is None) != (fields[1] == "key"):
            raise ValueError("kid is empty in key entries and only there")
        key = extra if kid is None else self.keys.get(kid)
        if not isinstance(key, bytes) or actor != sha256(key).digest()[:16]:
            raise ValueError("kid and actor do not name a key entry before this one")
        if isinstance(patient, bytes) and patient:
            if link != self.chains.get(patient, (0, b"")):
                raise ValueError("it does not follow the patient's entry before it")
            self.chains[patient] = (int(link[0]) + 1, leaf)
        if kid is None:
            self.keys[number] = key
        return key, signed, signature

    def blame(
        self, path: str, records: list[tuple[int, bytes]], leaves: list[bytes], tile_path: str, tile: bytes, width: int
    ) -> None:
        """Bundle and tile differ: the one that leads to the hash above is right. Always raises Bad."""
        stored = [tile[i : i + 32] for i in range(0, len(tile), 32)]
        above, index = self.head.root, self.counts[0]
        if width == _WIDE:
            row = index // _WIDE * _WIDE
            upper = self.read(_path(1, index // _WIDE, min(_WIDE, self.head.size // _WIDE - row)))
            above = upper[(index - row) * 32 :][:32]
        if _root([stored] if width == _WIDE else [stored, *self.rows[1:]]) != above:
            raise Bad(tile_path, _differ(tile, b"".join(leaves)), "not the hashes of the entries in its bundle")
        first = _differ(tile, b"".join(leaves)) // 32
        offset = records[first][0] if first < len(records) else sum(len(entry) + 2 for _, entry in records)
        raise Bad(path, offset, f"entry {index * _WIDE + first} is not the one whose hash is in the tree")

    def grow(self, level: int, hashes: Sequence[bytes]) -> None:
        if level == len(self.rows):
            self.rows.append([])
            self.counts.append(0)
        self.rows[level].extend(hashes)
        if len(self.rows[level]) == _WIDE:
            row, self.rows[level] = self.rows[level], []
            if level:
                self.compare(level, row)
            self.counts[level] += 1
            self.grow(level + 1, [_root([row])])

    def compare(self, level: int, row: Sequence[bytes]) -> None:
        path, want = _path(level, self.counts[level], len(row)), b"".join(row)
        if (got := self.read(path)) != want:
            raise Bad(path, _differ(got, want), "does not follow from the tiles below it")

    def others(self) -> None:
        """Older partial tiles must be the beginning of what stands in their place now; nothing else may be there."""
        now = {path.rpartition(".p/")[0] or path: path for path in self.seen}
        for file in sorted(p for p in self.folder.rglob("*") if not p.is_dir()):
            path = file.relative_to(self.folder).as_posix()
            stem, _, width = path.rpartition(".p/")
            if path in self.seen:
                continue
            if stem not in now or not width.isdigit() or not 0 < int(width) < _WIDE:
                raise Bad(path, 0, "not a file of this log")
            data, whole = file.read_bytes(), self.read(now[stem])
            size = 32 * int(width)
            if stem.startswith("tile/entries/"):
                size = sum(len(entry) + 2 for _, entry in list(_records(whole))[: int(width)])
            if data != whole[:size]:
                raise Bad(path, _differ(data, whole[:size]), f"not the beginning of {now[stem]}")


def _signature_good(check: tuple[int, int, bytes, bytes, bytes]) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(check[2]).verify(check[4], check[3])
    except (InvalidSignature, ValueError):
        return False
    return True


def verify(folder: Path, vkey: str = "", since: bytes = b"", progress: Callable[[int], None] = lambda _: None) -> Head:
    """Check the public directory `folder`; the verified head. Raises Bad, or OSError for the folder itself.

    `vkey`: the key the log must have (else the one in the folder is believed). `since`: an older checkpoint or receipt.
    """
    shown = (folder / "vkey").read_bytes()
    key = read_vkey(shown)
    if vkey and shown.strip() != vkey.strip().encode():
        raise Bad("vkey", 0, "another key than the one that was asked for")
    head, older = read_checkpoint((folder / "checkpoint").read_bytes(), key), None
    if since:
        note = since.partition(b"\n\n")[2] if since.startswith(b"c2sp.org/tlog-proof@v1\n") else since
        older = read_checkpoint(note, key, "the older checkpoint")
        if older.size > head.size:
            raise Bad("checkpoint", 0, f"this log has {head.size} entries, it once had {older.size}: some were cut off")
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        _Log(folder, head, older, pool).run(progress)
    return head


def main(directory: str | Path, vkey: str = "", since: str = "") -> int:
    """Check `directory` (public, or the ledger directory that holds it) and print the result; the exit status."""
    folder = Path(directory)
    folder = folder if (folder / "checkpoint").exists() or not (folder / "public").is_dir() else folder / "public"

    def progress(done: int) -> None:
        if sys.stderr.isatty() and done % 8192 < _WIDE:
            print(f"\r{done} entries checked", end="", file=sys.stderr, flush=True)

    try:
        head = verify(folder, vkey, Path(since).read_bytes() if since else b"", progress)
    except Bad as bad:
        print(f"BAD: {bad}")
        return 1
    except OSError as error:
        print(f"no log to check in {directory}: {error.strerror}: {error.filename}")
        return 2
    print(f"verified: {head.size} entries of {head.origin}, root {head.root.hex()}")
    return 0


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Check a log's public directory offline and name the first bad byte.")
    options.add_argument("directory")
    options.add_argument("--vkey", default="", help="the verifier key the log must have")
    options.add_argument("--since", default="", help="a file with an older checkpoint or a receipt of this log")
    sys.exit(main(**vars(options.parse_args())))
