"""Beds as a viewer sees them: numbers once a second, waves without gaps, one source, alarms that stay."""

import struct
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.twin.bedside import Bedside
from server.twin.orders import DOSES, SETTINGS, Order
from server.twin.shown import CHANNELS, DeviceData, Vitals

TICK_HZ = 30


@dataclass(frozen=True)
class Person:
    sex: Literal["female", "male"] = "male"
    age_y: int = 40
    height_cm: float = 176
    weight_kg: float = 76
    condition: str = "healthy"


WARD = (Person(), Person("female", 70, 160, 60, "sepsis"), Person("male", 6, 115, 20))


@cache
def _fresh(tick_hz: int = TICK_HZ, seed: int = 1) -> bytes:
    return Bedside(WARD, tick_hz, seed, 10).dump()


def bedside(tick_hz: int = TICK_HZ, seed: int = 1) -> Bedside:
    beds = Bedside(WARD, tick_hz, seed, 10)
    beds.load(_fresh(tick_hz, seed))
    return beds


def run(
    beds: Bedside, first: int, seconds: float, tick_hz: int = TICK_HZ
) -> tuple[dict[int, list[Vitals]], list[bytes]]:
    """Step from tick `first` on; vitals by bed and all wave frames."""
    shown: dict[int, list[Vitals]] = {}
    frames: list[bytes] = []
    for tick in range(first, first + round(seconds * tick_hz)):
        for out in beds.step(tick):
            if isinstance(out.body, bytes):
                frames.append(out.body)
            else:
                shown.setdefault(out.bed, []).append(out.body)
    return shown, frames


@pytest.mark.parametrize("tick_hz", [20, 30, 90])
def test_numbers_come_once_a_second_and_waves_without_a_gap(tick_hz: int) -> None:
    shown, frames = run(bedside(tick_hz), 1, 4, tick_hz)
    assert [v.tick for v in shown[0]] == [tick_hz * k for k in range(1, 5)]
    mine = [frame for frame in frames if frame[1] == 0]
    assert len(mine) == 40
    expected = 0
    for frame in mine:
        _, _, source, channels, first, rate, samples = struct.unpack_from("<BBBBIHB", frame)
        assert (source, channels, first, rate) == (0, 5, expected, 125)
        assert len(frame) == 11 + 5 * (1 + 2 * samples)
        expected += samples
    assert expected == 500


def wave(frames: list[bytes], bed: int, channel: str) -> np.ndarray:
    """One channel of all frames of a bed, as counts."""
    parts = []
    for frame in frames:
        if frame[1] == bed:
            samples = frame[10]
            for at in range(11, len(frame), 1 + 2 * samples):
                if frame[at] == CHANNELS[channel]:
                    parts.append(np.frombuffer(frame[at + 1 : at + 1 + 2 * samples], "<i2"))
    return np.concatenate(parts)


def test_the_numbers_agree_with_the_waves() -> None:
    shown, frames = run(bedside(), 1, 20)
    for bed in range(3):
        last = shown[bed][-1]
        abp = wave(frames, bed, "abp")[-500:] / 100
        ecg = wave(frames, bed, "ecg_ii") / 1000
        assert abs(abp.max() - last.sap) < 3
        assert abs(abp.min() - last.dap) < 3
        peaks = np.flatnonzero((ecg[1:-1] > 0.6) & (ecg[1:-1] >= ecg[:-2]) & (ecg[1:-1] > ecg[2:]))
        assert abs(60 * 125 / np.diff(peaks)[-5:].mean() - last.hr) < 2
        co2 = wave(frames, bed, "co2")[-1250:] / 100
        assert abs(co2.max() - last.etco2) < 1.5
        assert co2.min() < 1


def test_beds_do_not_beat_in_step() -> None:
    twins = Bedside((Person(), Person()), TICK_HZ, 1, 10)
    _, frames = run(twins, 1, 3)
    assert not np.array_equal(wave(frames, 0, "ecg_ii"), wave(frames, 1, "ecg_ii"))


