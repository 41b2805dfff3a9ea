"""What one viewer is sent of a room's tick: the blocks of their look, or as many of them as a budget lets through.

Owns the sheet (a room's blocks in one tick, and its bytes on the way to an edge), the look, and what comes first when
not everything fits. Pure: shard and edge compose alike, and equal looks give equal bytes. Never opens a block's body.
"""

import struct
from typing import NamedTuple

from server.sim.faults import SnapshotError
from server.sim.frame import BLOCK, HEADER, KIND
from server.sim.grid import FAR, HERO_CELL

SHEET_KIND = 4
SHEET = struct.Struct("<BBIHH")  # kind, room, tick, columns, blocks
ENTRY = struct.Struct("<HHHB")  # cell, size, people, speaking
QUADRANTS = 4
ANYWHERE = -1  # a viewer whose yaw is not known
AGE_WEIGHT = 4  # so many ticks held back outweigh one step of distance
AGE_MAX = 255
KEYFRAME_FIRST = 1000  # rank of a keyframe above any delta


class Look(NamedTuple):
    """What somebody sees: a room, the cell they are in, and all cells in view, HERO_CELL and FAR among them."""

    room: int
    home: int
    cells: tuple[int, ...]  # ascending


class Chunk(NamedTuple):
    """A block as it goes out, with its header, and what one must know to weigh it."""

    data: bytes
    people: int
    speaking: bool

    @property
    def key(self) -> bool:
        """Whether the body is a keyframe; only of blocks of cells, not of FAR."""
        return self.data[BLOCK.size] == 0


class Sheet(NamedTuple):
    """All blocks of a room in one tick, by cell. `columns`: of the grid that numbers its cells."""

    room: int
    tick: int
    columns: int
    chunks: dict[int, Chunk]


class Budget(NamedTuple):
    """Bytes a view may take now, and the most it can ever save up."""

    left: int
    most: int


class Thinned(NamedTuple):
    """What a view lacks since its frames do not fit: carried from one of its ticks to the next."""

    lost: frozenset[int] = frozenset()  # cells whose newest keyframe was held back: their deltas are of no use
    held: tuple[tuple[int, int], ...] = ()  # (cell, ticks it has been held back)
    reserve: tuple[int, int] = (-1, 0)  # the cell that longest lacks its keyframe, and the bytes to leave for the next


class Composed(NamedTuple):
    """A frame, what it costs and shows, and what it held back."""

    frame: bytes
    near: int  # avatars in its cells
    far: int  # avatars in its far part
    held: int  # blocks with something new that were held back
    after: Thinned


NOBODY_WAITS = (-1, 0)
NOTHING_LOST = Thinned()


def write_sheet(sheet: Sheet) -> bytes:
    """The sheet's bytes, for an edge."""
    parts = [SHEET.pack(SHEET_KIND, sheet.room, sheet.tick, sheet.columns, len(sheet.chunks))]
    parts += [
        ENTRY.pack(cell, len(chunk.data) - BLOCK.size, chunk.people, chunk.speaking)
        for cell, chunk in sheet.chunks.items()
    ]
    parts += [chunk.data for chunk in sheet.chunks.values()]
    return b"".join(parts)


def read_sheet(data: bytes) -> Sheet:
    """The sheet an edge got. Raises SnapshotError for anything malformed."""
    if len(data) < SHEET.size:
        raise SnapshotError(f"a sheet has {len(data)} bytes, at least {SHEET.size} are needed")
    kind, room, tick, columns, count = SHEET.unpack_from(data)
    at = SHEET.size + count * ENTRY.size
    if kind != SHEET_KIND or columns == 0 or at > len(data):
        raise SnapshotError(f"{len(data)} bytes of kind {kind} are no sheet of {count} blocks")
    chunks: dict[int, Chunk] = {}
    before = -1
    for cell, size, people, speaking in ENTRY.iter_unpack(data[SHEET.size : at]):
        end = at + BLOCK.size + size
        if cell <= before or size == 0 or data[at : at + BLOCK.size] != BLOCK.pack(cell, size) or end > len(data):
            raise SnapshotError(f"block {cell} after {before} has not the {size} bytes that were said")
        chunks[cell] = Chunk(data[at:end], people, bool(speaking))
        at, before = end, cell
    if at != len(data):
        raise SnapshotError(f"{len(data) - at} bytes follow the last block")
    return Sheet(room, tick, columns, chunks)


def whole(sheet: Sheet, look: Look) -> Composed:
    """The frame of everything in the look."""
    chunks = sheet.chunks
    here = [chunks[cell] for cell in look.cells if cell in chunks]
    far = chunks[FAR].people if FAR in chunks and FAR in look.cells else 0
    header = HEADER.pack(KIND, sheet.room, sheet.tick, look.home, len(here))
    frame = b"".join([header, *[chunk.data for chunk in here]])
    return Composed(frame, sum([chunk.people for chunk in here]) - far, far, 0, NOTHING_LOST)


def blocks_in(frame: bytes) -> int:
    """How many blocks a frame of ours lists."""
    return frame[HEADER.size - 1] if len(frame) >= HEADER.size else 0


def starts_with_keyframe(sheet: Sheet, cell: int) -> bool:
    """Whether a cell's block is a keyframe in this tick."""
    return cell in sheet.chunks and sheet.chunks[cell].key


