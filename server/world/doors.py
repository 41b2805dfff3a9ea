"""Who gets into which room: doors, waiting rooms, locks, and what coming in means.

Owns every change of an avatar's room. Never makes or ends a stay: `world.people` does.
"""

import numpy as np

from server.sim.grid import NO_CELL
from server.sim.motion import first_clear
from server.sim.poses import AWAY, MUTED, SEATED
from server.world import beds, heroes
from server.world.commands import Admit, Go, Lock
from server.world.events import (
    PersonLeft,
    RoomEntered,
    RoomLocked,
    ThingInfo,
    ThingTaken,
    Waiting,
    WaitingList,
    YouWait,
)
from server.world.plan import Spot
from server.world.policy import may, may_admit, must_wait, rights_of, who_may
from server.world.tables import SLOT_BITS, THING_GENERATION, Refusal, Resident, Tables

DOOR_REACH_MM = 1_500
SPAWN_CLEAR_MM = 450  # a spawn point with nobody this near is taken first
THINGS_SHOWN_MAX = 255  # of one room, on the wire
EYES_MM = 1_650  # of somebody who has not yet said otherwise


def need_entry(t: Tables, role: str, room: int) -> None:
    """Refuse unless a person of that role may come into the room now."""
    file = t.rooms[room]
    if not may(role, "enter", file):  # type: ignore[arg-type]
        raise Refusal("may-not-enter", f"a {role} may not enter {file.slug}, allowed are: {who_may('enter', file)}")
    if t.locked[room]:
        raise Refusal("room-locked", f"{file.slug} is locked: nobody new may come in until it is unlocked")


def need_space(t: Tables, room: int, things: int = 0) -> None:
    """Refuse unless one more person, carrying `things`, fits into the room."""
    file = t.rooms[room]
    if len(t.members(room)) >= file.capacity:
        raise Refusal("room-full", f"{file.slug} is full, {file.capacity} people are allowed")
    if things and len(t.things_in(room)) + things > THINGS_SHOWN_MAX:
        raise Refusal("too-many-things", f"{file.slug} would hold more than {THINGS_SHOWN_MAX} things")


def need_waiting_place(t: Tables, room: int) -> int:
    """The room where one waits for `room`; refuses if too many wait already."""
    waiting = sum(1 for other in t.waiting.values() if other == room)
    if waiting >= t.limits.waiting_max:
        raise Refusal("waiting-full", f"{waiting} people wait for {t.rooms[room].slug}, more are not allowed")
    return t.room_index[t.rooms[room].waiting_room]


def spawn_spot(t: Tables, room: int) -> Spot:
    """The next spawn point in turn, preferring one that nobody stands on."""
    plan, start = t.plans[room], t.next_spawn[room]
    places = t.avatars.head_mm[t.members(room)][:, (0, 2)].astype(np.int64)
    number = first_clear(plan.spawn_mm, places, start, SPAWN_CLEAR_MM)
    t.next_spawn[room] = (number + 1) % len(plan.spawns)
    return plan.spawns[number]


# --- coming in -------------------------------------------------------------------------------------------------------


def stand_at(t: Tables, who: Resident, spot: Spot) -> None:
    """Put a body on the floor of its room, at rest."""
    slot = who.slot
    t.avatars.head_mm[slot, 0], t.avatars.head_mm[slot, 2] = spot.x_mm, spot.z_mm
    t.avatars.yaw[slot] = spot.yaw
    t.avatars.cell[slot] = NO_CELL
    t.intents.wish_mm_s[slot] = 0
    t.intents.wish_ticks[slot] = 0
    t.intents.carry_mm[slot] = 0


def get_up(t: Tables, who: Resident) -> None:
    """Leave the seat, if any."""
    t.seated.pop((who.room, who.seat), None)
    who.seat = -1


def refresh_flags(t: Tables, who: Resident) -> None:
    """Bring the flags of an avatar in line with the tables."""
    allowed = t.flags_allowed(who)
    t.intents.flags_allowed[who.slot] = allowed
    kept = int(t.avatars.flags[who.slot]) & allowed
    seated = SEATED if who.seat >= 0 else 0
    away = AWAY if who.away_since >= 0 else 0
    muted = MUTED if t.muted(who) else 0
    t.avatars.flags[who.slot] = kept | seated | away | muted


def show_room(t: Tables, who: Resident) -> None:
    """Tell a person where they are and what is there."""
    plan, room = t.plans[who.room], t.rooms[who.room]
    things = [
        ThingInfo(THING_GENERATION << SLOT_BITS | int(slot), t.thing_rows[slot].name, t.thing_rows[slot].kind)
        for slot in t.things_in(who.room)
    ]
    t.tell(who.client, RoomEntered(
        room=room.slug,
        room_index=who.room,
        avatar=t.handle(who.slot),
        role=who.role,
        scene=plan.scene,
        people=[t.person_row(other) for other in t.people_in(who.room)],
        things=things,
        rights=rights_of(who.role, room),
        locked=t.locked[who.room],
        waiting=waiting_for(t, who.room) if may_admit(who.role, room) else [],
        first_bed=plan.first_bed,
    ))  # fmt: skip
    if who.client in t.waiting:
        tell_wait(t, who)


def enter(t: Tables, who: Resident, room: int, spot: Spot) -> None:
    """Put a person into a room with what they hold. Others there hear of it first, then the person."""
    who.room = room
    t.avatars.room[who.slot] = room
    stand_at(t, who, spot)
    refresh_flags(t, who)
    t.tell_of(who)
    for slot in t.held_by(who.slot):
        t.things.room[slot] = room
        row = t.thing_rows[slot]
        handle = THING_GENERATION << SLOT_BITS | int(slot)
        t.tell_room(room, ThingTaken(handle, t.handle(who.slot), int(t.things.hand[slot]), row.name, row.kind))
    show_room(t, who)
    beds.ask_all(t, who)


