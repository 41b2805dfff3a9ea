"""Makes the demonstration recording that `asclepion feed` plays by default: 90 s of waves and a 30 min trend.

Owns the story: a woman of 58 with high blood pressure; in the trend she loses blood and gets fluid. Everything comes
from our own model, so it may go anywhere. The same source makes the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from server.sim.physiology import waves
from server.twin.feed import DEMO
from server.twin.model import SECOND, Twins
from server.twin.orders import Order

WAVE_S = 90
TREND_S, TREND_EVERY_S = 1800, 5
SIGNALS = {"ecg_ii": ("II", "mV", 1000), "abp": ("ABP", "mmHg", 100), "ppg": ("PLETH", "NU", 10_000),
           "co2": ("CO2", "mmHg", 100), "resp": ("RESP", "L", 1000)}  # fmt: skip
STORY = ((300, Order("bleed", 900, 600)), (1000, Order("oxygen", 40)), (1010, Order("fluid", 1000, 600)))
COLUMNS = (("hr", 0), ("sap", 0), ("dap", 0), ("map", 0), ("spo2", 1), ("rr", 1), ("etco2", 1), ("temp", 1))


@dataclass(frozen=True)
class Woman:
    """The patient of the demonstration."""

    sex: Literal["female", "male"] = "female"
    age_y: int = 58
    height_cm: float = 165
    weight_kg: float = 68
    condition: str = "hypertension"


def make_waves(record: Path) -> None:
    """Write NAME.hea and NAME.dat: WFDB format 16, one calibrated signal per channel."""
    drawn = Twins((Woman(),), 1).advance(WAVE_S * SECOND)[0]
    lines = [f"{record.name} {len(waves.SHOWN)} {SECOND} {drawn.shape[1]}"]
    for channel, row in zip(waves.SHOWN, drawn, strict=True):
        name, unit, steps = SIGNALS[channel]
        check = int(row.astype(np.int64).sum()) & 0xFFFF
        check = check - 0x10000 if check >= 0x8000 else check
        lines.append(f"{record.name}.dat 16 {steps}(0)/{unit} 16 0 {row[0]} {check} 0 {name}")
    lines.append("# made by the model of Asclepion: no person was recorded")
    record.with_suffix(".hea").write_text("\n".join(lines) + "\n")
    record.with_suffix(".dat").write_bytes(np.ascontiguousarray(drawn.T).astype("<i2").tobytes())


def make_trend(path: Path) -> None:
    """Write the CSV trend."""
    twins = Twins((Woman(),), 1)
    lines = [",".join(["time_s", *(name for name, _ in COLUMNS)])]
    for second in range(0, TREND_S, TREND_EVERY_S):
        for at_s, order in STORY:
            if second <= at_s < second + TREND_EVERY_S:
                twins.order(0, order)
        twins.advance((second + TREND_EVERY_S) * SECOND)
        numbers = twins.numbers(0)
        lines.append(",".join([str(second), *(_cell(getattr(numbers, name), digits) for name, digits in COLUMNS)]))
    path.write_text("\n".join(lines) + "\n")


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    DEMO.parent.mkdir(exist_ok=True)
    make_waves(DEMO)
    make_trend(DEMO.with_name("demo_trend.csv"))
    print(f"written: {DEMO}.hea, {DEMO}.dat, {DEMO.with_name('demo_trend.csv')}")
