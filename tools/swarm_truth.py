"""Was what the bots saw true? The server's journal is played again and every kept frame compared with that world.

Owns the comparison: rows near by bit, rows far within what 16 mm steps can say, and who has to be there at all by where
each viewer stands. A row that is wrong, missing or extra in a frame is one mismatch. Never trusts the server's own
figures: the world is stepped here.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.journal import JournalError, read_checkpoint, read_segment, segments
from server.replay import load, play
from server.sim.far import STEP_MM, STEP_TURN, FarRows
from server.sim.grid import FAR, HERO_CELL, neighbours
from server.sim.snapshot import View, view_of
from server.world.world import World
from tools.swarm_watch import Seen

NAMED_MAX = 20
Ints = npt.NDArray[np.int64]
Fault = tuple[str, str]  # ("wrong" | "missing" | "extra", words)


class Verdict(NamedTuple):
    """How many rows were compared; how many were wrong, missing or extra; the first few in words."""

    rows: int
    frames: int
    wrong: int
    missing: int
    extra: int
    named: tuple[str, ...]
    digests_differ: int
    unchecked: int  # frames of ticks that the journal does not hold
    far_rows: int = 0
    views: int = 0  # frames times those who got them: whose looks were compared
    late_looks: int = 0  # of those, as of a tick before: through an edge
    late_ticks_max: int = 0
    held_blocks: int = 0  # listed without a body, or not yet readable: not compared

    @property
    def mismatches(self) -> int:
        """All rows that are not the truth, and ticks that do not replay."""
        return self.wrong + self.missing + self.extra + self.digests_differ


class Truth(NamedTuple):
    """One room in one tick: every row, and the block it belongs into."""

    view: View
    cells: Ints  # (n,) of the avatars
    thing_cells: Ints  # (t,)
    hall: bool

    @property
    def filled(self) -> set[int]:
        """Blocks with anybody or anything in them."""
        return {int(c) for c in np.concatenate((self.cells, self.thing_cells))}


def truth_of(world: World, room: int) -> Truth:
    """What is to be seen of a room, straight from the world."""
    slots, things = world.members(room), world.things_in(room)
    view = view_of(world.avatars, world.things, room, slots, things, world.tick)
    cell_of = world.avatars.cell.astype(np.int64)
    cell_of[world.heroes(room)] = HERO_CELL
    owner = world.things.owner[things]
    thing_cells = np.where(owner >= 0, cell_of[owner], world.things.cell[things])
    return Truth(view, cell_of[slots], thing_cells, world.cells(room).cells > 1)


class Look(NamedTuple):
    """What a viewer has to see, and may see besides: equal but through an edge, which hears of moves a little later."""

    slot: int
    home: int
    least: set[int]
    most: set[int]
    late: int = 0  # ticks ago they stood in `home`


def look_of(world: World, room: int, slot: int) -> Look:
    """The look of who is in `slot` of a room. KeyError if nobody is there."""
    client = world.client_of(slot)
    home, grid = world.cell_of(client), world.cells(room)
    if grid.cells == 1:
        return Look(slot, 0, {0}, {0})
    cells = {*neighbours(grid, home), *_own(world, client, world.avatars.cell), HERO_CELL, FAR}
    return Look(slot, home, cells, cells)


def _own(world: World, client: int, cell_of: npt.NDArray[np.int16]) -> set[int]:
    return {int(cell_of[hero]) for hero in world.heroes_of(client)}


def late_look(world: World, room: int, slot: int, told: int, past: Sequence[npt.NDArray[np.int16]]) -> Look:
    """The look of a viewer who was told to stand in cell `told`, if they did in a tick of `past`, newest last."""
    look, client = look_of(world, room, slot), world.client_of(slot)
    if world.cells(room).cells == 1:
        return look
    own = {cell for cells in (world.avatars.cell, *past) for cell in _own(world, client, cells)}
    for late, cells in enumerate((world.avatars.cell, *reversed(past))):
        if int(cells[slot]) == told:
            around = {*neighbours(world.cells(room), told), HERO_CELL, FAR}
            return Look(slot, told, around, around | own, late)
    return look


def compare_rows(what: str, seen: npt.NDArray[np.uint32], truth: Ints) -> Iterator[Fault]:
    """A fault for each row that differs; the first column is the slot."""
    if np.array_equal(seen, truth):
        return
    got = {int(row[0]): row for row in seen}
    true = {int(row[0]): row for row in truth}
    for slot in sorted(true.keys() - got.keys()):
        yield "missing", f"{what} {slot} is there and was not seen"
    for slot in sorted(got.keys() - true.keys()):
        yield "extra", f"{what} {slot} was seen and is not there"
    for slot in sorted(true.keys() & got.keys()):
        columns = np.nonzero(got[slot].astype(np.int64) != true[slot])[0]
        if len(columns):
            yield "wrong", f"{what} {slot} differs in columns {columns.tolist()}"


def compare_blocks(seen: Seen, truth: Truth) -> Iterator[Fault]:
    """The faults of the blocks a frame shows, each against its cell."""
    for cell in seen.shown:
        where = f"room {seen.room}, tick {seen.tick}, cell {cell}:"
        yield from compare_rows(f"{where} avatar", seen.rows[seen.cells == cell], truth.view.rows[truth.cells == cell])
        yield from compare_rows(
            f"{where} thing", seen.things[seen.thing_cells == cell], truth.view.things[truth.thing_cells == cell]
        )


def compare_look(seen: Seen, look: Look, truth: Truth) -> Iterator[Fault]:
    """The faults of which blocks a viewer was shown: none too many, and all that have anybody or anything in them."""
    where = f"room {seen.room}, tick {seen.tick}, viewer {look.slot}:"
    listed = {*seen.shown, *seen.held, *seen.lacking, *([FAR] if seen.far is not None else [])}
    if truth.hall and seen.home != look.home:
        yield "wrong", f"{where} stands in cell {look.home}, was told {seen.home}"
    for cell in sorted(listed - look.most):
        yield "extra", f"{where} was shown cell {cell} and has not to see it"
    for cell in sorted((look.least & truth.filled) - listed):
        yield "missing", f"{where} was not shown cell {cell}"
    if truth.hall and FAR not in listed and len(truth.view.rows):
        yield "missing", f"{where} was not shown who is far"


def compare_far(seen: Seen, far: FarRows, truth: Truth) -> Iterator[Fault]:
    """The faults of a far block: its class is the tick's, all of it is there, nearer than half a step."""
    where = f"room {seen.room}, tick {seen.tick}, far:"
    if far.part != seen.tick % far.parts:
        yield "wrong", f"{where} part {far.part} of {far.parts} is not this tick's"
        return
    mine = truth.view.slots % far.parts == far.part
    slots = truth.view.slots[mine]
    for slot in sorted({*slots.tolist()} - {*far.slot.tolist()}):
        yield "missing", f"{where} avatar {slot} is there and was not seen"
    for slot in sorted({*far.slot.tolist()} - {*slots.tolist()}):
        yield "extra", f"{where} avatar {slot} was seen and is not there"
    both, at, of = np.intersect1d(far.slot, slots, return_indices=True)
    head = np.abs(far.head_mm[at] - truth.view.head_mm[mine][of])
    high = truth.view.head_mm[mine][of][:, 1] > 255 * STEP_MM  # cut there by the wire
    turn = np.abs((far.yaw[at] - truth.view.yaw[mine][of] + 512) % 1024 - 512)
    flags = (truth.view.flags[mine][of] & 63) != far.flags[at]
    bad = (head[:, (0, 2)] > STEP_MM // 2).any(axis=1) | (head[:, 1] > STEP_MM // 2) & ~high
    for slot in both[bad | (turn > STEP_TURN // 2) | flags]:
        yield "wrong", f"{where} avatar {slot} is elsewhere, turned otherwise or has other flags"


def compare(seen: Seen, truth: Truth, looks: list[Look]) -> Iterator[Fault]:
    """All differences of one frame, for those who got it."""
    yield from compare_blocks(seen, truth)
    for look in looks:
        yield from compare_look(seen, look, truth)
    if seen.far is not None:
        yield from compare_far(seen, seen.far, truth)


def _worlds(folder: Path) -> Iterator[tuple[World, bool]]:
    """The world at every tick of the journal, and whether its digest is not the recorded one."""
    paths = segments(folder)
    if not paths:
        raise JournalError(f"{folder.name} holds no journal-*.asc: nothing to compare with")
    header, _ = read_segment(paths[0])
    world = load(header, read_checkpoint(folder / f"checkpoint-{header.first_tick:012d}.world"))
    for path in paths:
        for difference in play(world, read_segment(path)[1]):
            yield world, difference is not None
    yield world, False


def _looks(world: World, frame: Seen, past: Sequence[npt.NDArray[np.int16]]) -> list[Look]:
    """Those of the frame's viewers who are still there."""
    there = {int(slot) for slot in world.members(frame.room)}
    return [late_look(world, frame.room, slot, frame.home, past) for slot in frame.viewers if slot in there]


class _Count:
    """What is counted on the way."""

    def __init__(self) -> None:
        self.faults = {"wrong": 0, "missing": 0, "extra": 0}
        self.named: list[str] = []
        self.rows = self.far_rows = self.frames = self.views = self.held = self.late = self.late_ticks = 0

    def frame(self, frame: Seen, truth: Truth, looks: list[Look]) -> None:
        """Compare one frame."""
        self.frames, self.views = self.frames + 1, self.views + len(looks)
        self.held += len(frame.held) + len(frame.lacking)
        self.rows += len(frame.rows) + len(frame.things)
        self.far_rows += len(frame.far.slot) if frame.far is not None else 0
        self.late += sum(look.late > 0 for look in looks)
        self.late_ticks = max([self.late_ticks, *(look.late for look in looks)])
        for kind, text in compare(frame, truth, looks):
            self.faults[kind] += 1
            if len(self.named) < NAMED_MAX:
                self.named.append(text)


def judge(
    folder: Path, seen: list[Seen], tell: Callable[[float], None] = lambda _: None, grace_ticks: int = 0
) -> Verdict:
    """Compare every kept frame with the replayed world. `tell` gets the share done. Raises JournalError.

    `grace_ticks`: so old the look of a viewer may be (who stands where is never old); 0 but through an edge.
    """
    by_tick: dict[int, list[Seen]] = {}
    for frame in seen:
        by_tick.setdefault(frame.tick, []).append(frame)
    if not by_tick:
        return Verdict(0, 0, 0, 0, 0, (), 0, 0)
    low, high = min(by_tick), max(by_tick)
    count, differ = _Count(), 0
    past: deque[npt.NDArray[np.int16]] = deque(maxlen=grace_ticks)
    for world, different in _worlds(folder):
        differ += different
        truths: dict[int, Truth] = {}
        for frame in by_tick.pop(world.tick, ()):
            truth = truths.get(frame.room) or truths.setdefault(frame.room, truth_of(world, frame.room))
            count.frame(frame, truth, _looks(world, frame, past))
        if world.tick >= high:
            break
        past.append(world.avatars.cell.copy())
        if world.tick % 64 == 0:
            tell(max(0.0, (world.tick - low) / (high - low + 1)))
    tell(1.0)
    unchecked = sum(len(rest) for rest in by_tick.values())
    return Verdict(count.rows, count.frames, **count.faults, named=tuple(count.named), digests_differ=differ,
                   unchecked=unchecked, far_rows=count.far_rows, views=count.views, held_blocks=count.held,
                   late_looks=count.late, late_ticks_max=count.late_ticks)  # fmt: skip
