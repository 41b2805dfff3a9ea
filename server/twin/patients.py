"""From who a patient is (sex, age, size, condition) to a lane of parameters at rest.

Owns the scaling and the conditions. Every result is inside the box of `sim.physiology.parameters`. A patient is let
run to rest once (`settle`), so that a bed starts in balance.
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import numpy as np

from server.sim.physiology import body
from server.sim.physiology import rows as r
from server.sim.physiology.parameters import PARAMETERS
from server.sim.physiology.rows import W
from server.sim.physiology.types import Floats
from server.twin import propofol

SETTLE_S: Final = 600


class Patient(Protocol):
    """What is read of a PatientSpec."""

    @property
    def sex(self) -> Literal["female", "male"]:
        """As registered."""
        ...

    @property
    def age_y(self) -> int:
        """Years."""
        ...

    @property
    def height_cm(self) -> float:
        """Centimetres."""
        ...

    @property
    def weight_kg(self) -> float:
        """Kilograms."""
        ...

    @property
    def condition(self) -> str:
        """One of CONDITIONS."""
        ...


class Standard:
    """The standard adult."""

    sex: Literal["female", "male"] = "male"
    age_y = 35
    height_cm = 175.0
    weight_kg = 75.0
    condition = "healthy"


CONDITIONS: Final[dict[str, dict[str, float]]] = {
    "healthy": {},
    "hypertension": {"g_sys": 0.74, "pn": 1.22, "e_ao": 1.35, "e_ar": 1.25, "e_lv": 1.25},
    "heart-failure": {
        "e_lv": 0.45, "ed_lv": 0.75, "v0_lv": 2.2, "blood": 1.08, "t0": 0.82, "g_sys": 0.86, "pn": 0.95, "shunt": 2.5,
        "rr0": 1.25,
    },
    "sepsis": {
        "g_sys": 1.55, "t0": 0.66, "pn": 0.80, "e_lv": 0.85, "v0_vp": 1.06, "vo2": 1.25, "vco2": 1.25, "shunt": 5.0,
        "rr0": 1.7, "vt0": 0.85, "temp": 38.8 / 37.0, "gain_r": 0.6, "paco2_0": 0.86,
    },
    "hypovolaemia": {"blood": 0.82},
    "copd": {
        "r_rs": 3.2, "e_rs": 0.8, "frc": 1.4, "shunt": 5.5, "vd3": 1.3, "paco2_0": 1.14, "g_central": 0.5,
        "rr0": 1.2, "pmus_gain": 1.6,
    },
}  # fmt: skip
"""Factors on parameters of the healthy; "blood" on the filled volume."""

_WITH_SIZE = (
    "v0_lv", "v0_rv", "v0_la", "v0_ra", "v0_ao", "v0_ar", "v0_vp", "v0_vc", "v0_pa", "v0_pv", "g_mv", "g_av", "g_tv",
    "g_pval", "g_sys", "g_vp", "g_vc", "g_pul", "g_la", "gain_v", "il_ao",
)  # fmt: skip
_AGAINST_SIZE = (
    "e_lv", "ed_lv", "e_rv", "ed_rv", "emin_la", "emax_la", "emin_ra", "emax_ra", "e_ao", "e_ar", "r_ao", "ivm_vp",
    "e_vc", "e_pa", "e_pv",
)  # fmt: skip
_WITH_LUNG = ("frc", "vt0")
_AGAINST_LUNG = ("r_rs", "e_rs", "e_cw")
_WITH_MASS = ("vd3", "vo2", "vco2", "v_o2", "v_co2", "v_art", "kf", "c_isf", "v_isf0")


def parameters(patient: Patient) -> dict[str, float]:
    """Parameters by name, clamped into the box. Flows and volumes go with body surface, lungs with lean size."""
    values = {name: parameter.mean for name, parameter in PARAMETERS.items()}
    surface = (patient.height_cm * patient.weight_kg / 3600) ** 0.5 / 1.9094
    lean = propofol.fat_free_mass(patient.sex, patient.age_y, patient.height_cm, patient.weight_kg)
    lung = lean / propofol.fat_free_mass("male", 35, 175, 75)
    _scale(values, _WITH_SIZE, surface)
    _scale(values, _AGAINST_SIZE, 1 / surface)
    _scale(values, ("ivs2_lv", "ivs2_rv"), surface**-2)
    _scale(values, _WITH_LUNG, lung)
    _scale(values, _AGAINST_LUNG, 1 / lung)
    _scale(values, _WITH_MASS, (lung * surface) ** 0.5)
    _age(values, patient.age_y)
    for name, factor in CONDITIONS[patient.condition].items():
        if name in values:
            values[name] *= factor
    values["weight"] = patient.weight_kg
    values["ne_b"] = (1 - values["ne_a"]) / (2000 / 60 * (patient.weight_kg / 70) ** 0.75) * 1000
    for name, parameter in PARAMETERS.items():
        values[name] = min(max(values[name], parameter.low), parameter.high)
    return values


def _scale(values: dict[str, float], names: Sequence[str], factor: float) -> None:
    for name in names:
        values[name] *= factor


def _age(values: dict[str, float], age_y: int) -> None:
    """Stiffer arteries and weaker reflexes with age (McDonald's Blood Flow); children's faster hearts and breaths."""
    grown = max(age_y - 35, 0)
    _scale(values, ("e_ao", "e_ar"), 1 + 0.011 * grown)
    _scale(values, ("gain_tv", "gain_ts"), 1 - 0.008 * min(grown, 60))
    values["shunt"] += 0.0006 * grown
    young = max(18 - age_y, 0) / 18
    values["t0"] *= 1 - 0.40 * young
    values["rr0"] *= 1 + 1.1 * young
    values["vt0"] /= 1 + 0.35 * young
    values["pn"] *= 1 - 0.22 * young
    values["g_sys"] *= 1 + 0.35 * young


def blocks_for(patients: Sequence[Patient]) -> Floats:
    """Blocks of lanes at rest, not yet settled; lanes without a patient hold the standard adult."""
    blocks = body.empty(len(patients))
    for lane in range(blocks.shape[0] * W):
        patient: Patient = patients[lane] if lane < len(patients) else Standard()
        _fill(blocks[lane // W], lane % W, patient)
    return blocks


def settle(blocks: Floats) -> None:
    """Run to rest; then what is relative to rest (capillary pressure, totals) is set to it."""
    none = np.zeros((blocks.shape[0], 0, len(body.TRACED) * W))
    rows = blocks.reshape(blocks.shape[0], r.ROWS, W)
    kf = rows[:, r.KF].copy()
    rows[:, r.KF] = 0.0
    body.advance(blocks, 0, SETTLE_S * body.SAMPLE_HZ, 4, none)
    rows[:, r.PC0] = rows[:, r.P_CAP]
    rows[:, r.KF] = kf
    body.advance(blocks, 0, 60 * body.SAMPLE_HZ, 4, none)


def _fill(block: Floats, lane: int, patient: Patient) -> None:
    """Parameters, inputs and a starting state of one lane."""
    x = block.reshape(r.ROWS, W)[:, lane]
    values = parameters(patient)
    for name, value in values.items():
        x[PARAMETERS[name].row] = value
    kinetics = propofol.kinetics(patient.sex, patient.age_y, patient.height_cm, patient.weight_kg)
    matrix, gain = propofol.exact_step(kinetics, 1.0)
    x[r.PROPOFOL_A : r.PROPOFOL_A + 16] = [value for row in matrix for value in row]
    x[r.PROPOFOL_B : r.PROPOFOL_B + 4] = gain
    x[r.FIO2], x[r.VENT_RATE], x[r.VENT_VT] = 0.21, values["rr0"], values["vt0"]
    _fill_blood(x, patient)
    _fill_rest(x)


def blood_volume_ml(patient: Patient) -> float:
    """Nadler 1962 (Surgery 51:224) for adults, 75 mL/kg below 25 kg, times what the condition does."""
    height = patient.height_cm / 100
    if patient.weight_kg < 25:
        volume = 75 * patient.weight_kg
    elif patient.sex == "male":
        volume = 366.9 * height**3 + 32.19 * patient.weight_kg + 604.1
    else:
        volume = 356.1 * height**3 + 33.08 * patient.weight_kg + 183.3
    return volume * CONDITIONS[patient.condition].get("blood", 1.0)


def _fill_blood(x: Floats, patient: Patient) -> None:
    """Spread the blood so that pressures start near rest; the veins take what is left.

    Unstressed venous volume is set from the volume a healthy person of that size has, so that more or less blood shows.
    """
    normal = blood_volume_ml(patient) / CONDITIONS[patient.condition].get("blood", 1.0)
    pressures = {
        r.V_AO: 90.0, r.V_AR: 90.0, r.V_VC: 8.0, r.V_PA: 18.0, r.V_PV: 11.0,
    }  # fmt: skip
    elastance = {r.V_AO: r.E_AO, r.V_AR: r.E_AR, r.V_VC: r.E_VC, r.V_PA: r.E_PA, r.V_PV: r.E_PV}
    unstressed = {r.V_AO: r.V0_AO, r.V_AR: r.V0_AR, r.V_VC: r.V0_VC, r.V_PA: r.V0_PA, r.V_PV: r.V0_PV}
    surface = (patient.height_cm * patient.weight_kg / 3600) ** 0.5 / 1.9094
    for row, pressure in pressures.items():
        x[row] = x[unstressed[row]] + pressure / x[elastance[row]]
    x[r.V_LV], x[r.V_RV], x[r.V_LA], x[r.V_RA] = (volume * surface for volume in (125.0, 130.0, 65.0, 60.0))
    elsewhere = sum(x[row] for row in r.BLOOD if row != r.V_VP)
    filled = STRESSED_VP_ML * surface
    x[r.V0_VP] = min(max(normal - elsewhere - filled, 100.0), 7000.0)
    x[r.V_VP] = blood_volume_ml(patient) - elsewhere
    haematocrit = 0.44 if patient.sex == "male" else 0.40
    x[r.RBC] = haematocrit * blood_volume_ml(patient)
    x[r.PROTEIN] = (1 - haematocrit) * blood_volume_ml(patient)
    x[r.HB] = 0.333 * haematocrit


STRESSED_VP_ML: Final = 760.0


def _fill_rest(x: Floats) -> None:
    """Everything else near its resting value."""
    x[r.PERIOD] = x[r.T_NEXT] = x[r.T0]
    x[r.ROOT], x[r.PER_ROOT] = x[r.T0] ** 0.5, x[r.T0] ** -0.5
    x[r.G_SYS_NOW], x[r.E_LV_NOW], x[r.E_RV_NOW], x[r.V0_VP_NOW] = x[r.G_SYS], x[r.E_LV], x[r.E_RV], x[r.V0_VP]
    x[r.P_TH] = -4.0
    x[r.P_BARO], x[r.P_CAP] = x[r.PN], x[r.PC0]
    x[r.CATHETER] = x[r.P_AO] = x[r.P_AR] = x[r.PN]
    x[r.Q_MEAN] = 90.0
    x[r.F_SVR] = x[r.F_E] = x[r.F_BARO] = x[r.F_RESP] = 1.0
    x[r.FES] = x[r.FES_LATE] = x[r.FES_VEINS] = 4.6666
    x[r.FEV] = x[r.FEV_LATE] = 4.7665
    x[r.FES_RING : r.FES_RING + r.RING] = 4.6666
    x[r.FEV_RING : r.FEV_RING + r.RING] = 4.7665
    x[r.BREATH_RATE], x[r.DRIVE], x[r.RR] = x[r.RR0], 1.0, x[r.RR0]
    x[r.P_BRAIN] = x[r.PA_CO2] = x[r.CO2_A] = x[r.PACO2_0]
    x[r.CO2_D1] = x[r.CO2_D2] = x[r.CO2_D3] = 20.0
    x[r.O2_A], x[r.PA_O2], x[r.PV_O2] = 100.0, 95.0, 40.0
    x[r.O2_D1] = x[r.O2_D2] = x[r.O2_D3] = 130.0
    x[r.CA_O2], x[r.CV_O2] = 1.34 * x[r.HB] * 0.97, 1.34 * x[r.HB] * 0.74
    x[r.CA_CO2], x[r.CV_CO2] = 0.490, 0.530
    x[r.SAT_A], x[r.SPO2] = 0.97, 97.0
    x[r.V_ISF] = x[r.V_ISF0]
    x[r.ABP_MAX], x[r.ABP_MIN], x[r.LV_MIN] = -1e3, 1e3, 1e4
    x[r.PA_MAX], x[r.PA_MIN] = -1e3, 1e3
