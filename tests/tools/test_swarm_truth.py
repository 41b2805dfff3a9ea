"""What bots kept is compared with a world made again from a real journal: truth passes, lies are found."""

import tomllib

import msgspec
import numpy as np
import pytest

from server.config import Limits
from server.journal import Checkpoint, Header, Journal, JournalError, write_checkpoint
from server.sim.far import FarRows, decode_far, far_body
from server.sim.grid import FAR
from server.sim.poses import NO_POSES, PoseBatch
from server.world.commands import Command, Grab, Join, Teleport
from server.world.scene import Room
from server.world.world import World
from tools.bench_codec import a_crowd
from tools.swarm_rooms import RoomPlan, room_text
from tools.swarm_truth import judge, look_of, truth_of
from tools.swarm_watch import Seen

PEOPLE, TICKS, PARTS = 12, 40, 4
LIMITS = Limits(avatars_max=128)
PLANS = (RoomPlan("ward", "ward", 6, 0), RoomPlan("hall", "hall", 100, 0))
WARD, HALL = 0, 1


def seen_by(world, room, slot):
    """The frame the bot in a slot has to get, made from the world itself."""
    truth, (_, home, look, _, _) = truth_of(world, room), look_of(world, room, slot)
    near = np.isin(truth.cells, list(look))
    things = np.isin(truth.thing_cells, list(look))
    far = None
    if FAR in look:
        far = decode_far(far_body(world.avatars, world.members(room), world.tick % PARTS, PARTS))
    return Seen(
        room, world.tick, home, (slot,), truth.cells[near].astype(np.uint16), truth.view.rows[near].astype(np.uint32),
        truth.thing_cells[things].astype(np.uint16), truth.view.things[things].astype(np.uint32),
        tuple(sorted(look & truth.filled)), far, (), (),
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A journal of a ward and a hall in which people walk and take things, and every frame a bot could have kept."""
    folder = tmp_path_factory.mktemp("world")
    rooms = tuple(msgspec.convert(tomllib.loads(room_text(p, "")) | {"slug": p.slug}, Room) for p in PLANS)
    world = World(rooms, LIMITS, 30, 1)
    write_checkpoint(folder, Checkpoint(world.tick, 1, world.digest(), world.dump()))
    journal = Journal(folder, Header(world.tick, 30, 1, rooms, msgspec.to_builtins(LIMITS)))
    crowd, _ = a_crowd(PEOPLE)
    seen = []
    for tick in range(TICKS):
        poses, asked = NO_POSES, []
        if tick == 0:
            asked = [Command(c + 1, 0, Join(f"Bot {c}", "clinician", PLANS[c % 2].slug, b"%016d" % c, b"%032d" % c))
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
        if tick == 30:  # the first of the hall jumps into another cell
            x, _, z = world.avatars.head_mm[int(world.members(HALL)[0])].tolist()
            asked = [Command(2, 1, Teleport(1, x + (5300 if x < 0 else -5300), z))]
        journal.append(world.tick, journal.proof(world), asked, poses)
        world.step(asked, poses)
        seen += [seen_by(world, room, int(slot)) for room in (WARD, HALL) for slot in world.members(room)[::3]]
    journal.close()
    return folder, seen


def test_the_truth_passes_and_all_of_it_is_compared(run):
    folder, seen = run
    told = []
    verdict = judge(folder, seen, told.append)
    assert verdict.named == ()
    assert (verdict.mismatches, verdict.unchecked, verdict.frames, verdict.views) == (0, 0, len(seen), len(seen))
    assert verdict.rows == sum(len(s.rows) + len(s.things) for s in seen) > 6 * TICKS
    assert verdict.far_rows == sum(len(s.far.slot) for s in seen if s.far is not None) > TICKS
    assert told[-1] == 1.0
    assert len({s.rows.tobytes() for s in seen}) > TICKS  # people did move
    assert len({s.home for s in seen if s.room == HALL}) > 1


def planted(seen, at, **changes):
    out = list(seen)
    out[at] = out[at]._replace(**changes)
    return out


def the(seen, room, tick):
    """Where a frame of a room stands in the list."""
    return next(i for i, s in enumerate(seen) if (s.room, s.tick) == (room, tick) and len(s.rows) > 1)


def test_each_kind_of_lie_is_counted_and_named(run):
    folder, seen = run
    for room in (WARD, HALL):
        at = the(seen, room, 31)
        frame = seen[at]
        wrong = frame.rows.copy()
        wrong[1, 3] += 1  # a head one millimetre too high
        stranger = frame.rows[-1:] + 90
        for changes, expected in (
            ({"rows": wrong}, (1, 0, 0)),
            ({"rows": frame.rows[:-1], "cells": frame.cells[:-1]}, (0, 1, 0)),
            ({"rows": np.vstack((frame.rows, stranger)), "cells": np.append(frame.cells, frame.cells[-1])}, (0, 0, 1)),
            ({"cells": np.append(frame.cells[1:], frame.cells[0])}, None),
            ({"home": frame.home + 1}, (1, 0, 0) if room == HALL else (0, 0, 0)),
        ):
            verdict = judge(folder, planted(seen, at, **changes))
            if expected is not None:
                assert (verdict.wrong, verdict.missing, verdict.extra) == expected
            assert all(f"tick {frame.tick}" in text for text in verdict.named)


def test_a_cell_too_many_or_too_few_is_found_unless_it_was_held_back(run):
    folder, seen = run
    at = the(seen, HALL, 25)
    frame = seen[at]
    cell = frame.shown[0]
    near, thing = frame.cells != cell, frame.thing_cells != cell
    less = {"shown": frame.shown[1:], "rows": frame.rows[near], "cells": frame.cells[near],
            "things": frame.things[thing], "thing_cells": frame.thing_cells[thing]}  # fmt: skip
    assert judge(folder, planted(seen, at, **less)).missing == 1
    verdict = judge(folder, planted(seen, at, **less, held=(cell,)))
    assert (verdict.mismatches, verdict.held_blocks) == (0, 1)
    elsewhere = planted(seen, at, shown=(*frame.shown, 4000))
    assert judge(folder, elsewhere).extra == 1


def test_an_old_look_is_a_fault_but_for_who_is_behind_an_edge(run):
    folder, seen = run
    before, now = (next(i for i, s in enumerate(seen) if (s.room, s.tick) == (HALL, tick)) for tick in (30, 32))
    assert seen[before].viewers == seen[now].viewers and seen[before].home != seen[now].home
    late = planted(seen, now, home=seen[before].home, shown=seen[before].shown)
    assert judge(folder, late).wrong >= 1
    assert "stands in cell" in judge(folder, late).named[-1] + judge(folder, late).named[0]
    verdict = judge(folder, late, grace_ticks=8)
    assert verdict.wrong == 0 and verdict.late_looks == 1 and 1 <= verdict.late_ticks_max <= 8


def test_lies_about_who_is_far_are_found(run):
    folder, seen = run
    at = next(i for i, s in enumerate(seen) if s.far is not None and len(s.far.slot) and s.tick > 5)
    far = seen[at].far
    moved, turned = far.head_mm.copy(), far.yaw.copy()
    moved[0, 2] += 16
    turned[0] += 32
    for lie, expected in (
        (far._replace(head_mm=moved), (1, 0, 0)),
        (far._replace(yaw=turned), (1, 0, 0)),
        (far._replace(flags=far.flags ^ 1), (len(far.slot), 0, 0)),
        (far._replace(part=(far.part + 1) % PARTS), (1, 0, 0)),
        (FarRows(far.part, far.parts, *(column[1:] for column in far[2:])), (0, 1, 0)),
        (None, (0, 1, 0)),
    ):
        verdict = judge(folder, planted(seen, at, far=lie))
        assert (verdict.wrong, verdict.missing, verdict.extra) == expected
    assert judge(folder, planted(seen, at, far=None, held=(FAR,))).mismatches == 0


def test_a_frame_of_the_tick_before_is_a_lie_too(run):
    folder, seen = run
    assert judge(folder, planted(seen, the(seen, WARD, 30), rows=seen[the(seen, WARD, 28)].rows)).mismatches > 0


def test_frames_beyond_the_journal_are_said_to_be_unchecked(run):
    folder, seen = run
    verdict = judge(folder, [*seen, seen[-1]._replace(tick=10_000)])
    assert verdict.unchecked == 1


def test_nothing_kept_is_nothing_compared_and_no_journal_is_one_line(run, tmp_path):
    folder, seen = run
    assert judge(folder, []).rows == 0
    with pytest.raises(JournalError, match="nothing to compare with"):
        judge(tmp_path, seen)
