"""The public files of a log (C2SP tlog-tiles): hash tiles, entry bundles, and where they lie.

Owns paths and file formats, both ways. Never decides when to publish, and never writes a file itself.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from server.ledger.merkle import HASH_BYTES, TILE, Tree

_LENGTH = struct.Struct(">H")
_HEIGHT = 8


class TileError(ValueError):
    """A tile or bundle that is not what its path says."""


class PublicFile(NamedTuple):
    """One file to publish: path below the log's prefix, and its bytes."""

    path: str
    data: bytes


def index_path(index: int) -> str:
    """Tile number as path elements of three digits: 1234067 -> x001/x234/067."""
    parts = [f"{index % 1000:03d}"]
    while index := index // 1000:
        parts.append(f"x{index % 1000:03d}")
    return "/".join(reversed(parts))


def tile_path(level: int | str, index: int, width: int) -> str:
    """Path of tile `index` of `level` (a number, or "entries"), partial if `width` is under 256."""
    tail = "" if width == TILE else f".p/{width}"
    return f"tile/{level}/{index_path(index)}{tail}"


def pack_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries with a big-endian u16 length each."""
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def unpack_bundle(data: bytes, count: int) -> list[bytes]:
    """The `count` entries of a bundle; raises TileError when there are more, fewer, or a length is wrong."""
    entries, at = [], 0
    for number in range(count):
        size = _LENGTH.unpack_from(data, at)[0] if at + 2 <= len(data) else len(data)
        if at + 2 + size > len(data):
            raise TileError(f"entry {number} of the bundle, at byte {at}, runs over its end")
        entries.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    if at != len(data):
        raise TileError(f"{len(data) - at} bytes after entry {count} of the bundle")
    return entries


def unpack_tile(data: bytes, width: int) -> list[bytes]:
    """The `width` hashes of a tile; raises TileError."""
    if len(data) != width * HASH_BYTES:
        raise TileError(f"tile is {len(data)} bytes, {width} hashes are {width * HASH_BYTES}")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def tiles_between(old: int, new: int) -> Iterator[tuple[int, int, int]]:
    """(level, index, width) of every tile that a log of `new` entries has and one of `old` has not, level 0 first."""
    level = 0
    while new >> (_HEIGHT * level):
        have, want = old >> (_HEIGHT * level), new >> (_HEIGHT * level)
        if have != want:
            for index in range(have // TILE, (want - 1) // TILE + 1):
                yield level, index, min(TILE, want - index * TILE)
        level += 1


def needed_paths(size: int) -> Iterator[str]:
    """Path of every tile and bundle that a checkpoint of `size` entries needs."""
    for level, index, width in tiles_between(0, size):
        yield tile_path(level, index, width)
        if level == 0:
            yield tile_path("entries", index, width)


def new_files(
    tree: Tree, old: int, new: int, load_entries: Callable[[int, int], Sequence[bytes]]
) -> Iterator[PublicFile]:
    """Every file but the checkpoint that publishing size `new` after `old` needs; `load_entries` gives entry bytes."""
    for level, index, width in tiles_between(old, new):
        start = index * TILE
        if level == 0:
            yield PublicFile(tile_path("entries", index, width), pack_bundle(load_entries(start, start + width)))
        hashes = (tree.node(_HEIGHT * level, number) for number in range(start, start + width))
        yield PublicFile(tile_path(level, index, width), b"".join(hashes))
