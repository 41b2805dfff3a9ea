"""Propofol: the exact step against a stiff solver, Eleveld's reference person, and measured concentrations."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from server.twin.propofol import exact_step, exponential, fat_free_mass, kinetics

DATA = Path(__file__).parents[2].parent / "shared/data/twins/pk/schnider1998_propofol_openpmx.csv"


def test_the_reference_person_has_the_published_parameters() -> None:
    assert kinetics("male", 35, 170, 70) == pytest.approx((6.28, 25.5, 273, 1.79, 1.75, 1.11, 0.146, 3.08), rel=0.05)


def test_women_clear_faster_and_old_people_have_smaller_second_compartments() -> None:
    assert kinetics("female", 35, 170, 70).cl / kinetics("male", 35, 170, 70).cl == pytest.approx(2.10 / 1.79)
    assert kinetics("male", 80, 170, 70).v2 < kinetics("male", 35, 170, 70).v2


def test_fat_free_mass_is_plausible() -> None:
    assert fat_free_mass("male", 35, 170, 70) == pytest.approx(55, abs=2)
    assert fat_free_mass("female", 35, 165, 65) == pytest.approx(43, abs=3)


@given(st.integers(2, 5), st.data())
@settings(max_examples=40, deadline=None)
def test_the_exponential_is_that_of_scipy(n: int, data: st.DataObject) -> None:
    m = [[data.draw(st.floats(-3, 3)) for _ in range(n)] for _ in range(n)]
    np.testing.assert_allclose(exponential(m), expm(np.array(m)), rtol=1e-9, atol=1e-9)


def test_the_step_agrees_with_a_solver() -> None:
    k = kinetics("male", 50, 178, 82)
    a, b = (np.array(part) for part in exact_step(k, 1.0))

    def slope(t: float, c: np.ndarray) -> list[float]:
        given = 2.0 if t < 60 else 0.0
        out = (k.cl + k.q2 + k.q3) * c[0] - k.q2 * c[1] - k.q3 * c[2]
        return [
            (given * 60 - out) / k.v1 / 60, k.q2 * (c[0] - c[1]) / k.v2 / 60, k.q3 * (c[0] - c[2]) / k.v3 / 60,
            k.ke0 * (c[0] - c[3]) / 60,
        ]  # fmt: skip

    c = np.zeros(4)
    for second in range(600):
        c = a @ c + b * (2.0 if second < 60 else 0.0)
    one = solve_ivp(slope, (0, 60), np.zeros(4), rtol=1e-10, atol=1e-12).y[:, -1]
    exact = solve_ivp(slope, (60, 600), one, rtol=1e-10, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(c, exact, rtol=1e-6)


Row = dict[str, str]


def _sessions(rows: list[Row]) -> list[list[Row]]:
    """Each begins with a reset (EVID 4)."""
    starts = [k for k, row in enumerate(rows) if row["EVID"] == "4"]
    return [rows[a:b] for a, b in itertools.pairwise([*starts, len(rows)])]


def _errors(rows: list[Row]) -> list[float]:
    """(measured - predicted) / predicted at each sample of a session."""
    first = rows[0]
    sex = "male" if first["M1F2"] == "1" else "female"
    k = kinetics(sex, float(first["AGE"]), float(first["HT"]), float(first["WT"]))
    doses = [(float(row["TIME"]), float(row["AMT"]), float(row["RATE"])) for row in rows if row["EVID"] != "0"]
    spans = [(start, start + amount / rate, rate) for start, amount, rate in doses]
    measured = sorted((float(row["TIME"]), float(row["DV"])) for row in rows if row["EVID"] == "0")
    times = sorted({t for span in spans for t in span[:2]} | {t for t, _ in measured})
    c, level = np.zeros(4), {times[0]: 0.0}
    for now, then in itertools.pairwise(times):
        a, b = (np.array(part) for part in exact_step(k, (then - now) * 60))
        c = a @ c + b * sum(rate / 60 for start, end, rate in spans if start <= now and then <= end)
        level[then] = float(c[0])
    return [(dv - level[t]) / level[t] for t, dv in measured]


@pytest.mark.skipif(not DATA.is_file(), reason="the shared concentrations are not here")
def test_measured_concentrations_are_predicted_as_published() -> None:
    """24 volunteers: Eleveld's median error and median absolute error are published as -3.4 and 19.2 %."""
    rows = list(csv.DictReader(DATA.open()))
    errors = [error for session in _sessions(rows) for error in _errors(session)]
    assert len(errors) == 1006
    assert 100 * np.median(errors) == pytest.approx(-3.4, abs=0.3)
    assert 100 * np.median(np.abs(errors)) == pytest.approx(19.2, abs=0.3)
