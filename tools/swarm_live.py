"""How a swarm goes, on the terminal, while it goes; and its figures as a table when it is over.

Owns what is shown. Never measures.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tools.swarm_report import LOST, PHASES, Outcome, broken
from tools.swarm_run import Now

REFRESH_HZ = 4.0
PHASE_WORDS = {
    "start": "bots start",
    "enter": "bots come in",
    "warm": "bots settle",
    "run": "measuring",
    "done": "done",
}


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    return grid


def _cpu_us(now: Now) -> str:
    """Server time per client and tick over the last second."""
    if len(now.samples) < 2 or not now.samples[-1].cpu_s or not now.samples[-1].inside:
        return "-"
    before, last = now.samples[-2:]
    spent = sum(last.cpu_s.values()) - sum(before.cpu_s.values())
    return f"{spent * 1e6 / (last.at_s - before.at_s) / now.ask.tick_hz / last.inside:.1f} us"


def _levels(now: Now) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("bots", "delivered", "seen p99", "tick p50", "us/client/tick", "Mbit/s"):
        table.add_column(name, justify="right")
    for level in now.levels[-8:]:
        s = level.summary
        cpu = s["server_cpu_us_per_client_tick"]
        table.add_row(str(level.bots), f"{s['delivered']:.1%}", f"{s['input_to_seen_ms'].get('p99', 0):.0f} ms",
                      f"{s['tick_ms'].get('p50', 0):.1f} ms", "-" if cpu is None else f"{cpu:.1f}",
                      f"{s['mbit_in_per_bot_s']:.2f}")  # fmt: skip
    return table


def view(now: Now) -> RenderableType:
    """The whole live view."""
    ask, stats = now.ask, now.samples[-1].stats if now.samples else {}
    slowest = min(now.progress, key=lambda p: (p.phase == "run", p.share))
    inside = sum(p.inside for p in now.progress)
    running = [p for p in now.progress if p.phase in ("run", "done")]
    grid = _grid()
    grid.add_row("level", f"{now.bots} bots ({len(now.levels) + 1} of {len(ask.levels)}), scene {ask.scene}")
    done = "" if slowest.phase in ("start", "enter") else f" {slowest.share:.0%}"
    grid.add_row("now", f"{PHASE_WORDS[slowest.phase]}{done}, {inside} inside")
    if running:
        grid.add_row("delivered", f"worst {min(p.delivered[0] for p in running):.2%}, "
                                  f"median {min(p.delivered[1] for p in running):.2%}")  # fmt: skip
        grid.add_row("input to seen", _pair([p.seen_ms for p in running]))
        grid.add_row("snapshot spread", _pair([p.age_ms for p in running]) + " after the first bot")
        grid.add_row("downlink", f"{running[0].bytes_per_bot_s / 1000:.1f} kB/s per viewer")
    grid.add_row("tick", f"p50 {stats.get('tick_ms_p50', 0):.2f}, p99 {stats.get('tick_ms_p99', 0):.2f} ms; "
                         f"over budget {stats.get('ticks_over_budget_total', 0):.0f}")  # fmt: skip
    grid.add_row("phases", ", ".join(f"{p} {stats.get(f'phase_{p}_ms_p50', 0):.2f}" for p in PHASES) + " ms")
    grid.add_row("server", _cpu_us(now) + " per client and tick")
    grid.add_row("drops", _drops(now, stats))
    return Group(grid, _levels(now)) if now.levels else grid


def _pair(rows: list[tuple[float, float]]) -> str:
    return f"p50 {max(a for a, _ in rows):.1f}, p99 {max(b for _, b in rows):.1f} ms"


def _drops(now: Now, stats: dict[str, float]) -> str:
    found: dict[str, float] = {}
    for p in now.progress:
        for name, count in p.counters:
            if name in LOST or name.startswith("out_"):
                found[name] = found.get(name, 0) + count
    found |= {name.removesuffix("_total"): n for name, n in stats.items() if "skipped" in name or "held_back" in name}
    return ", ".join(f"{name} {count:.0f}" for name, count in found.items() if count) or "none"


@contextmanager
def live(console: Console) -> Iterator[tuple[Callable[[Now], None], Callable[[str], None]]]:
    """Ways to show how a run goes and to say what is done instead of it."""
    with Live(Text(""), console=console, refresh_per_second=REFRESH_HZ, transient=True) as shown:
        yield (lambda now: shown.update(view(now))), (lambda text: shown.update(Text(text)))


def summary_table(outcome: Outcome) -> Table:
    """The figures a person wants first."""
    s = outcome.summary
    rooms = f"{s['rooms']} room" + "s" * (s["rooms"] != 1)
    out = Table(title=f"{s['bots']} bots in {rooms} ({s['scene']}, {s['transport']}), {s['seconds']:g} s at "
                      f"{s['tick_hz']} ticks/s")  # fmt: skip
    for name in ("", "p50", "p99"):
        out.add_column(name, justify="left" if not name else "right")
    for label, key in (("input to seen, ms", "input_to_seen_ms"), ("snapshot age, ms", "snapshot_age_ms"),
                       ("tick, ms", "tick_ms")):  # fmt: skip
        out.add_row(label, *(f"{s[key][p]:.2f}" if p in s[key] else "-" for p in ("p50", "p99")))
    cpu, compared = s["server_cpu_us_per_client_tick"], s["compared"]
    for label, value in (
        ("delivered, worst bot", f"{s['delivered']:.2%}"),
        ("ticks over budget", f"{s['ticks_over_budget']} of {s['ticks']}"),
        ("server CPU per client and tick", "not ours" if cpu is None else f"{cpu:.1f} us"),
        ("cores: server, bots", f"{sum(s['cpu_cores'].values()):.2f}, {sum(s['bots_cpu_cores']):.2f}"),
        ("downlink per viewer", f"{s['mbit_in_per_bot_s']:.3f} Mbit/s"),
        ("bytes per near, far avatar update", f"{s['bytes_per_avatar_update']:.1f}, {s['bytes_per_far_update']:.1f}"),
        ("near, far rows compared with the truth", f"{compared['rows']:,}, {compared['far_rows']:,}"),
        ("mismatches", str(s["mismatches"])),
    ):
        out.add_row(label, value, "")
    if "spike" in s:
        spike = s["spike"]
        out.add_row("cut off at once, never back", f"{spike['cut_off']}, {spike['never_back']}", "")
        out.add_row("back after, s", *(f"{spike['back_s'].get(p, 0):.2f}" for p in ("p50", "p99")))
    return out


def level_lines(outcome: Outcome) -> Iterator[str]:
    """What each level of a ramp came to."""
    for level in outcome.levels:
        s = level.summary
        end = "; ".join(broken(level, outcome.service)) or "held"
        late, tick = s["input_to_seen_ms"].get("p99", 0.0), s["tick_ms"].get("p50", 0.0)
        figures = f"delivered {s['delivered']:.2%}, input to seen p99 {late:.0f} ms, tick p50 {tick:.1f} ms"
        yield f"{level.bots} bots: {figures}: {end}"
