"""FHIR Observations: what the feed writes an independent library accepts and we read back; nothing else passes."""

import json
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from fhir.resources.R4B.observation import Observation
from hypothesis import given
from hypothesis import strategies as st

from server.twin.fhir import (
    NUMBERS,
    WAVES,
    FhirError,
    Second,
    observation_to_block,
    read_observation,
    write_end,
    write_observation,
)
from server.twin.shown import CHANNELS, SCALES
from server.world.commands import DeviceBlock

NUMERICS = {"hr": 61.0, "sap": 139.0, "dap": 71.0, "map": 98.0, "spo2": 97.5, "rr": 12.0, "etco2": 38.0, "temp": 36.9}
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"


def a_second() -> Second:
    steps = np.arange(125) / 125
    abp = 90 + 40 * np.sin(steps)
    abp[3] = np.nan
    return Second(NUMERICS, 125, 250, {"ecg_ii": np.sin(9 * steps), "abp": abp})


def test_every_channel_and_number_has_a_code() -> None:
    assert set(WAVES) == set(CHANNELS) == set(SCALES)
    assert set(NUMBERS) == set(NUMERICS)


@pytest.mark.parametrize("body", [write_observation("ward/bed-1", "monitor", a_second()), write_end("ward/bed-1", "m")])
def test_an_independent_fhir_library_accepts_what_is_written(body: bytes) -> None:
    seen = Observation.model_validate(json.loads(body))
    assert json.loads(seen.model_dump_json())["subject"]["reference"] == "Location/ward.bed-1"


def test_what_is_written_is_read_back() -> None:
    second = a_second()
    bed, row = observation_to_block(write_observation("ward/bed-1", "monitor 7", second))
    assert (bed, row.source, row.rate_hz, row.first_sample, row.end) == ("ward/bed-1", "monitor 7", 125, 250, False)
    assert row.numerics == NUMERICS
    abp = np.frombuffer(row.waves["abp"], "<i2")
    assert abp[3] == -32768
    assert np.allclose(np.delete(abp, 3) / 100, np.delete(second.waves["abp"], 3), atol=0.006)
    assert np.allclose(np.frombuffer(row.waves["ecg_ii"], "<i2") / 1000, second.waves["ecg_ii"], atol=0.0006)


@given(st.lists(st.integers(-32767, 32767) | st.none(), min_size=1, max_size=60), st.sampled_from(sorted(CHANNELS)))
def test_samples_survive_exactly(steps: list[int | None], channel: str) -> None:
    wave = np.array([np.nan if step is None else step / SCALES[channel] for step in steps])
    _, row = observation_to_block(write_observation("a/b", "m", Second({}, 360, 7, {channel: wave})))
    assert row.rate_hz == 360
    expected = [-32768 if step is None else step for step in steps]
    assert np.frombuffer(row.waves[channel], "<i2").tolist() == expected


def test_the_shard_decodes_the_block() -> None:
    reading = read_observation(write_observation("ward/bed-1", "m", a_second()))
    block = msgspec.msgpack.decode(reading.block, type=DeviceBlock)
    assert (reading.bed, block.bed, block.source, block.end) == ("ward/bed-1", 0, "m", False)
    assert block.numerics == NUMERICS
    assert msgspec.msgpack.decode(read_observation(write_end("ward/bed-1", "m")).block, type=DeviceBlock).end


def observation(**changes: object) -> dict[str, object]:
    """A plain heart rate as another system would post it."""
    base: dict[str, object] = {
        "resourceType": "Observation",
        "id": "x1",
        "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/heartrate"]},
        "text": {"status": "generated", "div": "<div>61</div>"},
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "8867-4"}], "text": "Heart rate"},
        "subject": {"reference": "Location/ward.bed-1"},
        "effectiveDateTime": "2026-01-02T03:04:05Z",
        "valueQuantity": {"value": 61, "unit": "beats/minute", "system": UCUM, "code": "/min"},
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


def post(**changes: object) -> tuple[str, object]:
    return observation_to_block(json.dumps(observation(**changes)).encode())


def quantity(value: object, code: str, system: str = UCUM) -> dict[str, object]:
    return {"value": value, "system": system, "code": code}


def test_a_plain_observation_of_another_system_is_read() -> None:
    bed, row = post()
    assert bed == "ward/bed-1"
    assert row == observation_to_block(json.dumps(observation(status="preliminary")).encode())[1]
    assert row.numerics == {"hr": 61.0}
    assert row.source == "FHIR"


def test_a_blood_pressure_panel_in_kilopascal_is_converted() -> None:
    parts = [
        {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity(value, "kPa")}
        for code, value in (("8480-6", 16.0), ("8462-4", 10.0))
    ]
    panel = {"coding": [{"system": LOINC, "code": "85354-9"}]}
    _, row = post(code=panel, component=parts, valueQuantity=None)
    assert row.numerics == pytest.approx({"sap": 120.01, "dap": 75.01}, abs=0.01)


def test_an_absent_value_is_no_value() -> None:
    absent = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "error"}]}
    _, row = post(valueQuantity=None, dataAbsentReason=absent)
    assert row.numerics == {}


