"""Was what the bots saw true? The server's journal is played again and every kept frame compared with that world.

Owns the comparison. A row that is wrong, missing or extra in a frame is one mismatch. Never trusts the server's own
figures: the world is stepped here.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.journal import JournalError, read_checkpoint, read_segment, segments
from server.replay import load, play
from server.sim.snapshot import View, view_of
from server.world.world import World
from tools.swarm_watch import Seen

NAMED_MAX = 20


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

    @property
    def mismatches(self) -> int:
        """All rows that are not the truth, and ticks that do not replay."""
        return self.wrong + self.missing + self.extra + self.digests_differ


def compare_rows(what: str, seen: npt.NDArray[np.uint32], truth: npt.NDArray[np.int64]) -> Iterator[tuple[str, str]]:
    """("wrong" | "missing" | "extra", words) for each row that differs; the first column is the slot."""
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


def compare(seen: Seen, truth: View) -> Iterator[tuple[str, str]]:
    """All differences of one frame."""
    where = f"room {seen.room}, tick {seen.tick}:"
    yield from compare_rows(f"{where} avatar", seen.rows, truth.rows)
    yield from compare_rows(f"{where} thing", seen.things, truth.things)


def truth_of(world: World, room: int) -> View:
    """What is to be seen of a room, straight from the world."""
    return view_of(world.avatars, world.things, room, world.members(room), world.things_in(room), world.tick)


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


def judge(folder: Path, seen: list[Seen], tell: Callable[[float], None] = lambda _: None) -> Verdict:
    """Compare every kept frame with the replayed world. `tell` gets the share done. Raises JournalError."""
    by_tick: dict[int, list[Seen]] = {}
    for frame in seen:
        by_tick.setdefault(frame.tick, []).append(frame)
    if not by_tick:
        return Verdict(0, 0, 0, 0, 0, (), 0, 0)
    low, high = min(by_tick), max(by_tick)
    counts = {"wrong": 0, "missing": 0, "extra": 0}
    named: list[str] = []
    rows = frames = differ = 0
    for world, different in _worlds(folder):
        differ += different
        for frame in by_tick.pop(world.tick, ()):
            frames += 1
            rows += len(frame.rows) + len(frame.things)
            for kind, text in compare(frame, truth_of(world, frame.room)):
                counts[kind] += 1
                named.append(text)
        del named[NAMED_MAX:]
        if world.tick >= high:
            break
        if world.tick % 64 == 0:
            tell(max(0.0, (world.tick - low) / (high - low + 1)))
    tell(1.0)
    unchecked = sum(len(rest) for rest in by_tick.values())
    return Verdict(rows, frames, **counts, named=tuple(named), digests_differ=differ, unchecked=unchecked)
