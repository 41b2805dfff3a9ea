"""Lungs as one elastic space behind one resistance, driven by effort or by a ventilator; a dead space of three cells.

Owns lung volume, flow, thoracic pressure and the gas in the airway, 8 ms steps. Own effort is held while ventilated
(controlled ventilation). Equation of motion: Pao + Pmus = E V + R flow (Otis 1950, J Appl Physiol 2:592). Dead space as
mixed cells in series, so that the capnogram has its rounded upstroke (Fletcher 1981, Br J Anaesth 53:77).
"""

from numba import njit

from server.sim.physiology import rows as r
from server.sim.physiology.algebra import clamp, larger, pick, smaller, smooth
from server.sim.physiology.rows import W
from server.sim.physiology.types import Block

DT_S = 0.008
EFFORT, RELAX = 0.40, 0.15  # fractions of a breath: effort rises, effort falls
VENT_IN = 1.0 / 3.0  # inspiration of a ventilated breath: 1:2
MMHG_PER_CMH2O = 0.7356
DRY = 713.0  # mmHg: 760 less water vapour at 37 degC
SAMPLING = 1.0  # mL/s drawn from the mouth by the capnometer
BREATH_MIN = 0.5  # a breath counts when it moves more than half the dead space


@njit(inline="always")
def mechanics_step(x: Block, i: int) -> None:
    """Advance lane `i` by 8 ms: phase, effort or ventilator, volume, pleural pressure; at the breath's end latch it."""
    phase = x[r.PHASE * W + i] + DT_S / 60.0 * x[r.BREATH_RATE * W + i]
    on = x[r.VENT_ON * W + i]
    over = phase >= 1.0
    phase = pick(over, phase - 1.0, phase)
    rr0 = x[r.RR0 * W + i]
    drive = x[r.DRIVE * W + i]
    faster = 0.7 + 0.3 * smaller(drive, 5.0)
    own_rate = rr0 * faster
    rate = x[r.VENT_RATE * W + i] * on + own_rate * (1.0 - on)
    elastance = x[r.E_RS * W + i]
    own_effort = smaller(drive / faster, 3.5) * x[r.VT0 * W + i] * elastance * x[r.PMUS_GAIN * W + i] * (1.0 - on)
    x[r.PMUS_MAX * W + i] = pick(over, own_effort, x[r.PMUS_MAX * W + i])
    length = 60.0 / x[r.BREATH_RATE * W + i]
    effort = x[r.PMUS_MAX * W + i] * smooth(phase / EFFORT) * (1.0 - smooth((phase - EFFORT) / RELAX)) * (1.0 - on)
    volume = x[r.V_L * W + i]
    passive = (x[r.VENT_PEEP * W + i] * on + effort - elastance * volume) / x[r.R_RS * W + i]
    pushed = x[r.VENT_VT * W + i] / (VENT_IN * length)
    flow = pick((on > 0.5) & (phase < VENT_IN), pushed, passive)
    volume += DT_S * flow
    x[r.FLOW * W + i] = flow
    x[r.V_L * W + i] = volume
    pleural = x[r.PPL0 * W + i] + x[r.E_CW * W + i] * volume - effort
    x[r.P_TH * W + i] = MMHG_PER_CMH2O * pleural
    high, low = larger(x[r.VL_MAX * W + i], volume), smaller(x[r.VL_MIN * W + i], volume)
    co2 = larger(x[r.CO2_MAX * W + i], x[r.CO2_D1 * W + i])
    tidal = high - low
    breath = over & (tidal > 3.0 * BREATH_MIN * x[r.VD3 * W + i])
    since = x[r.SINCE_BREATH * W + i] + DT_S
    x[r.VT * W + i] = pick(over, tidal, x[r.VT * W + i])
    x[r.RR * W + i] = pick(breath, 60.0 / length, x[r.RR * W + i])
    x[r.ETCO2 * W + i] = pick(breath, co2, x[r.ETCO2 * W + i])
    x[r.SINCE_BREATH * W + i] = pick(breath, 0.0, since)
    x[r.VL_MAX * W + i] = pick(over, volume, high)
    x[r.VL_MIN * W + i] = pick(over, volume, low)
    x[r.CO2_MAX * W + i] = pick(over, 0.0, co2)
    x[r.PHASE * W + i] = phase
    x[r.BREATH_RATE * W + i] = pick(over, rate, x[r.BREATH_RATE * W + i])


@njit(inline="always")
def airway_step(x: Block, i: int) -> None:
    """Move gas through the three cells of the dead space into and out of the alveoli (upwind), 8 ms."""
    flow = x[r.FLOW * W + i]
    moved = DT_S * flow / x[r.VD3 * W + i]
    inward, outward = clamp(moved, 0.0, 1.0), clamp(-moved, 0.0, 1.0)
    lung = x[r.FRC * W + i] + x[r.V_L * W + i]
    mixed = clamp(DT_S * flow / larger(lung, 100.0), 0.0, 1.0)
    c1, c2, c3, ca = x[r.CO2_D1 * W + i], x[r.CO2_D2 * W + i], x[r.CO2_D3 * W + i], x[r.CO2_A * W + i]
    o1, o2, o3, oa = x[r.O2_D1 * W + i], x[r.O2_D2 * W + i], x[r.O2_D3 * W + i], x[r.O2_A * W + i]
    inspired = DRY * x[r.FIO2 * W + i]
    drawn = SAMPLING * DT_S / x[r.VD3 * W + i]
    x[r.CO2_D1 * W + i] = c1 - inward * c1 + outward * (c2 - c1) - drawn * c1
    x[r.CO2_D2 * W + i] = c2 + inward * (c1 - c2) + outward * (c3 - c2)
    x[r.CO2_D3 * W + i] = c3 + inward * (c2 - c3) + outward * (ca - c3)
    x[r.CO2_A * W + i] = ca + mixed * (c3 - ca)
    x[r.O2_D1 * W + i] = o1 + inward * (inspired - o1) + outward * (o2 - o1)
    x[r.O2_D2 * W + i] = o2 + inward * (o1 - o2) + outward * (o3 - o2)
    x[r.O2_D3 * W + i] = o3 + inward * (o2 - o3) + outward * (oa - o3)
    x[r.O2_A * W + i] = oa + mixed * (o3 - oa)
