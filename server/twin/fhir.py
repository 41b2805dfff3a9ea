"""FHIR R4 Observation in and out: what a device or the feed posts for one bed.

Owns codes, units and the strict reading of what is used. Units are never guessed: each quantity has a UCUM code of its
list or is refused. Fields of Observation that change no number are allowed and not read; modifierExtension is refused.
The bed is `subject.reference` "Location/<room>.<bed>". The source's name is `device.display`, "FHIR" without it.

Numbers: valueQuantity of the Observation itself or of components (LOINC). Waves: valueSampledData, one dimension, each
value is origin + factor * sample, in mV, mm[Hg], kPa or 1 (MDC, IEEE 11073-10101). All waves of a resource have one
rate and length. The number of the first sample is the extension `urn:asclepion:first-sample` (valueUnsignedInt), else
it follows from effectiveInstant or effectiveDateTime. The end of a feed: code `urn:asclepion:feed|end`, status "final",
no value.
"""

from datetime import datetime
from math import isfinite
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct

from server.twin.shown import MISSING, SCALES

LOINC: Final = "http://loinc.org"
MDC: Final = "urn:iso:std:iso:11073:10101"
UCUM: Final = "http://unitsofmeasure.org"
OWN: Final = "urn:asclepion:feed"
FIRST_SAMPLE: Final = "urn:asclepion:first-sample"
BODY_BYTES_MAX: Final = 65_536
SAMPLES_MAX: Final = 4_000
KPA: Final = 7.50062  # mmHg
REFUSED_STATUS: Final = ("entered-in-error", "cancelled")
DECIMALS: Final = frozenset("0123456789+-.eEUL \t\r\n")


class Number(NamedTuple):
    """A number of the monitor: its LOINC codes, the first is written; unit codes with factor; allowed range."""

    codes: tuple[str, ...]
    display: str
    units: dict[str, float]
    low: float
    high: float


PER_MINUTE: Final = {"/min": 1.0, "{beats}/min": 1.0, "{breaths}/min": 1.0}
PRESSURE: Final = {"mm[Hg]": 1.0, "kPa": KPA}
NUMBERS: Final[dict[str, Number]] = {
    "hr": Number(("8867-4",), "Heart rate", PER_MINUTE, 0, 400),
    "sap": Number(("8480-6",), "Systolic blood pressure", PRESSURE, 0, 400),
    "dap": Number(("8462-4",), "Diastolic blood pressure", PRESSURE, 0, 400),
    "map": Number(("8478-0",), "Mean blood pressure", PRESSURE, 0, 400),
    "spo2": Number(("59408-5", "2708-6"), "Oxygen saturation by pulse oximetry", {"%": 1.0}, 0, 100),
    "rr": Number(("9279-1",), "Respiratory rate", PER_MINUTE, 0, 200),
    "etco2": Number(("19889-5",), "End-tidal carbon dioxide", PRESSURE, 0, 200),
    "temp": Number(("8310-5",), "Body temperature", {"Cel": 1.0}, 10, 50),
}


class Wave(NamedTuple):
    """A wave: its MDC code and name, unit codes with factor; the first unit is written."""

    code: str
    display: str
    units: dict[str, float]


WAVES: Final[dict[str, Wave]] = {
    "ecg_ii": Wave("131330", "MDC_ECG_ELEC_POTL_II", {"mV": 1.0, "uV": 1e-3}),
    "ecg_v": Wave("131395", "MDC_ECG_ELEC_POTL_V", {"mV": 1.0, "uV": 1e-3}),
    "abp": Wave("150036", "MDC_PRESS_BLD_ART_ABP", PRESSURE),
    "ppg": Wave("150452", "MDC_PULS_OXIM_PLETH", {"1": 1.0}),
    "co2": Wave("151724", "MDC_AWAY_CO2", PRESSURE),
    "resp": Wave("151780", "MDC_IMPED_TTHOR", {"Ohm": 1.0, "L": 1.0, "1": 1.0}),
    "cvp": Wave("150084", "MDC_PRESS_BLD_VEN_CENT", PRESSURE),
    "pap": Wave("150044", "MDC_PRESS_BLD_ART_PULM", PRESSURE),
}

