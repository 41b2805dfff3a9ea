"""FHIR R4 MedicationRequest and ServiceRequest as far as orders use them, strictly typed.

Owns the shapes; never checks codes, units or limits: `twin.orders` does.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Short = Annotated[str, Meta(max_length=120)]
Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9\-\.]{1,64}$")]


class Strict(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base: unknown fields are refused."""


class Coding(Strict, frozen=True):
    """FHIR Coding."""

    system: Short
    code: Short
    display: Short = ""


class CodeableConcept(Strict, frozen=True):
    """FHIR CodeableConcept with exactly one coding."""

    coding: Annotated[list[Coding], Meta(min_length=1, max_length=1)]
    text: Short = ""


class Quantity(Strict, frozen=True):
    """FHIR Quantity; `system` and `code` are required: units are never guessed."""

    value: float
    system: Short
    code: Short
    unit: Short = ""


class Reference(Strict, frozen=True):
    """FHIR Reference."""

    reference: Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z]{1,30}/[A-Za-z0-9\-\.]{1,64}$")]
    display: Short = ""


class Repeat(Strict, frozen=True):
    """FHIR Timing.repeat: how long, in seconds."""

    duration: float
    durationUnit: Literal["s"]


class Timing(Strict, frozen=True):
    """FHIR Timing."""

    repeat: Repeat


class DoseAndRate(Strict, frozen=True):
    """FHIR Dosage.doseAndRate: one of the two."""

    doseQuantity: Quantity | None = None
    rateQuantity: Quantity | None = None


class Dosage(Strict, frozen=True):
    """FHIR Dosage."""

    doseAndRate: Annotated[list[DoseAndRate], Meta(min_length=1, max_length=1)]
    timing: Timing | None = None
    text: Short = ""


class Extension(Strict, frozen=True):
    """FHIR Extension holding a quantity."""

    url: Short
    valueQuantity: Quantity


class MedicationRequest(Strict, frozen=True, tag_field="resourceType", tag="MedicationRequest"):
    """FHIR R4 MedicationRequest."""

    status: Literal["active"]
    intent: Literal["order"]
    medicationCodeableConcept: CodeableConcept
    subject: Reference
    dosageInstruction: Annotated[list[Dosage], Meta(min_length=1, max_length=1)]
    id: Identifier | None = None
    authoredOn: Short = ""
    requester: Reference | None = None


class ServiceRequest(Strict, frozen=True, tag_field="resourceType", tag="ServiceRequest"):
    """FHIR R4 ServiceRequest."""

    status: Literal["active"]
    intent: Literal["order"]
    code: CodeableConcept
    subject: Reference
    extension: Annotated[list[Extension], Meta(min_length=1, max_length=3)] | None = None
    quantityQuantity: Quantity | None = None
    occurrenceTiming: Timing | None = None
    id: Identifier | None = None
    authoredOn: Short = ""
    requester: Reference | None = None
