"""How many patients a core carries: the bedside stepped by itself, waveforms and vitals as in a running house.

Owns nothing but the beds it makes.
"""

import time

from server.twin.bedside import Bedside
from server.world.scene import PatientSpec
from tools.bench_timing import Row, Sample, sample_of

BEDS = (1, 8, 64)
TICK_HZ, WAVES_HZ = 30, 10
SECONDS, REPEATS = 4, 5
TITLE = "Patients (4 simulated seconds each, stepped at 30 Hz, waves at 10 blocks/s)"


def beds(count: int) -> list[PatientSpec]:
    """Patients of both sexes and several ages."""
    return [PatientSpec(f"Model {i}", "female" if i % 2 else "male", 30 + i % 50, 172, 70) for i in range(count)]


def speed(count: int) -> Sample:
    """Patient-seconds per processor second."""
    house = Bedside(beds(count), TICK_HZ, 1, WAVES_HZ)
    tick = 0
    values = []
    for repeat in range(REPEATS + 1):
        start = time.process_time()
        for _ in range(SECONDS * TICK_HZ):
            tick += 1
            house.step(tick)
        if repeat:  # the first warms up
            values.append(count * SECONDS / max(time.process_time() - start, 1e-9))
    return sample_of(values)


def run() -> list[Row]:
    """The section."""
    out = []
    for count in BEDS:
        sample = speed(count)
        share = f"{100 / sample.median:.2f} % of a core each"
        out.append(Row(f"{count} beds", "patient-s per CPU-s", sample, 0.0, share))
    return out
