"""O2 and CO2 in alveoli, arterial blood and body, and the drive to breathe that follows from them, 40 ms steps.

Owns contents, partial pressures, saturation and drive. Oxygen: Severinghaus 1979 (J Appl Physiol 46:599) with a Bohr
shift as a rational of PCO2. CO2: a rational fit of (0.149 - 0.014 S) P^0.35 (Fincham and Tehrani 1983), invertible in
closed form. Drive: central and peripheral chemoreflex above a threshold (after Ursino and Magosso 2000).
Contents mL STPD per mL of blood; 863 turns mL STPD into mmHg mL BTPS (West, Respiratory Physiology).
"""

from numba import njit

from server.sim.physiology import rows as r
from server.sim.physiology.algebra import clamp, larger, pick, ramp, smaller
from server.sim.physiology.rows import W
from server.sim.physiology.types import Block

DT_S = 0.04
HUEFNER, SOLVED = 1.34, 3.0e-5  # mL O2 per g, mL/(mL mmHg)
BTPS = 863.0
PO2_MAX = 713.0  # mmHg: nothing but oxygen
TAU_BRAIN, TAU_DRIVE, TAU_FINGER, TAU_SUFFERS = 90.0, 6.0, 4.0, 45.0  # s
SUPPLY_MMHG, SUPPLY_ENOUGH, SUPPLY_NONE = 45.0, 0.45, 0.15  # full perfusion above; saturation times its part
CO2_K0, CO2_K1, CO2_K2 = 0.22712, 0.82271, 85.0  # fit over 12..95 mmHg at S = 1: within 0.007 mL/mL
HALDANE = 0.05  # mL/mL more CO2 when fully desaturated (at 40 mmHg)
BOHR = 0.47  # (1 + k u) / (k + u), u = PCO2/40, within 0.02 of u^-0.36 over 20..80 mmHg


@njit(inline="always")
def saturation(po2: float, pco2: float) -> float:
    """Fraction of haemoglobin that carries O2: Severinghaus at the pressure shifted to PCO2 40."""
    u = pco2 / 40.0
    p = po2 * (1.0 + BOHR * u) / (BOHR + u)
    cube = p * p * p + 150.0 * p
    return cube / (cube + 23400.0)


@njit(inline="always")
def o2_content(po2: float, pco2: float, hb: float) -> float:
    """mL/mL; hb in g/mL."""
    return HUEFNER * hb * saturation(po2, pco2) + SOLVED * po2


@njit(inline="always")
def o2_pressure(content: float, guess: float, pco2: float, hb: float) -> float:
    """One Newton step from `guess` towards the PO2 of a content; called each 40 ms it follows within 0.1 mmHg."""
    near = guess * 1.01
    here = o2_content(guess, pco2, hb)
    slope = (o2_content(near, pco2, hb) - here) / (near - guess)
    return clamp(guess + (content - here) / slope, larger(0.8 * guess, 0.5), smaller(1.25 * guess, PO2_MAX))


@njit(inline="always")
def co2_content(pco2: float, sat: float) -> float:
    """mL/mL: rational in PCO2, more when desaturated (Haldane)."""
    return CO2_K0 + CO2_K1 * pco2 / (pco2 + CO2_K2) + HALDANE * (1.0 - sat)


@njit(inline="always")
def co2_pressure(content: float, sat: float) -> float:
    """mmHg: the inverse of co2_content."""
    y = clamp(content - CO2_K0 - HALDANE * (1.0 - sat), 0.005, 0.95 * CO2_K1)
    return CO2_K2 * y / (CO2_K1 - y)


