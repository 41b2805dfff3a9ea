"""Makes the code tables of the snapshot from recorded motion: `python -m tools.train_codec`.

Owns which motion they are for, and prefix codes of bounded length. Writes server/sim/code_lengths.py and
clients/web/src/net/lengths.ts, the same strings in both. The tables are part of the protocol: new ones are a new one.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from server.prime import drop_stale
from server.sim import code
from server.sim.rows import COLUMNS, Rows, gather
from server.sim.state import AvatarState
from tools.codec_symbols import Ints, of_changes
from tools.moving import sitters, walkers

ROOT = Path(__file__).parents[1]
PYTHON, WEB = ROOT / "server/sim/code_lengths.py", ROOT / "clients/web/src/net/lengths.ts"
PEOPLE, TICKS, EVERY, LATE = 200, 300, 10, 20
STILL = 0.15  # share of all records that say nothing new
GONE = 0.004
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
ACK_SYMBOLS, YAW_SYMBOLS, TURN_SYMBOLS = code.ACK_ESCAPE + 1, code.ESCAPE, code.SWITCHED + code.ESCAPE


def rows_of(scene: Iterator[AvatarState], people: int, ticks: int) -> Rows:
    """(ticks, people, COLUMNS) rows of a scene."""
    out = np.empty((ticks, people, COLUMNS), np.int64)
    for rows, avatars in zip(out, itertools.islice(scene, ticks), strict=True):
        gather(avatars, np.arange(people), rows)
    return out


def count_scene(rows: Rows, counts: Ints, masks: Ints) -> None:
    """Add how often each symbol comes in each context, and each mask, over deltas of all ages."""
    for tick in range(LATE, len(rows)):
        for age in {tick % EVERY or EVERY, tick % LATE or LATE}:
            ages = np.full(rows.shape[1], age)
            symbols, mask = of_changes(rows[tick - age], rows[tick], ages)
            np.add.at(counts, (symbols.row, symbols.symbol), 1)
            np.add.at(masks, mask, 1)


def symbols_in(row: int) -> list[int]:
    """Which symbols a row of the codes must have."""
    if row < code.YAW:
        return list(range(ACK_SYMBOLS))
    if row < code.HEAD:
        return list(range(YAW_SYMBOLS))
    if row < code.HEAD_ROT:
        return list(range(code.ESCAPE + 1))
    first_turn = any(first <= row < first + code.CONTEXTS for first in (code.HEAD_ROT, code.HAND_ROT))
    return [s for s in range(TURN_SYMBOLS) if s < code.ESCAPE or (first_turn and s >= code.SWITCHED)]


def lengths_of(counts: list[float], longest: int) -> list[int]:
    """Lengths of the best prefix code of at most `longest` bits (package-merge; Larmore and Hirschberg, 1990)."""
    leaves: list[tuple[float, tuple[int, ...]]] = sorted((count, (symbol,)) for symbol, count in enumerate(counts))
    packages = leaves
    for _ in range(longest - 1):
        merged = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(packages[::2], packages[1::2], strict=False)]
        packages = sorted(leaves + merged)
    lengths = [0] * len(counts)
    for _, symbols in packages[: 2 * len(counts) - 2]:
        for symbol in symbols:
            lengths[symbol] += 1
    return lengths


def row_text(row: int, counts: Ints) -> str:
    """The lengths of one row as text; symbols that cannot come have none."""
    allowed = symbols_in(row)
    lengths = lengths_of(
        [float(counts[row, symbol]) + 0.02 + 2.0 / (1 + symbol) for symbol in allowed], code.LENGTH_MAX
    )
    found = dict(zip(allowed, lengths, strict=True))
    return "".join(DIGITS[found.get(symbol, 0)] for symbol in range(max(allowed) + 1))


def train() -> tuple[list[str], str]:
    """The lengths of all rows, and of the masks."""
    counts, masks = np.zeros((code.ROWS, code.SYMBOLS), np.int64), np.zeros(code.GONE + 1, np.int64)
    for scene in (walkers(PEOPLE, seed=2), sitters(PEOPLE, seed=2)):
        count_scene(rows_of(scene, PEOPLE, TICKS), counts, masks)
    counts[code.ACK] = [900 >> 2 * symbol for symbol in range(code.SYMBOLS)]  # a keepalive now and then
    total = masks.sum()
    masks[0], masks[code.GONE] = STILL * total, GONE * total
    mask_text = "".join(DIGITS[n] for n in lengths_of((masks + 0.5).tolist(), code.MASK_LENGTH_MAX))
    return [row_text(row, counts) for row in range(code.ROWS)], mask_text


def python_text(rows: list[str], masks: str) -> str:
    """The module for the server."""
    pieces = [masks[at : at + 100] for at in range(0, len(masks), 100)]
    lines = [
        '"""Lengths of the codes of snapshots, base 36, one string for each context; made by `tools.train_codec`.',
        "",
        "Owns constants of the protocol, as the web client has them. Never changed by hand.",
        '"""',
        "",
        "ROWS_LENGTHS = (",
        *(f'    "{row}",' for row in rows),
        ")",
        "MASK_LENGTHS = (",
        *(f'    "{piece}"' for piece in pieces),
        ")",
    ]
    return "\n".join(lines) + "\n"


def web_text(rows: list[str], masks: str) -> str:
    """The module for the browser."""
    lines = [
        "/** Lengths of the codes of snapshots, base 36, a string for each context; `tools.train_codec` makes it. */",
        "",
        "export const ROWS_LENGTHS: readonly string[] = [",
        *(f'  "{row}",' for row in rows),
        "];",
        "export const MASK_LENGTHS =",
        f'  "{masks}";',
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both files."""
    found = train()
    PYTHON.write_text(python_text(*found), encoding="utf-8")
    WEB.write_text(web_text(*found), encoding="utf-8")
    drop_stale()
    print(f"{code.ROWS} contexts")


if __name__ == "__main__":
    main()
