"""NEWS2 after the Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017: chart 1, SpO2 scale 1.

Owns the table. Never guesses a number: with one missing there is no score, and the text says which. Whether somebody is
alert or breathes oxygen is stated as assumed when it is not known. The score is not for people under 16.
"""

from typing import Final, NamedTuple

ADULT_Y: Final = 16

TABLE: Final[dict[str, tuple[tuple[float, int], ...]]] = {
    "rr": ((8, 3), (11, 1), (20, 0), (24, 2), (float("inf"), 3)),
    "spo2": ((91, 3), (93, 2), (95, 1), (float("inf"), 0)),
    "sap": ((90, 3), (100, 2), (110, 1), (219, 0), (float("inf"), 3)),
    "hr": ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (float("inf"), 3)),
    "temp": ((35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), (float("inf"), 2)),
}
"""For each number: (up to and including, points); what is read is rounded as the chart writes it."""

OXYGEN_POINTS: Final = 2
NOT_ALERT_POINTS: Final = 3


class Score(NamedTuple):
    """The score, None if it cannot be told, and what to know about it."""

    points: int | None
    text: str


def points(name: str, value: float) -> int:
    """Points of one number; on the chart temperature has one decimal, all others are whole."""
    rounded = round(value, 1) if name == "temp" else float(int(value + 0.5))
    return next(given for limit, given in TABLE[name] if rounded <= limit)


def news2(age_y: int, values: dict[str, float | None], oxygen: bool | None, alert: bool | None) -> Score:
    """Score of rr /min, spo2 %, sap mmHg, hr /min, temp degC; oxygen or alert None: not known."""
    if age_y < ADULT_Y:
        return Score(None, f"not for under {ADULT_Y} years")
    missing = [name for name in TABLE if values[name] is None]
    if missing:
        return Score(None, "no score without " + ", ".join(missing))
    total = sum(points(name, value) for name in TABLE if (value := values[name]) is not None)
    total += OXYGEN_POINTS * bool(oxygen) + NOT_ALERT_POINTS * (alert is False)
    red = any(points(name, value) == 3 for name in TABLE if (value := values[name]) is not None) or alert is False
    notes = [_risk(total, red)]
    notes.append("air assumed" if oxygen is None else "oxygen" if oxygen else "air")
    notes.append("A assumed" if alert is None else "A" if alert else "not alert")
    return Score(total, ", ".join(notes))


def _risk(total: int, red: bool) -> str:
    """The chart's clinical risk; `red` is 3 points in one row."""
    if total >= 7:
        return "high risk"
    if total >= 5:
        return "medium risk"
    return "low-medium risk" if red else "low risk"
