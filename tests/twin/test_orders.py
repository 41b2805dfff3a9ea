"""Orders read from FHIR: what is allowed comes through unchanged, everything else is refused with the limit."""

import json

import msgspec
import pytest
from fhir.resources.R4B.medicationrequest import MedicationRequest
from fhir.resources.R4B.servicerequest import ServiceRequest
from hypothesis import given
from hypothesis import strategies as st

from server.twin.orders import DOSES, SETTINGS, Order, OrderError, check_for, from_fhir, to_fhir

PATIENT = "0123456789abcdef0123456789abcdef"
EXAMPLES = (
    Order("oxygen", 40),
    Order("fluid", 500, 600),
    Order("bleed", 375, 384),
    Order("norepinephrine", 0.1),
    Order("norepinephrine", 0),
    Order("propofol", 140, 20),
    Order("propofol-infusion", 6),
    Order("ventilator", rate_per_min=12, tidal_ml=500, peep_cmh2o=5),
    Order("ventilator-off"),
)


def _orders() -> st.SearchStrategy[Order]:
    """Any order within the limits."""

    def of(kind: str) -> st.SearchStrategy[Order]:
        dose = DOSES[kind]
        if kind == "ventilator":
            return st.builds(
                lambda rate, tidal, peep: Order("ventilator", rate_per_min=rate, tidal_ml=tidal, peep_cmh2o=peep),
                *(st.floats(limit.low, limit.high) for limit in SETTINGS.values()),
            )
        if dose.amount is None:
            return st.just(Order(kind))
        amounts = st.floats(dose.amount.low, dose.amount.high)
        if dose.over_s is None:
            return amounts.map(lambda amount: Order(kind, amount))
        most = dose.over_s[1]
        return amounts.map(lambda amount: Order(kind, amount, most))

    return st.sampled_from(sorted(DOSES)).flatmap(of)


@given(_orders())
def test_what_is_written_is_read_back(order: Order) -> None:
    assert from_fhir(to_fhir(order, PATIENT)) == msgspec.structs.replace(order, patient=PATIENT)


@pytest.mark.parametrize("order", EXAMPLES, ids=lambda order: order.text)
def test_an_independent_fhir_library_accepts_what_is_written(order: Order) -> None:
    content = json.loads(to_fhir(order, PATIENT))
    model = {"MedicationRequest": MedicationRequest, "ServiceRequest": ServiceRequest}[content["resourceType"]]
    assert json.loads(model.model_validate(content).model_dump_json()) == content


def _changed(order: Order, path: tuple[str | int, ...], value: object) -> bytes:
    content = json.loads(to_fhir(order, PATIENT))
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(content).encode()


RATE = ("dosageInstruction", 0, "doseAndRate", 0, "rateQuantity")
DOSE = ("dosageInstruction", 0, "doseAndRate", 0, "doseQuantity")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_changed(EXAMPLES[3], (*RATE, "value"), 30), "30 ug/kg/min, allowed is 0 to 3 ug/kg/min"),
        (_changed(EXAMPLES[3], (*RATE, "value"), -0.1), "allowed is 0 to 3"),
        (_changed(EXAMPLES[3], (*RATE, "value"), "0.1"), "rateQuantity.value is Expected `float`, got `str`"),
        (_changed(EXAMPLES[3], (*RATE, "code"), "mg/kg/min"), "allowed is http://unitsofmeasure.org|ug/kg/min"),
        (_changed(EXAMPLES[3], (*RATE, "system"), "urn:x"), "allowed is http://unitsofmeasure.org|ug/kg/min"),
        (_changed(EXAMPLES[3], ("status",), "draft"), "$.status"),
        (_changed(EXAMPLES[3], ("doNotPerform",), True), "doNotPerform"),
        (_changed(EXAMPLES[3], ("resourceType",), "Patient"), "$.resourceType"),
        (_changed(EXAMPLES[3], ("subject", "reference"), "Group/1"), "Patient/<pseudonym>"),
        (_changed(EXAMPLES[3], ("medicationCodeableConcept", "coding", 0, "code"), "N02AB03"), "C01CA03"),
        (_changed(EXAMPLES[3], ("dosageInstruction", 0, "doseAndRate"), [{}]), "one of doseQuantity and rateQuantity"),
        (_changed(EXAMPLES[3], DOSE, {}), "doseQuantity"),
        (_changed(EXAMPLES[0], (*DOSE, "value"), 16), "allowed is 21 to 100 %"),
        (_changed(EXAMPLES[1], (*DOSE, "value"), 2500), "allowed is 10 to 2000 mL"),
        (_changed(EXAMPLES[1], ("dosageInstruction", 0, "timing", "repeat", "duration"), 40), "at most 10 mL/s"),
        (_changed(EXAMPLES[1], ("dosageInstruction", 0, "timing"), None), "timing is absent"),
        (_changed(EXAMPLES[2], ("quantityQuantity",), None), "quantityQuantity is absent"),
        (_changed(EXAMPLES[5], (*DOSE, "value"), 1400), "allowed is 1 to 500 mg"),
        (_changed(EXAMPLES[7], ("extension", 0, "valueQuantity", "value"), 100), "allowed is 4 to 40 /min"),
        (_changed(EXAMPLES[7], ("extension", 0, "url"), "urn:other:rate"), "once each"),
        (_changed(EXAMPLES[8], ("quantityQuantity",), {"value": 1, "system": "x", "code": "y"}), "allowed is absent"),
        (b"{", "malformed"),
        (b"\xff", "malformed"),
        (b" " * 9000, "at most 8192 bytes"),
    ],
)
def test_impossible_orders_are_refused_with_what_is_allowed(content: bytes, said: str) -> None:
    with pytest.raises(OrderError) as refused:
        from_fhir(content)
    assert said in str(refused.value)
    assert PATIENT not in str(refused.value)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_no_bytes_raise_anything_but_order_error(content: bytes) -> None:
    with pytest.raises(OrderError):
        from_fhir(content)


@given(st.sampled_from(EXAMPLES), st.integers(0, 900), st.integers(0, 255))
def test_one_wrong_byte_is_refused_or_still_within_limits(order: Order, at: int, byte: int) -> None:
    content = bytearray(to_fhir(order, PATIENT))
    content[at % len(content)] = byte
    try:
        read = from_fhir(bytes(content))
    except OrderError:
        return
    assert from_fhir(to_fhir(read, PATIENT)).amount == read.amount


def test_doses_are_refused_by_weight() -> None:
    check_for(Order("propofol", 140, 20), 70)
    with pytest.raises(OrderError, match=r"at most 5 mg/kg, here 100 mg"):
        check_for(Order("propofol", 140, 20), 20)
    with pytest.raises(OrderError, match=r"15 mL/kg"):
        check_for(Order("ventilator", rate_per_min=12, tidal_ml=500, peep_cmh2o=5), 20)
    with pytest.raises(OrderError, match=r"30 mL/kg"):
        check_for(Order("bleed", 1500, 600), 40)


def test_texts_say_what_is_done() -> None:
    assert [order.text for order in EXAMPLES[2:6]] == [
        "training blood loss 375 mL over 6.4 min",
        "norepinephrine 0.10 ug/kg/min",
        "norepinephrine stopped",
        "propofol 140 mg over 20 s",
    ]
