"""The twins of all beds in lanes: time, orders that run, waves and numbers. Never shows or sends anything.

Owns the blocks of lanes and what is being given. Time is counted in samples of 8 ms since the beds were made ready.
Doses are handed to the kernel at whole seconds: what a second takes is decided at its start.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from server.sim.physiology import body, waves
from server.sim.physiology import rows as r
from server.sim.physiology.rows import W
from server.sim.physiology.waves import Samples
from server.twin.orders import Order
from server.twin.patients import SETTLE_S, Patient, blocks_for, settle
from server.twin.shown import SCALES

assert tuple(SCALES[name] for name in waves.SHOWN) == waves.STEPS

SECOND: Final = body.SAMPLE_HZ
START: Final = (SETTLE_S + 60) * SECOND  # the sample number at which the beds are ready; a whole second
SUBSTEPS: Final = 4
BREATHLESS_S: Final = 15.0
PULSE_MMHG: Final = 8.0  # a smaller pulse is none for an oximeter
ROOM_AIR: Final = 0.21
ASLEEP_MG_L: Final = 1.0  # propofol at the effect site above which a patient does not count as alert
GIVEN: Final = {"fluid": r.IN_FLUID, "bleed": r.IN_BLEED, "propofol": r.IN_PROPOFOL}  # volumes and boluses, per s


class Running(Struct):
    """A volume or bolus being given: what is left, and how much a second takes."""

    kind: str
    left: float
    per_s: float


class Care(Struct):
    """All that acts on one patient."""

    running: list[Running] = []
    oxygen: float = ROOM_AIR
    norepinephrine: float = 0.0  # ug/kg/min
    propofol: float = 0.0  # mg/kg/h
    ventilator: tuple[float, float, float] | None = None  # rate /min, tidal mL, PEEP cmH2O


class Numbers(Struct, frozen=True):
    """One patient's numbers from the model; units as Vitals. None: nothing to measure."""

    hr: float
    sap: float
    dap: float
    map: float
    spo2: float | None
    rr: float
    etco2: float | None
    temp: float
    apnoea_s: float
    oxygen: bool
    alert: bool


class Twins:
    """Patients in lanes, advanced together."""

    def __init__(self, patients: Sequence[Patient], seed: int) -> None:
        self.count = len(patients)
        self.blocks = blocks_for(patients)
        self._stagger(seed)
        settle(self.blocks)
        self.sample = 0
        self.care = [Care() for _ in patients]
        self._trace = np.zeros((self.blocks.shape[0], SECOND, len(body.TRACED) * W))

    def _stagger(self, seed: int) -> None:
        """Beds do not beat and breathe in step: each starts elsewhere in its beat and breath."""
        for bed in range(self.count):
            part = (seed * 0.7548776662466927 + (bed + 1) * 0.5698402909980532) % 1.0
            lane = self._lane(bed)
            lane[r.CLOCK] = part * lane[r.PERIOD]
            lane[r.PHASE] = (part * 7.0) % 1.0

    def _lane(self, bed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The numbers of one bed, a view (ROWS,)."""
        block = self.blocks[bed // W].reshape(r.ROWS, W)
        return block[:, bed % W]

    def advance(self, until: int) -> Samples:
        """Advance to sample `until`; the waves drawn on the way, (beds, channels, samples) int16."""
        drawn = np.zeros((self.count, len(waves.SHOWN), until - self.sample), np.int16)
        done = 0
        while self.sample < until:
            into = self.sample % SECOND
            if into == 0:
                self._dose()
            count = min(until - self.sample, SECOND - into)
            body.advance(self.blocks, START + self.sample, count, SUBSTEPS, self._trace)
            part = np.zeros((self.count, len(waves.SHOWN), count), np.int16)
            waves.draw(self._trace, count, part)
            drawn[:, :, done : done + count] = part
            self.sample += count
            done += count
        return drawn

    def _dose(self) -> None:
        """Hand the next second's doses to the lanes and book them."""
        for bed, care in enumerate(self.care):
            lane = self._lane(bed)
            lane[r.IN_FLUID] = lane[r.IN_BLEED] = 0.0
            lane[r.IN_PROPOFOL] = care.propofol * lane[r.WEIGHT] / 3600.0
            lane[r.IN_NE] = care.norepinephrine * lane[r.WEIGHT] / 60.0
            for item in care.running:
                now = min(item.per_s, item.left)
                item.left -= now
                lane[GIVEN[item.kind]] += now
            care.running = [item for item in care.running if item.left > 1e-9]

    def order(self, bed: int, order: Order) -> None:
        """An order takes effect."""
        care, lane = self.care[bed], self._lane(bed)
        match order.kind:
            case "oxygen":
                care.oxygen = lane[r.FIO2] = order.amount / 100.0
            case "norepinephrine":
                care.norepinephrine = order.amount
            case "propofol-infusion":
                care.propofol = order.amount
            case "ventilator":
                care.ventilator = (order.rate_per_min, order.tidal_ml, order.peep_cmh2o)
                lane[r.VENT_ON] = 1.0
                lane[r.VENT_RATE], lane[r.VENT_VT], lane[r.VENT_PEEP] = care.ventilator
            case "ventilator-off":
                care.ventilator = None
                lane[r.VENT_ON] = lane[r.VENT_PEEP] = 0.0
            case _:
                care.running.append(Running(order.kind, order.amount, order.amount / order.over_s))

    def running(self, bed: int) -> tuple[str, ...]:
        """What acts now, for people to read."""
        care = self.care[bed]
        said = []
        if care.oxygen != ROOM_AIR:
            said.append(f"oxygen {care.oxygen * 100:g} %")
        if care.ventilator is not None:
            said.append("ventilator {:g}/min, {:g} mL, PEEP {:g}".format(*care.ventilator))
        if care.norepinephrine:
            said.append(f"norepinephrine {care.norepinephrine:.2f} ug/kg/min")
        if care.propofol:
            said.append(f"propofol {care.propofol:g} mg/kg/h")
        for item in care.running:
            unit = "mg" if item.kind == "propofol" else "mL"
            name = "training blood loss" if item.kind == "bleed" else item.kind
            said.append(f"{name} {item.per_s * 60:.0f} {unit}/min, {item.left:.0f} {unit} to go")
        return tuple(said)

    def numbers(self, bed: int) -> Numbers:
        """What a monitor would read now."""
        x = self._lane(bed)
        breathing = bool(x[r.SINCE_BREATH] < BREATHLESS_S)
        return Numbers(
            hr=float(x[r.HR]), sap=max(float(x[r.SAP]), 0.0), dap=max(float(x[r.DAP]), 0.0),
            map=max(float(x[r.MAP]), 0.0), spo2=float(x[r.SPO2]) if x[r.SAP] - x[r.DAP] >= PULSE_MMHG else None,
            rr=float(x[r.RR]) if breathing else 0.0,
            etco2=float(x[r.ETCO2]) if breathing else None,
            temp=float(x[r.TEMP]),
            apnoea_s=float(x[r.SINCE_BREATH]),
            oxygen=self.care[bed].oxygen > ROOM_AIR,
            alert=bool(x[r.DRUG_E] < ASLEEP_MG_L),
        )  # fmt: skip