def quadrant_of(yaw: int) -> int:
    """Which way somebody looks: 0 to -z, 1 to -x, 2 to +z, 3 to +x. `yaw` in 1/1024 turn, as in a pose."""
    return (yaw + 128 >> 8) % QUADRANTS


def thinned(sheet: Sheet, look: Look, budget: Budget, before: Thinned, quadrant: int = ANYWHERE) -> Composed:
    """The frame of what the budget lets through; the rest of the look is listed as held back.

    One's own cell and the speakers of the hall come first and are left out at most every other tick, never their
    keyframes; then the far part, every other one of which may be left out; then keyframes, then deltas, by rank. A
    delta without its keyframe is of no use to anybody and waits for the next one.
    """
    here = [cell for cell in look.cells if cell in sheet.chunks]
    ages = dict(before.held)
    left = budget.left - HEADER.size - BLOCK.size * len(here)
    given: set[int] = set()
    for cell in _first(look, here):
        chunk = sheet.chunks[cell]
        useless = not chunk.key and cell in before.lost
        size = len(chunk.data) - BLOCK.size
        if not useless and (size <= left or chunk.key or cell in ages):
            given.add(cell)
            left -= size
    if FAR in here and (len(sheet.chunks[FAR].data) - BLOCK.size <= left or _far_due(sheet)):
        given.add(FAR)
        left -= len(sheet.chunks[FAR].data) - BLOCK.size
    reserve = _fill(sheet, look, here, before, Budget(left, budget.most), quadrant, given)
    return _composed(sheet, look, here, given, before, reserve)


def _first(look: Look, here: list[int]) -> list[int]:
    """One's own cell, and the speakers of the hall."""
    return [cell for cell in (look.home, HERO_CELL) if cell in here]


def _far_due(sheet: Sheet) -> bool:
    """Whether the far part must not be left out: every other time that it is its turn."""
    part, parts = sheet.chunks[FAR].data[BLOCK.size : BLOCK.size + 2]
    return (sheet.tick // max(parts, 1) + part) % 2 == 0


def _fill(
    sheet: Sheet, look: Look, here: list[int], before: Thinned, budget: Budget, quadrant: int, given: set[int]
) -> tuple[int, int]:
    """Add what still fits to `given`, the highest rank first; what is to be left for which keyframe the next time.

    The cell that longest lacks its keyframe is saved up for, so that those of others do not always come before. A delta
    that finds no room keeps those of lower rank back as well: so its turn comes.
    """
    ages = dict(before.held)
    rest = [cell for cell in here if cell not in given and cell not in (look.home, HERO_CELL, FAR)]
    rest.sort(key=lambda cell: -rank(sheet, look, cell, ages.get(cell, 0), quadrant))
    left = budget.left
    waits, reserve = before.reserve if before.reserve[0] in rest else NOBODY_WAITS
    for cell in rest:
        chunk = sheet.chunks[cell]
        size = len(chunk.data) - BLOCK.size
        if not chunk.key and cell in before.lost:
            continue
        if size <= left - (0 if cell == waits else reserve):
            left -= size
            given.add(cell)
            if cell == waits:
                waits, reserve = NOBODY_WAITS
        elif not chunk.key:
            break
        elif waits < 0 or cell == waits or ages.get(cell, 0) > ages.get(waits, 0):
            waits, reserve = cell, min(size, budget.most)
    return waits, reserve


def rank(sheet: Sheet, look: Look, cell: int, age: int, quadrant: int) -> int:
    """How much a block matters: keyframes first, then nearness, before one's eyes, somebody speaks, long held back.

    A cell that is not next to one's own is in view for the sake of somebody in it: it counts as near as can be.
    """
    chunk = sheet.chunks[cell]
    (row, column), (own_row, own_column) = divmod(cell, sheet.columns), divmod(look.home, sheet.columns)
    dz, dx = row - own_row, column - own_column
    distance = abs(dx) + abs(dz) if max(abs(dx), abs(dz)) <= 1 else 0
    before_eyes = (-dz, -dx, dz, dx)[quadrant] > 0 if quadrant != ANYWHERE else False
    steps = KEYFRAME_FIRST * chunk.key - distance + 2 * before_eyes + 2 * chunk.speaking
    return AGE_WEIGHT * steps + age


def _composed(
    sheet: Sheet, look: Look, here: list[int], given: set[int], before: Thinned, reserve: tuple[int, int]
) -> Composed:
    parts = [HEADER.pack(KIND, sheet.room, sheet.tick, look.home, len(here))]
    lost, ages, held = set(before.lost), dict(before.held), []
    for cell in here:
        chunk = sheet.chunks[cell]
        key = cell != FAR and chunk.key
        if cell in given:
            parts.append(chunk.data)
            if key:
                lost.discard(cell)
        else:
            parts.append(BLOCK.pack(cell, 0))
            held.append((cell, min(ages.get(cell, 0) + 1, AGE_MAX)))
            if key:
                lost.add(cell)
    after = Thinned(frozenset(lost.intersection(here)), tuple(held), reserve if lost else NOBODY_WAITS)
    far = sheet.chunks[FAR].people if FAR in given else 0
    near = sum(sheet.chunks[cell].people for cell in given) - far
    return Composed(b"".join(parts), near, far, len(held), after)


def nothing(sheet: Sheet, look: Look, before: Thinned) -> Composed:
    """No frame at all this tick: what that holds back, and what the view lacks from now on."""
    here = [cell for cell in look.cells if cell in sheet.chunks]
    return _composed(sheet, look, here, set(), before, before.reserve)._replace(frame=b"")