_NUMBER_OF: Final = {(LOINC, code): name for name, number in NUMBERS.items() for code in number.codes}
_WAVE_OF: Final = {(MDC, wave.code): name for name, wave in WAVES.items()}


class FhirError(ValueError):
    """The Observation cannot be taken. `code` is a FHIR issue type, `expression` a FHIRPath; no value of the body."""

    def __init__(self, code: str, expression: str, diagnostics: str) -> None:
        self.code = code
        self.expression = expression
        self.diagnostics = diagnostics
        super().__init__(f"{expression}: {diagnostics}")


# --- the resource ----------------------------------------------------------------------------------------------------


class Coding(Struct, frozen=True, omit_defaults=True):
    """FHIR Coding."""

    system: str = ""
    code: str = ""
    display: str = ""


class CodeableConcept(Struct, frozen=True, omit_defaults=True):
    """FHIR CodeableConcept."""

    coding: Annotated[list[Coding], Meta(max_length=20)] = []
    text: str = ""


class Quantity(Struct, frozen=True, omit_defaults=True):
    """FHIR Quantity."""

    value: float
    system: str = ""
    code: str = ""
    unit: str = ""
    comparator: str = ""


class SampledData(Struct, frozen=True, omit_defaults=True):
    """FHIR SampledData; `period` in ms."""

    origin: Quantity
    period: Annotated[float, Meta(gt=0)]
    dimensions: int
    data: str
    factor: float = 1.0


class Reference(Struct, frozen=True, omit_defaults=True):
    """FHIR Reference."""

    reference: str = ""
    display: str = ""


class Extension(Struct, frozen=True, omit_defaults=True):
    """FHIR Extension, as far as it is ours."""

    url: str
    valueUnsignedInt: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


class Component(Struct, frozen=True, omit_defaults=True):
    """FHIR Observation.component."""

    code: CodeableConcept
    valueQuantity: Quantity | None = None
    valueSampledData: SampledData | None = None
    modifierExtension: list[Extension] = []


class Observation(Struct, frozen=True, omit_defaults=True, tag_field="resourceType", tag="Observation"):
    """FHIR R4 Observation, as far as it is read or written."""

    status: Literal[
        "registered", "preliminary", "final", "amended", "corrected", "unknown", "entered-in-error", "cancelled"
    ]
    code: CodeableConcept
    subject: Reference
    category: Annotated[list[CodeableConcept], Meta(max_length=20)] = []
    device: Reference = Reference()
    extension: Annotated[list[Extension], Meta(max_length=20)] = []
    modifierExtension: list[Extension] = []
    effectiveDateTime: Annotated[datetime, Meta(tz=True)] | None = None
    effectiveInstant: Annotated[datetime, Meta(tz=True)] | None = None
    valueQuantity: Quantity | None = None
    valueSampledData: SampledData | None = None
    component: Annotated[list[Component], Meta(max_length=64)] = []


class DeviceBlockRow(Struct, array_like=True, tag=71, frozen=True):
    """What the shard decodes as DeviceBlock; the bed is set there."""

    bed: int
    source: str
    numerics: dict[str, float]
    rate_hz: int
    first_sample: int
    waves: dict[str, bytes]
    end: bool


class Reading(NamedTuple):
    """An Observation read: the bed "room/id" and its data as a MessagePack DeviceBlock (bed 0)."""

    bed: str
    block: bytes


_decoder: msgspec.json.Decoder[Observation] = msgspec.json.Decoder(Observation)


# --- in --------------------------------------------------------------------------------------------------------------


def read_observation(body: bytes) -> Reading:
    """Read a posted Observation. Raises FhirError."""
    bed, row = observation_to_block(body)
    return Reading(bed, msgspec.msgpack.encode(row))


