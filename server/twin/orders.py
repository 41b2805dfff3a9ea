"""Clinical orders: FHIR R4 resources in, one small `Order` out, and back.

Owns what may be ordered, in which units and within which limits. Never acts: `twin.bedside` does. An order resource is
read strictly, because a field we do not understand could change its meaning: unknown fields are refused.

Drugs, oxygen and fluid are MedicationRequest (ATC), ventilator and training blood loss ServiceRequest (own codes).
Always status "active", intent "order", quantities with UCUM codes, subject "Patient/<pseudonym>". Dosage carriers:

- oxygen            doseQuantity % (inspired fraction)
- fluid             doseQuantity mL and timing.repeat.duration s
- propofol          doseQuantity mg and timing.repeat.duration s (a bolus)
- propofol-infusion rateQuantity mg/kg/h, 0 stops it
- norepinephrine    rateQuantity ug/kg/min, 0 stops it
- bleed             quantityQuantity mL and occurrenceTiming.repeat.duration s
- ventilator        three extensions with valueQuantity: rate /min, tidal mL, peep cm[H2O]
- ventilator-off    nothing

One exact example; the others differ in the carriers named above:

    {"resourceType":"MedicationRequest","status":"active","intent":"order",
     "medicationCodeableConcept":{"coding":[{"system":"http://www.whocc.no/atc","code":"C01CA03"}],"text":"norepinephrine"},
     "subject":{"reference":"Patient/0123456789abcdef0123456789abcdef"},
     "dosageInstruction":[{"doseAndRate":[{"rateQuantity":{"value":0.1,"unit":"ug/kg/min",
       "system":"http://unitsofmeasure.org","code":"ug/kg/min"}}]}]}
"""

from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from server.twin.order_forms import (
    CodeableConcept,
    Coding,
    Dosage,
    DoseAndRate,
    Extension,
    MedicationRequest,
    Quantity,
    Reference,
    Repeat,
    ServiceRequest,
    Timing,
)

Kind = Literal[
    "oxygen", "fluid", "bleed", "norepinephrine", "propofol", "propofol-infusion", "ventilator", "ventilator-off"
]

UCUM: Final = "http://unitsofmeasure.org"
ATC: Final = "http://www.whocc.no/atc"
OWN: Final = "urn:asclepion:order"
VENTILATOR_EXTENSION: Final = "urn:asclepion:ventilator-"
CONTENT_BYTES_MAX: Final = 8192


class OrderError(ValueError):
    """The order cannot be taken: which `field`, what was `got`, what is `allowed`. Never names a patient."""

    def __init__(self, field: str, got: str, allowed: str) -> None:
        self.field = field
        self.got = got[:80]
        self.allowed = allowed
        super().__init__(f"{field} is {self.got}, allowed is {allowed}")


class Limit(NamedTuple):
    """Closed range of a quantity and its UCUM code."""

    low: float
    high: float
    unit: str


class Dose(NamedTuple):
    """How one kind of order is coded and what it may hold. `carrier` names the FHIR element of the amount."""

    resource: Literal["MedicationRequest", "ServiceRequest"]
    system: str
    code: str
    display: str
    carrier: Literal["doseQuantity", "rateQuantity", "quantityQuantity", "extension", ""]
    amount: Limit | None
    over_s: tuple[float, float] | None
    per_s_max: float  # amount / over_s; 0: no such limit


