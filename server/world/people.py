"""Stays: joining, being away, coming back, leaving; standing, sitting, jumping and talking.

Owns slots and residents. Where a person may be is decided in `world.doors`.
"""

import numpy as np
import numpy.typing as npt

from server.sim.ring import forget
from server.sim.state import IDENTITY, new_avatars, new_intents
from server.world import beds, doors, things
from server.world.commands import Detach, Join, Leave, Resume, Say, Sit, Stand, Teleport
from server.world.events import Said, SessionOver
from server.world.plan import Spot, free, wall_between
from server.world.policy import must_wait
from server.world.tables import GENERATION_MAX, Refusal, Resident, Tables

SIT_REACH_MM = 1_500
CHAT_BURST_S = 2.0  # this many seconds' worth of lines may come at once
HANDS_MM = ((-220, -600, -150), (220, -600, -150))  # of somebody who looks along -z and has not yet said otherwise
_BLANK: tuple[npt.NDArray[np.generic], ...] = (*new_avatars(1), *new_intents(1))


def clean_row(t: Tables, slot: int) -> None:
    """A free slot's row is as if it had never been used."""
    columns: tuple[npt.NDArray[np.generic], ...] = (*t.avatars, *t.intents)
    for column, blank in zip(columns, _BLANK, strict=True):
        column[slot] = blank[0]
    forget(t.ring, slot)


# --- coming and going ------------------------------------------------------------------------------------------------


def join(t: Tables, client: int, asked: Join) -> None:
    """A verified person comes in, to the room or to the place where one waits for it."""
    _need_welcome(t, client, asked)
    room = t.room_index[asked.room]
    doors.need_entry(t, asked.role, room)
    place = room
    if must_wait(asked.role, t.rooms[room]):
        place = doors.need_waiting_place(t, room)
        doors.need_entry(t, asked.role, place)
    doors.need_space(t, place)
    before = next((r for r in t.residents.values() if r.person == asked.person), None)
    if before is not None:
        end(t, before, "joined again")
        t.tell_shard(SessionOver(before.client, "joined again"))
    who = Resident(client, _take_slot(t), asked.name, asked.role, asked.person, asked.resume_hash, place)
    t.residents[client] = who
    t.client_at[who.slot] = client
    t.stays_changed()
    t.resumes[who.resume_hash] = client
    _stand_up_new(t, who)
    doors.enter(t, who, place, doors.spawn_spot(t, place))
    if place != room:
        doors.start_waiting(t, who, room)


def _need_welcome(t: Tables, client: int, asked: Join) -> None:
    if client in t.residents:
        raise Refusal("already-here", "this client has joined already")
    if asked.person in t.bans:
        raise Refusal("banned", "this person is banned from this house")
    if asked.room not in t.room_index:
        raise Refusal("no-such-room", f"there is no room {asked.room}, allowed are: {', '.join(t.room_index)}")
    if not asked.name.isprintable() or not asked.name.strip():
        raise Refusal("bad-name", "a name has 1 to 40 printable characters")
    if asked.invite:
        invite = t.invites.get(asked.invite)
        if invite is None or (invite.room, invite.role) != (asked.room, asked.role):
            raise Refusal("invite", "the invite was withdrawn: ask for a new one")
    if asked.resume_hash in t.resumes:
        raise Refusal("already-here", "this resume secret is in use")
    before = next((r for r in t.residents.values() if r.person == asked.person), None)
    if before is not None and before.away_since < 0:
        raise Refusal("already-here", "this person is here already: leave there first, or use another browser profile")
    if before is None and len(t.residents) >= len(t.avatars.alive):
        raise Refusal("house-full", f"the house is full, {len(t.avatars.alive)} people are allowed")


def _take_slot(t: Tables) -> int:
    slot = int(np.argmin(t.avatars.alive))  # the first that is free: who came here has checked that there is one
    t.generation[slot] = t.generation[slot] % GENERATION_MAX + 1
    t.slots_used = max(t.slots_used, slot + 1)
    return slot


def _stand_up_new(t: Tables, who: Resident) -> None:
    slot = who.slot
    t.avatars.alive[slot] = True
    t.avatars.head_mm[slot, 1] = t.intents.head_y_mm[slot] = doors.EYES_MM
    t.avatars.hand_mm[slot] = t.intents.hand_mm[slot] = HANDS_MM
    t.avatars.head_rot[slot] = IDENTITY


def end(t: Tables, who: Resident, reason: str) -> None:
    """A stay is over: what they held is put down, their slot is free."""
    things.put_down_all(t, who)
    doors.leave_room(t, who)
    handle = t.handle(who.slot)
    clean_row(t, who.slot)
    t.person_rows.pop(who.slot, None)
    del t.client_at[who.slot], t.resumes[who.resume_hash], t.residents[who.client]
    t.stays_changed()
    doors.left_room(t, who.room, handle, reason)


