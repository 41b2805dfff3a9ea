"""Making a world again from its journal: after a crash, and to prove that the same inputs make the same world.

Owns `recover` (newest checkpoint plus journal) and `asclepion replay`. Never writes to the journal's folder.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from server.config import Limits
from server.journal import (
    PULSE_BYTES,
    Checkpoint,
    Header,
    JournalError,
    Record,
    checkpoints,
    read_checkpoint,
    read_segment,
    segments,
    tick_of,
)
from server.world.world import World


class Recovered(NamedTuple):
    """A world as it was when the shard last wrote, and where its numbering stood."""

    world: World
    next_client: int
    header: Header


class Difference(NamedTuple):
    """The first tick before which digest or pulse is not the recorded one."""

    tick: int
    recorded: bytes
    replayed: bytes


def limits_of(header: Header) -> Limits:
    """The limits the segment ran under; unknown names are refused with JournalError."""
    try:
        return Limits(**header.limits)  # type: ignore[arg-type]
    except TypeError as error:
        raise JournalError(f"journal from another version: {error}") from error


def load(header: Header, point: Checkpoint) -> World:
    """The world of a checkpoint; raises JournalError if it does not come out with the digest it was written with."""
    try:
        world = World.load(point.world, header.rooms, limits_of(header), header.tick_hz, header.seed)
    except ValueError as error:
        raise JournalError(f"checkpoint of tick {point.tick} is of another version: {error}") from error
    if world.digest() != point.digest:
        raise JournalError(
            f"checkpoint of tick {point.tick}: digest is {world.digest().hex()}, {point.digest.hex()} written"
        )
    return world


def proof_like(world: World, recorded: bytes) -> bytes:
    """What the world says of itself in the way of a recorded proof: its pulse or its digest."""
    return world.pulse() if len(recorded) == PULSE_BYTES else world.digest()


def play(world: World, records: Iterator[Record]) -> Iterator[Difference | None]:
    """Step `world` through the `records` not behind it; yields per tick the difference found before it, or None."""
    for record in records:
        if record.tick < world.tick:
            continue
        if record.tick > world.tick:
            raise JournalError(f"the journal jumps from tick {world.tick} to {record.tick}")
        proof = proof_like(world, record.proof)
        yield Difference(record.tick, record.proof, proof) if record.proof and proof != record.proof else None
        world.step(record.commands, record.poses)


def recover(folder: Path) -> Recovered | None:
    """The newest world that the folder's files make; None if it holds none. Raises JournalError on a difference."""
    for path in reversed(checkpoints(folder)):
        try:
            point = read_checkpoint(path)
        except JournalError:
            continue  # an older one and more of the journal make the same world
        return _recover_from(folder, point)
    return None


def _recover_from(folder: Path, point: Checkpoint) -> Recovered:
    behind = [path for path in segments(folder) if tick_of(path) <= point.tick]
    if not behind:
        raise JournalError(f"checkpoint of tick {point.tick} has no journal segment in {folder.name}")
    header, _ = read_segment(behind[-1])
    world = load(header, point)
    next_client = point.next_client
    for path in [behind[-1], *(p for p in segments(folder) if tick_of(p) > point.tick)]:
        _, records = read_segment(path)
        for difference in play(world, records):
            if difference is not None:
                raise JournalError(f"{path.name}: tick {difference.tick} does not come out as recorded")
    next_client = max([next_client, *(client + 1 for client in world.clients())])
    return Recovered(world, next_client, header)


def replay_segment(path: Path) -> Iterator[tuple[int, Difference | None]]:
    """Re-run one segment from the checkpoint it starts at ; yields (tick, difference)."""
    header, records = read_segment(path)
    start = path.with_name(f"checkpoint-{header.first_tick:012d}.world")
    if not start.exists():
        raise JournalError(f"{path.name} starts from {start.name}, which is not beside it")
    world = load(header, read_checkpoint(start))
    for difference in play(world, records):
        yield world.tick, difference


def main(path: Path, quiet: bool = False) -> int:
    """`asclepion replay`: 0 if every digest is as recorded, 1 at the first difference, 2 if it cannot be read."""
    try:
        paths = segments(path) if path.is_dir() else [path]
        if not paths:
            raise JournalError(f"{path}: no journal-*.asc here")
        for segment in paths:
            if _replay_one(segment, quiet):
                return 1
    except (JournalError, OSError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2
    return 0


def _replay_one(segment: Path, quiet: bool) -> bool:
    ticks = 0
    for tick, difference in replay_segment(segment):
        if difference is not None:
            print(f"{segment.name}: first difference before tick {tick}: recorded {difference.recorded.hex()}, "
                  f"replayed {difference.replayed.hex()}")  # fmt: skip
            return True
        ticks += 1
        if not quiet and ticks % 1000 == 0 and sys.stderr.isatty():
            print(f"\r{segment.name}: {ticks} ticks equal", end="", file=sys.stderr, flush=True)
    print(f"{segment.name}: {ticks} ticks, every digest as recorded")
    return False