DOSES: Final[dict[str, Dose]] = {
    "oxygen": Dose("MedicationRequest", ATC, "V03AN01", "oxygen", "doseQuantity", Limit(21, 100, "%"), None, 0),
    "fluid": Dose(
        "MedicationRequest", ATC, "B05BB01", "balanced crystalloid", "doseQuantity",
        Limit(10, 2000, "mL"), (30, 14_400), 10.0,
    ),
    "norepinephrine": Dose(
        "MedicationRequest", ATC, "C01CA03", "norepinephrine", "rateQuantity", Limit(0, 3, "ug/kg/min"), None, 0
    ),
    "propofol": Dose(
        "MedicationRequest", ATC, "N01AX10", "propofol", "doseQuantity", Limit(1, 500, "mg"), (5, 600), 20.0
    ),
    "propofol-infusion": Dose(
        "MedicationRequest", ATC, "N01AX10", "propofol", "rateQuantity", Limit(0, 15, "mg/kg/h"), None, 0
    ),
    "bleed": Dose(
        "ServiceRequest", OWN, "training-bleed", "training blood loss", "quantityQuantity",
        Limit(10, 2000, "mL"), (30, 7200), 5.0,
    ),
    "ventilator": Dose("ServiceRequest", OWN, "ventilator-on", "ventilator on", "extension", None, None, 0),
    "ventilator-off": Dose("ServiceRequest", OWN, "ventilator-off", "ventilator off", "", None, None, 0),
}  # fmt: skip

SETTINGS: Final[dict[str, Limit]] = {
    "rate": Limit(4, 40, "/min"),
    "tidal": Limit(50, 1000, "mL"),
    "peep": Limit(0, 20, "cm[H2O]"),
}
PROPOFOL_MG_PER_KG_MAX: Final = 5.0
TIDAL_ML_PER_KG_MAX: Final = 15.0
VOLUME_ML_PER_KG_MAX: Final = 30.0  # fluid or bleed in one order


class Order(Struct, frozen=True):
    """One order within the limits. Units by kind, see `DOSES`; fields that a kind does not use are 0."""

    kind: Kind
    amount: float = 0.0
    over_s: float = 0.0
    rate_per_min: float = 0.0
    tidal_ml: float = 0.0
    peep_cmh2o: float = 0.0
    patient: str = ""  # the pseudonym that the resource names; the caller checks that it is the bed's

    @property
    def text(self) -> str:
        """What a person reads: "norepinephrine 0.10 ug/kg/min", "fluid 500 mL over 10 min"."""
        if self.kind == "ventilator":
            return f"ventilator {self.rate_per_min:g}/min, tidal {self.tidal_ml:g} mL, PEEP {self.peep_cmh2o:g} cmH2O"
        if self.kind == "ventilator-off":
            return "ventilator off"
        return _dose_text(self)


def _dose_text(order: Order) -> str:
    """Name, amount, and over how long."""
    if order.kind == "oxygen":
        return f"oxygen {order.amount:g} %"
    if order.kind in ("norepinephrine", "propofol-infusion"):
        name = order.kind.removesuffix("-infusion")
        if order.amount == 0:
            return f"{name} stopped"
        return f"propofol {order.amount:g} mg/kg/h" if name == "propofol" else f"{name} {order.amount:.2f} ug/kg/min"
    name = "training blood loss" if order.kind == "bleed" else order.kind
    unit = "mg" if order.kind == "propofol" else "mL"
    return f"{name} {order.amount:g} {unit} over {_duration(order.over_s)}"


def _duration(seconds: float) -> str:
    """Seconds below two minutes, minutes above."""
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:.3g} min"


_decoder: msgspec.json.Decoder[MedicationRequest | ServiceRequest] = msgspec.json.Decoder(
    MedicationRequest | ServiceRequest
)
_encoder = msgspec.json.Encoder()
_ABSENT_PRESENT: Final = {True: ("absent", "present"), False: ("present", "absent")}  # (got, allowed) by "is missing"


# --- in ---------------------------------------------------------------------------------------------------------------


def from_fhir(content: bytes) -> Order:
    """Read an order resource (JSON). Raises OrderError on anything unknown, missing, unitless or beyond the limits."""
    if len(content) > CONTENT_BYTES_MAX:
        raise OrderError("resource", f"{len(content)} bytes", f"at most {CONTENT_BYTES_MAX} bytes")
    resource = _decode(content)
    patient = _patient(resource.subject)
    if isinstance(resource, MedicationRequest):
        order = _from_medication(resource, patient)
    else:
        order = _from_service(resource, patient)
    _check(order)
    return order


