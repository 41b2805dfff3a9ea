"""Whom one sees as if they were near, wherever in a hall they stand: who speaks to all, and those one has to do with.

Owns the heroes of halls and the bonds between two people, each with an end. Rooms of few people need neither: there
everybody is near. Never decides what is sent.
"""

import numpy as np
import numpy.typing as npt

from server.sim.grid import neighbours
from server.sim.poses import RAISED, SPEAKING
from server.world.tables import Resident, Tables

SPEECH_PAUSE_S = 2.0  # who spoke to all stays near for so long
BOND_S = 10.0  # so do two people after they had to do with each other
BONDS_MAX = 4096


def update(t: Tables) -> None:
    """Who speaks in a hall, by their role or with a raised hand, is near for all there; bonds come to their end."""
    speaking = t.avatars.alive & (t.avatars.flags & SPEAKING != 0)
    if speaking.any():
        _hear(t, np.flatnonzero(speaking & t.in_hall[t.avatars.room]))
    for pair in [pair for pair, until in t.bonds.items() if until <= t.tick]:
        del t.bonds[pair]


def _hear(t: Tables, slots: npt.NDArray[np.int64]) -> None:
    until = t.tick + round(SPEECH_PAUSE_S * t.tick_hz)
    for slot in slots:
        who = t.residents[t.client_at[int(slot)]]
        if who.role not in t.rooms[who.room].present and not t.avatars.flags[slot] & RAISED:
            continue
        if t.hero_until[slot] > t.tick or len(heroes(t, who.room)) < t.limits.heroes_max:
            t.hero_until[slot] = until


def heroes(t: Tables, room: int) -> npt.NDArray[np.int64]:
    """Slots of those whom everybody in a hall sees as if near, ascending; nobody in a room of one cell."""
    if not t.in_hall[room]:
        return np.zeros(0, np.int64)
    return np.flatnonzero((t.hero_until > t.tick) & t.avatars.alive & (t.avatars.room == room))


def bond(t: Tables, one: Resident, other: Resident) -> None:
    """Two people have to do with each other: each is near for the other for a while."""
    pair = min(one.client, other.client), max(one.client, other.client)
    t.bonds.pop(pair, None)
    t.bonds[pair] = t.tick + round(BOND_S * t.tick_hz)
    while len(t.bonds) > BONDS_MAX:
        del t.bonds[next(iter(t.bonds))]


def tell_those_near(t: Tables, who: Resident, event: object, also: int = -1) -> None:
    """Note an event for those who see somebody in full: the room, or in a hall those in the cells around.

    `also` is the slot of one in the same room who is told in any case, -1 for nobody; everybody is told once.
    """
    if not t.in_hall[who.room] or t.hero_until[who.slot] > t.tick:
        return t.tell_room(who.room, event)
    near = neighbours(t.grids[who.room], int(t.avatars.cell[who.slot]))
    told = np.isin(t.avatars.cell, near)
    if also >= 0:
        told[also] = True
    for slot in np.flatnonzero((t.avatars.room == who.room) & t.avatars.alive & told):
        t.tell(t.client_at[int(slot)], event)


def partners(t: Tables, who: Resident) -> tuple[int, ...]:
    """Slots of those in the same hall with whom somebody has a bond, ascending; the newest bonds if there are many."""
    if not t.bonds or not t.in_hall[who.room]:
        return ()
    others = [pair[0] + pair[1] - who.client for pair in reversed(t.bonds) if who.client in pair]
    here = [t.residents[o].slot for o in others if o in t.residents and t.residents[o].room == who.room]
    return tuple(sorted(here[: int(t.limits.own_heroes_max)]))


def all_partners(t: Tables) -> dict[int, tuple[int, ...]]:
    """The same for everybody who has a bond in a hall, by client, in one pass over the bonds."""
    found: dict[int, list[int]] = {}
    for pair in reversed(t.bonds):
        one, other = (t.residents.get(client) for client in pair)
        if one is None or other is None or one.room != other.room or not t.in_hall[one.room]:
            continue
        found.setdefault(one.client, []).append(other.slot)
        found.setdefault(other.client, []).append(one.slot)
    most = int(t.limits.own_heroes_max)
    return {client: tuple(sorted(slots[:most])) for client, slots in found.items()}


def forget(t: Tables, who: Resident) -> None:
    """Somebody leaves a room: nobody's hero any more."""
    t.hero_until[who.slot] = 0
    for pair in [pair for pair in t.bonds if who.client in pair]:
        del t.bonds[pair]