def observation_to_block(body: bytes) -> tuple[str, DeviceBlockRow]:
    """The bed "room/id" and the data of a posted Observation. Raises FhirError."""
    if len(body) > BODY_BYTES_MAX:
        raise FhirError("too-long", "Observation", f"larger than {BODY_BYTES_MAX} bytes")
    seen = _decode(body)
    bed, source = _bed(seen.subject.reference), _source(seen.device.display)
    if any((coding.system, coding.code) == (OWN, "end") for coding in seen.code.coding):
        return bed, DeviceBlockRow(0, source, {}, 0, 0, {}, True)
    numerics: dict[str, float] = {}
    waves: dict[str, SampledData] = {}
    own = Component(seen.code, seen.valueQuantity, seen.valueSampledData)
    parts = [(own, "Observation")]
    parts += [(part, f"Observation.component[{i}]") for i, part in enumerate(seen.component)]
    known = [_take(part, place, numerics, waves) for part, place in parts]
    if not any(known):
        allowed = ", ".join([*(code for _, code in _NUMBER_OF), *(code for _, code in _WAVE_OF)])
        raise FhirError("not-supported", "Observation.code", f"no code that a bed can show: {allowed}")
    if not waves:
        return bed, DeviceBlockRow(0, source, numerics, 0, 0, {}, False)
    rate_hz = _rate(waves)
    rows = {name: _samples(name, wave) for name, wave in waves.items()}
    if len({len(row) for row in rows.values()}) != 1:
        raise FhirError("invalid", "Observation.component.valueSampledData", "waves of different lengths")
    return bed, DeviceBlockRow(0, source, numerics, rate_hz, _first_sample(seen, rate_hz), rows, False)


def _decode(body: bytes) -> Observation:
    try:
        seen = _decoder.decode(body)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        raise FhirError("structure", path.rstrip("`").replace("$", "Observation", 1) or "Observation", text) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FhirError("structure", "Observation", "not JSON") from None
    if seen.modifierExtension or any(part.modifierExtension for part in seen.component):
        raise FhirError("extension", "Observation.modifierExtension", "is not understood")
    if seen.status in REFUSED_STATUS:
        raise FhirError("business-rule", "Observation.status", f"is none of a value: {', '.join(REFUSED_STATUS)}")
    return seen


def _bed(reference: str) -> str:
    kind, _, place = reference.partition("/")
    room, _, bed = place.partition(".")
    if kind != "Location" or not room or not bed or len(place) > 81 or "/" in place:
        raise FhirError("value", "Observation.subject.reference", "has to be Location/<room>.<bed>")
    return f"{room}/{bed}"


def _source(display: str) -> str:
    name = display.strip() or "FHIR"
    if len(name) > 60 or not name.isprintable():
        raise FhirError("value", "Observation.device.display", "has to be 1 to 60 printable characters")
    return name


def _take(part: Component, place: str, numerics: dict[str, float], waves: dict[str, SampledData]) -> bool:
    """Put what a component holds where it belongs; False if its code is none of ours."""
    codes = [(coding.system, coding.code) for coding in part.code.coding]
    number = next((_NUMBER_OF[code] for code in codes if code in _NUMBER_OF), None)
    wave = next((_WAVE_OF[code] for code in codes if code in _WAVE_OF), None)
    if number in numerics or wave in waves:
        raise FhirError("duplicate", f"{place}.code", "is there twice")
    if number is not None and part.valueQuantity is not None:
        numerics[number] = _number(number, part.valueQuantity, f"{place}.valueQuantity")
    if wave is not None and part.valueSampledData is not None:
        waves[wave] = part.valueSampledData
    return number is not None or wave is not None


def _factor(quantity: Quantity, units: dict[str, float], place: str) -> float:
    if quantity.system != UCUM or quantity.code not in units:
        raise FhirError("value", f"{place}.code", f"unit has to be of {UCUM}: {' or '.join(units)}")
    return units[quantity.code]


def _number(name: str, quantity: Quantity, place: str) -> float:
    number = NUMBERS[name]
    value = quantity.value * _factor(quantity, number.units, place)
    if quantity.comparator:
        raise FhirError("not-supported", f"{place}.comparator", "a number has to be exact")
    if not number.low <= value <= number.high:
        unit = next(iter(number.units))
        raise FhirError("value", f"{place}.value", f"has to be {number.low:g} to {number.high:g} {unit}")
    return value


def _rate(waves: dict[str, SampledData]) -> int:
    """Samples per second, whole, the same for all."""
    periods = {wave.period for wave in waves.values()}
    rate_hz = round(1000.0 / min(periods))
    if len(periods) != 1 or not 1 <= rate_hz <= 1000 or abs(rate_hz * min(periods) - 1000.0) > 1.0:
        text = "has to be one for all waves, 1000 divided by 1 to 1000 whole samples a second"
        raise FhirError("value", "Observation.component.valueSampledData.period", text)
    return rate_hz


