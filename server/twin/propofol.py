"""Propofol kinetics of one patient after Eleveld 2018 (Br J Anaesth 120:942), and their exact step of 1 s.

Owns the covariate model and the matrix exponential. Arterial parameters, no opioids. Units: L, L/min, 1/min, mg, mg/L.
"""

from math import exp
from typing import Literal, NamedTuple

Matrix = list[list[float]]


class Kinetics(NamedTuple):
    """Volumes L, clearances L/min, effect site rate 1/min, concentration of half effect on the EEG mg/L."""

    v1: float
    v2: float
    v3: float
    cl: float
    q2: float
    q3: float
    ke0: float
    ce50: float


def _sigmoid(x: float, half: float, steep: float) -> float:
    return x**steep / (x**steep + half**steep)


def fat_free_mass(sex: Literal["female", "male"], age_y: float, height_cm: float, weight_kg: float) -> float:
    """kg, after Al-Sallami 2015 (Clin Pharmacokinet 54:1169)."""
    bmi = weight_kg / (height_cm / 100) ** 2
    if sex == "male":
        grown = 0.88 + 0.12 / (1 + (age_y / 13.4) ** -12.7)
        return grown * 9270 * weight_kg / (6680 + 216 * bmi)
    grown = 1.11 - 0.11 / (1 + (age_y / 7.1) ** -1.1)
    return grown * 9270 * weight_kg / (8780 + 244 * bmi)


def kinetics(sex: Literal["female", "male"], age_y: float, height_cm: float, weight_kg: float) -> Kinetics:
    """Table 2 of Eleveld 2018; the reference person is a man of 35 years, 170 cm, 70 kg."""
    reference_ffm = fat_free_mass("male", 35, 170, 70)
    weeks, reference_weeks = age_y * 52.0 + 40, 35 * 52.0 + 40
    ripe = _sigmoid(weeks, 42.3, 9.06) / _sigmoid(reference_weeks, 42.3, 9.06)
    ripe_q3, reference_ripe_q3 = _sigmoid(weeks, 68.3, 1), _sigmoid(reference_weeks, 68.3, 1)
    v1 = 6.28 * _sigmoid(weight_kg, 33.6, 1) / _sigmoid(70, 33.6, 1)
    v2 = 25.5 * weight_kg / 70 * exp(-0.0156 * (age_y - 35))
    v3 = 273 * fat_free_mass(sex, age_y, height_cm, weight_kg) / reference_ffm
    cl = (1.79 if sex == "male" else 2.10) * (weight_kg / 70) ** 0.75 * ripe
    q2 = 1.75 * (v2 / 25.5) ** 0.75 * (1 + 1.30 * (1 - ripe_q3))
    q3 = 1.11 * (v3 / 273) ** 0.75 * ripe_q3 / reference_ripe_q3
    return Kinetics(v1, v2, v3, cl, q2, q3, 0.146 * (weight_kg / 70) ** -0.25, 3.08 * exp(-0.00635 * (age_y - 35)))


def exact_step(k: Kinetics, step_s: float) -> tuple[Matrix, list[float]]:
    """(A, b) with c(t + step) = A c(t) + b u for concentrations c = (1, 2, 3, effect) mg/L and u in mg/s, u held."""
    minutes = step_s / 60.0
    rate: Matrix = [[0.0] * 5 for _ in range(5)]
    rate[0] = [-(k.cl + k.q2 + k.q3) / k.v1, k.q2 / k.v1, k.q3 / k.v1, 0.0, 60.0 / k.v1]
    rate[1][0], rate[1][1] = k.q2 / k.v2, -k.q2 / k.v2
    rate[2][0], rate[2][2] = k.q3 / k.v3, -k.q3 / k.v3
    rate[3][0], rate[3][3] = k.ke0, -k.ke0
    whole = exponential([[value * minutes for value in row] for row in rate])
    return [row[:4] for row in whole[:4]], [row[4] for row in whole[:4]]


def exponential(m: Matrix) -> Matrix:
    """exp(m) of a small square matrix: scaling by 2^-10, Taylor to order 10, squaring."""
    n = len(m)
    small = [[value / 1024.0 for value in row] for row in m]
    total = [[float(i == j) for j in range(n)] for i in range(n)]
    term = total
    for order in range(1, 11):
        term = [[value / order for value in row] for row in _product(term, small)]
        total = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(total, term, strict=True)]
    for _ in range(10):
        total = _product(total, total)
    return total


def _product(a: Matrix, b: Matrix) -> Matrix:
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a]
