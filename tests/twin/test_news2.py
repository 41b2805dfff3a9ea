"""NEWS2: every cell of the Royal College's chart, at each of its borders."""

import pytest

from server.twin.news2 import news2, points

WELL: dict[str, float | None] = {"rr": 16.0, "spo2": 97.0, "sap": 120.0, "hr": 70.0, "temp": 37.0}

CHART = {
    "rr": [(8, 3), (9, 1), (11, 1), (12, 0), (20, 0), (21, 2), (24, 2), (25, 3)],
    "spo2": [(91, 3), (92, 2), (93, 2), (94, 1), (95, 1), (96, 0), (100, 0)],
    "sap": [(90, 3), (91, 2), (100, 2), (101, 1), (110, 1), (111, 0), (219, 0), (220, 3)],
    "hr": [(40, 3), (41, 1), (50, 1), (51, 0), (90, 0), (91, 1), (110, 1), (111, 2), (130, 2), (131, 3)],
    "temp": [(35.0, 3), (35.1, 1), (36.0, 1), (36.1, 0), (38.0, 0), (38.1, 1), (39.0, 1), (39.1, 2)],
}
CELLS = [(name, value, score) for name, cells in CHART.items() for value, score in cells]


@pytest.mark.parametrize(("name", "value", "score"), CELLS)
def test_each_border_of_the_chart(name: str, value: float, score: int) -> None:
    assert points(name, value) == score
    assert news2(40, WELL | {name: value}, False, True).points == score


def test_numbers_are_rounded_as_they_are_written_down() -> None:
    assert points("hr", 90.4) == 0
    assert points("hr", 90.5) == 1
    assert points("temp", 38.04) == 0
    assert points("temp", 38.06) == 1


def test_oxygen_costs_two_and_not_being_alert_three() -> None:
    assert news2(40, WELL, False, True).points == 0
    assert news2(40, WELL, True, True).points == 2
    assert news2(40, WELL, False, False).points == 3
    assert news2(40, WELL, True, False).points == 5


@pytest.mark.parametrize(
    ("changes", "oxygen", "alert", "text"),
    [
        ({}, False, True, "low risk, air, A"),
        ({}, None, None, "low risk, air assumed, A assumed"),
        ({"rr": 25.0}, True, True, "medium risk, oxygen, A"),
        ({"rr": 8.0}, False, True, "low-medium risk, air, A"),
        ({}, False, False, "low-medium risk, air, not alert"),
        ({"hr": 131.0, "sap": 90.0, "spo2": 94.0}, False, True, "high risk, air, A"),
        ({"rr": 22.0, "hr": 115.0}, False, True, "low risk, air, A"),
        ({"rr": 22.0, "hr": 115.0, "spo2": 95.0}, False, True, "medium risk, air, A"),
    ],
)
def test_the_risk_and_what_is_assumed_are_said(
    changes: dict[str, float], oxygen: bool | None, alert: bool | None, text: str
) -> None:
    assert news2(40, WELL | changes, oxygen, alert).text == text


def test_a_missing_number_gives_no_score_and_is_named() -> None:
    assert news2(40, WELL | {"temp": None, "rr": None}, False, True) == (None, "no score without rr, temp")


def test_children_have_no_score() -> None:
    assert news2(15, WELL, False, True) == (None, "not for under 16 years")
    assert news2(16, WELL, False, True).points == 0
