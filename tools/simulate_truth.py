"""What there was to be seen in the last ticks of a simulation, and whether somebody saw it.

Owns copies of the world's columns, tick by tick, and who was to see which cells, worked out from the contract and not
from the code under test. Changes nothing.
"""

from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from server.sim.far import STEP_MM
from server.sim.grid import FAR, HERO_CELL, neighbours
from server.sim.snapshot import View, view_of
from server.sim.state import AvatarState, ThingState
from server.world.world import World
from tools.client import Client
from tools.frames import FarPerson
from tools.simulate_checks import need

TICKS_KEPT = 600  # a wire delays nothing for longer


class Looked(NamedTuple):
    """What somebody is to see: their room, the cell they stand in, and the cells of the floor in view."""

    room: int
    home: int
    cells: frozenset[int]


class Moment:
    """One tick of the world."""

    def __init__(self, world: World) -> None:
        self.tick = world.tick & 0xFFFFFFFF
        self.avatars = AvatarState._make(column.copy() for column in world.avatars)
        self.things = ThingState._make(column.copy() for column in world.things)
        self.halls = frozenset(room for room in range(len(world.rooms)) if world.cells(room).cells > 1)
        self.hero = np.zeros(len(self.avatars.alive), np.bool_)
        for room in self.halls:
            self.hero[world.heroes(room)] = True
        self.looks = {client: self._look(world, client) for client in world.attached()}
        self._blocks: dict[tuple[int, int], View] = {}

    def _look(self, world: World, client: int) -> Looked:
        room, home = world.room_of(client), world.cell_of(client)
        if room not in self.halls:
            return Looked(room, home, frozenset((0,)))
        partners = [int(self.avatars.cell[slot]) for slot in world.heroes_of(client)]
        return Looked(room, home, frozenset((*neighbours(world.cells(room), home), *partners)))

    def block(self, room: int, cell: int) -> View:
        """Who and what is in a block: heroes, and what they hold, are in one of their own."""
        found = self._blocks.get((room, cell))
        if found is None:
            found = self._blocks[room, cell] = self._block(room, cell)
        return found

    def _block(self, room: int, cell: int) -> View:
        avatars, things = self.avatars, self.things
        of = np.where(self.hero, HERO_CELL, avatars.cell)
        slots = np.flatnonzero(avatars.alive & (avatars.room == room) & (of == cell))
        held_by_hero = (things.owner >= 0) & self.hero[things.owner]
        where = np.where(held_by_hero, HERO_CELL, things.cell)
        shown = np.flatnonzero(things.alive & (things.room == room) & (where == cell))
        return view_of(avatars, things, room, slots, shown, self.tick)

    def members(self, room: int) -> set[int]:
        """Slots of everybody in a room."""
        return set(np.flatnonzero(self.avatars.alive & (self.avatars.room == room)).tolist())


class Truth:
    """The last moments, by tick."""

    def __init__(self, far_parts: int) -> None:
        self.moments: OrderedDict[int, Moment] = OrderedDict()
        self._parts = far_parts

    def note(self, world: World) -> None:
        """A tick is over."""
        moment = Moment(world)
        self.moments[moment.tick] = moment
        self.moments.move_to_end(moment.tick)
        while len(self.moments) > TICKS_KEPT:
            self.moments.popitem(last=False)

    def saw(self, name: str, client: Client, number: int) -> None:
        """A client took in a frame: it lists what is to be seen, and shows it as it is.

        `number`: their client number. A frame of a room they have left since, or of before a crash, is none of ours.
        """
        frame = client.seen.frame
        moment = self.moments.get(frame.tick)
        need(moment is not None, "view", f"{name} was shown tick {frame.tick}, which there was not")
        assert moment is not None
        look = moment.looks.get(number)
        need(look is not None and look.room == frame.room, "right", f"{name} was shown room {frame.room}: {look}")
        assert look is not None
        need(frame.home == look.home, "view", f"{name} stands in cell {look.home}, was told {frame.home}")
        self._listed(name, moment, look, [cell for cell, _ in frame.blocks])
        for cell, body in frame.blocks:
            if cell == FAR:
                self._far(name, client, moment, body)
            elif cell in client.seen.blocks and client.seen.blocks[cell].tick == frame.tick:
                self._same(name, client.seen.blocks[cell], moment.block(frame.room, cell), cell)

    def _listed(self, name: str, moment: Moment, look: Looked, cells: list[int]) -> None:
        """Every block in view with somebody or something in it is listed, and no block that is not in view."""
        hall = look.room in moment.halls
        allowed = look.cells | ({HERO_CELL, FAR} if hall else set())
        need(
            set(cells) <= allowed, "right", f"{name} in cell {look.home} was shown cells {sorted(set(cells) - allowed)}"
        )
        for cell in sorted(look.cells | ({HERO_CELL} if hall else set())):
            truth = moment.block(look.room, cell)
            there = len(truth.rows) + len(truth.things)
            need(cell in cells or not there, "view", f"{name} was not told of cell {cell} in tick {moment.tick}")
        need(FAR in cells or not hall, "view", f"{name} was not shown who is far in tick {moment.tick}")

    def _same(self, name: str, seen: View, truth: View, cell: int) -> None:
        where = f"of cell {cell} in tick {truth.tick}"
        slots, there = seen.slots.tolist(), truth.slots.tolist()
        need(slots == there, "view", f"{name} sees {slots} {where}, there are {there}")
        need(np.array_equal(seen.rows, truth.rows), "view", f"{name} sees somebody {where} otherwise than they are")
        need(np.array_equal(seen.things, truth.things), "view", f"{name} sees things {where} otherwise than they are")

    def _far(self, name: str, client: Client, moment: Moment, body: bytes) -> None:
        """The far part of a tick shows its tenth of the room, all of it, near enough to the truth."""
        if not body:
            return  # held back
        part = moment.tick % self._parts
        shown = {slot: one for slot, one in client.seen.everybody.items() if slot % self._parts == part}
        there = {slot for slot in moment.members(client.seen.frame.room) if slot % self._parts == part}
        need(
            set(shown) == there,
            "view",
            f"{name} sees {sorted(shown)} from far in tick {moment.tick}, there are {sorted(there)}",
        )
        for slot, person in shown.items():
            self._near_enough(name, slot, person, moment)

    def _near_enough(self, name: str, slot: int, person: FarPerson, moment: Moment) -> None:
        head = moment.avatars.head_mm[slot]
        off = max(abs(int(head[axis]) - person.head_mm[axis]) for axis in (0, 2))
        need(off <= STEP_MM // 2, "view", f"{name} sees slot {slot} {off} mm off from far in tick {moment.tick}")

    def whole(self, client: Client, number: int, stale: int) -> bool:
        """Whether a client sees all there is: everybody from far, and every block in view as of its newest frame.

        `stale`: so many ticks older it may be, where not every tick has room for every block.
        """
        frame = client.seen.frame
        moment = self.moments.get(frame.tick)
        look = None if moment is None else moment.looks.get(number)
        if moment is None or look is None or look.room != frame.room:
            return False
        cells = look.cells | ({HERO_CELL} if look.room in moment.halls else set())
        for cell in cells:
            truth, seen = moment.block(look.room, cell), client.seen.blocks.get(cell)
            if len(truth.rows) + len(truth.things) and (seen is None or seen.tick < frame.tick - stale):
                return False
        return look.room not in moment.halls or set(client.seen.everybody) == moment.members(look.room)
