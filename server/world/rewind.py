"""Judging reach at the time a person saw: where others, things and hands were then.

Owns the rule: a command that carries `seen` is judged by others' places at that tick, at most `limits.rewind_s` ago,
and by one's own place now. Who was not there yet then is judged by where they are now.
"""

import numpy as np
import numpy.typing as npt

from server.world.tables import Resident, Tables

Place = npt.NDArray[np.int64]  # (3,) mm


def row_at(t: Tables, seen: int) -> int:
    """The ring's row of what a person saw; -1 for now (0 says so, and so does a tick not yet published)."""
    if seen == 0 or seen >= t.tick - 1:
        return -1
    tick = max(seen, t.tick - len(t.ring.tick))
    row = tick % len(t.ring.tick)
    return row if int(t.ring.tick[row]) == tick else -1


def head_at(t: Tables, who: Resident, row: int) -> Place:
    """Where somebody's head was."""
    then = row >= 0 and int(t.ring.room[row, who.slot]) == who.room
    head: Place = (t.ring.head_mm[row] if then else t.avatars.head_mm)[who.slot].astype(np.int64)
    return head


def thing_at(t: Tables, thing: int, row: int) -> Place:
    """Where a thing was: in the hand of who held it, or where it lay."""
    place: Place = (t.ring.thing_mm[row] if row >= 0 else t.things.pos_mm)[thing].astype(np.int64)
    return place


def heads_at(t: Tables, room: int, but: int, row: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Slots (n,) of those in a room now, without `but`, and their heads (n, 3) then."""
    slots = t.members(room)
    slots = slots[slots != but]
    heads = t.avatars.head_mm[slots].astype(np.int64)
    if row >= 0:
        then = t.ring.room[row, slots] == room
        heads[then] = t.ring.head_mm[row, slots[then]]
    return slots, heads


def palm(t: Tables, who: Resident, hand: int) -> Place:
    """Where one's own hand is now."""
    place: Place = t.avatars.head_mm[who.slot].astype(np.int64) + t.avatars.hand_mm[who.slot, hand]
    return place
