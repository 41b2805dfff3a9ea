"""Alarms: raised late enough, over far enough, latched until answered; more urgent ones ask again."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.twin.alarms import Alarms, rules_for

QUIET: dict[str, float | None] = {
    "hr": 70.0, "apnoea_s": 2.0, "map": 90.0, "sap": 120.0, "spo2": 97.0, "rr": 14.0, "etco2": 38.0, "silent_s": None,
}  # fmt: skip


def told(alarms: Alarms, seconds: int, **values: float | None) -> list[tuple[str, str, bool]]:
    """Some seconds with these values; what is shown then."""
    for _ in range(seconds):
        alarms.update(QUIET | values)
    return [(row.code, row.priority, row.active) for row in alarms.rows()]


def test_a_healthy_patient_raises_nothing() -> None:
    assert told(Alarms(40), 100) == []


@pytest.mark.parametrize(
    ("name", "value", "code", "priority", "delay_s"),
    [
        ("hr", 0.0, "asystole", "high", 2), ("apnoea_s", 20.5, "apnoea", "high", 2),
        ("hr", 45.0, "hr-low", "medium", 6),
        ("hr", 39.0, "hr-low", "high", 6), ("hr", 125.0, "hr-high", "medium", 6), ("hr", 141.0, "hr-high", "high", 6),
        ("map", 60.0, "map-low", "medium", 6), ("map", 49.0, "map-low", "high", 6),
        ("sap", 85.0, "sap-low", "medium", 6),
        ("sap", 185.0, "sap-high", "medium", 11), ("spo2", 89.0, "spo2-low", "medium", 6),
        ("spo2", 84.0, "spo2-low", "high", 6), ("rr", 7.0, "rr-low", "medium", 11),
        ("rr", 31.0, "rr-high", "medium", 11),
        ("etco2", 24.0, "etco2-low", "low", 11), ("etco2", 56.0, "etco2-high", "medium", 11),
        ("silent_s", 5.1, "device-silent", "medium", 1),
    ],
)  # fmt: skip
def test_each_limit_alarms_after_its_delay(name: str, value: float, code: str, priority: str, delay_s: int) -> None:
    alarms = Alarms(40)
    assert code not in [row[0] for row in told(alarms, delay_s - 1, **{name: value})]
    assert (code, priority, True) in told(alarms, 1, **{name: value})


def test_a_short_dip_is_no_alarm() -> None:
    alarms = Alarms(40)
    for _ in range(20):
        told(alarms, 5, spo2=88.0)
        assert told(alarms, 1) == []


def test_it_is_over_only_beyond_the_hysteresis_and_stays_until_answered() -> None:
    alarms = Alarms(40)
    assert told(alarms, 10, spo2=89.0) == [("spo2-low", "medium", True)]
    assert told(alarms, 10, spo2=90.5) == [("spo2-low", "medium", True)]
    assert told(alarms, 1, spo2=91.0) == [("spo2-low", "medium", False)]
    assert told(alarms, 500) == [("spo2-low", "medium", False)]
    assert alarms.acknowledge("spo2-low", "Dr Ada")
    assert alarms.rows() == ()


def test_an_answered_alarm_stays_while_its_condition_holds() -> None:
    alarms = Alarms(40)
    told(alarms, 10, hr=45.0)
    assert alarms.acknowledge("hr-low", "Dr Ada")
    assert told(alarms, 5, hr=45.0) == [("hr-low", "medium", True)]
    assert alarms.rows()[0].acked_by == "Dr Ada"
    assert told(alarms, 1) == []


def test_a_more_urgent_condition_asks_again() -> None:
    alarms = Alarms(40)
    told(alarms, 10, hr=45.0)
    alarms.acknowledge("hr-low", "Dr Ada")
    assert told(alarms, 1, hr=35.0) == [("hr-low", "high", True)]
    assert alarms.rows()[0].acked_by == ""
    assert told(alarms, 5, hr=45.0) == [("hr-low", "high", True)]


def test_it_comes_back_as_new_after_it_was_answered_and_over() -> None:
    alarms = Alarms(40)
    told(alarms, 10, hr=35.0)
    alarms.acknowledge("hr-low", "Dr Ada")
    told(alarms, 3)
    assert told(alarms, 10, hr=45.0) == [("hr-low", "medium", True)]
    assert alarms.rows()[0].acked_by == ""


def test_a_missing_number_raises_nothing() -> None:
    assert told(Alarms(40), 60, **dict.fromkeys(QUIET)) == []


def test_no_beat_and_no_breath_are_not_also_slow() -> None:
    rows = told(Alarms(40), 30, hr=0.0, rr=0.0, apnoea_s=25.0, etco2=None)
    assert [code for code, _, _ in rows] == ["asystole", "apnoea"]


def test_urgent_ones_come_first() -> None:
    rows = told(Alarms(40), 20, etco2=20.0, hr=130.0, spo2=80.0)
    assert rows == [("spo2-low", "high", True), ("hr-high", "medium", True), ("etco2-low", "low", True)]


def test_only_shown_alarms_can_be_acknowledged() -> None:
    alarms = Alarms(40)
    told(alarms, 3, spo2=80.0)
    assert not alarms.acknowledge("spo2-low", "Dr Ada")
    assert not alarms.acknowledge("nonsense", "Dr Ada")


def test_children_have_their_own_limits() -> None:
    assert told(Alarms(1), 20, hr=150.0, rr=40.0, sap=85.0, map=50.0) == []
    assert ("hr-high", "high", True) in told(Alarms(40), 20, hr=150.0)


@pytest.mark.parametrize("age_y", [0, 1, 4, 11, 12, 110])
def test_limits_are_in_order_at_every_age(age_y: int) -> None:
    for rule in rules_for(age_y):
        if rule.high is not None:
            assert rule.high >= rule.medium if rule.above else rule.high <= rule.medium


@given(st.lists(st.tuples(st.floats(0, 250) | st.none(), st.booleans()), max_size=80))
def test_what_was_raised_is_never_lost_unanswered(story: list[tuple[float | None, bool]]) -> None:
    alarms = Alarms(40)
    open_codes: set[str] = set()
    for hr, answer in story:
        alarms.update(QUIET | {"hr": hr})
        shown = {row.code for row in alarms.rows()}
        assert open_codes <= shown
        open_codes = {row.code for row in alarms.rows() if not row.acked_by}
        if answer and open_codes:
            assert alarms.acknowledge(min(open_codes), "x")
            open_codes.discard(min(open_codes))
    saved = msgspec.msgpack.decode(msgspec.msgpack.encode(alarms), type=Alarms)
    assert saved.rows() == alarms.rows()
