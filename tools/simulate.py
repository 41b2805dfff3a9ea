"""Simulate a whole house with faults from seeds: `python -m tools.simulate --seeds 1-50`.

Owns the command line: which seeds, on how many processors, what is printed. A failure prints its seed, tick and
invariant, and the command that runs it again. What happens in a run is `tools.simulate_system`.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tools.simulate_system import Result, Simulation

MEMORY = Path("/dev/shm")  # a folder in memory, where the machine has one: the ledger waits for its disk
TICKS, PEOPLE = 600, 12


def simulate(seed: int, ticks: int = TICKS, people: int = PEOPLE) -> Result:
    """One run in a folder of its own, which is removed afterwards."""
    data = Path(tempfile.mkdtemp(prefix="asclepion-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        return Simulation(seed, data, ticks, people).run()
    finally:
        shutil.rmtree(data)


def seeds_of(words: str) -> list[int]:
    """The seeds of "7" or "1-50"."""
    first, _, last = words.partition("-")
    return list(range(int(first), int(last or first) + 1))


def command_of(seed: int, ticks: int, people: int) -> str:
    """What runs one seed again."""
    return f"python -m tools.simulate --seed {seed} --ticks {ticks} --people {people}"


def _results(seeds: Sequence[int], ticks: int, people: int, jobs: int) -> Iterator[Result]:
    if jobs == 1:
        for seed in seeds:
            yield simulate(seed, ticks, people)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for done in as_completed([pool.submit(simulate, seed, ticks, people) for seed in seeds]):
            yield done.result()


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools.simulate", description="a whole house with faults, from seeds")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", default="1-50", metavar="A-B", help="several seeds")
    parser.add_argument("--ticks", type=int, default=TICKS, help="with faults; some more follow without")
    parser.add_argument("--people", type=int, default=PEOPLE, help="polite ones; rude ones come by themselves")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write what happened in a run that fails, or in one")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Run; 1 if an invariant did not hold in any of the runs."""
    asked = _arguments(words)
    seeds = [asked.seed] if asked.seed is not None else seeds_of(asked.seeds)
    counts: Counter[str] = Counter()
    failed = 0
    console = Console(stderr=True)
    columns = (TextColumn("simulate"), MofNCompleteColumn(), TextColumn("{task.fields[bad]}"), TimeElapsedColumn())
    start_s, ticks = time.perf_counter(), 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(seeds), bad="")
        for result in _results(seeds, asked.ticks, asked.people, asked.jobs):
            counts.update(result.counts)
            ticks += result.ticks
            failed += _report(result, asked)
            progress.update(task, advance=1, bad=f"{failed} failed" if failed else "")
    print(f"{len(seeds)} runs, {ticks} ticks, {failed} failed, {time.perf_counter() - start_s:.0f} s")
    if len(seeds) == 1 or asked.trace:
        print("\n".join(f"{count:9} {name}" for name, count in sorted(counts.items())))
    return int(failed > 0)


def _report(result: Result, asked: argparse.Namespace) -> int:
    """Print a failure and keep its trace; 1 if it was one."""
    failure = result.failure
    if asked.trace and (failure is not None or asked.seed is not None):
        asked.trace.write_text("\n".join(result.trace) + "\n")
    if failure is None:
        return 0
    print(f"seed {result.seed}, tick {failure.tick}: {failure.what}", flush=True)
    print(f"    again: {command_of(result.seed, asked.ticks, asked.people)} --trace trace.txt", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
