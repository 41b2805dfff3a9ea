"""From records to figures: percentiles, rates, the JSON of a run, and an HTML page with plots.

Owns the arithmetic and the page. Never measures.
"""

import json
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tools.swarm_truth import Verdict
from tools.swarm_watch import Longs, Record

Floats = npt.NDArray[np.float64]
NS_PER_MS = 1e6
PHASES = ("drain", "journal", "step", "publish", "commit")


class Figures(NamedTuple):
    """What the server said of itself and what the kernel said of it, over the measured time."""

    stats: dict[str, float]  # the shard's last stats.json
    before: dict[str, float]  # the one before the first measured tick
    over_time: list[dict[str, float]]  # one a second
    cores: dict[str, float]  # share of a core by process; empty if the server is not ours
    tick_hz: int


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


class Outcome(NamedTuple):
    """All a report shows."""

    summary: dict[str, Any]
    seen: tuple[Floats, Longs]  # ms, tick
    age: tuple[Floats, Longs]
    bytes_in: Longs  # (ticks,)
    first: int
    delivered: Floats
    counters: dict[str, int]
    figures: Figures
    verdict: Verdict


def _joined(records: Sequence[Record]) -> tuple[Longs, Longs, int]:
    """got_ns of all bots and bytes over the ticks that every process measured, and the first of them."""
    first, last = max(r.first for r in records), min(r.last for r in records)
    assert first <= last, "the processes measured no tick together"
    got = np.concatenate([r.got_ns[:, first - r.first : last - r.first + 1] for r in records])
    total = np.sum([r.bytes_in[first - r.first : last - r.first + 1] for r in records], axis=0)
    return got, total, first


def evaluate(records: Sequence[Record], figures: Figures, verdict: Verdict, plan: dict[str, Any]) -> Outcome:
    """Everything a report shows. `plan`: what was asked for, as it goes into the JSON."""
    got, bytes_in, first = _joined(records)
    age = ages_ms(got, schedule_ns(got, figures.tick_hz))
    seen = tuple(np.concatenate(part) for part in zip(*(seen_ms(r) for r in records), strict=True))
    share = delivered(got)
    ticks = got.shape[1]
    counters: Counter[str] = Counter()
    for record in records:
        counters.update(record.counters)
    avatars = sum(r.frame_avatars for r in records)
    summary = {
        **plan,
        "tick_hz": figures.tick_hz,
        "ticks": ticks,
        "delivered": round(float(share.min()), 5),
        "delivered_mean": round(float(share.mean()), 5),
        "input_to_seen_ms": percentiles(seen[0]),
        "inputs_seen": len(seen[0]),
        "snapshot_age_ms": percentiles(age[0]),
        "tick_ms": _tick_ms(figures.stats),
        "ticks_over_budget": _counted(figures, "ticks_over_budget_total"),
        "ticks_thinned": _counted(figures, "ticks_thinned_total"),
        "schedule_slips": _counted(figures, "schedule_slips_total"),
        "phases_ms": {p: _pair(figures.stats, f"phase_{p}_ms") for p in PHASES},
        "server_cpu_us_per_client_tick": _per_client_tick_us(figures, len(got)),
        "cpu_cores": {part: round(share, 4) for part, share in figures.cores.items()},
        "bots_cpu_cores": [round(r.cpu_s / r.wall_s, 3) for r in records],
        "bytes_per_avatar_update": round(sum(r.frame_bytes for r in records) / max(1, avatars), 3),
        "bytes_in_per_bot_s": round(float(bytes_in.sum()) * figures.tick_hz / ticks / len(got), 1),
        "poses_per_bot_s": round(sum(r.poses for r in records) / len(got) * figures.tick_hz / ticks, 2),
        "mismatches": verdict.mismatches + counters["frames_differ"],
        "compared": {"frames": verdict.frames, "rows": verdict.rows, "wrong": verdict.wrong, "missing": verdict.missing,
                     "extra": verdict.extra, "unchecked_frames": verdict.unchecked,
                     "digests_differ": verdict.digests_differ},
        "counters": dict(sorted(counters.items())),
        "machine": machine(),
    }  # fmt: skip
    return Outcome(summary, (seen[0], seen[1]), age, bytes_in, first, share, dict(counters), figures, verdict)


def _counted(figures: Figures, name: str) -> int:
    return int(figures.stats.get(name, 0.0) - figures.before.get(name, 0.0))


def _per_client_tick_us(figures: Figures, clients: int) -> float | None:
    """Processor time of all server processes; None if they are not ours to measure."""
    if not figures.cores:
        return None
    return round(sum(figures.cores.values()) * 1e6 / (clients * figures.tick_hz), 3)


def _pair(stats: dict[str, float], name: str) -> dict[str, float]:
    return {p: round(stats[f"{name}_{p}"], 4) for p in ("p50", "p99") if f"{name}_{p}" in stats}


def _tick_ms(stats: dict[str, float]) -> dict[str, float]:
    return _pair(stats, "tick_ms")


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


