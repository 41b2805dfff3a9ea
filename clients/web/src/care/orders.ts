/** What can be ordered, within which limits, and the FHIR R4 resource that says so (server/twin/orders.py reads it). Pure. */

import { type Bytes, toHex, utf8 } from "../bytes";

/** One number of an order. */
export interface Field {
  name: string;
  label: string;
  unit: string; // for people
  min: number;
  max: number;
  step: number;
  start: number;
}

/** The numbers of an order by field name. */
export type Values = Readonly<Record<string, number>>;

/** One kind of order. `check` gives a sentence when the numbers do not go together, "" when they do. */
export interface OrderKind {
  kind: string;
  label: string;
  fields: readonly Field[];
  text(values: Values): string;
  check(values: Values, weightKg: number): string;
  resource(values: Values, subject: object): object;
}

const UCUM = "http://unitsofmeasure.org";
const ATC = "http://www.whocc.no/atc";
const OWN = "urn:asclepion:order";

const quantity = (value: number, unit: string): object => ({ value, system: UCUM, code: unit, unit });
const repeat = (seconds: number): object => ({ repeat: { duration: seconds, durationUnit: "s" } });
const fine = (): string => "";
const minutes = (value: number): number => Math.round(value * 60);

function drug(code: string, name: string, dosage: object): (subject: object) => object {
  return (subject) => ({
    resourceType: "MedicationRequest",
    status: "active",
    intent: "order",
    medicationCodeableConcept: { coding: [{ system: ATC, code }], text: name },
    subject,
    dosageInstruction: [dosage],
  });
}

function service(code: string, name: string, subject: object, more: object): object {
  return { resourceType: "ServiceRequest", status: "active", intent: "order", code: { coding: [{ system: OWN, code }], text: name }, subject, ...more };
}

const field = (name: string, label: string, unit: string, min: number, max: number, step: number, start: number): Field => ({ name, label, unit, min, max, step, start });
const v = (values: Values, name: string): number => values[name]!;

/** At most `limit` per kg, or a sentence. */
function perKg(amount: number, weightKg: number, limit: number, unit: string): string {
  return amount > limit * weightKg ? `${amount} ${unit} is over ${limit} ${unit}/kg: at most ${Math.floor(limit * weightKg)} ${unit} for ${weightKg} kg.` : "";
}

/** At most `limit` per second, or a sentence. */
function perSecond(amount: number, seconds: number, limit: number, unit: string): string {
  return amount / seconds > limit ? `That is ${(amount / seconds).toFixed(1)} ${unit}/s, allowed is at most ${limit} ${unit}/s.` : "";
}

const oxygen: OrderKind = {
  kind: "oxygen",
  label: "Oxygen",
  fields: [field("fraction", "Inspired oxygen", "%", 21, 100, 1, 40)],
  text: (x) => `oxygen ${v(x, "fraction")} %`,
  check: fine,
  resource: (x, subject) => drug("V03AN01", "oxygen", { doseAndRate: [{ doseQuantity: quantity(v(x, "fraction"), "%") }] })(subject),
};

const fluid: OrderKind = {
  kind: "fluid",
  label: "Fluid",
  fields: [field("volume", "Balanced crystalloid", "mL", 10, 2000, 10, 500), field("minutes", "Over", "min", 0.5, 240, 0.5, 10)],
  text: (x) => `fluid ${v(x, "volume")} mL over ${v(x, "minutes")} min`,
  check: (x, kg) => perSecond(v(x, "volume"), minutes(v(x, "minutes")), 10, "mL") || perKg(v(x, "volume"), kg, 30, "mL"),
  resource: (x, subject) => drug("B05BB01", "balanced crystalloid", { doseAndRate: [{ doseQuantity: quantity(v(x, "volume"), "mL") }], timing: repeat(minutes(v(x, "minutes"))) })(subject),
};

const norepinephrine: OrderKind = {
  kind: "norepinephrine",
  label: "Norepinephrine",
  fields: [field("rate", "Rate (0 stops it)", "\u00b5g/kg/min", 0, 3, 0.01, 0.1)],
  text: (x) => (v(x, "rate") === 0 ? "norepinephrine stopped" : `norepinephrine ${v(x, "rate").toFixed(2)} \u00b5g/kg/min`),
  check: fine,
  resource: (x, subject) => drug("C01CA03", "norepinephrine", { doseAndRate: [{ rateQuantity: quantity(v(x, "rate"), "ug/kg/min") }] })(subject),
};

