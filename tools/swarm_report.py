"""From records to figures: percentiles, rates, whether a level held, and the JSON of a run.

Owns the arithmetic. Never measures; the page is `tools.swarm_page`.
"""

import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tools.swarm_ask import ServiceLevel
from tools.swarm_truth import Verdict
from tools.swarm_watch import Longs, Record

Floats = npt.NDArray[np.float64]
NS_PER_MS = 1e6
PHASES = ("drain", "journal", "step", "publish", "commit")
LOST = ("poses_blocked", "malformed", "blocks_differ", "frame_too_long", "box_unopened", "read_failed")


class Figures(NamedTuple):
    """What the server said of itself and what the kernel said of it, over the measured time of a level."""

    stats: dict[str, float]  # the shard's last stats.json
    before: dict[str, float]  # the one before the first measured tick
    cores: dict[str, float]  # share of a core by process; empty if the server is not ours
    tick_hz: int


class Sample(NamedTuple):
    """One second of a run."""

    at_s: float
    bots: int  # of the level under way
    inside: int
    phase: str
    stats: dict[str, float]
    cpu_s: dict[str, float]  # processor seconds so far, by process


class Level(NamedTuple):
    """One measured level."""

    bots: int
    first: int  # tick
    summary: dict[str, Any]
    seen: tuple[Floats, Longs]  # ms, tick
    age: tuple[Floats, Longs]  # ms, tick from the first on
    bytes_in: Longs  # (ticks,)
    delivered: Floats  # (bots,)
    stats: dict[str, float]  # of the shard at its end
    drops: dict[str, int]  # what was lost or held back on either side, by reason


class Outcome(NamedTuple):
    """All a report shows."""

    plan: dict[str, Any]
    command: str
    levels: list[Level]
    samples: list[Sample]
    verdict: Verdict
    service: ServiceLevel
    tick_hz: int

    @property
    def differ(self) -> int:
        """Blocks that were not the same for all who got them."""
        return sum(level.summary["counters"].get("blocks_differ", 0) for level in self.levels)

    @property
    def mismatches(self) -> int:
        """Everything somebody saw that is not so."""
        return self.verdict.mismatches + self.differ

    @property
    def last_held(self) -> Level | None:
        """The largest level that held its service level; None if none did, or somebody saw what is not so."""
        good = [level for level in self.levels if held(level, self.service)]
        return good[-1] if good and not self.mismatches else None

    @property
    def broke(self) -> list[str]:
        """What the first level that did not hold broke."""
        bad = [level for level in self.levels if not held(level, self.service)]
        return broken(bad[0], self.service) if bad else []

    @property
    def summary(self) -> dict[str, Any]:
        """As it goes into the JSON: of the last level that held, else of the last one, and all levels in short."""
        shown = self.last_held or self.levels[-1]
        verdict = self.verdict
        compared = {name: getattr(verdict, name) for name in COMPARED_KEYS}
        levels = [{"bots": level.bots, **{key: level.summary[key] for key in LEVEL_KEYS},
                   "broke": broken(level, self.service)} for level in self.levels]  # fmt: skip
        return {**self.plan, "command": self.command, **shown.summary, "mismatches": self.mismatches,
                "compared": compared, "levels": levels, "machine": machine()}  # fmt: skip


COMPARED_KEYS = (
    "frames", "rows", "far_rows", "views", "late_looks", "late_ticks_max", "held_blocks",
    "wrong", "missing", "extra", "unchecked", "digests_differ",
)  # fmt: skip
LEVEL_KEYS = (
    "delivered", "delivered_median", "input_to_seen_ms", "snapshot_age_ms", "tick_ms", "ticks", "ticks_over_budget",
    "server_cpu_us_per_client_tick", "cpu_cores", "bots_cpu_cores", "bytes_in_per_bot_s", "bytes_per_avatar_update",
)  # fmt: skip