# --- the page ---------------------------------------------------------------------------------------------------------

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c2733 }}
h1 {{ font-size: 1.5rem }} h2 {{ font-size: 1.1rem; margin-top: 2rem }}
table {{ border-collapse: collapse; margin: .5rem 0 }} td, th {{ padding: .2rem .9rem .2rem 0; text-align: left }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums }}
th {{ font-weight: 600; border-bottom: 1px solid #ccd3da }}
.columns {{ columns: 2 24rem; column-gap: 3rem }} section {{ break-inside: avoid }}
.verdict {{ padding: .6rem .9rem; border-radius: .4rem; background: {colour} }}
</style>
<h1>{title}</h1>
<p class="verdict">{verdict}</p>
{body}
</html>
"""


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table; everything is escaped, numbers stand to the right."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = [f"<tr>{cells}</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(_cell(value) for value in row) + "</tr>")
    return "<table>" + "".join(lines) + "</table>"


def _cell(value: object) -> str:
    number = isinstance(value, int | float)
    return f'<td class="n">{value:,}</td>' if number else f"<td>{escape(str(value))}</td>"


def per_second(values: Floats, ticks: Longs, first: int, tick_hz: int) -> dict[str, list[float]]:
    """Percentiles of each whole second since tick `first`: lists "s", "p50", "p99"."""
    out: dict[str, list[float]] = {"s": [], "p50": [], "p99": []}
    seconds = (ticks - first) // tick_hz
    for second in np.unique(seconds):
        part = values[seconds == second]
        out["s"].append(float(second))
        out["p50"].append(float(np.percentile(part, 50)))
        out["p99"].append(float(np.percentile(part, 99)))
    return out


def _plots(outcome: Outcome) -> list[tuple[str, Any]]:
    import plotly.graph_objects as go

    hz = outcome.figures.tick_hz

    def lines(title: str, unit: str, series: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> tuple[str, Any]:
        figure = go.Figure([go.Scatter(x=list(x), y=list(y), name=name) for name, (x, y) in series.items()])
        figure.update_layout(height=300, margin={"l": 50, "r": 20, "t": 10, "b": 40}, template="plotly_white",
                             xaxis_title="seconds", yaxis_title=unit)  # fmt: skip
        return title, figure

    seen = per_second(*outcome.seen, outcome.first, hz)
    age = per_second(outcome.age[0], outcome.age[1], 0, hz)
    size = outcome.bytes_in[: len(outcome.bytes_in) // hz * hz].reshape(-1, hz).sum(axis=1) / 1000.0
    shard = outcome.figures.over_time
    seconds = [float(i) for i in range(len(shard))]
    ticks = {p: (seconds, [s.get(f"tick_ms_{p}", 0.0) for s in shard]) for p in ("p50", "p99")}
    phases = {p: (seconds, [s.get(f"phase_{p}_ms_p50", 0.0) for s in shard]) for p in PHASES}
    low = min(0.95, float(outcome.delivered.min()))
    bins = {"start": low, "end": 1.0 + 1e-6, "size": (1.0 + 1e-6 - low) / 50}
    share = go.Figure([go.Histogram(x=[float(s) for s in outcome.delivered], xbins=bins)])
    share.update_layout(height=260, margin={"l": 50, "r": 20, "t": 10, "b": 40}, template="plotly_white",
                        xaxis_range=[low, 1.001], yaxis_title="bots",
                        xaxis_title="share of snapshots delivered")  # fmt: skip
    return [
        lines("Input to seen", "ms", {p: (seen["s"], seen[p]) for p in ("p50", "p99")}),
        lines("Snapshot age at receipt", "ms", {p: (age["s"], age[p]) for p in ("p50", "p99")}),
        lines("Tick of the shard (over its last 2,048 ticks)", "ms", ticks),
        lines("Phases of the tick, median", "ms", phases),
        lines("Snapshots received, all bots", "kB/s", {"kB/s": ([float(i) for i in range(len(size))], size.tolist())}),
        ("Delivered, by bot", share),
    ]


def _percentile_table(s: dict[str, Any]) -> str:
    head = ("", "p50", "p90", "p99", "max")
    rows = [
        (label, *(s[key].get(p, "-") for p in head[1:]))
        for label, key in (("input to seen, ms", "input_to_seen_ms"), ("snapshot age, ms", "snapshot_age_ms"),
                           ("tick, ms", "tick_ms"))
    ]  # fmt: skip
    return table(head, rows)


def _tables(outcome: Outcome) -> str:
    """All figures, in columns as wide as the page allows."""
    s = outcome.summary
    flat = [(k, v) for k, v in s.items() if isinstance(v, int | float | str | list)]
    server = [(k, round(v, 3)) for k, v in sorted(outcome.figures.stats.items())]
    blocks = (
        ("The run", table(("figure", "value"), flat)),
        ("Compared with the replayed journal", table(("what", "count"), list(s["compared"].items()))),
        ("The machine", table(("", ""), list(s["machine"].items()))),
        ("Cores used, by process", table(("process", "cores"), list(s["cpu_cores"].items()))),
        ("Counters of the bots, by reason", table(("counter", "count"), list(s["counters"].items()))),
        ("Figures of the shard", table(("figure", "value"), server)),
    )
    named = "".join(f"<p>{escape(text)}</p>" for text in outcome.verdict.named)
    columns = "".join(f"<section><h2>{escape(title)}</h2>{html}</section>" for title, html in blocks)
    return f'{named}<div class="columns">{columns}</div>'


def write_html(path: Path, outcome: Outcome, passed: bool) -> None:
    """The page, with the plotting library in it: nothing is fetched when it is opened."""
    s = outcome.summary
    parts = []
    for number, (title, figure) in enumerate(_plots(outcome)):
        html = figure.to_html(full_html=False, include_plotlyjs=number == 0, config={"displayModeBar": False})
        parts.append(f"<h2>{escape(title)}</h2>{html}")
    title = f"Swarm: {s['bots']} bots in {s['rooms']} rooms for {s['seconds']:g} s"
    text = (
        f"worst bot got {s['delivered']:.2%} of its snapshots, {s['mismatches']} mismatches in "
        f"{s['compared']['rows']:,} rows compared, {s['ticks_over_budget']} ticks over budget"
    )
    page = PAGE.format(title=escape(title), colour="#e2f4e6" if passed else "#fbe3e1", verdict=escape(text),
                       body=_percentile_table(s) + "".join(parts) + _tables(outcome))  # fmt: skip
    path.write_text(page)
