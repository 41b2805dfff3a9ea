"""Carotid baroreflex after Ursino 1998 (Am J Physiol 275:H1733), 40 ms steps, without exp and log.

Owns firing rates, their delays and the four effectors: resistance, venous unstressed volume, contractility, period.
Effectors are written relative to rest at the set point PN, so that a patient's resting values are the parameters'.
"""

from numba import njit

from server.sim.physiology import rows as r
from server.sim.physiology.algebra import clamp, exp_minus, larger, log, ramp, sigmoid
from server.sim.physiology.rows import W
from server.sim.physiology.types import Block

DT_S = 0.04
FCS_MIN, FCS_SPAN, KA = 2.52, 45.26, 11.758  # 1/s, 1/s, mmHg (Ursino table 3)
FES_INF, FES_0, KES, FES_MIN = 2.10, 16.11, 0.0675, 2.66
FEV_0, FEV_SPAN, FCS_0, KEV = 3.2, 3.1, 25.0, 7.06
LOG_REST = 1.10005  # log(fes - FES_MIN + 1) at the set point, with this module's own exp and log
FEV_REST = 4.766465
SLOTS_SYMPATHETIC, SLOTS_VEINS, SLOTS_VAGUS = 50, 125, 5  # delays 2, 5 and 0.2 s (Ursino table 3)
FAILING, SLOWING_S = 0.7, 1.2  # a heart without oxygen: part of contractility lost, s added to the period
TAU_P, TAU_R, TAU_V, TAU_E, TAU_TS, TAU_TV = 1.0, 6.0, 20.0, 8.0, 2.0, 1.5  # s


@njit(inline="always")
def efferent(fes: float) -> float:
    """Sympathetic activity at an effector relative to rest: 0 at rest, log as Ursino eq. 24."""
    return log(ramp(fes - FES_MIN) + 1.0) - LOG_REST


@njit(inline="always")
def firing_step(x: Block, i: int) -> None:
    """Pressure to firing rates of lane `i`, 40 ms."""
    p = x[r.P_BARO * W + i]
    p += DT_S / TAU_P * (x[r.P_AO * W + i] - p)
    x[r.P_BARO * W + i] = p
    fcs = FCS_MIN + FCS_SPAN * sigmoid((p - x[r.PN * W + i] - x[r.F_PN * W + i]) / KA)
    x[r.FES * W + i] = FES_INF + (FES_0 - FES_INF) * exp_minus(KES * fcs)
    x[r.FEV * W + i] = FEV_0 + FEV_SPAN * sigmoid((fcs - FCS_0) / KEV)


@njit(inline="always")
def delay_step(x: Block, i: int, slot: int) -> None:
    """Firing rates of lane `i` go into the rings, those of earlier slots come out; `slot` counts 40 ms steps."""
    last = r.RING - 1
    x[(r.FES_RING + (slot & last)) * W + i] = x[r.FES * W + i]
    x[(r.FEV_RING + (slot & last)) * W + i] = x[r.FEV * W + i]
    x[r.FES_LATE * W + i] = x[(r.FES_RING + ((slot - SLOTS_SYMPATHETIC) & last)) * W + i]
    x[r.FES_VEINS * W + i] = x[(r.FES_RING + ((slot - SLOTS_VEINS) & last)) * W + i]
    x[r.FEV_LATE * W + i] = x[(r.FEV_RING + ((slot - SLOTS_VAGUS) & last)) * W + i]


@njit(inline="always")
def effector_step(x: Block, i: int) -> None:
    """Delayed firing rates to resistance, venous tone, contractility and period of lane `i`, 40 ms."""
    fes = x[r.FES_LATE * W + i]
    fes_veins = x[r.FES_VEINS * W + i]
    fev = x[r.FEV_LATE * W + i]
    gain = x[r.F_BARO * W + i]
    act = gain * efferent(fes)
    x[r.S_R * W + i] += DT_S / TAU_R * (x[r.GAIN_R * W + i] * act - x[r.S_R * W + i])
    x[r.S_E * W + i] += DT_S / TAU_E * (x[r.GAIN_E * W + i] * act - x[r.S_E * W + i])
    x[r.S_TS * W + i] += DT_S / TAU_TS * (x[r.GAIN_TS * W + i] * act - x[r.S_TS * W + i])
    pull = x[r.GAIN_V * W + i] * gain * efferent(fes_veins)
    x[r.S_V * W + i] += DT_S / TAU_V * (pull - x[r.S_V * W + i])
    vagal = x[r.GAIN_TV * W + i] * gain * (fev - FEV_REST)
    x[r.S_TV * W + i] += DT_S / TAU_TV * (vagal - x[r.S_TV * W + i])
    resistance = (1.0 + x[r.S_R * W + i]) * x[r.F_SVR * W + i]
    x[r.G_SYS_NOW * W + i] = x[r.G_SYS * W + i] / larger(resistance, 0.2)
    suffers = x[r.SUFFERS * W + i]
    force = larger((1.0 + x[r.S_E * W + i]) * x[r.F_E * W + i] * (1.0 - FAILING * suffers), 0.1)
    x[r.E_LV_NOW * W + i] = x[r.E_LV * W + i] * force
    x[r.E_RV_NOW * W + i] = x[r.E_RV * W + i] * force
    x[r.V0_VP_NOW * W + i] = x[r.V0_VP * W + i] + x[r.S_V * W + i] + x[r.F_V0 * W + i]
    period = x[r.T0 * W + i] * (1.0 + x[r.S_TS * W + i] + x[r.S_TV * W + i]) + SLOWING_S * suffers * suffers
    x[r.T_NEXT * W + i] = clamp(period, 0.33, 2.0)
