"""Blood loss, fluid given, and the exchange between plasma and interstitium, 1 s steps.

Owns red cells, plasma protein and interstitial volume. Starling's balance relative to rest: what moves follows the
changes of capillary, interstitial and oncotic pressure (Guyton; transcapillary refill as Lundvall and Laenne 1989).
What flows to or from the veins is held as Q_EXT for the second, so nothing is lost between here and the circulation.
"""

from numba import njit

from server.sim.physiology import rows as r
from server.sim.physiology.algebra import clamp, larger, ramp
from server.sim.physiology.rows import W
from server.sim.physiology.types import Block

CAPILLARY_TAU_S = 5.0
BLEED_FULL, BLEED_NONE = 0.45, 0.20  # of 70 mL/kg: below the first it slows, below the second there is none


@njit(inline="always")
def blood_volume(x: Block, i: int) -> float:
    """mL in the ten compartments."""
    heart = x[r.V_LV * W + i] + x[r.V_RV * W + i] + x[r.V_LA * W + i] + x[r.V_RA * W + i]
    arteries = x[r.V_AO * W + i] + x[r.V_AR * W + i] + x[r.V_PA * W + i]
    return heart + arteries + x[r.V_VP * W + i] + x[r.V_VC * W + i] + x[r.V_PV * W + i]


@njit(inline="always")
def fluids_step(x: Block, i: int) -> None:
    """Decide the next second's flow into the veins of lane `i` and book it."""
    blood = blood_volume(x, i)
    normal = 70.0 * x[r.WEIGHT * W + i]
    left = clamp((blood / normal - BLEED_NONE) / (BLEED_FULL - BLEED_NONE), 0.0, 1.0)
    bleed = x[r.IN_BLEED * W + i] * left
    red = x[r.RBC * W + i]
    plasma = larger(blood - red, 1.0)
    dilution = x[r.PROTEIN * W + i] / plasma  # 1 at rest: protein is counted in mL of normal plasma
    oncotic = x[r.PI_ONC * W + i] * (dilution * (1.0 + dilution) * 0.5 - 1.0)
    p_vp = x[r.P_VP * W + i]
    cap = x[r.P_CAP * W + i] + (p_vp - x[r.P_CAP * W + i]) / CAPILLARY_TAU_S
    x[r.P_CAP * W + i] = cap
    tissue = (x[r.V_ISF * W + i] - x[r.V_ISF0 * W + i]) / x[r.C_ISF * W + i]
    refill = x[r.KF * W + i] * (x[r.PC0 * W + i] - cap + tissue + oncotic)
    room = 0.02 * (plasma - 200.0)
    filled = clamp((x[r.V_VP * W + i] - 50.0) / 200.0, 0.0, 1.0)
    bleed *= filled
    refill = clamp(refill, -ramp(room) * filled, 0.001 * x[r.V_ISF * W + i])
    fluid = x[r.IN_FLUID * W + i]
    x[r.Q_EXT * W + i] = fluid - bleed + refill
    x[r.V_ISF * W + i] -= refill
    x[r.RBC * W + i] = red - bleed * red / blood
    x[r.PROTEIN * W + i] -= bleed * x[r.PROTEIN * W + i] / blood
    x[r.TOTAL_IN * W + i] += fluid
    x[r.TOTAL_OUT * W + i] += bleed
    x[r.HB * W + i] = 0.333 * red / blood
