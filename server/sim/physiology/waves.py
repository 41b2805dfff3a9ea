"""What a monitor's cables would carry, made from the traced state of the body: int16 samples at 125 Hz.

Owns the shape of the ECG on the heart's own clock. ABP comes through the catheter, the plethysmogram from the distal
arteries, the capnogram from the mouth's cell of the dead space, respiration from lung volume. ECG: Gaussians after
McSharry 2003 (IEEE Trans Biomed Eng 50:289), with times in the beat instead of angles so that QT keeps its length.
"""

from math import exp, floor

import numpy as np
import numpy.typing as npt
from numba import njit

from server.sim.physiology import rows as r
from server.sim.physiology.body import TRACED
from server.sim.physiology.circulation import PR
from server.sim.physiology.rows import W
from server.sim.physiology.types import Floats

Samples = npt.NDArray[np.int16]
SHOWN = ("ecg_ii", "abp", "ppg", "co2", "resp")  # the rows of what `draw` makes
STEPS = (1000.0, 100.0, 1e4, 100.0, 1000.0)  # int16 steps per mV, mmHg, 1, mmHg, L
ECG_CENTRE = (-0.150, -0.024, 0.0, 0.026, 0.300)  # s at 60/min from R: P, Q, R, S, T
ECG_WIDTH = (0.021, 0.009, 0.011, 0.010, 0.045)  # s
ECG_HEIGHT = (0.12, -0.10, 1.05, -0.22, 0.28)  # mV
ECG_LEAD_S = 0.03  # R comes before the ventricles' force
KEEPS_WIDTH = 4  # Q, R and S keep their width at any rate: P and T go with the root of the beat's length


@njit(cache=True)
def lead_ii(clock: float, root: float, period: float) -> float:
    """ECG II in mV, `clock` s after the atria's onset in a beat of `period` s."""
    total = 0.0
    since_r = clock - PR * root + ECG_LEAD_S
    for k in range(5):
        stretch = root if k == 0 or k == KEEPS_WIDTH else 1.0
        away = since_r - ECG_CENTRE[k] * stretch
        away -= period * floor(away / period + 0.5)
        z = away / (ECG_WIDTH[k] * stretch)
        if abs(z) < 6.0:
            total += ECG_HEIGHT[k] * exp(-0.5 * z * z)
    return total


@njit(cache=True)
def to_int16(value: float) -> int:
    """Rounded and kept within -32767..32767 (-32768 means missing)."""
    return int(min(max(floor(value + 0.5), -32767.0), 32767.0))


@njit(cache=True)
def draw(trace: Floats, count: int, out: Samples) -> None:
    """Fill out (patients, len(SHOWN), n) with the first `count` samples of trace (blocks, n, len(TRACED) * W)."""
    for p in range(out.shape[0]):
        lane = trace[p // W, :, p % W :: W]
        for k in range(count):
            clock, root, period = lane[k, 1], lane[k, 2], lane[k, 3]
            breath = lane[k, 6]
            ecg = lead_ii(clock, root, period) * (1.0 + 5e-5 * breath)
            pulse = 0.5 + (lane[k, 4] - lane[k, 9]) / 80.0
            out[p, 0, k] = to_int16(ecg * STEPS[0])
            out[p, 1, k] = to_int16(lane[k, 0] * STEPS[1])
            out[p, 2, k] = to_int16(pulse * STEPS[2])
            out[p, 3, k] = to_int16(lane[k, 5] * STEPS[3])
            out[p, 4, k] = to_int16(breath / 1000.0 * STEPS[4])


def prime() -> None:
    """Compile for the real types."""
    draw(np.ones((1, 1, len(TRACED) * W)), 1, np.zeros((1, len(SHOWN), 1), np.int16))


assert TRACED[:7] == (r.CATHETER, r.CLOCK, r.ROOT, r.PERIOD, r.P_AR, r.CO2_D1, r.V_L)
assert TRACED[9] == r.MAP