def leave_room(t: Tables, who: Resident) -> None:
    """Undo what ties a person to the room they are in: bed viewing, offers, waiting. They still stand there."""
    beds.close_all(t, who)
    forget_offers(t, who.slot)
    heroes.forget(t, who)
    get_up(t, who)
    stop_waiting(t, who.client)


def left_room(t: Tables, room: int, handle: int, reason: str) -> None:
    """Tell those who stay; a lock ends with the last one in the room."""
    t.tell_room(room, PersonLeft(handle, reason))
    if t.locked[room] and not len(t.members(room)):
        t.locked[room] = False


def forget_offers(t: Tables, slot: int) -> None:
    """Nothing is held out by or to this avatar any more."""
    for thing, to in list(t.offers.items()):
        if to == slot or int(t.things.owner[thing]) == slot:
            del t.offers[thing]


def move(t: Tables, who: Resident, room: int, spot: Spot) -> None:
    """Take a person from one room to another; identity, hands and held things go with them."""
    before = who.room
    leave_room(t, who)
    enter(t, who, room, spot)
    left_room(t, before, t.handle(who.slot), f"went to {t.rooms[room].slug}")


def go(t: Tables, who: Resident, asked: Go) -> None:
    """Walk through a door, or begin to wait at it."""
    target = t.room_index.get(asked.room, -1)
    door = next((door for door in t.plans[who.room].doors if door.to == target), None)
    if door is None:
        raise Refusal("no-such-door", f"no door of {t.room_of(who).slug} leads to {asked.room}")
    x, z = t.place(who.slot)
    if (x - door.x_mm) ** 2 + (z - door.z_mm) ** 2 > DOOR_REACH_MM**2:
        raise Refusal("too-far", f"the door to {asked.room} is farther than {DOOR_REACH_MM} mm")
    if who.seat >= 0:
        raise Refusal("seated", "stand up first")
    need_entry(t, who.role, target)
    if must_wait(who.role, t.rooms[target]):
        return _wait_at_door(t, who, target)
    need_space(t, target, len(t.held_by(who.slot)))
    back = next((other for other in t.plans[target].doors if other.to == who.room), None)
    move(t, who, target, back.arrive if back is not None else spawn_spot(t, target))


# --- waiting ---------------------------------------------------------------------------------------------------------


def _wait_at_door(t: Tables, who: Resident, room: int) -> None:
    if t.waiting.get(who.client) == room:
        raise Refusal("already-waiting", f"you wait for {t.rooms[room].slug} already")
    place = need_waiting_place(t, room)
    if place != who.room:
        need_entry(t, who.role, place)
        need_space(t, place, len(t.held_by(who.slot)))
        move(t, who, place, spawn_spot(t, place))
    stop_waiting(t, who.client)
    start_waiting(t, who, room)


def start_waiting(t: Tables, who: Resident, room: int) -> None:
    """Put a person on a room's waiting list."""
    t.waiting[who.client] = room
    tell_wait(t, who)
    tell_waiting(t, room)


def tell_wait(t: Tables, who: Resident) -> None:
    """Tell a person what they wait for."""
    room = t.rooms[t.waiting[who.client]]
    t.tell(who.client, YouWait(room.slug, f"You will be let into {room.title} by somebody inside."))


def stop_waiting(t: Tables, client: int) -> None:
    """Take a person off whatever list they are on and tell those who admit."""
    room = t.waiting.pop(client, None)
    if room is not None:
        tell_waiting(t, room)


def waiting_for(t: Tables, room: int) -> list[Waiting]:
    """Who waits for a room, in the order they came."""
    return [
        Waiting(t.handle_of(client), t.residents[client].name, t.residents[client].role)
        for client, wanted in t.waiting.items()
        if wanted == room
    ]


def tell_waiting(t: Tables, room: int) -> None:
    """Send the waiting list to everybody in the room who may admit."""
    rows = waiting_for(t, room)
    for other in t.people_in(room):
        if may_admit(other.role, t.rooms[room]):
            t.tell(other.client, WaitingList(rows))


def admit(t: Tables, who: Resident, asked: Admit) -> None:
    """Let a waiting person in, or turn them away."""
    room = t.room_of(who)
    if not may_admit(who.role, room):
        raise Refusal("may-not-admit", f"a {who.role} may not admit to {room.slug}")
    guest = t.resident_at(asked.who)
    if guest is None or t.waiting.get(guest.client) != who.room:
        raise Refusal("not-waiting", f"nobody with that avatar waits for {room.slug}")
    if not asked.allow:
        stop_waiting(t, guest.client)
        t.tell(guest.client, YouWait("", f"You cannot be let into {room.title} now."))
        return
    need_entry(t, guest.role, who.room)
    need_space(t, who.room, len(t.held_by(guest.slot)))
    stop_waiting(t, guest.client)
    t.tell(guest.client, YouWait("", f"You were let into {room.title}."))
    move(t, guest, who.room, spawn_spot(t, who.room))


def lock(t: Tables, who: Resident, asked: Lock) -> None:
    """Lock or unlock the asker's room."""
    t.need(who, "moderate")
    if t.locked[who.room] != asked.on:
        t.locked[who.room] = asked.on
        t.tell_room(who.room, RoomLocked(asked.on))