def test_a_bed_of_a_dump_goes_on_as_if_nothing_had_happened() -> None:
    one, two = bedside(), bedside()
    one.order(0, Order("bleed", 500, 60), 1)
    one.device(1, DeviceData("pump", {"hr": 70.0}, 0, 0, {}, False), 1)
    run(one, 1, 3.5)
    two.load(one.dump())
    assert two.digest() == one.digest()
    assert run(one, 106, 3) == run(two, 106, 3)
    assert two.digest() == one.digest()


def test_digests_tell_different_worlds_apart() -> None:
    one, two, three = bedside(), bedside(), bedside(seed=2)
    assert one.digest() == two.digest() != three.digest()
    two.order(0, Order("fluid", 250, 300), 1)
    assert one.digest() != two.digest()


def test_a_dump_of_other_beds_is_refused() -> None:
    with pytest.raises(ValueError, match="3 beds, expected is version 1 with 1"):
        Bedside(WARD[:1], TICK_HZ, 1, 10).load(_fresh())


def test_what_runs_is_said_and_ends() -> None:
    beds = bedside()
    beds.order(0, Order("oxygen", 40), 1)
    beds.order(0, Order("norepinephrine", 0.1), 1)
    beds.order(0, Order("fluid", 100, 30), 1)
    shown, _ = run(beds, 1, 10)
    assert shown[0][0].tick == 1
    assert shown[0][-1].running == ("oxygen 40 %", "norepinephrine 0.10 ug/kg/min", "fluid 200 mL/min, 67 mL to go")
    beds.order(0, Order("norepinephrine", 0), 300)
    shown, _ = run(beds, 301, 25)
    assert shown[0][-1].running == ("oxygen 40 %",)
    assert shown[0][-1].news2 is not None
    assert "oxygen" in shown[0][-1].news2_text


def test_an_alarm_is_latched_until_acknowledged_and_over() -> None:
    beds = bedside()
    beds.order(0, Order("propofol", 350, 20), 1)
    shown, _ = run(beds, 1, 200)
    codes = {row.code: row for row in shown[0][-1].alarms}
    assert codes["apnoea"].priority == "high"
    assert codes["apnoea"].active
    assert shown[0][-1].etco2 is None
    assert shown[0][-1].rr == 0
    tick = 200 * TICK_HZ + 1
    beds.order(0, Order("ventilator", rate_per_min=14, tidal_ml=500, peep_cmh2o=5), tick)
    shown, _ = run(beds, tick, 60)
    row = next(row for row in shown[0][-1].alarms if row.code == "apnoea")
    assert (row.active, row.acked_by) == (False, "")
    assert beds.acknowledge(0, "apnoea", "Dr Ada", tick + 1800)
    assert not beds.acknowledge(0, "apnoea", "Dr Ada", tick + 1800)
    assert not beds.acknowledge(0, "no-such", "Dr Ada", tick + 1800)
    shown, _ = run(beds, tick + 1800, 0.1)
    assert "apnoea" not in {row.code for row in shown[0][0].alarms}


def _orders() -> st.SearchStrategy[Order]:
    """Any order that the limits let through."""

    def of(kind: str) -> st.SearchStrategy[Order]:
        dose = DOSES[kind]
        if kind == "ventilator":
            chosen = (st.floats(limit.low, limit.high) for limit in SETTINGS.values())
            return st.tuples(*chosen).map(lambda s: Order("ventilator", 0, 0, *s))
        if dose.amount is None:
            return st.just(Order(kind))
        amount = st.floats(dose.amount.low, dose.amount.high)
        shortest = dose.over_s[0] if dose.over_s else 0.0
        return amount.map(lambda a: Order(kind, a, max(shortest, a / dose.per_s_max if dose.per_s_max else 0.0)))

    return st.sampled_from(sorted(DOSES)).flatmap(of)