const propofolBolus: OrderKind = {
  kind: "propofol",
  label: "Propofol bolus",
  fields: [field("dose", "Dose", "mg", 1, 500, 1, 100), field("seconds", "Over", "s", 5, 600, 1, 20)],
  text: (x) => `propofol ${v(x, "dose")} mg over ${v(x, "seconds")} s`,
  check: (x, kg) => perSecond(v(x, "dose"), v(x, "seconds"), 20, "mg") || perKg(v(x, "dose"), kg, 5, "mg"),
  resource: (x, subject) => drug("N01AX10", "propofol", { doseAndRate: [{ doseQuantity: quantity(v(x, "dose"), "mg") }], timing: repeat(v(x, "seconds")) })(subject),
};

const propofolInfusion: OrderKind = {
  kind: "propofol-infusion",
  label: "Propofol infusion",
  fields: [field("rate", "Rate (0 stops it)", "mg/kg/h", 0, 15, 0.1, 6)],
  text: (x) => (v(x, "rate") === 0 ? "propofol stopped" : `propofol ${v(x, "rate")} mg/kg/h`),
  check: fine,
  resource: (x, subject) => drug("N01AX10", "propofol", { doseAndRate: [{ rateQuantity: quantity(v(x, "rate"), "mg/kg/h") }] })(subject),
};

const ventilator: OrderKind = {
  kind: "ventilator",
  label: "Ventilator on",
  fields: [field("rate", "Rate", "/min", 4, 40, 1, 12), field("tidal", "Tidal volume", "mL", 50, 1000, 10, 500), field("peep", "PEEP", "cmH2O", 0, 20, 1, 5)],
  text: (x) => `ventilator ${v(x, "rate")}/min, tidal ${v(x, "tidal")} mL, PEEP ${v(x, "peep")} cmH2O`,
  check: (x, kg) => perKg(v(x, "tidal"), kg, 15, "mL"),
  resource: (x, subject) =>
    service("ventilator-on", "ventilator on", subject, {
      extension: [
        { url: "urn:asclepion:ventilator-rate", valueQuantity: quantity(v(x, "rate"), "/min") },
        { url: "urn:asclepion:ventilator-tidal", valueQuantity: quantity(v(x, "tidal"), "mL") },
        { url: "urn:asclepion:ventilator-peep", valueQuantity: quantity(v(x, "peep"), "cm[H2O]") },
      ],
    }),
};

const ventilatorOff: OrderKind = {
  kind: "ventilator-off",
  label: "Ventilator off",
  fields: [],
  text: () => "ventilator off",
  check: fine,
  resource: (_x, subject) => service("ventilator-off", "ventilator off", subject, {}),
};

const bleed: OrderKind = {
  kind: "bleed",
  label: "Blood loss (training)",
  fields: [field("volume", "Volume", "mL", 10, 2000, 10, 500), field("minutes", "Over", "min", 0.5, 120, 0.5, 5)],
  text: (x) => `training blood loss ${v(x, "volume")} mL over ${v(x, "minutes")} min`,
  check: (x, kg) => perSecond(v(x, "volume"), minutes(v(x, "minutes")), 5, "mL") || perKg(v(x, "volume"), kg, 30, "mL"),
  resource: (x, subject) => service("training-bleed", "training blood loss", subject, { quantityQuantity: quantity(v(x, "volume"), "mL"), occurrenceTiming: repeat(minutes(v(x, "minutes"))) }),
};

/** Every kind, in the order of the panel. */
export const ORDER_KINDS: readonly OrderKind[] = [oxygen, fluid, norepinephrine, propofolBolus, propofolInfusion, ventilator, ventilatorOff, bleed];

/** A sentence that says what is wrong with the numbers, "" when nothing is. */
export function checkOrder(kind: OrderKind, values: Values, weightKg: number): string {
  for (const { name, label, unit, min, max } of kind.fields) {
    const value = values[name];
    if (value === undefined || !Number.isFinite(value)) return `${label}: please give a number.`;
    if (value < min || value > max) return `${label} is ${value} ${unit}, allowed is ${min} to ${max} ${unit}.`;
  }
  return kind.check(values, weightKg);
}

/** The content of an order: the resource as JSON bytes. `patient` is the bed's 16-byte pseudonym. */
export function orderContent(kind: OrderKind, values: Values, patient: Uint8Array): Bytes {
  return utf8(JSON.stringify(kind.resource(values, { reference: `Patient/${toHex(patient)}` })));
}
