"""When the next tick is due, and how the past ones went. Owns the schedule and its figures; never reads a clock.

The schedule is drift-free: tick n is due at start + n * dt. A shard that falls behind runs its ticks back to back
without publishing every one of them (`thin`); behind by more than `SLIP_S` the schedule itself moves, which is counted.
"""

import numpy as np

SLIP_S = 0.5
RING = 2048
PHASES = ("drain", "journal", "step", "publish", "commit")


class Pacer:
    """The schedule of one shard at `tick_hz`, from `start_s` on (monotonic seconds, as every time here)."""

    def __init__(self, tick_hz: int, start_s: float) -> None:
        self.dt_s = 1.0 / tick_hz
        self.over_budget = 0
        self.thinned = 0
        self.slips = 0
        self._start_s = start_s
        self._ticks = 0
        self._late_s = 0.0
        self._rows = np.zeros((RING, len(PHASES)))
        self._filled = 0

    @property
    def due_s(self) -> float:
        """When the next tick shall start."""
        return self._start_s + self._ticks * self.dt_s

    def begin(self, now_s: float) -> None:
        """A tick starts; moves the schedule if it has fallen hopelessly behind."""
        self._late_s = now_s - self.due_s
        if self._late_s > SLIP_S:
            self._start_s += self._late_s
            self.slips += 1
            self._late_s = 0.0
        self._ticks += 1

    @property
    def thin(self) -> bool:
        """Whether this tick should leave out its snapshots: it started over one dt late, and is an odd one."""
        return self._late_s > self.dt_s and self._ticks % 2 == 1

    def end(self, phases_s: tuple[float, ...]) -> None:
        """A tick ended; its phases took `phases_s` seconds, in the order of PHASES."""
        self._rows[self._filled % RING] = phases_s
        self._filled += 1
        if sum(phases_s) > self.dt_s:
            self.over_budget += 1

    def forget(self) -> None:
        """The percentiles begin anew; the schedule and the counters go on."""
        self._filled = 0

    def figures(self) -> dict[str, float]:
        """Percentiles over the last `RING` ticks in ms, and the counters, by metric name."""
        rows = self._rows[: min(self._filled, RING)] * 1000.0
        if not len(rows):
            return {}
        totals = rows.sum(axis=1)
        figures = {
            "tick_ms_p50": float(np.percentile(totals, 50)),
            "tick_ms_p99": float(np.percentile(totals, 99)),
            "ticks_total": float(self._ticks),
            "ticks_over_budget_total": float(self.over_budget),
            "ticks_thinned_total": float(self.thinned),
            "schedule_slips_total": float(self.slips),
        }
        for i, phase in enumerate(PHASES):
            figures[f"phase_{phase}_ms_p50"] = float(np.percentile(rows[:, i], 50))
            figures[f"phase_{phase}_ms_p99"] = float(np.percentile(rows[:, i], 99))
        return figures
