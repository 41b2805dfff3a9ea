"""Who sees which cells. Recomputed for those alone whose cell, or whose own heroes' cells, changed in the tick.

Owns the look of every guest. Never composes, never sends; the world says who stands where.
"""

import numpy as np
import numpy.typing as npt

from server.net.compose import Look
from server.sim.grid import FAR, HERO_CELL, neighbours
from server.world.world import World


class Looks:
    """What each connected client sees, by client number."""

    def __init__(self) -> None:
        self._looks: dict[int, Look] = {}
        self._cells: npt.NDArray[np.int16] = np.zeros(0, np.int16)  # of every slot, as of the last tick
        self._partners: dict[int, tuple[int, ...]] = {}  # client -> cells of their own heroes
        self._around: dict[tuple[int, int], tuple[int, ...]] = {}  # (room, cell) -> cells in view

    def enter(self, world: World, client: int) -> Look:
        """A client came into a room: what they see from now on."""
        look = self._looks[client] = self._look(world, client)
        return look

    def forget(self, client: int) -> None:
        """A client sees no room any more."""
        self._looks.pop(client, None)

    def changed(self, world: World) -> list[tuple[int, Look]]:
        """Clients that see other cells since the last call, with what they see now. To be called once a tick."""
        found = []
        for client in self._suspects(world):
            before = self._looks.get(client)
            if before is not None:
                now = self._look(world, client)
                if now != before:
                    self._looks[client] = now
                    found.append((client, now))
        return found

    def _suspects(self, world: World) -> list[int]:
        """Clients who may see other cells now."""
        avatars = world.avatars
        if len(self._cells) != len(avatars.cell):
            self._cells = np.full(len(avatars.cell), -1, np.int16)
        moved = np.flatnonzero(avatars.alive & (avatars.cell != self._cells))
        self._cells[:] = avatars.cell
        suspects = [world.client_of(int(slot)) for slot in moved]
        if world.bonds or self._partners:
            partners = {
                client: tuple(sorted({int(avatars.cell[slot]) for slot in slots}))
                for client, slots in world.all_heroes_of().items()
            }
            clients = {**self._partners, **partners}
            suspects += [one for one in clients if self._partners.get(one) != partners.get(one)]
            self._partners = partners
        return suspects

    def _look(self, world: World, client: int) -> Look:
        room, home = world.room_of(client), world.cell_of(client)
        around = self._around.get((room, home))
        if around is None:
            grid = world.cells(room)
            around = (0,) if grid.cells == 1 else (*neighbours(grid, home), HERO_CELL, FAR)
            self._around[room, home] = around
        own = self._partners.get(client, ())
        if len(around) == 1 or all(cell in around for cell in own):
            return Look(room, home, around)
        return Look(room, home, tuple(sorted({*around, *own})))
