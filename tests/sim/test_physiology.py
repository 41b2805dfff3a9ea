"""The body in lanes: rest, directions, conservation, and the same bits in any company, cut or compiler."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim.physiology import body, waves
from server.sim.physiology import rows as r
from server.sim.physiology.parameters import PARAMETERS
from server.sim.physiology.rows import W
from server.sim.physiology.types import Floats
from server.twin.model import START
from server.twin.patients import Standard, blocks_for, settle

SECOND = body.SAMPLE_HZ


@cache
def _rest() -> Floats:
    blocks = blocks_for([Standard()] * W)
    settle(blocks)
    return blocks


def rest() -> Floats:
    """One block of standard adults at rest."""
    return _rest().copy()


def advance(blocks: Floats, seconds: float, first: int = START, substeps: int = 4) -> Floats:
    """Advance; the trace of the last up to 60 s, (samples, rows)."""
    count = round(seconds * SECOND)
    trace = np.zeros((blocks.shape[0], min(count, 60 * SECOND), len(body.TRACED) * W))
    early = count - trace.shape[1]
    body.advance(blocks, first, early, substeps, trace[:, :0])
    body.advance(blocks, first + early, trace.shape[1], substeps, trace)
    return trace.reshape(blocks.shape[0], -1, len(body.TRACED), W)


def lane(blocks: Floats, i: int = 0) -> Floats:
    """The numbers of one lane, a view (ROWS,)."""
    return blocks[i // W].reshape(r.ROWS, W)[:, i % W]


def blood(x: Floats) -> float:
    return float(sum(x[row] for row in r.BLOOD))


def averages(blocks: Floats, seconds: float, *rows: int) -> list[float]:
    """Means over some seconds, sampled once a second."""
    seen = []
    for k in range(round(seconds)):
        advance(blocks, 1, START + k * SECOND)
        seen.append([lane(blocks)[row] for row in rows])
    return [float(value) for value in np.mean(seen, axis=0)]


@pytest.mark.parametrize(
    ("row", "low", "high"),
    [
        (r.SAP, 100, 140), (r.DAP, 60, 90), (r.MAP, 70, 105), (r.HR, 62, 82), (r.CO, 4.8, 6.4), (r.SV, 55, 93),
        (r.CVP, 2, 6), (r.PAP_S, 15, 30), (r.PAP_D, 4, 13), (r.PA_O2, 87, 103), (r.PA_CO2, 37, 43), (r.PV_O2, 36, 44),
        (r.SPO2, 95, 100), (r.RR, 11, 17), (r.ETCO2, 34, 42),
    ],
)  # fmt: skip
def test_a_standard_adult_rests_within_the_table(row: int, low: float, high: float) -> None:
    assert low <= _rest_averages()[row] <= high


@cache
def _rest_averages() -> dict[int, float]:
    rows = (r.SAP, r.DAP, r.MAP, r.HR, r.CO, r.SV, r.CVP, r.PAP_S, r.PAP_D, r.PA_O2, r.PA_CO2, r.PV_O2, r.SPO2, r.RR,
            r.ETCO2, r.EDV, r.ESV)  # fmt: skip
    return dict(zip(rows, averages(rest(), 60, *rows), strict=True))


def test_the_ejection_fraction_is_a_healthy_one() -> None:
    seen = _rest_averages()
    assert 0.48 <= (seen[r.EDV] - seen[r.ESV]) / seen[r.EDV] <= 0.62


def test_volume_is_conserved_but_for_what_goes_in_and_out() -> None:
    blocks = rest()
    x = lane(blocks)
    x[r.IN_FLUID], x[r.IN_BLEED] = 0.3, 0.25
    before = blood(x) + x[r.V_ISF] - x[r.TOTAL_IN] + x[r.TOTAL_OUT]
    advance(blocks, 3600)
    after = blood(x) + x[r.V_ISF] - x[r.TOTAL_IN] + x[r.TOTAL_OUT]
    assert abs(after - before) < 1e-6
    assert x[r.TOTAL_IN] == pytest.approx(1080)
    assert x[r.TOTAL_OUT] == pytest.approx(900)


def test_halving_the_step_hardly_moves_the_pressure() -> None:
    seen = []
    for substeps in (4, 8):
        blocks = rest()
        trace = advance(blocks, 30, substeps=substeps)[0, -10 * SECOND :, 0, 0]
        seen.append((trace.max(), trace.min(), trace.mean()))
    assert np.abs(np.subtract(*seen)).max() < 0.5


def test_company_and_lane_do_not_change_a_bit() -> None:
    alone, many = blocks_for([Standard()]), blocks_for([Standard()] * 40)
    for i in range(40):
        lane(many, i)[r.IN_BLEED] = 0.1 * (i == 21)
    lane(alone, 0)[r.IN_BLEED] = 0.1
    advance(alone, 20, 0)
    advance(many, 20, 0)
    assert lane(many, 21).tobytes() == lane(alone).tobytes()
    assert lane(many, 20).tobytes() == lane(many, 37).tobytes() != lane(many, 21).tobytes()


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None)
def test_cutting_time_anywhere_does_not_change_a_bit(cuts: list[int]) -> None:
    whole, cut = rest(), rest()
    lane(whole)[r.IN_NE] = lane(cut)[r.IN_NE] = 10.0
    advance(whole, sum(cuts) / SECOND)
    now = START
    for count in cuts:
        advance(cut, count / SECOND, now)
        now += count
    assert whole.tobytes() == cut.tobytes()


def test_vector_code_agrees_with_plain_code_to_the_last_bit() -> None:
    """The oracle: each step compiled by itself and called lane by lane, so without vector code."""
    fast, slow = rest(), rest()
    body.advance(fast, START, 126, 4, np.zeros((1, 0, len(body.TRACED) * W)))
    x = slow[0]
    for k in range(126):
        now = START + k
        if now % body.SAMPLES_SLOW == 0:
            body.slow.py_func(x)
        if now % body.SAMPLES_REFLEX == 0:
            body.medium.py_func(x, now // body.SAMPLES_REFLEX)
        body.sample.py_func(x, 4)
    rows = np.concatenate([np.arange(r.ROWS)])
    np.testing.assert_array_equal(fast.reshape(r.ROWS, W)[rows], slow.reshape(r.ROWS, W)[rows])


def change(seconds: float, *rows: int, **inputs: float) -> list[float]:
    """What inputs change in these rows, averaged over 15 s."""
    blocks = rest()
    before = averages(blocks, 15, *rows)
    for i in range(W):
        for name, value in inputs.items():
            lane(blocks, i)[getattr(r, name)] = value
    advance(blocks, seconds, START + 15 * SECOND)
    after = averages(blocks, 15, *rows)
    return [b - a for a, b in zip(before, after, strict=True)]


def test_blood_loss_lowers_pressure_and_stroke_and_hurries_the_heart() -> None:
    hr, mean, sv, cvp, pulse = change(600, r.HR, r.MAP, r.SV, r.CVP, r.SAP, IN_BLEED=1000 / 600)
    assert hr > 8
    assert mean < -6
    assert sv < -15
    assert cvp < -2
    assert pulse < -8


def test_a_small_donation_costs_stroke_volume_as_measured() -> None:
    hr, sv = change(384, r.HR, r.SV, IN_BLEED=375 / 384)
    assert sv / _rest_averages()[r.SV] == pytest.approx(-0.14, abs=0.05)  # Leonetti 2004
    assert -1 <= hr <= 7


def test_fluid_raises_pressure_and_stroke_and_slows_the_heart() -> None:
    hr, mean, sv, hb = change(600, r.HR, r.MAP, r.SV, r.HB, IN_FLUID=1000 / 600)
    assert hr < -3
    assert mean > 3
    assert sv > 8
    assert hb < 0


def test_norepinephrine_raises_pressure_and_slows_the_heart() -> None:
    hr, mean = change(600, r.HR, r.MAP, IN_NE=0.1 * 75 / 60)
    assert 4 < mean < 30
    assert hr < -3


def test_propofol_lowers_pressure_and_breathing() -> None:
    mean, drive, co2 = change(240, r.MAP, r.DRIVE, r.PA_CO2, IN_PROPOFOL=0.6)
    assert mean < -8
    assert drive < -0.1
    assert co2 > 2


def test_oxygen_raises_its_pressure_and_saturation() -> None:
    po2, spo2 = change(300, r.PA_O2, r.SPO2, FIO2=1.0)
    assert po2 > 450
    assert spo2 > 2
    po2, spo2, drive = change(240, r.PA_O2, r.SPO2, r.DRIVE, FIO2=0.12)
    assert po2 < -40
    assert spo2 < -10
    assert drive > 0.1


def test_apnoea_desaturates_and_collects_carbon_dioxide() -> None:
    """Awake lungs would last about a minute on air; CO2 rises fast at first, then 3-6 mmHg/min (Eger 1961)."""
    blocks = rest()
    for i in range(W):
        lane(blocks, i)[[r.G_CENTRAL, r.G_PERIPHERAL, r.G_HYPOXIA]] = 0.0
        lane(blocks, i)[r.RR0] = 1e-3
        lane(blocks, i)[r.VT0] = 0.0
    advance(blocks, 180)
    x = lane(blocks)
    assert x[r.SPO2] < 85
    assert 48 < x[r.PA_CO2] < 62
    assert x[r.SINCE_BREATH] > 150


def test_a_heart_without_oxygen_slows_and_comes_back_with_it() -> None:
    blocks = rest()
    for i in range(W):
        lane(blocks, i)[[r.G_CENTRAL, r.G_PERIPHERAL, r.G_HYPOXIA, r.VT0]] = 0.0
    advance(blocks, 480)
    x = lane(blocks)
    assert x[r.HR] < 50
    assert x[r.MAP] < 60
    for i in range(W):
        lane(blocks, i)[[r.VENT_ON, r.VENT_RATE, r.VENT_VT, r.FIO2]] = (1.0, 14.0, 500.0, 1.0)
    advance(blocks, 300, START + 480 * SECOND)
    assert x[r.HR] > 60
    assert x[r.MAP] > 80
    assert x[r.SPO2] > 97


def test_the_ventilator_sets_rate_and_volume() -> None:
    blocks = rest()
    x = lane(blocks)
    x[r.VENT_ON], x[r.VENT_RATE], x[r.VENT_VT], x[r.VENT_PEEP] = 1.0, 20.0, 400.0, 8.0
    rr, vt, cvp = averages(blocks, 60, r.RR, r.VT, r.CVP)[0:3]
    x = lane(blocks)
    assert x[r.RR] == pytest.approx(20)
    assert x[r.VT] == pytest.approx(400, abs=8)
    assert cvp > _rest_averages()[r.CVP]
    assert x[r.VL_MIN] == pytest.approx(8.0 / x[r.E_RS], rel=0.1)
    assert rr > 18
    assert vt > 380


def test_more_ventilation_washes_carbon_dioxide_out() -> None:
    high, etco2 = change(600, r.PA_CO2, r.ETCO2, VENT_ON=1.0, VENT_RATE=24.0, VENT_VT=600.0)
    assert high < -8
    assert etco2 < -8


INPUTS = {
    r.IN_FLUID: 10.0, r.IN_BLEED: 5.0, r.IN_NE: 3 * 75 / 60, r.IN_PROPOFOL: 20.0, r.FIO2: 1.0, r.VENT_ON: 1.0,
    r.VENT_RATE: 40.0, r.VENT_VT: 1000.0, r.VENT_PEEP: 20.0,
}  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(sorted(INPUTS)), st.floats(0, 1)), min_size=1, max_size=12), st.data())
@settings(max_examples=40, deadline=None)
def test_nothing_ordered_makes_a_nan_or_a_negative_volume(orders: list[tuple[int, float]], data: st.DataObject) -> None:
    blocks = rest()
    now = START
    for row, part in orders:
        low = {r.FIO2: 0.21, r.VENT_RATE: 4.0}.get(row, 0.0)
        value = low + part * (INPUTS[row] - low)
        for i in range(W):
            lane(blocks, i)[row] = round(value) if row == r.VENT_ON else value
        seconds = data.draw(st.integers(5, 240))
        advance(blocks, seconds, now)
        now += seconds * SECOND
        x = lane(blocks)
        assert np.isfinite(x).all()
        assert min(x[list(r.BLOOD)]) > 0
        assert min(x[[r.V_ISF, r.RBC, r.PROTEIN, r.PA_O2, r.PA_CO2, r.CV_O2, r.HB]]) > 0
        assert 0 <= x[r.SPO2] <= 100


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_corner_of_the_parameter_box_stays_finite(data: st.DataObject) -> None:
    """A quarter of the box's width around the mean in every direction at once: patients nobody has met."""
    blocks = rest()
    free = [p for name, p in PARAMETERS.items() if name not in ("weight", "temp", "ne_a", "ne_b", "rr0", "v0_vp")]
    for parameter in free:
        side = data.draw(st.sampled_from((-0.25, 0.0, 0.25)))
        width = (parameter.high - parameter.mean) if side > 0 else (parameter.mean - parameter.low)
        for i in range(W):
            lane(blocks, i)[parameter.row] = parameter.mean + side * width
    advance(blocks, 120)
    x = lane(blocks)
    assert np.isfinite(x).all()
    assert min(x[list(r.BLOOD)]) > 0


