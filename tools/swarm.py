"""A hospital full of bots: `python -m tools.swarm --bots 1000 --scene hall --seconds 30 --pin --html report.html`.

Owns the command: a server of its own (or one that runs already, by --data and --endpoint), bots in one or more
processes, a live view, the comparison with the replayed journal, figures as a table, JSON and one HTML page. Exit
status 1 when a bot saw something that is not so or got less than --delivered-min of its snapshots (of a ramp: when not
even its first level held), 2 when the run could not be made.
"""

import shlex
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from server.journal import JournalError
from tools.access import AccessError
from tools.scenes import SceneName
from tools.swarm_ask import Ask, ServiceLevel, SwarmError, read_ramp
from tools.swarm_drive import DriveError
from tools.swarm_house import HouseError
from tools.swarm_live import level_lines, live, summary_table
from tools.swarm_page import write_page
from tools.swarm_report import Outcome, write_json
from tools.swarm_run import Run, a_server, compare

app = App(name="tools.swarm", help=__doc__)
Flag = Annotated[bool, Parameter(negative=())]


def run(ask: Ask, service: ServiceLevel, console: Console, command: str = "") -> Outcome:
    """One whole run. Raises what `main` shows in one line."""
    plan = {"bots": ask.bots, "rooms": ask.rooms if ask.data else len(ask.plans), "scene": ask.scene,
            "transport": "websocket" if ask.websocket else "libzmq" if ask.libzmq else "native", "seconds": ask.seconds,
            "hz": ask.hz, "seed": ask.seed, "beds": ask.beds, "roam": ask.roam, "pinned": ask.pin,
            "spike_of": ask.spike, "ramp": ":".join(map(str, ask.ramp)) if ask.ramp else "",
            "check_share": round(ask.watched, 4)}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="asclepion-swarm-") as folder, live(console) as (show, say):
        with a_server(ask, Path(folder), say) as where:
            made = Run(ask, service, where, show)
            levels = made.go()
        verdict = compare(
            ask, where.data, made.records, lambda share: say(f"comparing with the replayed journal {share:.0%}")
        )
        tick_hz = made.records[0].tick_hz
        return Outcome(plan, command, levels, made.samples, verdict, service, tick_hz)


def passed(outcome: Outcome) -> bool:
    """Whether the run is one to be content with."""
    if outcome.plan["ramp"]:
        return outcome.last_held is not None
    return not outcome.mismatches and outcome.levels[0].summary["delivered"] >= outcome.service.delivered


@app.default
def swarm(
    *,
    bots: int = 100,
    rooms: int = 0,
    scene: SceneName = "ward",
    seconds: float = 30.0,
    ramp: str = "",
    hold: float = 10.0,
    spike: int = 0,
    hz: float = 20.0,
    tick_hz: int = 30,
    seed: int = 1,
    beds: int = 0,
    roam: float = 0.0,
    processes: int = 1,
    pin: Flag = False,
    check_share: float = 0.0,
    delivered_min: float = 0.95,
    seen_p99_max: float = 100.0,
    over_budget_max: float = 0.01,
    json: Path | None = None,
    html: Path | None = None,
    data: Path | None = None,
    endpoint: str = "",
    websocket: Flag = False,
    web: str = "",
    libzmq: Flag = False,
) -> int:
    """Run a swarm of bots through the real protocol and report.

    Args:
        bots: how many
        rooms: over how many rooms they are spread; 0 is as many as the scene wants (wards of 20, one hall)
        scene: what they do: go round a ward, mingle in one hall, listen to a lecture, consult in fours, or all of these
        seconds: how long is measured, after all are in
        ramp: FIRST:LAST:STEP bots, level by level up to the first that breaks the service level; instead of --bots
        hold: how long each level of a ramp is measured, seconds
        spike: so many bots lose their connection at once in the middle and come back
        hz: poses each bot makes in a second (a dead-band sends fewer)
        tick_hz: steps of the world per second, of our own server
        seed: of everything the bots draw by lot
        beds: beds with a patient in each room
        roam: share of the bots' walks that lead through a door into the next room
        processes: of the bots
        pin: our own server with all its processes and threads on one core, all bots on another one
        check_share: of the bots, how many decode all they get at any time, in turns; the others count ticks and sizes
            only, and hash what they get. 0 chooses
        delivered_min: service level: share of its snapshots that the worst bot gets at least
        seen_p99_max: service level: from a pose going out to another bot seeing it, 99 of 100, ms at most
        over_budget_max: service level: share of ticks that may take longer than a tick
        json: write the figures here
        html: write the report here, one page with plots
        data: data directory of a server that runs already (rooms swarm-001... or, with one room, its lobby)
        endpoint: its ZeroMQ endpoint
        websocket: through an edge of our own server
        web: URL of a running edge's WebSocket, with --data
        libzmq: native bots with a DEALER of libzmq each, instead of our own loop over raw sockets
    """
    climb = read_ramp(ramp) if ramp else None
    ask = Ask(bots=climb.last if climb else bots, rooms=rooms, scene=scene, seconds=hold if climb else seconds, hz=hz,
              tick_hz=tick_hz, seed=seed, beds=beds, roam=roam, processes=processes, share=check_share, ramp=climb,
              spike=spike, pin=pin, libzmq=libzmq, data=data, endpoint=endpoint, websocket=websocket or bool(web),
              web=web)  # fmt: skip
    service = ServiceLevel(delivered_min, seen_p99_max, over_budget_max)
    console = Console()
    outcome = run(ask, service, console, "python -m tools.swarm " + shlex.join(sys.argv[1:]))
    console.print(summary_table(outcome))
    if climb:
        for line in level_lines(outcome):
            console.print(line)
        console.print(f"held: {outcome.last_held.bots if outcome.last_held else 'none'}")
    for text in outcome.verdict.named:
        console.print(f"[red]{text}[/red]")
    if json is not None:
        write_json(json, outcome.summary)
    if html is not None:
        write_page(html, outcome, passed(outcome))
    return 0 if passed(outcome) else 1


def main(argv: list[str] | None = None) -> int:
    """The command; what a person can mend is one line on standard error and status 2."""
    try:
        words = sys.argv[1:] if argv is None else argv
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, SwarmError, HouseError, DriveError, AccessError, JournalError, OSError) as error:
        print("swarm: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("swarm: stopped", file=sys.stderr)
        return 130
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
