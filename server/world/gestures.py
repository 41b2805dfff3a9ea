"""Pointing at and touching people, things and beds, judged at the time the person saw.

Owns the ray of a pointing hand and what a hand can feel. Never moves anybody.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.sim.poses import POINTING
from server.sim.rotation import unpack_rotation
from server.world import heroes, rewind
from server.world.commands import Point, Touch
from server.world.events import Pointed, Target, Touched
from server.world.plan import BED_M, mm, wall_between
from server.world.tables import SLOT_BITS, THING_GENERATION, Refusal, Resident, Tables

POINT_MM_MAX = 30_000
TOUCH_MM = 150  # hand from what it touches
PERSON_MM, THING_MM, BED_MM = 280, 200, 700  # how thick they are to a ray
BODY_MM = (0, -450, -900)  # heights below the eyes at which a body is met
BURST_S = 2.0  # this many seconds' worth of gestures may come at once


class Met(NamedTuple):
    """Everything in a room that can be pointed at or touched: row i of each array is `what[i]`, handle `handle[i]`."""

    what: list[Target]
    handle: list[int]
    at: npt.NDArray[np.int64]  # (n, 3) mm
    thick: npt.NDArray[np.int64]  # (n,) mm


def met(t: Tables, who: Resident, row: int) -> Met:
    """What is in the room of `who` without themselves, at ring row `row`: bodies as three points each, things, beds."""
    slots, heads = rewind.heads_at(t, who.room, who.slot, row)
    bodies = np.repeat(heads, len(BODY_MM), axis=0)
    bodies[:, 1] += np.tile(BODY_MM, len(heads))
    things = [int(thing) for thing in t.things_in(who.room) if int(t.things.owner[thing]) != who.slot]
    loose = [rewind.thing_at(t, thing, row) for thing in things]
    beds = list(t.beds_in(who.room))
    at = [(mm(t.beds[bed].place.at[0]), mm(BED_M[1]), mm(t.beds[bed].place.at[1])) for bed in beds]
    handles = [t.handle(int(slot)) for slot in slots]
    kinds: list[tuple[Target, int]] = [("person", len(bodies)), ("thing", len(things)), ("bed", len(beds))]
    return Met(
        [what for what, count in kinds for _ in range(count)],
        [h for h in handles for _ in BODY_MM] + [THING_GENERATION << SLOT_BITS | thing for thing in things] + beds,
        np.array([*bodies, *loose, *at], np.int64).reshape(-1, 3),
        np.repeat([PERSON_MM, THING_MM, BED_MM], [count for _, count in kinds]),
    )


def direction(packed: int) -> npt.NDArray[np.float64]:
    """Where a hand with this packed rotation points: its -z axis (3,), unit length."""
    x, y, z, w = unpack_rotation(packed)
    return np.array([-2 * (x * z + w * y), -2 * (y * z - w * x), -(1 - 2 * (x * x + y * y))])


def point(t: Tables, who: Resident, asked: Point) -> None:
    """Say what a pointing hand points at; those who see it are told, "nothing" too."""
    _need_rate(t, who)
    if not t.avatars.flags[who.slot] & POINTING:
        raise Refusal("not-pointing", "a hand points only while the pose says so")
    row = rewind.row_at(t, asked.seen)
    hand, way = rewind.palm(t, who, asked.hand), direction(int(t.avatars.hand_rot[who.slot, asked.hand]))
    seen = met(t, who, row)
    offset = (seen.at - hand).astype(np.float64)
    along = offset @ way
    beside = np.einsum("ij,ij->i", offset, offset) - along * along
    hit = (along > 0) & (along <= POINT_MM_MAX) & (beside < seen.thick.astype(np.float64) ** 2)
    for i in sorted(np.flatnonzero(hit), key=lambda i: (along[i], i)):
        if not wall_between(t.plans[who.room], int(hand[0]), int(hand[2]), int(seen.at[i, 0]), int(seen.at[i, 2])):
            return _tell(t, who, Pointed(t.handle(who.slot), asked.hand, seen.what[i], seen.handle[i]))
    _tell(t, who, Pointed(t.handle(who.slot), asked.hand, "nothing", 0))


def touch(t: Tables, who: Resident, asked: Touch) -> None:
    """Touch what the hand is at; those who see it are told."""
    _need_rate(t, who)
    row = rewind.row_at(t, asked.seen)
    hand, felt = rewind.palm(t, who, asked.hand), met(t, who, row)
    mine = [i for i, what in enumerate(felt.what) if (what, felt.handle[i]) == (asked.what, asked.target)]
    if not mine:
        raise Refusal("no-such-target", f"no {asked.what} {asked.target} is in {t.room_of(who).slug}")
    far = felt.at[mine] - hand
    reach = felt.thick[mine] + TOUCH_MM
    if not (np.einsum("ij,ij->i", far, far) <= reach * reach).any():
        raise Refusal("too-far", f"the hand is farther than {TOUCH_MM} mm from it")
    _tell(t, who, Touched(t.handle(who.slot), asked.hand, asked.what, asked.target))


def _need_rate(t: Tables, who: Resident) -> None:
    due = t.rate_due(who.gesture_due, t.limits.gestures_per_s, BURST_S)
    if due < 0:
        raise Refusal("too-fast", f"{t.limits.gestures_per_s:g} gestures a second are allowed")
    who.gesture_due = due


def _tell(t: Tables, who: Resident, event: Pointed | Touched) -> None:
    other = t.resident_at(event.target) if event.what == "person" else None
    heroes.tell_those_near(t, who, event, -1 if other is None else other.slot)
    if other is not None:
        heroes.bond(t, who, other)