@given(st.lists(st.tuples(st.integers(0, 2), _orders(), st.integers(1, 120)), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_whatever_is_ordered_the_numbers_stay_numbers(story: list[tuple[int, Order, int]]) -> None:
    beds, tick = bedside(20), 1
    for bed, order, seconds in story:
        beds.order(bed, order, tick)
        shown, frames = run(beds, tick, seconds, 20)
        tick += seconds * 20
        assert frames
        for vitals in (row for rows in shown.values() for row in rows):
            values = [value for value in vitals[3:11] if value is not None]
            assert all(0 <= value < 400 for value in values)


def numerics(source: str = "monitor", end: bool = False, **values: float) -> DeviceData:
    return DeviceData(source, values, 0, 0, {}, end)


def test_a_device_takes_the_bed_over_and_gives_it_back() -> None:
    beds = bedside()
    run(beds, 1, 1)
    beds.device(0, numerics(hr=61, sap=139, spo2=97, rr=12, temp=36.9), 31)
    shown, frames = run(beds, 31, 1.5)
    last = shown[0][-1]
    assert (last.source, last.live, last.hr, last.sap, last.dap) == ("device: monitor", True, 61, 139, None)
    assert last.etco2 is None
    assert last.running == ()
    assert (last.news2, last.news2_text) == (0, "low risk, air assumed, A assumed")
    assert not [frame for frame in frames if frame[1] == 0]
    beds.device(0, numerics("other", hr=10), 75)
    beds.device(0, numerics("other", end=True), 75)
    shown, _ = run(beds, 76, 1)
    assert (shown[0][-1].source, shown[0][-1].hr) == ("device: monitor", 61)
    beds.device(0, numerics(end=True), 106)
    shown, frames = run(beds, 106, 1)
    assert shown[0][0].source == "model"
    assert {frame[2] for frame in frames if frame[1] == 0} == {0}


def test_a_silent_device_goes_blank_then_alarms_then_is_gone() -> None:
    beds = bedside()
    beds.device(0, numerics(hr=60), 1)
    run(beds, 1, 1)
    beds.device(0, numerics(hr=61), TICK_HZ + 1)
    shown, _ = run(beds, TICK_HZ + 1, 8)
    assert shown[0][3].hr == 61
    last = shown[0][-1]
    assert (last.hr, last.live, last.news2, last.source) == (None, False, None, "device: monitor")
    assert [(row.code, row.active) for row in last.alarms] == [("device-silent", True)]
    shown, _ = run(beds, 9 * TICK_HZ + 1, 54)
    last = shown[0][-1]
    assert (last.source, last.live) == ("model", True)
    assert [(row.code, row.active) for row in last.alarms] == [("device-silent", False)]
    assert beds.acknowledge(0, "device-silent", "Dr Ada", 63 * TICK_HZ + 1)


def test_a_spot_measurement_is_shown_for_five_minutes_and_a_minute_trend_for_three() -> None:
    beds = bedside()
    beds.device(0, numerics(hr=61), 1)
    shown, _ = run(beds, 1, 60)
    assert (shown[0][-1].hr, shown[0][-1].live, shown[0][-1].alarms) == (61, True, ())
    beds.device(0, numerics(hr=62), 60 * TICK_HZ + 1)
    shown, _ = run(beds, 60 * TICK_HZ + 1, 190)
    assert [shown[0][second].hr for second in (1, 178, 185)] == [62, 62, None]
    assert [row.code for row in shown[0][-1].alarms] == ["device-silent"]


def device_waves(first: int, ecg: np.ndarray, abp: np.ndarray | None = None) -> DeviceData:
    rows = {"ecg_ii": (ecg * 1000).astype("<i2").tobytes()}
    if abp is not None:
        rows["abp"] = (abp * 100).astype("<i2").tobytes()
    return DeviceData("monitor", {}, 125, first, rows, False)


def test_device_waves_pass_through_by_number_and_gaps_stay_gaps() -> None:
    beds = bedside()
    ecg = np.sin(np.arange(1250) / 3) / 2
    frames = []
    for second in range(10):
        if second != 4:
            beds.device(0, device_waves(second * 125, ecg[second * 125 :][:125]), second * TICK_HZ + 1)
        frames += run(beds, second * TICK_HZ + 1, 1)[1]
    got = wave(frames, 0, "ecg_ii")
    expected = (ecg * 1000).astype("<i2")
    expected[500:625] = -32768
    assert np.array_equal(got, expected[: len(got)])
    assert len(got) > 1000
    starts = [struct.unpack_from("<I", frame, 4)[0] for frame in frames if frame[1] == 0]
    assert starts == sorted(starts)


def test_samples_sent_twice_or_late_change_nothing() -> None:
    one, two = bedside(), bedside()
    ecg = np.sin(np.arange(375) / 3)
    for beds in (one, two):
        beds.device(0, device_waves(0, ecg[:250]), 1)
    two.device(0, device_waves(100, ecg[100:200] + 1), 1)
    for beds in (one, two):
        beds.device(0, device_waves(125 if beds is two else 250, ecg[125:] if beds is two else ecg[250:]), 2)
    assert run(one, 2, 3) == run(two, 2, 3)


def test_channels_of_one_second_may_come_in_turn() -> None:
    beds = bedside()
    ecg, abp = np.sin(np.arange(125) / 3) / 2, 90 + 20 * np.sin(np.arange(125) / 20)
    beds.device(0, device_waves(0, ecg), 1)
    beds.device(0, DeviceData("monitor", {}, 125, 0, {"abp": (abp * 100).astype("<i2").tobytes()}, False), 1)
    frames = run(beds, 1, 2)[1]
    assert np.array_equal(wave(frames, 0, "ecg_ii"), (ecg * 1000).astype("<i2"))
    assert np.array_equal(wave(frames, 0, "abp"), (abp * 100).astype("<i2"))


@pytest.mark.parametrize("first", [0, 1_000_000])
def test_a_new_count_goes_on_after_a_gap_and_never_back(first: int) -> None:
    beds = bedside()
    ecg = np.sin(np.arange(2500) / 3) / 2
    beds.device(0, device_waves(50_000, ecg), 1)
    frames = run(beds, 1, 4)[1]
    beds.device(0, device_waves(first, ecg[:125]), 121)
    frames += run(beds, 121, 2)[1]
    starts = [struct.unpack_from("<I", frame, 4)[0] for frame in frames if frame[1] == 0]
    assert starts[0] == 50_000
    assert starts == sorted(starts)
    assert 52_500 + 125 in starts


def test_a_flat_lead_is_no_heart_and_a_quiet_one_is_asystole() -> None:
    beds = bedside()
    noise = np.random.default_rng(1).normal(0, 0.02, 1250)
    beds.device(0, device_waves(0, noise), 1)
    beds.device(1, device_waves(0, np.zeros(1250)), 1)
    shown, _ = run(beds, 1, 4)
    assert shown[0][-1].hr == 0
    assert [(row.code, row.priority) for row in shown[0][-1].alarms] == [("asystole", "high")]
    assert shown[1][-1].hr is None
    assert shown[1][-1].alarms == ()


def test_who_lies_there_matters() -> None:
    shown, _ = run(bedside(), 1, 5)
    healthy, septic, child = (shown[bed][-1] for bed in range(3))
    assert septic.hr > healthy.hr + 15
    assert septic.map < healthy.map - 10
    assert septic.temp > 38
    assert child.hr > healthy.hr + 10
    assert child.sap < healthy.sap
    assert child.news2 is None
    assert child.news2_text == "not for under 16 years"


def test_every_condition_makes_a_patient() -> None:
    conditions = ("healthy", "hypertension", "heart-failure", "sepsis", "hypovolaemia", "copd")
    beds = Bedside([replace(Person(), condition=condition) for condition in conditions], TICK_HZ, 1, 10)
    shown, _ = run(beds, 1, 3)
    by = {condition: shown[bed][-1] for bed, condition in enumerate(conditions)}
    assert by["hypertension"].sap > by["healthy"].sap + 20
    assert by["hypovolaemia"].sap < by["healthy"].sap - 5
    assert by["hypovolaemia"].hr > by["healthy"].hr + 5
    assert by["copd"].spo2 < by["healthy"].spo2 - 3
    assert by["heart-failure"].hr > by["healthy"].hr