def percentiles(values: npt.NDArray[Any]) -> dict[str, float]:
    """p50, p90, p99 and max by linear interpolation; NaN-free: an empty array has none."""
    if not len(values):
        return {}
    p50, p90, p99 = np.percentile(values, (50, 90, 99))
    return {"p50": round(float(p50), 3), "p90": round(float(p90), 3), "p99": round(float(p99), 3),
            "max": round(float(np.max(values)), 3)}  # fmt: skip


def delivered(got_ns: Longs) -> Floats:
    """(bots,) share of the ticks of the window whose snapshot came in."""
    out: Floats = (got_ns > 0).mean(axis=1)
    return out


def schedule_ns(got_ns: Longs, tick_hz: int) -> Floats:
    """(ticks,) when each tick was due, from the fastest deliveries: no snapshot came before its tick was due.

    Ticks are drift-free, and a schedule that slips only moves on; so a tick's due time is bound by the earliest of all
    later deliveries, each less the ticks between.
    """
    first = np.where(got_ns > 0, got_ns, np.iinfo(np.int64).max).min(axis=0).astype(np.float64)
    steps = np.arange(got_ns.shape[1]) * (1e9 / tick_hz)
    start = np.minimum.accumulate((first - steps)[::-1])[::-1]
    return np.asarray(start + steps, np.float64)


def ages_ms(got_ns: Longs, due_ns: Floats) -> tuple[Floats, Longs]:
    """Age of each snapshot at receipt, and the column (tick) it belongs to."""
    bots, columns = np.nonzero(got_ns)
    return (got_ns[bots, columns] - due_ns[columns]) / NS_PER_MS, columns


def seen_ms(record: Record) -> tuple[Floats, Longs]:
    """Input-to-seen latency of each ack that another bot saw, and its tick."""
    was = record.acks.seen_ns > 0
    return (record.acks.seen_ns[was] - record.acks.sent_ns[was]) / NS_PER_MS, record.acks.tick[was]


def _joined(records: Sequence[Record]) -> tuple[Longs, Longs, int, Longs]:
    """got_ns and bytes over the ticks that every process measured, the first of them, and who was cut off."""
    first, last = max(r.first for r in records), min(r.last for r in records)
    assert first <= last, "the processes measured no tick together"
    got = np.concatenate([r.got_ns[:, first - r.first : last - r.first + 1] for r in records])
    total = np.sum([r.bytes_in[first - r.first : last - r.first + 1] for r in records], axis=0)
    starts = np.cumsum([0, *(r.bots for r in records)])
    return got, total, first, np.concatenate([r.spiked + at for r, at in zip(records, starts, strict=False)])


def evaluate(bots: int, records: Sequence[Record], figures: Figures) -> Level:
    """The figures of one level. Of a spike those who were cut off do not count as badly served, all others do."""
    got, bytes_in, first, spiked = _joined(records)
    age = ages_ms(got, schedule_ns(got, figures.tick_hz))
    seen = tuple(np.concatenate(part) for part in zip(*(seen_ms(r) for r in records), strict=True))
    share = np.delete(delivered(got), spiked)
    ticks = got.shape[1]
    counters: Counter[str] = Counter()
    for record in records:
        counters.update(record.counters)
    rate = figures.tick_hz / ticks / len(got)
    summary = {
        "bots": bots,
        "tick_hz": figures.tick_hz,
        "ticks": ticks,
        "delivered": round(float(share.min()), 5),
        "delivered_median": round(float(np.median(share)), 5),
        "input_to_seen_ms": percentiles(seen[0]),
        "inputs_seen": len(seen[0]),
        "snapshot_age_ms": percentiles(age[0]),
        "tick_ms": _pair(figures.stats, "tick_ms"),
        "ticks_over_budget": _counted(figures, "ticks_over_budget_total"),
        "ticks_thinned": _counted(figures, "ticks_thinned_total"),
        "schedule_slips": _counted(figures, "schedule_slips_total"),
        "phases_ms": {p: _pair(figures.stats, f"phase_{p}_ms") for p in PHASES},
        "server_cpu_us_per_client_tick": _per_client_tick_us(figures, len(got)),
        "cpu_cores": {part: round(share, 4) for part, share in figures.cores.items()},
        "bots_cpu_cores": [round(r.cpu_s / r.wall_s, 3) for r in records],
        "bytes_per_avatar_update": _ratio(records, "near_bytes", "near_avatars"),
        "bytes_per_far_update": _ratio(records, "far_bytes", "far_records"),
        "near_avatars_per_view": _ratio(records, "near_avatars", "glimpses"),
        "bytes_in_per_bot_s": round(float(bytes_in.sum()) * rate, 1),
        "mbit_in_per_bot_s": round(float(bytes_in.sum()) * rate * 8e-6, 4),
        "poses_per_bot_s": round(sum(r.poses for r in records) * rate, 2),
        "counters": dict(sorted(counters.items())),
    }  # fmt: skip
    if len(spiked):
        back = np.concatenate([r.back_s for r in records])
        summary["spike"] = {"cut_off": len(spiked), "never_back": int(np.isinf(back).sum()),
                            "back_s": percentiles(back[np.isfinite(back)])}  # fmt: skip
    return Level(
        bots, first, summary, (seen[0], seen[1]), age, bytes_in, share, figures.stats, _drops(counters, figures)
    )