def _samples(name: str, wave: SampledData) -> bytes:
    """int16 little endian in the steps of the wave block; E, U, L become missing, what is beyond the range its end."""
    place = f"Observation.component.valueSampledData ({name})"
    factor = _factor(wave.origin, WAVES[name].units, f"{place}.origin")
    words = wave.data.split(maxsplit=SAMPLES_MAX) if set(wave.data) <= DECIMALS else []
    if wave.dimensions != 1 or not 1 <= len(words) <= SAMPLES_MAX:
        raise FhirError("value", place, f"has to have 1 dimension and 1 to {SAMPLES_MAX} decimals or E, U, L")
    try:
        raw = np.array([np.nan if word in ("E", "U", "L") else float(word) for word in words])
    except ValueError:
        raise FhirError("value", f"{place}.data", "has to be decimals or E, U, L between blanks") from None
    steps = np.rint((raw * wave.factor + wave.origin.value) * factor * SCALES[name])
    return np.where(np.isnan(steps), MISSING, np.clip(np.nan_to_num(steps), -32767, 32767)).astype("<i2").tobytes()


def _first_sample(seen: Observation, rate_hz: int) -> int:
    for extension in seen.extension:
        if extension.url == FIRST_SAMPLE and extension.valueUnsignedInt is not None:
            return extension.valueUnsignedInt
    when = seen.effectiveInstant or seen.effectiveDateTime
    if when is None:
        text = f"waves need the extension {FIRST_SAMPLE} or a time with zone (effectiveInstant)"
        raise FhirError("required", "Observation.effective", text)
    return max(0, round(when.timestamp() * rate_hz))


# --- out -------------------------------------------------------------------------------------------------------------


class Second(NamedTuple):
    """What the feed posts at once: numbers in the units of NUMBERS, waves in physical units with NaN where missing."""

    numerics: dict[str, float]
    rate_hz: int
    first_sample: int
    waves: dict[str, "np.ndarray[tuple[int], np.dtype[np.float64]]"]


VITALS_PANEL: Final = CodeableConcept([Coding(LOINC, "85353-1", "Vital signs panel")])
CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"


def write_observation(bed: str, source: str, second: Second) -> bytes:
    """The Observation for the bed "room/id". Waves are written as whole steps of the wave block."""
    parts = [
        Component(_loinc(name), valueQuantity=Quantity(value, UCUM, next(iter(NUMBERS[name].units))))
        for name, value in second.numerics.items()
        if isfinite(value)
    ]
    parts += [_wave_part(name, row, second.rate_hz) for name, row in second.waves.items()]
    extension = [Extension(FIRST_SAMPLE, second.first_sample)] if second.waves else []
    return _observation(bed, source, "preliminary", VITALS_PANEL, parts, extension)


def write_end(bed: str, source: str) -> bytes:
    """The Observation that says that the feed is over."""
    return _observation(bed, source, "final", CodeableConcept([Coding(OWN, "end")]), [], [])


def _observation(
    bed: str,
    source: str,
    status: Literal["preliminary", "final"],
    code: CodeableConcept,
    parts: list[Component],
    extension: list[Extension],
) -> bytes:
    subject = Reference("Location/" + bed.replace("/", "."))
    category = [CodeableConcept([Coding(CATEGORY, "vital-signs")])]
    seen = Observation(
        status, code, subject, category, Reference(display=source), extension=extension, component=parts
    )  # fmt: skip
    return msgspec.json.encode(seen)


def _loinc(name: str) -> CodeableConcept:
    return CodeableConcept([Coding(LOINC, NUMBERS[name].codes[0], NUMBERS[name].display)])


def _wave_part(name: str, row: "np.ndarray[tuple[int], np.dtype[np.float64]]", rate_hz: int) -> Component:
    wave = WAVES[name]
    steps = np.rint(row * SCALES[name])
    words = ["E" if not isfinite(step) else str(int(step)) for step in steps]
    origin = Quantity(0, UCUM, next(iter(wave.units)))
    data = SampledData(origin, 1000 / rate_hz, 1, " ".join(words), 1 / SCALES[name])
    return Component(CodeableConcept([Coding(MDC, wave.code, wave.display)]), valueSampledData=data)
