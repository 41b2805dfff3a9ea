"""The comparison: `python -m tools.peers [--quick] [--only ours,picows]`.

Owns the command: what runs, what is printed and written. Exit status 1 when a server showed a wrong row, 2 when the
comparison could not be made.
"""

import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from tools.peers.build import BuildError
from tools.peers.comparison import (
    Bench,
    Results,
    costs,
    machine,
    parts_apart,
    read_json,
    report,
    write_json,
)
from tools.peers.contest import ContestError
from tools.peers.pinned import PinError, check_machine
from tools.peers.register import chosen
from tools.peers.rounds import ROWS

WARM_S, RUN_S, REPEATS = 2.0, 5.0, 5
QUICK_WARM_S, QUICK_RUN_S = 1.0, 2.0

app = App(name="tools.peers", help=__doc__)


@app.default
def peers(
    *,
    quick: Annotated[bool, Parameter(negative=())] = False,
    only: str = "",
    repeats: int = REPEATS,
    seconds: float = RUN_S,
    rows: bool = True,
    limits: bool = True,
    growth: bool = True,
    parts: bool = True,
    minutes: float = 0.0,
    add: Path | None = None,
    json: Path | None = None,
    markdown: Path | None = None,
) -> int:
    """Compare servers on the same work.

    Args:
        quick: one short repeat of each row, no search for the largest load: about three minutes
        only: names of servers, separated by commas; all by default
        repeats: of every row
        seconds: measured in each run
        rows: everybody under the same loads
        limits: search for the largest load that each server holds
        growth: what a client of ours costs from 100 to 1,000 of them
        parts: views of a hall beside StateView, and what single parts of ours cost
        minutes: begin no more repeats of the rows after so long; 0 for no end
        add: figures of an earlier run, shown beside those of this one
        json: write the figures here
        markdown: write the tables here
    """
    check_machine()
    console = Console()
    bench = Bench(chosen(only), console, QUICK_WARM_S if quick else WARM_S, QUICK_RUN_S if quick else seconds)
    if minutes:
        bench.until_s = time.monotonic() + 60.0 * minutes
    results = Results(machine=machine())
    if rows:
        results.runs = bench.compare(ROWS[1:] if quick else ROWS, 1 if quick else repeats)
    if parts:
        results.interest, results.apart = parts_apart()
    if limits and not quick:
        results.largest = bench.largest_of_all(costs(results.runs))
    if growth and not quick:
        results.growth = bench.growth(repeats)
    results.skipped = bench.skipped
    if add is not None:
        results.add(read_json(add))
    text = report(results)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    if json is not None:
        write_json(json, results)
    if markdown is not None:
        markdown.write_text(text)
    return 1 if bench.wrong else 0


def main(argv: list[str] | None = None) -> int:
    """The command; what a person can mend is one line on standard error and status 2."""
    try:
        words = sys.argv[1:] if argv is None else argv
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, PinError, BuildError, ContestError, ValueError, OSError) as error:
        print("peers: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("peers: stopped", file=sys.stderr)
        return 130
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
