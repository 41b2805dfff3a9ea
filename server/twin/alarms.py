"""Limit alarms of one bed: raised after a delay, over with a hysteresis, latched until acknowledged and over.

Owns limits, priorities (IEC 60601-1-8: high needs an answer at once, medium a prompt one, low awareness) and the latch.
Evaluated once a second. A number that is missing raises nothing and ends nothing by itself except its own condition.
"""

from functools import cache
from typing import Final, NamedTuple

from msgspec import Struct

from server.twin.shown import AlarmRow, Priority

RANK: Final[dict[str, int]] = {"low": 0, "medium": 1, "high": 2}


class Rule(NamedTuple):
    """One alarm: `name` beyond `medium` (or `high`) for `delay_s`; over when it is back by `hysteresis`."""

    code: str
    name: str
    above: bool
    medium: float
    high: float | None
    hysteresis: float
    delay_s: int
    text: str
    priority: Priority = "medium"  # of the first limit


@cache
def rules_for(age_y: int) -> tuple[Rule, ...]:
    """Limits for that age (bands as in paediatric early warning charts; adults as usual defaults of monitors)."""
    band = next(band for limit, band in _BANDS if age_y <= limit)
    low_hr, high_hr, low_rr, high_rr, low_sap, high_sap, low_map = band
    return (
        Rule("asystole", "hr", False, 1, 1, 0, 1, "no heart beat", "high"),
        Rule("apnoea", "apnoea_s", True, 20, 20, 0, 1, "no breath for 20 s", "high"),
        Rule("hr-low", "beating", False, low_hr, low_hr - 10, 2, 5, "heart rate low"),
        Rule("hr-high", "hr", True, high_hr, high_hr + 20, 2, 5, "heart rate high"),
        Rule("map-low", "map", False, low_map, low_map - 15, 2, 5, "mean pressure low"),
        Rule("sap-low", "sap", False, low_sap, low_sap - 20, 3, 5, "systolic pressure low"),
        Rule("sap-high", "sap", True, high_sap, high_sap + 30, 3, 10, "systolic pressure high"),
        Rule("spo2-low", "spo2", False, 90, 85, 1, 5, "oxygen saturation low"),
        Rule("rr-low", "breathing", False, low_rr, None, 1, 10, "breathing slow"),
        Rule("rr-high", "rr", True, high_rr, None, 1, 10, "breathing fast"),
        Rule("etco2-low", "etco2", False, 25, None, 1, 10, "end-tidal CO2 low", "low"),
        Rule("etco2-high", "etco2", True, 55, None, 1, 10, "end-tidal CO2 high"),
        Rule("device-silent", "silent_s", True, 5, None, 0, 0, "no data from the device"),
    )


_BANDS: Final = (
    (1, (90, 170, 20, 55, 65, 110, 40)),
    (4, (80, 150, 16, 45, 70, 115, 45)),
    (11, (65, 135, 12, 35, 80, 130, 50)),
    (200, (50, 120, 8, 30, 90, 180, 65)),
)  # up to this age: hr low, high; rr low, high; sap low, high; map low


class Latch(Struct):
    """One alarm's memory."""

    beyond_s: int = 0  # seconds beyond the first limit
    active: bool = False
    shown: bool = False
    priority: Priority = "low"
    acked_by: str = ""


class Alarms(Struct):
    """All alarms of a bed."""

    age_y: int
    latches: dict[str, Latch] = {}

    def update(self, values: dict[str, float | None]) -> None:
        """A second has passed. `values` has hr, rr, map, sap, spo2, etco2, apnoea_s and silent_s, or None.

        No beat and no breath are alarms of their own, not also low rates.
        """
        judged = values | {"beating": values["hr"] or None, "breathing": values["rr"] or None}
        for rule in rules_for(self.age_y):
            latch = self.latches.setdefault(rule.code, Latch())
            _judge(rule, latch, judged[rule.name])

    def acknowledge(self, code: str, by: str) -> bool:
        """False if no such alarm is shown."""
        latch = self.latches.get(code)
        if latch is None or not latch.shown:
            return False
        latch.acked_by = by
        latch.shown = latch.active
        return True

    def fresh(self) -> "Alarms":
        """Alarms for another source: only the latched word that the last one fell silent goes with it."""
        silent = self.latches.get("device-silent")
        kept = silent is not None and silent.shown and not silent.acked_by
        return Alarms(self.age_y, {"device-silent": Latch(shown=True, priority="medium")} if kept else {})

    def rows(self) -> tuple[AlarmRow, ...]:
        """What is shown: most urgent first, then in the order of the rules."""
        shown = [
            AlarmRow(rule.code, latch.priority, rule.text, latch.active, latch.acked_by)
            for rule in rules_for(self.age_y)
            if (latch := self.latches.get(rule.code)) is not None and latch.shown
        ]
        return tuple(sorted(shown, key=lambda row: -RANK[row.priority]))


def _beyond(rule: Rule, value: float | None, limit: float | None, back: float) -> bool:
    """Is the value beyond the limit, made stricter by `back` while the alarm holds?"""
    if value is None or limit is None:
        return False
    return value > limit - back if rule.above else value < limit + back


def _judge(rule: Rule, latch: Latch, value: float | None) -> None:
    """Raise, escalate, end or drop one alarm."""
    out = _beyond(rule, value, rule.medium, rule.hysteresis if latch.active else 0.0)
    latch.beyond_s = latch.beyond_s + 1 if out else 0
    if out and latch.beyond_s > rule.delay_s:
        _raise(latch, "high" if _beyond(rule, value, rule.high, 0.0) else rule.priority)
    if not out:
        latch.active = False
        latch.shown = latch.shown and not latch.acked_by


def _raise(latch: Latch, priority: Priority) -> None:
    """The condition holds: a new alarm, the same, or a more urgent one that asks to be acknowledged again."""
    fresh = not latch.active and (not latch.shown or latch.acked_by != "")
    if fresh or RANK[priority] > RANK[latch.priority]:
        latch.priority = priority
        latch.acked_by = ""
    latch.active = latch.shown = True
