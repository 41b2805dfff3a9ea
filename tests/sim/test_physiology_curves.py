"""The curves and stand-ins of the physiology against their published or exact forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim.physiology import algebra, gas, waves
from server.sim.physiology import rows as r
from server.sim.physiology.baroreflex import FES_0, FES_INF, FEV_REST, KES, LOG_REST, delay_step
from server.sim.physiology.rows import W


@given(st.floats(0, 4))
@settings(deadline=None)
def test_exp_is_near(z: float) -> None:
    assert algebra.exp_minus(z) == pytest.approx(np.exp(-z), abs=0.006)


@given(st.floats(1, 16))
@settings(deadline=None)
def test_log_is_near(x: float) -> None:
    assert algebra.log(x) == pytest.approx(np.log(x), abs=0.002)


@given(st.floats(-30, 30))
@settings(deadline=None)
def test_the_sigmoid_is_near_and_rises(z: float) -> None:
    assert algebra.sigmoid(z) == pytest.approx(1 / (1 + np.exp(-z)), abs=0.08)
    assert algebra.sigmoid(z + 0.01) > algebra.sigmoid(z)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
@settings(deadline=None)
def test_branch_free_extremes_are_extremes(a: float, b: float) -> None:
    assert algebra.larger(a, b) == pytest.approx(max(a, b), abs=1e-9, rel=1e-9)
    assert algebra.smaller(a, b) == pytest.approx(min(a, b), abs=1e-9, rel=1e-9)
    assert algebra.ramp(a) == max(a, 0.0)


def test_the_reflex_is_silent_at_its_set_point() -> None:
    fcs = 2.52 + 45.26 * algebra.sigmoid(0.0)
    fes = FES_INF + (FES_0 - FES_INF) * algebra.exp_minus(KES * fcs)
    assert algebra.log(fes - 2.66 + 1.0) == pytest.approx(LOG_REST, abs=1e-4)
    assert 3.2 + 3.1 * algebra.sigmoid((fcs - 25.0) / 7.06) == pytest.approx(FEV_REST, abs=1e-5)


def test_delays_are_their_slots_long() -> None:
    x = np.zeros(r.ROWS * W)
    came = {}
    for slot in range(300):
        x[r.FES * W] = float(slot)
        x[r.FEV * W] = float(slot)
        delay_step.py_func(x, 0, slot)
        came[slot] = (x[r.FES_LATE * W], x[r.FES_VEINS * W], x[r.FEV_LATE * W])
    assert came[299] == (249.0, 174.0, 294.0)


@given(st.floats(10, 600), st.floats(15, 90))
@settings(deadline=None)
def test_saturation_rises_with_oxygen_and_falls_with_carbon_dioxide(po2: float, pco2: float) -> None:
    assert gas.saturation(po2 + 1, pco2) > gas.saturation(po2, pco2)
    assert gas.saturation(po2, pco2 + 1) <= gas.saturation(po2, pco2)


def test_the_oxygen_curve_meets_severinghaus_table() -> None:
    for po2, sat in ((26.86, 0.50), (40, 0.75), (60, 0.906), (90, 0.969)):
        assert gas.saturation(po2, 40.0) == pytest.approx(sat, abs=0.006)
    for pco2 in (20, 30, 60, 80):
        exact = (pco2 / 40) ** -0.36
        assert (1 + gas.BOHR * pco2 / 40) / (gas.BOHR + pco2 / 40) == pytest.approx(exact, abs=0.02)


@given(st.floats(12, 95), st.floats(0.6, 1.0))
@settings(deadline=None)
def test_carbon_dioxide_content_is_near_the_published_curve_and_invertible(pco2: float, sat: float) -> None:
    content = gas.co2_content(pco2, sat)
    assert content == pytest.approx((0.149 - 0.014 * sat) * pco2**0.35, abs=0.016)
    assert gas.co2_pressure(content, sat) == pytest.approx(pco2, rel=1e-9)


@given(st.floats(15, 600), st.floats(0.07, 0.2))
@settings(deadline=None)
def test_the_oxygen_pressure_of_a_content_is_found(po2: float, hb: float) -> None:
    content = gas.o2_content(po2, 40.0, hb)
    guess = 95.0
    for _ in range(60):
        guess = gas.o2_pressure(content, guess, 40.0, hb)
    assert guess == pytest.approx(po2, rel=0.01)


@given(st.floats(-1e6, 1e6))
@settings(deadline=None)
def test_samples_are_rounded_into_range_and_never_look_missing(value: float) -> None:
    assert waves.to_int16(value) == min(max(np.floor(value + 0.5), -32767), 32767)
    assert waves.to_int16.py_func(value) == waves.to_int16(value)
