"""The report of a swarm as one self-contained HTML page: verdict, figures, plots over time, levels, drops.

Owns the page. Never computes a figure that is not in the outcome; fetches nothing when it is opened.
"""

import itertools
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tools.swarm_report import PHASES, Floats, Level, Outcome, broken, held
from tools.swarm_watch import Longs

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 74rem; padding: 0 1rem; color: #1c2733 }}
h1 {{ font-size: 1.5rem; margin-bottom: .3rem }} h2 {{ font-size: 1.05rem; margin: 1.6rem 0 .2rem }}
p.note {{ margin: 0; color: #5a6875; font-size: .9rem }}
code {{ font: 13px/1.5 ui-monospace, monospace; background: #f1f4f7; padding: .1rem .35rem; border-radius: .2rem }}
table {{ border-collapse: collapse; margin: .5rem 0 }} td, th {{ padding: .2rem .9rem .2rem 0; text-align: left }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
th {{ font-weight: 600; border-bottom: 1px solid #ccd3da }}
.plots {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 2rem }}
@media (max-width: 60rem) {{ .plots {{ grid-template-columns: minmax(0, 1fr) }} }}
.plots section {{ min-width: 0 }}
.columns {{ columns: 2 24rem; column-gap: 3rem }} .columns section {{ break-inside: avoid }}
.verdict {{ padding: .6rem .9rem; border-radius: .4rem; background: {colour} }}
</style>
<h1>{title}</h1>
<p class="note"><code>{command}</code></p>
<p class="verdict">{verdict}</p>
{body}
</html>
"""
COLOURS = ("#3566a8", "#d1652f", "#4d9a5c", "#8a5aa8", "#b3933a")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table; everything is escaped, numbers stand to the right."""
    numeric = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]
    cells = "".join(
        f"<th{' class=n' if right else ''}>{escape(name)}</th>" for name, right in zip(head, numeric, strict=True)
    )
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


Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]


def _lines(title: str, unit: str, series: Series, *, across: str = "seconds", stacked: bool = False) -> tuple[str, Any]:
    import plotly.graph_objects as go

    traces = [
        go.Scatter(x=list(x), y=list(y), name=name, mode="lines+markers" if len(x) < 30 else "lines",
                   line={"color": colour, "width": 1 if stacked else 2}, stackgroup="one" if stacked else None)
        for (name, (x, y)), colour in zip(series.items(), itertools.cycle(COLOURS), strict=False)
    ]  # fmt: skip
    figure = go.Figure(traces)
    figure.update_layout(height=270, margin={"l": 55, "r": 15, "t": 10, "b": 40}, template="plotly_white",
                         xaxis_title=across, yaxis_title=unit, yaxis_rangemode="tozero",
                         legend={"orientation": "h", "y": 1.12, "x": 0})  # fmt: skip
    return title, figure


def _over_ticks(outcome: Outcome, values: str) -> Series:
    """p50 and p99 by second of a latency over all levels; time is the server's ticks."""
    start, hz = outcome.levels[0].first, outcome.tick_hz
    p50: tuple[list[float], list[float]] = ([], [])
    p99: tuple[list[float], list[float]] = ([], [])
    for level in outcome.levels:
        found, ticks = getattr(level, values)
        by = per_second(found, ticks + (level.first if values == "age" else 0), start, hz)
        for name, (x, y) in (("p50", p50), ("p99", p99)):
            x.extend(by["s"])
            y.extend(by[name])
    return {"p50": p50, "p99": p99}


def _downlink(outcome: Outcome) -> Series:
    start, hz = outcome.levels[0].first, outcome.tick_hz
    x: list[float] = []
    y: list[float] = []
    for level in outcome.levels:
        whole = level.bytes_in[: len(level.bytes_in) // hz * hz].reshape(-1, hz).sum(axis=1)
        x += [float((level.first - start) // hz + i) for i in range(len(whole))]
        y += [float(b) * 8e-3 / level.bots for b in whole]
    return {"kbit/s": (x, y)}


def _cpu(outcome: Outcome) -> Series:
    """Server processor time per client and tick by second, by process."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for before, now in itertools.pairwise(outcome.samples):
        ticks = (now.at_s - before.at_s) * outcome.tick_hz
        for part in now.cpu_s:
            if now.inside and before.phase == now.phase == "run":
                x, y = found.setdefault(part, ([], []))
                x.append(now.at_s)
                y.append((now.cpu_s[part] - before.cpu_s.get(part, 0.0)) * 1e6 / now.inside / ticks)
    return found


def _of_levels(outcome: Outcome) -> list[tuple[str, Any]]:
    """What changed from level to level of a ramp."""
    levels = outcome.levels
    bots = [float(level.bots) for level in levels]
    if len(levels) < 2:
        return []

    def column(*path: str) -> tuple[list[float], list[float]]:
        values = []
        for level in levels:
            value: Any = level.summary
            for step in path:
                value = (value or {}).get(step) if isinstance(value, dict) else None
            values.append(float(value) if value is not None else float("nan"))
        return bots, values

    share = [100 * v for v in column("delivered")[1]]
    return [
        _lines("Levels: delivered", "% of snapshots", {"worst bot": (bots, share), "median bot": (
            bots, [100 * v for v in column("delivered_median")[1]])}, across="bots"),
        _lines("Levels: latency", "ms", {"input to seen p50": column("input_to_seen_ms", "p50"),
                                         "input to seen p99": column("input_to_seen_ms", "p99"),
                                         "snapshot age p99": column("snapshot_age_ms", "p99")}, across="bots"),
        _lines("Levels: server time per client and tick", "us", {"us": column("server_cpu_us_per_client_tick")},
               across="bots"),
        _lines("Levels: downlink per viewer", "Mbit/s", {"Mbit/s": column("mbit_in_per_bot_s")}, across="bots"),
    ]  # fmt: skip


def _drop_bars(outcome: Outcome) -> list[tuple[str, Any]]:
    import plotly.graph_objects as go

    drops: dict[str, int] = {}
    for level in outcome.levels:
        for name, count in level.drops.items():
            drops[name] = drops.get(name, 0) + count
    if not drops:
        return []
    rows = sorted(drops.items(), key=lambda item: item[1])[-14:]
    figure = go.Figure([go.Bar(x=[n for _, n in rows], y=[name for name, _ in rows], orientation="h",
                               text=[f"{n:,}" for _, n in rows], marker_color=COLOURS[0])])  # fmt: skip
    figure.update_layout(height=80 + 24 * len(rows), margin={"l": 10, "r": 15, "t": 10, "b": 40},
                         template="plotly_white", xaxis_title="count", xaxis_type="log",
                         yaxis={"automargin": True})  # fmt: skip
    return [("Drops and refusals, by reason", figure)]


def _shares(level: Level) -> tuple[str, Any]:
    import plotly.graph_objects as go

    low = min(0.95, float(level.delivered.min()))
    bins = {"start": low, "end": 1.0 + 1e-6, "size": (1.0 + 1e-6 - low) / 50}
    figure = go.Figure([go.Histogram(x=[float(s) for s in level.delivered], xbins=bins, marker_color=COLOURS[0])])
    figure.update_layout(height=270, margin={"l": 55, "r": 15, "t": 10, "b": 40}, template="plotly_white",
                         xaxis_range=[low, 1.001], yaxis_title="bots", xaxis_title="share of snapshots")  # fmt: skip
    return f"Delivered, by bot ({level.bots} bots)", figure


def _plots(outcome: Outcome) -> list[tuple[str, Any]]:
    samples = [s for s in outcome.samples if s.stats]
    at = [s.at_s for s in samples]
    ticks = {p: (at, [s.stats.get(f"tick_ms_{p}", 0.0) for s in samples]) for p in ("p50", "p99")}
    phases = {p: (at, [s.stats.get(f"phase_{p}_ms_p50", 0.0) for s in samples]) for p in PHASES}
    cpu = _cpu(outcome)
    return [
        *_of_levels(outcome),
        _lines("Input to seen", "ms", _over_ticks(outcome, "seen")),
        _lines("Snapshot age at receipt", "ms", _over_ticks(outcome, "age")),
        _lines("Phases of the tick, medians of the last minute", "ms", phases, stacked=True),
        _lines("Tick of the shard, over the last minute", "ms", ticks),
        *([_lines("Server time per client and tick", "us", cpu, stacked=True)] if cpu else []),
        _lines("Downlink per viewer, snapshots", "kbit/s", _downlink(outcome)),
        _shares(outcome.last_held or outcome.levels[-1]),
        *_drop_bars(outcome),
    ]


def _level_table(outcome: Outcome) -> str:
    rows = []
    for level in outcome.levels:
        s = level.summary
        seen, tick = s["input_to_seen_ms"], s["tick_ms"]
        cpu = s["server_cpu_us_per_client_tick"]
        rows.append((
            level.bots, f"{s['delivered']:.2%}", f"{s['delivered_median']:.2%}",
            f"{seen.get('p50', 0):.1f} / {seen.get('p99', 0):.1f}", f"{s['snapshot_age_ms'].get('p99', 0):.1f}",
            f"{tick.get('p50', 0):.1f} / {tick.get('p99', 0):.1f}", f"{s['ticks_over_budget']} of {s['ticks']}",
            "-" if cpu is None else f"{cpu:.1f}", f"{s['mbit_in_per_bot_s']:.3f}",
            f"{s['bytes_per_avatar_update']:.1f}", "; ".join(broken(level, outcome.service)) or "held",
        ))  # fmt: skip
    head = ("bots", "delivered, worst", "median", "input to seen p50 / p99, ms", "age p99, ms", "tick p50 / p99, ms",
            "over budget", "server us per client, tick", "Mbit/s per viewer", "B per near avatar",
            "service level")  # fmt: skip
    return table(head, rows)


def _tables(outcome: Outcome) -> str:
    """All figures, in columns as wide as the page allows."""
    s = outcome.summary
    level = outcome.last_held or outcome.levels[-1]
    flat = [(k, _plain(v)) for k, v in s.items() if isinstance(v, int | float | str) and k != "command"]
    server = [(k, round(v, 3)) for k, v in sorted(level.stats.items())]
    blocks = (
        (f"The run, at {level.bots} bots", table(("figure", "value"), flat)),
        ("Compared with the replayed journal", table(("what", "count"), list(s["compared"].items()))),
        ("The machine", table(("", ""), list(s["machine"].items()))),
        ("Cores used, by process", table(("process", "cores"), list(s["cpu_cores"].items()))),
        ("Counters of the bots, by reason", table(("counter", "count"), list(s["counters"].items()))),
        ("Figures of the shard", table(("figure", "value"), server)),
    )
    named = "".join(f"<p>{escape(text)}</p>" for text in outcome.verdict.named)
    columns = "".join(f"<section><h2>{escape(title)}</h2>{html}</section>" for title, html in blocks)
    return f'{named}<div class="columns">{columns}</div>'


def _plain(value: object) -> object:
    """A number as it is, anything else in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, int | float) else str(value)


def verdict_of(outcome: Outcome) -> str:
    """What came out, in a sentence or two."""
    verdict = outcome.verdict
    text = (f"{outcome.mismatches} mismatches in {verdict.rows:,} near and {verdict.far_rows:,} far rows of "
            f"{verdict.frames:,} frames compared with the replayed journal.")  # fmt: skip
    if len(outcome.levels) > 1 or outcome.plan.get("ramp"):
        best = outcome.last_held
        end = f" The next level broke: {'; '.join(outcome.broke)}." if outcome.broke else " No level broke."
        return (f"{best.bots} bots held." if best else "No level held.") + end + " " + text
    s = outcome.levels[0].summary
    return f"The worst bot got {s['delivered']:.2%} of its snapshots. " + text


def write_page(path: Path, outcome: Outcome, passed: bool) -> None:
    """The page, with the plotting library in it."""
    parts = []
    for number, (title, figure) in enumerate(_plots(outcome)):
        html = figure.to_html(full_html=False, include_plotlyjs=number == 0,
                              config={"displayModeBar": False, "responsive": True})  # fmt: skip
        parts.append(f"<section><h2>{escape(title)}</h2>{html}</section>")
    p = outcome.plan
    title = f"Swarm: {p['bots']} bots, {p['scene']}, {p['transport']}, {outcome.tick_hz} ticks/s"
    good = passed and all(held(level, outcome.service) for level in outcome.levels[:1])
    body = _level_table(outcome) + f'<div class="plots">{"".join(parts)}</div>' + _tables(outcome)
    colour = "#e2f4e6" if good else "#fbe3e1"
    path.write_text(
        PAGE.format(
            title=escape(title),
            command=escape(outcome.command),
            colour=colour,
            verdict=escape(verdict_of(outcome)),
            body=body,
        )
    )