def sampled(code: str = "131330", unit: str = "mV", **changes: object) -> dict[str, object]:
    data = {"origin": quantity(0, unit), "period": 8, "dimensions": 1, "data": "0 1 E -1", "factor": 0.5} | changes
    return {"code": {"coding": [{"system": "urn:iso:std:iso:11073:10101", "code": code}]}, "valueSampledData": data}


def test_sampled_data_without_our_extension_is_numbered_by_its_time() -> None:
    _, row = post(component=[sampled(), sampled("150036", "mm[Hg]", origin=quantity(90, "mm[Hg]"))])
    assert row.rate_hz == 125
    assert row.first_sample == int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()) * 125
    assert np.frombuffer(row.waves["ecg_ii"], "<i2").tolist() == [0, 500, -32768, -500]
    assert np.frombuffer(row.waves["abp"], "<i2").tolist() == [9000, 9050, -32768, 8950]


@pytest.mark.parametrize(
    ("changes", "code", "expression"),
    [
        ({"valueQuantity": quantity(61, "beats")}, "value", "Observation.valueQuantity.code"),
        ({"valueQuantity": quantity(61, "/min", "urn:x")}, "value", "Observation.valueQuantity.code"),
        ({"valueQuantity": {"value": 61, "unit": "/min"}}, "value", "Observation.valueQuantity.code"),
        ({"valueQuantity": quantity(4000, "/min")}, "value", "Observation.valueQuantity.value"),
        ({"valueQuantity": quantity("61", "/min")}, "structure", "Observation.valueQuantity.value"),
        ({"valueQuantity": quantity(61, "/min") | {"comparator": "<"}}, "not-supported", "comparator"),
        ({"status": "entered-in-error"}, "business-rule", "Observation.status"),
        ({"status": "done"}, "structure", "Observation.status"),
        ({"status": None}, "structure", "Observation"),
        ({"resourceType": "Patient"}, "structure", "Observation.resourceType"),
        ({"subject": {"reference": "Patient/1"}}, "value", "Observation.subject.reference"),
        ({"subject": {"reference": "Location/ward"}}, "value", "Observation.subject.reference"),
        ({"subject": None}, "structure", "Observation"),
        ({"device": {"display": "x" * 61}}, "value", "Observation.device.display"),
        ({"device": {"display": "a\nb"}}, "value", "Observation.device.display"),
        ({"modifierExtension": [{"url": "urn:x"}]}, "extension", "Observation.modifierExtension"),
        ({"code": {"coding": [{"system": LOINC, "code": "1-1"}]}}, "not-supported", "Observation.code"),
        ({"component": [sampled("131330", "V")]}, "value", "valueSampledData (ecg_ii).origin.code"),
        ({"component": [sampled(data="0 1 x")]}, "value", "valueSampledData (ecg_ii)"),
        ({"component": [sampled(data="0 1 nan")]}, "value", "valueSampledData (ecg_ii)"),
        ({"component": [sampled(data="0 1 1e")]}, "value", "valueSampledData (ecg_ii).data"),
        ({"component": [sampled(data="")]}, "value", "valueSampledData (ecg_ii)"),
        ({"component": [sampled(data="0 " * 4001)]}, "value", "valueSampledData (ecg_ii)"),
        ({"component": [sampled(dimensions=2)]}, "value", "valueSampledData (ecg_ii)"),
        ({"component": [sampled(period=0.1)]}, "value", "valueSampledData.period"),
        ({"component": [sampled(period=7.9)]}, "value", "valueSampledData.period"),
        ({"component": [sampled(), sampled("131395", period=4)]}, "value", "valueSampledData.period"),
        ({"component": [sampled(), sampled("131395", data="0")]}, "invalid", "valueSampledData"),
        ({"component": [sampled(), sampled()]}, "duplicate", "Observation.component[1].code"),
        ({"component": [sampled()], "effectiveDateTime": None}, "required", "Observation.effective"),
        ({"component": [sampled()], "effectiveDateTime": "2026-01-02T03:04:05"}, "structure", "effectiveDateTime"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_place(changes: dict[str, object], code: str, expression: str) -> None:
    with pytest.raises(FhirError) as refused:
        post(**changes)
    assert refused.value.code == code
    assert expression in refused.value.expression
    assert "61" not in str(refused.value)


@given(st.binary(max_size=300) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_no_bytes_raise_anything_but_fhir_error(body: bytes) -> None:
    with pytest.raises(FhirError):
        observation_to_block(body)


WRITTEN = write_observation("ward/bed-1", "m", a_second())


@given(st.integers(0, len(WRITTEN) - 1), st.binary(min_size=1, max_size=3))
def test_damaged_observations_raise_fhir_error_or_stay_in_range(at: int, patch: bytes) -> None:
    try:
        _, row = observation_to_block(WRITTEN[:at] + patch + WRITTEN[at + len(patch) :])
    except FhirError:
        return
    assert all(NUMBERS[name].low <= value <= NUMBERS[name].high for name, value in row.numerics.items())
    assert len({len(data) for data in row.waves.values()}) <= 1


def test_an_oversized_body_is_refused() -> None:
    with pytest.raises(FhirError, match="larger than 65536 bytes"):
        observation_to_block(b" " * 70_000)
