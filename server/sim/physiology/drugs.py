"""Propofol and norepinephrine: exact steps of 1 s and what they do.

Owns drug amounts and effect factors. Propofol: three compartments and effect site, the matrix per patient comes as
parameters (Eleveld 2018, Br J Anaesth 120:942). Norepinephrine: one compartment (Beloeil 2005, Br J Anaesth 95:782).
Effects are saturating (Emax) with the sizes below; propofol acts on veins most (mean systemic filling pressure, de Wit
2016, Br J Anaesth 116:784), less on resistance and contractility, and blunts the baroreflex and resets it to a lower
pressure (Cullen 1987, Anesth Analg 66:1115; Ebert 1992, Anesthesiology 76:725).
"""

from numba import njit

from server.sim.physiology import rows as r
from server.sim.physiology.rows import W
from server.sim.physiology.types import Block

PROPOFOL_SVR, PROPOFOL_V0_ML_PER_KG, PROPOFOL_E, PROPOFOL_BARO = 0.45, 11.0, 0.30, 0.70
PROPOFOL_PN_MMHG = 28.0  # reset of the baroreflex
NE_EC50, NE_SVR, NE_V0_ML_PER_KG, NE_E = 8.0, 1.2, 8.0, 0.5  # ng/mL, then largest changes


@njit(inline="always")
def drugs_step(x: Block, i: int) -> None:
    """Advance lane `i` by 1 s: x' = A x + b rate, then the effects of the new concentrations."""
    c1, c2 = x[r.DRUG_1 * W + i], x[r.DRUG_2 * W + i]
    c3, ce = x[r.DRUG_3 * W + i], x[r.DRUG_E * W + i]
    given = x[r.IN_PROPOFOL * W + i]
    for k in range(4):
        a = r.PROPOFOL_A + 4 * k
        new = x[a * W + i] * c1 + x[(a + 1) * W + i] * c2 + x[(a + 2) * W + i] * c3 + x[(a + 3) * W + i] * ce
        x[(r.DRUG_1 + k) * W + i] = new + x[(r.PROPOFOL_B + k) * W + i] * given
    ne = x[r.NE_A * W + i] * x[r.NE * W + i] + x[r.NE_B * W + i] * x[r.IN_NE * W + i]
    x[r.NE * W + i] = ne
    effect = x[r.DRUG_E * W + i]
    asleep = effect / (effect + x[r.CE50_BP * W + i])
    tight = ne / (ne + NE_EC50)
    x[r.F_SVR * W + i] = (1.0 - PROPOFOL_SVR * asleep) * (1.0 + NE_SVR * tight)
    kg = x[r.WEIGHT * W + i]
    x[r.F_V0 * W + i] = kg * (PROPOFOL_V0_ML_PER_KG * asleep - NE_V0_ML_PER_KG * tight)
    x[r.F_E * W + i] = (1.0 - PROPOFOL_E * asleep) * (1.0 + NE_E * tight)
    x[r.F_BARO * W + i] = 1.0 - PROPOFOL_BARO * asleep
    x[r.F_PN * W + i] = -PROPOFOL_PN_MMHG * asleep
    u = effect / x[r.CE50_RESP * W + i]
    x[r.F_RESP * W + i] = 1.0 / (1.0 + u * u * u)
