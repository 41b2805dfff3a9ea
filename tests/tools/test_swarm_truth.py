"""What bots kept is compared with a world made again from a real journal: truth passes, lies are found."""

import tomllib

import msgspec
import numpy as np
import pytest

from server.config import Limits
from server.journal import Checkpoint, Header, Journal, JournalError, write_checkpoint
from server.sim.poses import NO_POSES, PoseBatch
from server.world.commands import Command, Grab, Join
from server.world.scene import Room
from server.world.world import World
from tools.bench_codec import a_crowd
from tools.swarm_rooms import room_slug, room_text
from tools.swarm_truth import judge, truth_of
from tools.swarm_watch import Seen

PEOPLE, TICKS = 6, 40
LIMITS = Limits(avatars_max=64)


def kept(world, room):
    view = truth_of(world, room)
    return Seen(room, view.tick, view.rows.astype(np.uint32), view.things.astype(np.uint32))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A journal of two rooms in which people walk and take things, and every frame a bot could have kept."""
    folder = tmp_path_factory.mktemp("world")
    rooms = tuple(
        msgspec.convert(tomllib.loads(room_text(i, 2, PEOPLE, 0)) | {"slug": room_slug(i)}, Room) for i in range(2)
    )
    world = World(rooms, LIMITS, 30, 1)
    write_checkpoint(folder, Checkpoint(world.tick, 1, world.digest(), world.dump()))
    journal = Journal(folder, Header(world.tick, 30, 1, rooms, msgspec.to_builtins(LIMITS)))
    crowd, _ = a_crowd(PEOPLE)
    seen = []
    for tick in range(TICKS):
        poses, asked = NO_POSES, []
        if tick == 0:
            asked = [Command(c + 1, 0, Join(f"Bot {c}", "clinician", room_slug(c % 2), b"%016d" % c, b"%032d" % c))
                     for c in range(PEOPLE)]  # fmt: skip
        else:
            crowd.minds.walking[:] = True
            crowd.step(1 / 30)
            rows = crowd.rows()
            rows["seq"] = tick
            poses = PoseBatch(np.arange(1, PEOPLE + 1, dtype=np.uint32), rows)
        if tick == 20:
            things = world.things_in(0)
            asked = [Command(1, 1, Grab(1, int(things[0]) | 1 << 12, 1))]
        journal.append(world.tick, world.digest(), asked, poses)
        world.step(asked, poses)
        seen += [kept(world, room) for room in (0, 1)]
    journal.close()
    return folder, seen


def test_the_truth_passes_and_all_of_it_is_compared(run):
    folder, seen = run
    told = []
    verdict = judge(folder, seen, told.append)
    assert (verdict.mismatches, verdict.unchecked, verdict.frames) == (0, 0, 2 * TICKS)
    assert verdict.rows == sum(len(s.rows) + len(s.things) for s in seen) > 6 * TICKS
    assert told[-1] == 1.0
    assert len({s.rows.tobytes() for s in seen}) > TICKS  # people did move


def planted(seen, at, **changes):
    out = list(seen)
    out[at] = out[at]._replace(**changes)
    return out


def test_each_kind_of_lie_is_counted_and_named(run):
    folder, seen = run
    frame = seen[31]
    wrong = frame.rows.copy()
    wrong[1, 3] += 1  # a head one millimetre too high
    for rows, expected in (
        (wrong, (1, 0, 0)),
        (frame.rows[:-1], (0, 1, 0)),
        (np.vstack((frame.rows, frame.rows[-1:] + 1)), (0, 0, 1)),
    ):
        verdict = judge(folder, planted(seen, 31, rows=rows))
        assert (verdict.wrong, verdict.missing, verdict.extra) == expected
        assert f"tick {frame.tick}" in verdict.named[0]


def test_a_frame_of_the_tick_before_is_a_lie_too(run):
    folder, seen = run
    assert judge(folder, planted(seen, 40, rows=seen[38].rows)).mismatches > 0


def test_frames_beyond_the_journal_are_said_to_be_unchecked(run):
    folder, seen = run
    verdict = judge(folder, [*seen, seen[-1]._replace(tick=10_000)])
    assert verdict.unchecked == 1


def test_nothing_kept_is_nothing_compared_and_no_journal_is_one_line(run, tmp_path):
    folder, seen = run
    assert judge(folder, []).rows == 0
    with pytest.raises(JournalError, match="nothing to compare with"):
        judge(tmp_path, seen)
