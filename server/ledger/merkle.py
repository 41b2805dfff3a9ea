"""Merkle tree hashing and proofs of RFC 6962 section 2.1 / RFC 9162 section 2.1, over SHA-256.

Owns the arithmetic of the tree: node hashes, a growing tree that answers for any earlier size, inclusion and
consistency proofs, and their strict verification. Never touches a file. Hashes are exactly 32 bytes everywhere.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
TILE = 256  # leaves of one tile, 2**8
_TILE_HEIGHT = 8
_PATH_MAX = 63


class ProofError(ValueError):
    """A proof that does not prove what it is offered for."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf: SHA-256(0x00 || data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root over consecutive hashes of one level, as leaves of their own tree (without hashing them again)."""
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)] + odd
    return level[0]


# --- verification -----------------------------------------------------------------------------------------------------


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > _PATH_MAX:
        raise ProofError(f"proof has {len(hashes)} hashes, at most {_PATH_MAX} are allowed")
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise ProofError(f"a hash is {len(value)} bytes, SHA-256 has {HASH_BYTES}")


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that `proof` leads to from leaf hash `leaf` at `index` of `size` leaves (RFC 9162 2.1.3.2)."""
    _check_hashes((leaf, *proof))
    if not 0 <= index < size:
        raise ProofError(f"index {index} is not within {size} leaves")
    node, last, root = index, size - 1, leaf
    for value in proof:
        if last == 0:
            raise ProofError("proof is longer than the tree is high")
        if node & 1 or node == last:
            root = node_hash(value, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, value)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("proof is shorter than the tree is high")
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless leaf hash `leaf` is leaf `index` of the tree with `size` leaves and this root."""
    _check_hashes((root,))
    if root_of_inclusion(leaf, index, size, proof) != root:
        raise ProofError("the inclusion proof leads to another root")


def verify_consistency(size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes]) -> None:
    """Raise ProofError unless the tree of `size1` is a prefix of the tree of `size2` (RFC 9162 2.1.4.2).

    From size 0 nothing can be proven: refused, whatever the roots.
    """
    _check_hashes((root1, root2, *proof))
    if not 0 < size1 <= size2:
        raise ProofError(f"sizes {size1} and {size2}: the first must be 1 or more and not above the second")
    if size1 == size2:
        if proof or root1 != root2:
            raise ProofError("at equal sizes the roots must be equal and the proof empty")
        return
    path = list(proof) if size1 & (size1 - 1) else [root1, *proof]
    if not proof or not path:
        raise ProofError("the proof is empty")
    node, last = size1 - 1, size2 - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for value in path[1:]:
        if last == 0:
            raise ProofError("proof is longer than the tree is high")
        if node & 1 or node == last:
            old, new = node_hash(value, old), node_hash(value, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, value)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("proof is shorter than the tree is high")
    if old != root1 or new != root2:
        raise ProofError("the consistency proof leads to other roots")


# --- a growing tree ---------------------------------------------------------------------------------------------------

_Tile = list[list[bytes]]  # [level 0..8][node] of one 256-wide tile; levels as far as complete


class Tree:
    """All leaves so far. Memory is 64 bytes for 256 leaves, the last tile, and `tiles_cached` recent ones.

    `load(start, end)` gives leaf hashes of a full tile that has left the cache (from the store).
    """

    def __init__(self, load: Callable[[int, int], Sequence[bytes]], tiles_cached: int = 32) -> None:
        self._load = load
        self._cache: dict[int, _Tile] = {}
        self._cached_max = tiles_cached
        self._upper: list[bytearray] = []  # [level - 8]: hashes of complete subtrees, 32 bytes each
        self._tail: _Tile = [[] for _ in range(_TILE_HEIGHT + 1)]
        self.size = 0

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        assert len(leaf) == HASH_BYTES
        _push(self._tail, leaf)
        self.size += 1
        if self.size % TILE == 0:
            self._remember(self.size // TILE - 1, self._tail)
            self._lift(self._tail[_TILE_HEIGHT][0])
            self._tail = [[] for _ in range(_TILE_HEIGHT + 1)]

    def node(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree of 2**level leaves that starts at leaf index * 2**level."""
        assert 0 <= index < self.size >> level, "only complete subtrees have a fixed hash"
        if level >= _TILE_HEIGHT:
            row = self._upper[level - _TILE_HEIGHT]
            return bytes(row[index * HASH_BYTES : (index + 1) * HASH_BYTES])
        number = index >> (_TILE_HEIGHT - level)
        return self._tile(number)[level][index - (number << (_TILE_HEIGHT - level))]

    def root(self, size: int) -> bytes:
        """Root of the first `size` leaves."""
        assert 0 <= size <= self.size
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Proof that leaf `index` is in the tree of the first `size` leaves, from the leaf's sibling upwards."""
        assert 0 <= index < size <= self.size
        return self._path(index, 0, size)

    def consistency(self, size1: int, size2: int) -> list[bytes]:
        """Proof that the tree of `size1` leaves (1 or more) is a prefix of the tree of `size2`."""
        assert 0 < size1 <= size2 <= self.size
        return self._subproof(size1, 0, size2, True)

    def _range(self, start: int, end: int) -> bytes:
        """Root of leaves start..end, where start is a multiple of the largest power of two within."""
        count = end - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self.node(level, start >> level)
        middle = start + _split(count)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self._range(middle, end)]
        return [*self._path(index, middle, end), self._range(start, middle)]

    def _subproof(self, size1: int, start: int, end: int, whole: bool) -> list[bytes]:
        """SUBPROOF of RFC 6962 2.1.2; `size1` counts from `start`."""
        if size1 == end - start:
            return [] if whole else [self._range(start, end)]
        half = _split(end - start)
        if size1 <= half:
            return [*self._subproof(size1, start, start + half, whole), self._range(start + half, end)]
        return [*self._subproof(size1 - half, start + half, end, False), self._range(start, start + half)]

    def _tile(self, number: int) -> _Tile:
        if number == self.size // TILE:
            return self._tail
        if number not in self._cache:
            tile: _Tile = [[] for _ in range(_TILE_HEIGHT + 1)]
            for leaf in self._load(number * TILE, (number + 1) * TILE):
                _push(tile, leaf)
            assert tile[_TILE_HEIGHT][0] == self.node(_TILE_HEIGHT, number), "the store gave other leaves than before"
            self._remember(number, tile)
        return self._cache[number]

    def _remember(self, number: int, tile: _Tile) -> None:
        if len(self._cache) >= self._cached_max:
            del self._cache[next(iter(self._cache))]
        self._cache[number] = tile

    def _lift(self, value: bytes) -> None:
        """Add the hash of a full tile and of every subtree it completes."""
        for row in self._upper:
            row += value
            if len(row) // HASH_BYTES % 2:
                return
            value = node_hash(bytes(row[-2 * HASH_BYTES : -HASH_BYTES]), value)
        self._upper.append(bytearray(value))


def _split(count: int) -> int:
    """The largest power of two below `count` (2 or more)."""
    return 1 << ((count - 1).bit_length() - 1)


def _push(tile: _Tile, value: bytes) -> None:
    for row in tile:
        row.append(value)
        if len(row) % 2:
            return
        value = node_hash(row[-2], row[-1])