def leave(t: Tables, client: int, asked: Leave) -> None:
    """The person is gone for good; nothing if they never came in."""
    who = t.residents.get(client)
    if who is not None:
        end(t, who, asked.reason)


def detach(t: Tables, client: int, _asked: Detach) -> None:
    """The connection is gone: the seat is held. Nothing if they are away already or never came in."""
    who = t.residents.get(client)
    if who is None or who.away_since >= 0:
        return
    who.away_since = t.tick
    t.intents.wish_mm_s[who.slot] = 0
    t.intents.wish_ticks[who.slot] = 0
    doors.refresh_flags(t, who)
    t.tell_of(who)


def resume(t: Tables, client: int, asked: Resume) -> None:
    """The person is back where they were, and is told all over again what is there."""
    who = t.residents.get(client)
    if who is None:
        raise Refusal("seat-gone", "that seat is not held any more: join again")
    assert t.resumes.get(asked.resume_hash, client) == client, "the shard makes every secret anew"
    del t.resumes[who.resume_hash]
    who.resume_hash = asked.resume_hash
    t.resumes[who.resume_hash] = client
    who.away_since = -1
    doors.refresh_flags(t, who)
    t.tell_of(who)
    doors.show_room(t, who)
    beds.tell_again(t, who)
    beds.ask_all(t, who)


def end_held_seats(t: Tables) -> None:
    """Whoever has been away for longer than a seat is held is gone."""
    hold = round(t.limits.seat_hold_s * t.tick_hz)
    over = [r for r in t.residents.values() if r.away_since >= 0 and t.tick - r.away_since >= hold]
    for who in over:
        end(t, who, "did not come back")
        t.tell_shard(SessionOver(who.client, "seat hold over"))


# --- on one's feet ---------------------------------------------------------------------------------------------------


def teleport(t: Tables, who: Resident, asked: Teleport) -> None:
    """Jump to free floor of the room."""
    if who.seat >= 0:
        raise Refusal("seated", "stand up first")
    x, z = t.place(who.slot)
    reach = int(t.limits.teleport_mm_max)
    if (asked.x_mm - x) ** 2 + (asked.z_mm - z) ** 2 > reach * reach:
        raise Refusal("too-far", f"the place is farther than {reach} mm")
    if not free(t.floor, who.room, t.rules.radius_mm, asked.x_mm, asked.z_mm):
        raise Refusal("not-free", "there is no free floor at that place of the room")
    if wall_between(t.plans[who.room], x, z, asked.x_mm, asked.z_mm):
        raise Refusal("wall-between", "a wall stands between here and there")
    doors.stand_at(t, who, Spot(asked.x_mm, asked.z_mm, int(t.avatars.yaw[who.slot])))


def sit(t: Tables, who: Resident, asked: Sit) -> None:
    """Take a free seat within reach."""
    seats = t.plans[who.room].seats
    if asked.seat >= len(seats):
        raise Refusal("no-such-seat", f"seat {asked.seat} was named, {t.room_of(who).slug} has {len(seats)}")
    if who.seat >= 0:
        raise Refusal("seated", f"you sit on seat {who.seat}: stand up first")
    if (who.room, asked.seat) in t.seated:
        raise Refusal("seat-taken", f"seat {asked.seat} is taken")
    seat, (x, z) = seats[asked.seat], t.place(who.slot)
    if (seat.spot.x_mm - x) ** 2 + (seat.spot.z_mm - z) ** 2 > SIT_REACH_MM**2:
        raise Refusal("too-far", f"seat {asked.seat} is farther than {SIT_REACH_MM} mm")
    who.seat = asked.seat
    t.seated[who.room, asked.seat] = who.client
    t.intents.head_y_mm[who.slot] = seat.eyes_mm
    doors.stand_at(t, who, seat.spot)
    doors.refresh_flags(t, who)


def stand(t: Tables, who: Resident, _asked: Stand) -> None:
    """Leave the seat."""
    if who.seat < 0:
        raise Refusal("not-seated", "you do not sit")
    doors.get_up(t, who)
    t.intents.head_y_mm[who.slot] = doors.EYES_MM
    doors.refresh_flags(t, who)


# --- talking ---------------------------------------------------------------------------------------------------------


def say(t: Tables, who: Resident, asked: Say) -> None:
    """Text chat to the room, at `chat_per_s` lines with a small burst."""
    t.need(who, "speak")
    if t.muted(who):
        raise Refusal("muted", "a moderator has muted you")
    if not asked.text.strip():
        raise Refusal("empty", "a line of chat has at least one visible character")
    due = t.rate_due(who.chat_due, t.limits.chat_per_s, CHAT_BURST_S)
    if due < 0:
        raise Refusal("too-fast", f"{t.limits.chat_per_s:g} lines a second are allowed")
    who.chat_due = due
    t.tell_room(who.room, Said(t.handle(who.slot), who.name, asked.text))
