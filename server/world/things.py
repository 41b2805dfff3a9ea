"""What can be carried: taking, holding out, putting down. One owner at a time, one thing in a hand.

Owns the owner and hand columns of things. Where a held thing is, is decided by `sim.motion.carry`.
"""

import numpy as np

from server.sim.motion import COORDINATE_MAX_MM
from server.world import heroes, rewind
from server.world.commands import Grab, Offer, Release
from server.world.events import Offered, ThingTaken
from server.world.plan import FLOOR_MM, rest_height, wall_between
from server.world.tables import SLOT_BITS, THING_GENERATION, Refusal, Resident, Tables

OFFER_REACH_MM = 2_000


def handle_of(thing: int) -> int:
    """The handle of a thing's slot."""
    return THING_GENERATION << SLOT_BITS | thing


def in_hand(t: Tables, slot: int, hand: int) -> int | None:
    """The thing an avatar holds in a hand."""
    return next((int(thing) for thing in t.held_by(slot) if int(t.things.hand[thing]) == hand), None)


def grab(t: Tables, who: Resident, asked: Grab) -> None:
    """Take a thing within reach that nobody holds, or that is held out to the asker."""
    t.need(who, "grab")
    thing = _need_thing(t, who, asked.thing)
    owner = int(t.things.owner[thing])
    if owner == who.slot:
        raise Refusal("held", "you hold that thing already")
    if owner >= 0 and t.offers.get(thing) != who.slot:
        raise Refusal("held", "somebody holds that thing and does not offer it to you")
    if in_hand(t, who.slot, asked.hand) is not None:
        raise Refusal("hand-full", "that hand holds something already")
    if not _in_reach(t, who, asked, thing):
        raise Refusal("too-far", f"the thing is farther than {t.limits.grab_mm_max} mm")
    t.offers.pop(thing, None)
    t.things.owner[thing], t.things.hand[thing] = who.slot, asked.hand
    _tell_taken(t, who.room, thing)


def _need_thing(t: Tables, who: Resident, handle: int) -> int:
    thing = handle & (1 << SLOT_BITS) - 1
    known = handle >> SLOT_BITS == THING_GENERATION and thing < len(t.things.alive)
    if not known or int(t.things.room[thing]) != who.room:
        raise Refusal("no-such-thing", f"no thing {handle} is in {t.room_of(who).slug}")
    return thing


def _in_reach(t: Tables, who: Resident, asked: Grab, thing: int) -> bool:
    """Near enough to the hand, or to the body between floor and eyes, when the person saw it."""
    at = rewind.thing_at(t, thing, rewind.row_at(t, asked.seen))
    x, y, z = (int(value) for value in t.avatars.head_mm[who.slot])
    body = np.array([x, min(max(int(at[1]), 0), y), z])
    reach = int(t.limits.grab_mm_max)
    return any(int(((at - near) ** 2).sum()) <= reach * reach for near in (rewind.palm(t, who, asked.hand), body))


def _tell_taken(t: Tables, room: int, thing: int) -> None:
    owner, row = int(t.things.owner[thing]), t.thing_rows[thing]
    by = t.handle(owner) if owner >= 0 else 0
    t.tell_room(room, ThingTaken(handle_of(thing), by, int(t.things.hand[thing]), row.name, row.kind))


def offer(t: Tables, who: Resident, asked: Offer) -> None:
    """Hold a thing out to somebody near, who may then grab it."""
    t.need(who, "grab")
    thing = in_hand(t, who.slot, asked.hand)
    if thing is None:
        raise Refusal("hand-empty", "that hand holds nothing")
    other = t.resident_at(asked.to)
    if other is None or other.room != who.room or other is who:
        raise Refusal("no-such-avatar", f"nobody else with avatar {asked.to} is in {t.room_of(who).slug}")
    (x, z), (ox, _, oz) = t.place(who.slot), rewind.head_at(t, other, rewind.row_at(t, asked.seen))
    if (x - int(ox)) ** 2 + (z - int(oz)) ** 2 > OFFER_REACH_MM**2:
        raise Refusal("too-far", f"they are farther than {OFFER_REACH_MM} mm")
    t.offers[thing] = other.slot
    heroes.bond(t, who, other)
    t.tell(other.client, Offered(handle_of(thing), t.handle(who.slot)))


def release(t: Tables, who: Resident, asked: Release) -> None:
    """Put down what the hand holds."""
    thing = in_hand(t, who.slot, asked.hand)
    if thing is None:
        raise Refusal("hand-empty", "that hand holds nothing")
    put_down(t, who, thing)


def put_down_all(t: Tables, who: Resident) -> None:
    """Put down whatever a person holds."""
    for thing in t.held_by(who.slot):
        put_down(t, who, int(thing))


def put_down(t: Tables, who: Resident, thing: int) -> None:
    """A thing leaves its hand and comes to rest below it; if nothing can lie there, at the feet."""
    slot, side = who.slot, int(t.things.hand[thing])
    plan, (x, z) = t.plans[who.room], t.place(slot)
    palm = [int(t.avatars.head_mm[slot, axis]) + int(t.avatars.hand_mm[slot, side, axis]) for axis in range(3)]
    palm = [min(max(value, -COORDINATE_MAX_MM), COORDINATE_MAX_MM) for value in palm]
    height = rest_height(plan, palm[0], palm[2], palm[1])
    if height is None or wall_between(plan, x, z, palm[0], palm[2]):
        palm, height = [x, 0, z], FLOOR_MM
    t.things.pos_mm[thing] = palm[0], height, palm[2]
    t.things.rot[thing] = t.avatars.hand_rot[slot, side]
    t.things.owner[thing], t.things.hand[thing] = -1, 0
    t.things.room[thing] = who.room
    t.offers.pop(thing, None)
    _tell_taken(t, who.room, thing)