def check_for(order: Order, weight_kg: float) -> None:
    """Refuse what no patient of that weight may be given. Raises OrderError with the limit."""
    if order.kind == "propofol":
        _per_kg(order.amount, weight_kg, PROPOFOL_MG_PER_KG_MAX, "doseQuantity", "mg")
    if order.kind in ("fluid", "bleed"):
        _per_kg(order.amount, weight_kg, VOLUME_ML_PER_KG_MAX, "volume", "mL")
    if order.kind == "ventilator":
        _per_kg(order.tidal_ml, weight_kg, TIDAL_ML_PER_KG_MAX, "tidal", "mL")


def _per_kg(amount: float, weight_kg: float, limit: float, field: str, unit: str) -> None:
    if amount > limit * weight_kg:
        allowed = f"at most {limit:g} {unit}/kg, here {limit * weight_kg:.0f} {unit}"
        raise OrderError(field, f"{amount:g} {unit}", allowed)


def _decode(content: bytes) -> MedicationRequest | ServiceRequest:
    try:
        return _decoder.decode(content)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        allowed = "a MedicationRequest or ServiceRequest of the order forms"
        raise OrderError(path.rstrip("`") or "resource", text, allowed) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise OrderError("resource", "malformed text", "a FHIR R4 resource as JSON") from None


def _patient(subject: Reference) -> str:
    kind, _, identifier = subject.reference.partition("/")
    if kind != "Patient":
        raise OrderError("subject.reference", kind, "Patient/<pseudonym>")
    return identifier


def _coded(concept: CodeableConcept, resource: str) -> list[Kind]:
    """Kinds that have this code (a drug may come as bolus or infusion)."""
    coding = concept.coding[0]
    kinds: list[Kind] = [
        kind  # type: ignore[misc]
        for kind, dose in DOSES.items()
        if dose.resource == resource and (dose.system, dose.code) == (coding.system, coding.code)
    ]
    if not kinds:
        allowed = sorted({f"{dose.system}|{dose.code}" for dose in DOSES.values() if dose.resource == resource})
        raise OrderError("code", f"{coding.system}|{coding.code}", ", ".join(allowed))
    return kinds


def _from_medication(resource: MedicationRequest, patient: str) -> Order:
    kinds = _coded(resource.medicationCodeableConcept, "MedicationRequest")
    dosage = resource.dosageInstruction[0]
    carried = dosage.doseAndRate[0]
    if (carried.doseQuantity is None) == (carried.rateQuantity is None):
        raise OrderError("doseAndRate", "both or neither", "one of doseQuantity and rateQuantity")
    carrier = "doseQuantity" if carried.doseQuantity is not None else "rateQuantity"
    matching = [kind for kind in kinds if DOSES[kind].carrier == carrier]
    if not matching:
        raise OrderError("doseAndRate", carrier, " or ".join(DOSES[kind].carrier for kind in kinds))
    quantity = carried.doseQuantity or carried.rateQuantity
    assert quantity is not None
    amount = _amount(matching[0], quantity)
    return Order(matching[0], amount, _over_s(matching[0], dosage.timing), patient=patient)


def _from_service(resource: ServiceRequest, patient: str) -> Order:
    kind = _coded(resource.code, "ServiceRequest")[0]
    carrier = DOSES[kind].carrier
    for name in ("quantityQuantity", "extension"):
        if (getattr(resource, name) is not None) != (carrier == name):
            raise OrderError(name, *_ABSENT_PRESENT[carrier == name])
    over_s = _over_s(kind, resource.occurrenceTiming)
    if resource.quantityQuantity is not None:
        return Order(kind, _amount(kind, resource.quantityQuantity), over_s, patient=patient)
    settings = _settings(resource.extension or [])
    if carrier == "":
        return Order(kind, patient=patient)
    return Order(
        kind,
        rate_per_min=settings["rate"],
        tidal_ml=settings["tidal"],
        peep_cmh2o=settings["peep"],
        patient=patient,
    )