@njit(inline="always")
def exchange_step(x: Block, i: int) -> None:
    """Advance the stores of lane `i` by 40 ms: lung to blood, arterial delay, body to blood."""
    q = ramp(x[r.Q_MEAN * W + i])
    hb, shunt = x[r.HB * W + i], x[r.SHUNT * W + i]
    o2_a, co2_a = x[r.O2_A * W + i], x[r.CO2_A * W + i]
    ca_o2, ca_co2 = x[r.CA_O2 * W + i], x[r.CA_CO2 * W + i]
    cv_o2, cv_co2 = x[r.CV_O2 * W + i], x[r.CV_CO2 * W + i]
    end_o2 = o2_content(o2_a, co2_a, hb)
    end_co2 = co2_content(co2_a, saturation(o2_a, co2_a))
    through = q * (1.0 - shunt)
    j_o2, j_co2 = through * (end_o2 - cv_o2), through * (cv_co2 - end_co2)
    lung = larger(x[r.FRC * W + i] + x[r.V_L * W + i], 100.0)
    x[r.O2_A * W + i] = larger(o2_a - DT_S * BTPS * j_o2 / lung, 0.5)
    x[r.CO2_A * W + i] = larger(co2_a + DT_S * BTPS * j_co2 / lung, 0.5)
    x[r.J_O2 * W + i], x[r.J_CO2 * W + i] = j_o2, j_co2
    delay = DT_S * q / x[r.V_ART * W + i]
    mixed_o2 = (1.0 - shunt) * end_o2 + shunt * cv_o2
    mixed_co2 = (1.0 - shunt) * end_co2 + shunt * cv_co2
    x[r.CA_O2 * W + i] = ca_o2 + delay * (mixed_o2 - ca_o2)
    x[r.CA_CO2 * W + i] = ca_co2 + delay * (mixed_co2 - ca_co2)
    pv = x[r.PV_O2 * W + i]
    used = x[r.VO2 * W + i] * pv / (pv + 2.0)
    x[r.CV_O2 * W + i] = larger(cv_o2 + DT_S * (q * (ca_o2 - cv_o2) - used) / x[r.V_O2 * W + i], 1e-4)
    x[r.CV_CO2 * W + i] = cv_co2 + DT_S * (q * (ca_co2 - cv_co2) + x[r.VCO2 * W + i]) / x[r.V_CO2 * W + i]
    sat = x[r.SAT_A * W + i]
    pa_co2 = co2_pressure(ca_co2, sat)
    pa_o2 = o2_pressure(ca_o2, x[r.PA_O2 * W + i], pa_co2, hb)
    x[r.PA_CO2 * W + i], x[r.PA_O2 * W + i] = pa_co2, pa_o2
    x[r.PV_O2 * W + i] = o2_pressure(cv_o2, pv, pa_co2 + 6.0, hb)
    x[r.SAT_A * W + i] = saturation(pa_o2, pa_co2)
    x[r.SPO2 * W + i] += DT_S / TAU_FINGER * (100.0 * sat - x[r.SPO2 * W + i])


@njit(inline="always")
def drive_step(x: Block, i: int) -> None:
    """The drive to breathe relative to rest, 40 ms: below 0.15 there is none (apnoeic threshold)."""
    pa = x[r.PA_CO2 * W + i]
    brain = x[r.P_BRAIN * W + i] + DT_S / TAU_BRAIN * (pa - x[r.P_BRAIN * W + i])
    x[r.P_BRAIN * W + i] = brain
    rest = x[r.PACO2_0 * W + i]
    lack = ramp(0.96 - x[r.SAT_A * W + i])
    chemo = 1.0 + x[r.G_CENTRAL * W + i] * (brain - rest) + x[r.G_PERIPHERAL * W + i] * (pa - rest)
    wanted = clamp((chemo + x[r.G_HYPOXIA * W + i] * lack) * x[r.F_RESP * W + i], 0.0, 12.0)
    wanted = pick(wanted > 0.15, wanted, 0.0)
    x[r.DRIVE * W + i] += DT_S / TAU_DRIVE * (wanted - x[r.DRIVE * W + i])


@njit(inline="always")
def heart_supply_step(x: Block, i: int) -> None:
    """How far the heart itself suffers, 0..1, 40 ms: from saturation and the pressure that perfuses it.

    It slows and weakens (hypoxic bradycardia, Daly 1997, Peripheral Arterial Chemoreceptors), and comes back with
    oxygen; an arrest is not modelled. The size is set so that an apnoeic adult on air is slow after about five minutes.
    """
    supply = x[r.SAT_A * W + i] * clamp(x[r.MAP * W + i] / SUPPLY_MMHG, 0.0, 1.0)
    lack = clamp((SUPPLY_ENOUGH - supply) / (SUPPLY_ENOUGH - SUPPLY_NONE), 0.0, 1.0)
    x[r.SUFFERS * W + i] += DT_S / TAU_SUFFERS * (lack - x[r.SUFFERS * W + i])
