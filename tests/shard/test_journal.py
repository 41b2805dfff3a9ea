"""The journal: what was appended comes back; what a crash tore is cut off; old files go, needed ones stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import journal as journals
from server.config import Config
from server.journal import Checkpoint, Journal, JournalError, read_checkpoint, read_segment, write_checkpoint
from server.replay import load, play, recover
from server.shard import header_of
from server.sim.poses import NO_POSES, POSE, PoseBatch
from server.world.commands import Command, Join, Say
from server.world.rooms import load_rooms
from server.world.world import World

CONFIG = Config()
ROOMS = load_rooms(None)


def fresh_world() -> World:
    return World(ROOMS, CONFIG.limits, CONFIG.tick_hz, CONFIG.seed)


def poses(client: int, x: int) -> PoseBatch:
    rows = np.zeros(1, POSE)
    rows["seq"], rows["wish_mm_s"][0], rows["head_y_mm"] = 1, (x, 0), 1600
    return PoseBatch(np.array([client], np.uint32), rows)


def write(folder, ticks: int) -> tuple[World, bytes]:
    """A world stepped `ticks` times into a journal; it and its digest at the end."""
    world = fresh_world()
    write_checkpoint(folder, Checkpoint(0, 1, world.digest(), world.dump()))
    journal = Journal(folder, header_of(world, CONFIG))
    join = Command(1, 0, Join("Ada", "clinician", "lobby", b"p" * 16, b"r" * 32))
    for n in range(ticks):
        commands = [join] if n == 0 else [Command(1, n, Say(n, f"line {n}"))] if n % 40 == 0 else []
        batch = poses(1, 300) if n else NO_POSES
        journal.append(world.tick, journal.proof(world), commands, batch)
        world.step(commands, batch)
    journal.close()
    return world, world.digest()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("journal")
    _, digest = write(folder, 60)
    return folder, digest


def test_what_was_appended_comes_back(written):
    header, records = read_segment(journals.segments(written[0])[0])
    found = list(records)
    assert header.rooms == ROOMS and header.first_tick == 0
    assert [record.tick for record in found] == list(range(60))
    assert isinstance(found[0].commands[0].body, Join)
    assert found[5].poses.rows["wish_mm_s"].tolist() == [[300, 0]]


def test_every_segment_begins_with_a_digest_and_has_one_every_second(tmp_path):
    world = fresh_world()
    journal = Journal(tmp_path, header_of(world, CONFIG))
    for n in range(70):
        if n == 45:
            journal.rotate(header_of(world, CONFIG))
        journal.append(world.tick, journal.proof(world), [], NO_POSES)
        world.step([], NO_POSES)
    journal.close()
    records = [record for path in journals.segments(tmp_path) for record in read_segment(path)[1]]
    assert [r.tick for r in records if len(r.proof) == 16] == [0, 30, 45, 60]
    assert {len(r.proof) for r in records} == {16, journals.PULSE_BYTES}


def first_difference(folder, spoil):
    """Replay a folder's only segment; `spoil` is called with the world once, before it steps from tick 32."""
    point = read_checkpoint(journals.checkpoints(folder)[0])
    header, records = read_segment(journals.segments(folder)[0])
    world = load(header, point)
    for difference in play(world, records):
        if difference is not None:
            return difference.tick
        if world.tick == 32:
            spoil(world)
    return None


def test_a_difference_of_an_avatar_is_found_at_its_tick_and_any_other_within_a_second(written):
    assert first_difference(written[0], lambda world: None) is None

    def move(world):
        world.avatars.head_mm[0, 0] += 1

    assert first_difference(written[0], move) == 33
    written_on = write_longer(written[0].parent / "longer")
    assert first_difference(written_on, lambda world: world._t.bans.update({b"x": "y"})) == 60


def write_longer(folder):
    folder.mkdir()
    write(folder, 65)
    return folder


def test_recovery_makes_the_same_world(written):
    recovered = recover(written[0])
    assert recovered is not None and recovered.world.digest() == written[1]
    assert recovered.next_client == 2


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_a_torn_or_damaged_tail_loses_only_itself(written, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("torn")
    for path in written[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    segment = journals.segments(folder)[0]
    whole = segment.read_bytes()
    first = len(whole) - 1500  # in the last records, well behind the header
    cut = data.draw(st.integers(first, len(whole) - 1))
    damaged = whole[:cut] if data.draw(st.booleans()) else whole[:cut] + bytes([whole[cut] ^ 1]) + whole[cut + 1 :]
    segment.write_bytes(damaged)
    recovered = recover(folder)
    assert recovered is not None and 0 < recovered.world.tick < 60
    again = fresh_world()
    _, records = read_segment(segment)
    for record in records:
        again.step(record.commands, record.poses)
    assert again.digest() == recovered.world.digest()


def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(written, tmp_path):
    for path in written[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    recovered = recover(tmp_path)
    newer = write_checkpoint(tmp_path, Checkpoint(60, 2, recovered.world.digest(), recovered.world.dump()))
    newer.write_bytes(newer.read_bytes()[:-1])
    with pytest.raises(JournalError, match="damaged"):
        read_checkpoint(newer)
    assert recover(tmp_path).world.digest() == written[1]


def test_a_rotated_journal_is_recovered_across_its_segments(tmp_path):
    world = fresh_world()
    write_checkpoint(tmp_path, Checkpoint(0, 1, world.digest(), world.dump()))
    journal = Journal(tmp_path, header_of(world, CONFIG))
    for n in range(30):
        if n == 15:
            journal.rotate(header_of(world, CONFIG))
        journal.append(world.tick, journal.proof(world), [], NO_POSES)
        world.step([], NO_POSES)
    journal.close()
    assert [journals.tick_of(path) for path in journals.segments(tmp_path)] == [0, 15]
    recovered = recover(tmp_path)
    assert recovered is not None and recovered.world.digest() == world.digest()


def test_a_file_of_another_kind_is_refused(tmp_path):
    for name in ("journal-000000000000.asc", "checkpoint-000000000000.world"):
        (tmp_path / name).write_bytes(b"something else altogether")
    with pytest.raises(JournalError, match="this version"):
        read_segment(tmp_path / "journal-000000000000.asc")
    with pytest.raises(JournalError, match="this version"):
        read_checkpoint(tmp_path / "checkpoint-000000000000.world")


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(2, 6), st.integers(0, 5))
def test_pruning_never_takes_what_a_recovery_needs(tmp_path_factory, gaps, keep, extra):
    folder = tmp_path_factory.mktemp("prune")
    starts = np.cumsum([0, *gaps]).tolist()
    for start in starts:
        (folder / f"journal-{start:012d}.asc").touch()
        (folder / f"checkpoint-{start:012d}.world").touch()
    for n in range(extra):
        (folder / f"checkpoint-{starts[-1] + 1 + n:012d}.world").touch()
    journals.prune(folder, keep)
    points = [journals.tick_of(path) for path in journals.checkpoints(folder)]
    kept = [journals.tick_of(path) for path in journals.segments(folder)]
    newest = points[-2:]
    assert starts[-1] in kept and len(kept) <= keep + 2
    for point in newest:
        needed = [s for s in starts if s > point] + [max(s for s in starts if s <= point)]
        assert set(needed) <= set(kept)
    for start in kept[-keep:]:
        assert start in points