def _settings(extensions: list[Extension]) -> dict[str, float]:
    """The ventilator's settings, each exactly once."""
    found: dict[str, float] = {}
    for extension in extensions:
        name = extension.url.removeprefix(VENTILATOR_EXTENSION)
        if name not in SETTINGS or extension.url == name or name in found:
            raise OrderError("extension.url", extension.url, f"{VENTILATOR_EXTENSION}rate, -tidal and -peep, once each")
        _unit(extension.valueQuantity, SETTINGS[name].unit)
        found[name] = extension.valueQuantity.value
    if extensions and len(found) != len(SETTINGS):
        raise OrderError("extension", ", ".join(found), ", ".join(SETTINGS))
    return found


def _unit(quantity: Quantity, unit: str) -> None:
    if (quantity.system, quantity.code) != (UCUM, unit):
        raise OrderError("quantity.code", f"{quantity.system}|{quantity.code}", f"{UCUM}|{unit}")


def _amount(kind: str, quantity: Quantity) -> float:
    limit = DOSES[kind].amount
    assert limit is not None
    _unit(quantity, limit.unit)
    return quantity.value


def _over_s(kind: str, timing: Timing | None) -> float:
    if (timing is None) != (DOSES[kind].over_s is None):
        raise OrderError("timing", *_ABSENT_PRESENT[timing is None])
    return timing.repeat.duration if timing is not None else 0.0


def _check(order: Order) -> None:
    """Every quantity within its limit."""
    dose = DOSES[order.kind]
    if dose.amount is not None:
        _within(dose.carrier, order.amount, dose.amount)
    if dose.over_s is not None:
        _within("timing.repeat.duration", order.over_s, Limit(*dose.over_s, "s"))
    if dose.per_s_max and order.amount > dose.per_s_max * order.over_s:
        assert dose.amount is not None
        unit = dose.amount.unit
        raise OrderError("rate", f"{order.amount / order.over_s:g} {unit}/s", f"at most {dose.per_s_max:g} {unit}/s")
    if order.kind == "ventilator":
        _within("rate", order.rate_per_min, SETTINGS["rate"])
        _within("tidal", order.tidal_ml, SETTINGS["tidal"])
        _within("peep", order.peep_cmh2o, SETTINGS["peep"])


def _within(field: str, value: float, limit: Limit) -> None:
    if not limit.low <= value <= limit.high:
        raise OrderError(field, f"{value:g} {limit.unit}", f"{limit.low:g} to {limit.high:g} {limit.unit}")


# --- out --------------------------------------------------------------------------------------------------------------


def to_fhir(order: Order, patient: str) -> bytes:
    """The resource a client writes for `order`; `patient` is the pseudonym. Raises OrderError beyond the limits."""
    _check(order)
    dose = DOSES[order.kind]
    concept = CodeableConcept([Coding(dose.system, dose.code)], dose.display)
    subject = Reference(f"Patient/{patient}")
    timing = Timing(Repeat(order.over_s, "s")) if dose.over_s is not None else None
    amount = _quantity(order.amount, dose.amount.unit) if dose.amount is not None else None
    if dose.resource == "MedicationRequest":
        is_dose = dose.carrier == "doseQuantity"
        carried = DoseAndRate(doseQuantity=amount) if is_dose else DoseAndRate(rateQuantity=amount)
        return _encoder.encode(MedicationRequest("active", "order", concept, subject, [Dosage([carried], timing)]))
    values = {"rate": order.rate_per_min, "tidal": order.tidal_ml, "peep": order.peep_cmh2o}
    extension = None
    if dose.carrier == "extension":
        extension = [
            Extension(VENTILATOR_EXTENSION + name, _quantity(values[name], limit.unit))
            for name, limit in SETTINGS.items()
        ]
    return _encoder.encode(ServiceRequest("active", "order", concept, subject, extension, amount, timing))


def _quantity(value: float, unit: str) -> Quantity:
    return Quantity(value, UCUM, unit, unit)