def _ratio(records: Sequence[Record], above: str, below: str) -> float:
    return round(float(sum(getattr(r, above) for r in records) / max(1, sum(getattr(r, below) for r in records))), 3)


def _drops(counters: Counter[str], figures: Figures) -> dict[str, int]:
    """What was lost or held back, on the bots' side and as the shard counts it."""
    ours = {f"bots: {name}": n for name, n in counters.items() if name in LOST or name.startswith(("out_", "refused_"))}
    words = (
        "skipped",
        "held_back",
        "dropped",
        "too_slow",
        "thinned",
        "late",
        "burst",
        "refused",
        "ended",
        "over_budget",
    )
    theirs = {f"shard: {name.removesuffix('_total')}": _counted(figures, name)
              for name in figures.stats if any(word in name for word in words)}  # fmt: skip
    return {name: n for name, n in sorted((ours | theirs).items()) if n}


def _counted(figures: Figures, name: str) -> int:
    return int(figures.stats.get(name, 0.0) - figures.before.get(name, 0.0))


def _per_client_tick_us(figures: Figures, clients: int) -> float | None:
    """Processor time of all server processes; None if they are not ours to measure."""
    if not figures.cores:
        return None
    return round(sum(figures.cores.values()) * 1e6 / (clients * figures.tick_hz), 3)


def _pair(stats: dict[str, float], name: str) -> dict[str, float]:
    return {p: round(stats[f"{name}_{p}"], 4) for p in ("p50", "p99") if f"{name}_{p}" in stats}


# --- whether it held --------------------------------------------------------------------------------------------------


def broken(level: Level, service: ServiceLevel) -> list[str]:
    """The conditions of the service level that the level broke, in words."""
    s = level.summary
    found = []
    if s["delivered"] < service.delivered:
        found.append(f"worst bot got {s['delivered']:.2%} of its snapshots, {service.delivered:.0%} are due")
    late = s["input_to_seen_ms"].get("p99", 0.0)
    if late > service.seen_p99_ms:
        found.append(f"input to seen p99 {late:.0f} ms, {service.seen_p99_ms:g} ms are allowed")
    if s["ticks_over_budget"] > service.over_budget * s["ticks"]:
        found.append(
            f"{s['ticks_over_budget']} of {s['ticks']} ticks over budget, {service.over_budget:.0%} are allowed"
        )
    if s["counters"].get("blocks_differ"):
        found.append(f"{s['counters']['blocks_differ']} blocks differ between bots")
    return found


def held(level: Level, service: ServiceLevel) -> bool:
    """Whether the level held the service level; the comparison with the journal comes later."""
    return not broken(level, service)


def machine() -> dict[str, Any]:
    """Where it was measured: processor, cores, kernel, versions."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "pyzmq": version("pyzmq"),
        "numba": version("numba"),
    }


def write_json(path: Path, summary: dict[str, Any]) -> None:
    """The summary as one JSON object."""
    path.write_text(json.dumps(summary, indent=2) + "\n")