def test_every_parameter_has_a_mean_within_its_range_and_a_row_of_its_own() -> None:
    rows = [parameter.row for parameter in PARAMETERS.values()]
    assert len(set(rows)) == len(rows)
    assert set(rows) | set(range(r.PROPOFOL_A, r.PROPOFOL_B + 4)) == set(range(r.PARAMETERS))
    assert all(parameter.low <= parameter.mean <= parameter.high for parameter in PARAMETERS.values())
    assert all(parameter.source for name, parameter in PARAMETERS.items() if name not in ("weight", "temp"))


def test_waves_are_drawn_from_the_same_beat() -> None:
    trace = advance(rest(), 12).reshape(1, -1, len(body.TRACED) * W)
    out = np.zeros((1, len(waves.SHOWN), trace.shape[1]), np.int16)
    waves.draw(trace, trace.shape[1], out)
    ecg, abp, ppg, co2, resp = (out[0, k] / waves.STEPS[k] for k in range(5))
    peaks = np.flatnonzero((ecg[1:-1] > 0.7) & (ecg[1:-1] >= ecg[:-2]) & (ecg[1:-1] > ecg[2:])) + 1
    feet = [peak + int(np.argmin(abp[peak : peak + 25])) for peak in peaks[:-1]]
    assert len(peaks) in (13, 14, 15)
    assert all(0 < foot - peak < 25 for peak, foot in zip(peaks, feet, strict=False))
    assert 0 <= ppg.min() < ppg.max() < 2
    assert co2.min() == pytest.approx(0, abs=0.5)
    assert 35 < co2.max() < 42
    assert 0.4 < resp.max() - resp.min() < 0.6
