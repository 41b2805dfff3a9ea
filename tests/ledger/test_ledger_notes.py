"""Signed notes, checkpoints, tiles and receipts: foreign examples, our golden ones, and what must not pass."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from server.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from server.ledger.merkle import TILE, Tree, fold, leaf_hash
from server.ledger.note import NoteError, VerifierKey, open_note, parse_vkey, sign_note, split_note
from server.ledger.proof import format_receipt, parse_receipt, verify_receipt
from server.ledger.tiles import (
    TileError,
    index_path,
    new_files,
    pack_bundle,
    tile_path,
    tiles_between,
    unpack_bundle,
    unpack_tile,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VKEY = VerifierKey("asclepion.example/tests", KEY.public_key().public_bytes_raw())
FOREIGN_VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


def test_foreign_notes_verify_and_malformed_keys_do_not_parse(shared: Path) -> None:
    found = json.loads((shared / "note" / "signed_note_examples.json").read_text())
    for case in found["cases"]:
        key = parse_vkey(case["vkey"])
        assert key.text() == case["vkey"]
        assert case["note"].startswith(open_note(case["note"].encode(), key))
    plain, timestamped = found["cosigner_vkeys"]  # of type 1, and of type 4 that is not for checkpoints
    assert parse_vkey(plain).text() == plain
    for text in (*found["bad_vkeys"], timestamped):
        with pytest.raises(NoteError):
            parse_vkey(text)


def test_a_foreign_log_of_tiles_verifies_with_our_reader(shared: Path) -> None:
    log, key = shared / "tessera-testlog" / "testdata" / "log", parse_vkey(FOREIGN_VKEY)
    sizes = []
    for file in sorted(log.glob("checkpoint*")):
        head = open_checkpoint(file.read_bytes(), key)
        sizes.append(head.size)
        if head.size == 0:
            continue
        entries = unpack_bundle((log / tile_path("entries", 0, head.size)).read_bytes(), head.size)
        leaves = [leaf_hash(entry) for entry in entries]
        assert unpack_tile((log / tile_path(0, 0, head.size)).read_bytes(), head.size) == leaves
        assert fold(leaves) == head.root
        assert pack_bundle(entries) == (log / tile_path("entries", 0, head.size)).read_bytes()
    assert sorted(sizes) == sorted([*range(16), 15])


def test_receipts_of_the_golden_vectors(vectors: dict[str, Any]) -> None:
    key = parse_vkey(vectors["vkey"])
    for case in vectors["receipts"]:
        leaf = leaf_hash(bytes.fromhex(case["entry"]))
        assert leaf.hex() == case["leaf"]
        index, head = verify_receipt(case["receipt"].encode(), leaf, key)
        assert (index, head.size) == (case["index"], case["size"])
        parsed = parse_receipt(case["receipt"].encode())
        assert format_receipt(parsed.index, parsed.path, parsed.checkpoint) == case["receipt"].encode()
    assert len(vectors["bad_receipts"]) > 20
    for case in vectors["bad_receipts"]:
        with pytest.raises(ValueError):
            verify_receipt(case["receipt"].encode(), bytes.fromhex(case["leaf"]), key)


@given(st.data())
def test_any_changed_byte_of_a_receipt_is_refused(vectors: dict[str, Any], data: st.DataObject) -> None:
    case = vectors["receipts"][1]
    raw, leaf = case["receipt"].encode(), bytes.fromhex(case["leaf"])
    at, change = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(1, 255))
    with pytest.raises(ValueError):
        verify_receipt(raw[:at] + bytes((raw[at] ^ change,)) + raw[at + 1 :], leaf, parse_vkey(vectors["vkey"]))


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_are_a_note_a_key_or_a_receipt_by_chance(data: bytes, dressed: bool) -> None:
    raw = b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + data if dressed else data
    for read in (lambda: open_note(raw, VKEY), lambda: verify_receipt(raw, bytes(32), VKEY), lambda: split_note(raw)):
        try:
            read()
        except NoteError:
            continue
        assert read.__code__.co_names[0] == "split_note", "only the unverified reading may succeed"
    with pytest.raises(NoteError):
        parse_vkey(data.decode(errors="replace"))


def test_a_checkpoint_is_read_strictly() -> None:
    good = Checkpoint(VKEY.name, 7, bytes(32))
    note = sign_checkpoint(good, KEY)
    assert open_checkpoint(note, VKEY) == good
    text = good.text()
    for bad in (
        text + "extension\n", text[:-1], "\n" + text, text.replace("\n7\n", "\n07\n"), text.replace("\n7\n", "\n-7\n"),
        text.replace("\n7\n", "\n7.0\n"), text.replace("AA=\n", "AA\n"), text.replace("A=\n", "B=\n"),
        f"{VKEY.name}\n7\nAAAA\n",
    ):  # fmt: skip
        assert bad != text
        with pytest.raises(NoteError):
            parse_checkpoint(bad)


def test_signatures_of_strangers_are_ignored_and_a_false_one_of_ours_refuses_all() -> None:
    note = sign_note("text\n", VKEY.name, KEY)
    stranger = Ed25519PrivateKey.generate()
    extra = sign_note("text\n", "example.com/witness", stranger).rpartition(b"\n\n")[2]
    assert open_note(note + extra, VKEY) == "text\n"
    false = sign_note("other\n", VKEY.name, KEY).rpartition(b"\n\n")[2]
    for bad in (note + false, b"text\n\n" + extra, note.replace(b"text", b"test"), note[:-1], note + b"\n"):
        with pytest.raises(NoteError):
            open_note(bad, VKEY)


def test_paths_are_those_of_the_specification() -> None:
    assert index_path(1234067) == "x001/x234/067"
    assert index_path(0) == "000"
    assert tile_path(3, 5, 256) == "tile/3/005"
    assert tile_path("entries", 1000, 17) == "tile/entries/x001/000.p/17"
    # the example of the specification: a log of 70,000 entries
    widths = [(level, index, width) for level, index, width in tiles_between(0, 70_000)]
    assert len([w for w in widths if w[0] == 0]) == 274 and widths[273] == (0, 273, 112)
    assert widths[274:] == [(1, 0, 256), (1, 1, 17), (2, 0, 1)]
    assert list(tiles_between(0, 256)) == [(0, 0, 256), (1, 0, 1)]


@given(st.lists(st.integers(0, 40), max_size=30))
def test_published_in_any_steps_the_newest_files_are_the_same(steps: list[int]) -> None:
    entries = [str(i).encode() for i in range(sum(steps) + 500)]
    leaves = [leaf_hash(e) for e in entries]
    tree = Tree(lambda a, b: leaves[a:b])
    for leaf in leaves:
        tree.append(leaf)
    there: dict[str, bytes] = {}
    size = 0
    for step in [*steps, 500]:
        there |= {file.path: file.data for file in new_files(tree, size, size + step, lambda a, b: entries[a:b])}
        size += step
    whole = {file.path: file.data for file in new_files(tree, 0, size, lambda a, b: entries[a:b])}
    assert all(there[path] == data for path, data in whole.items())


@given(st.lists(st.binary(max_size=20), max_size=TILE), st.integers(0, 40), st.integers(-1, 1))
def test_bundles_read_back_and_nothing_else_does(entries: list[bytes], cut: int, more: int) -> None:
    data = pack_bundle(entries)
    assert unpack_bundle(data, len(entries)) == entries
    if cut and cut <= len(data):
        with pytest.raises(TileError):
            unpack_bundle(data[:-cut], len(entries))
    if more and len(entries) + more >= 0:
        with pytest.raises(TileError):
            unpack_bundle(data, len(entries) + more)
    with pytest.raises(TileError):
        unpack_tile(data + b"x", len(data) // 32)
