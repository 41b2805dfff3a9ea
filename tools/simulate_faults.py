"""What goes wrong in a simulation, and when: drawn from its seed before it begins.

Owns the plan, the journal that a machine dies in, and the wires' faults. Carries nothing out: `tools.simulate_system`
does.
"""

from collections.abc import Sequence
from random import Random
from typing import Literal, NamedTuple

from server.journal import Journal, segments
from server.sim.poses import PoseBatch
from server.world.commands import Command
from tools.faulty_disk import Crash
from tools.link import Faults

Fault = Literal[
    "client-crash", "client-forgets", "reader-stops", "ledger-away", "ledger-dies", "ledger-full", "shard-dies",
    "edge-dies", "rude", "burst",
]  # fmt: skip
WEIGHTS: dict[Fault, float] = {
    "client-crash": 8, "client-forgets": 3, "reader-stops": 6, "ledger-away": 3, "ledger-dies": 3, "ledger-full": 1,
    "shard-dies": 2.5, "edge-dies": 2.5, "rude": 5, "burst": 2,
}  # fmt: skip
EVERY_TICKS = 22  # one fault in so many ticks, on average
WIRES: tuple[Faults, ...] = (
    Faults(),
    Faults(delay_s=0.03),
    Faults(delay_s=0.08, jitter_s=0.06),
    Faults(delay_s=0.02, loss=0.02, stall_s=0.3),
    Faults(delay_s=0.02, rate_bytes_s=30_000.0),
    Faults(delay_s=0.05, cut_every_s=4.0, cut_s=0.8, ends=0.4),
)


class Planned(NamedTuple):
    """One fault: when, what, and a number by which to draw whom it meets and how."""

    tick: int
    fault: Fault
    draw: int


def plan(seed: int, ticks: int) -> list[Planned]:
    """The faults of a run, in order; the last of them begins well before its end."""
    dice = Random(f"{seed}/faults")
    made: list[Planned] = []
    tick = 0
    while True:
        tick += 1 + int(dice.expovariate(1 / EVERY_TICKS))
        if tick >= ticks:
            return made
        made.append(Planned(tick, dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0], dice.randrange(1 << 32)))


class DyingJournal(Journal):
    """A journal whose machine can be told to die at the next record: "before" it, in the middle ("torn") or "after"."""

    dies: Literal["", "before", "torn", "after"] = ""
    last: tuple[Sequence[Command], PoseBatch] | None = None

    def append(self, tick: int, digest: bytes, commands: Sequence[Command], poses: PoseBatch) -> None:
        """See Journal. Raises Crash as told."""
        if self.dies == "before":
            raise Crash
        self.last = (list(commands), poses)
        if not self.dies:
            super().append(tick, digest, commands, poses)
            return
        path = segments(self.folder)[-1]
        before = path.stat().st_size
        super().append(tick, digest, commands, poses)
        self.close()
        if self.dies == "torn":
            with path.open("rb+") as file:
                file.truncate(before + (path.stat().st_size - before) // 2)
        raise Crash
