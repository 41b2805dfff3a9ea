import { fromHex } from "@/bytes";
import { checkOrder, ORDER_KINDS, orderContent, type Values } from "@/care/orders";

const kind = (name: string) => ORDER_KINDS.find((each) => each.kind === name)!;
const PATIENT = "0123456789abcdef0123456789abcdef";
const subject = { reference: `Patient/${PATIENT}` };
const ucum = (value: number, code: string) => ({ value, system: "http://unitsofmeasure.org", code, unit: code });
const drug = (code: string, text: string, dosage: object) => ({
  resourceType: "MedicationRequest", status: "active", intent: "order",
  medicationCodeableConcept: { coding: [{ system: "http://www.whocc.no/atc", code }], text }, subject, dosageInstruction: [dosage],
});
const service = (code: string, text: string, more: object) => ({
  resourceType: "ServiceRequest", status: "active", intent: "order", code: { coding: [{ system: "urn:asclepion:order", code }], text }, subject, ...more,
});

/** As the server's own examples say (server/twin/orders.py). */
const EXAMPLES: [string, Values, string, object][] = [
  ["oxygen", { fraction: 40 }, "oxygen 40 %", drug("V03AN01", "oxygen", { doseAndRate: [{ doseQuantity: ucum(40, "%") }] })],
  ["fluid", { volume: 500, minutes: 10 }, "fluid 500 mL over 10 min", drug("B05BB01", "balanced crystalloid", { doseAndRate: [{ doseQuantity: ucum(500, "mL") }], timing: { repeat: { duration: 600, durationUnit: "s" } } })],
  ["norepinephrine", { rate: 0.1 }, "norepinephrine 0.10 \u00b5g/kg/min", drug("C01CA03", "norepinephrine", { doseAndRate: [{ rateQuantity: ucum(0.1, "ug/kg/min") }] })],
  ["norepinephrine", { rate: 0 }, "norepinephrine stopped", drug("C01CA03", "norepinephrine", { doseAndRate: [{ rateQuantity: ucum(0, "ug/kg/min") }] })],
  ["propofol", { dose: 140, seconds: 20 }, "propofol 140 mg over 20 s", drug("N01AX10", "propofol", { doseAndRate: [{ doseQuantity: ucum(140, "mg") }], timing: { repeat: { duration: 20, durationUnit: "s" } } })],
  ["propofol-infusion", { rate: 6 }, "propofol 6 mg/kg/h", drug("N01AX10", "propofol", { doseAndRate: [{ rateQuantity: ucum(6, "mg/kg/h") }] })],
  ["ventilator", { rate: 12, tidal: 500, peep: 5 }, "ventilator 12/min, tidal 500 mL, PEEP 5 cmH2O", service("ventilator-on", "ventilator on", { extension: [
    { url: "urn:asclepion:ventilator-rate", valueQuantity: ucum(12, "/min") },
    { url: "urn:asclepion:ventilator-tidal", valueQuantity: ucum(500, "mL") },
    { url: "urn:asclepion:ventilator-peep", valueQuantity: ucum(5, "cm[H2O]") },
  ] })],
  ["ventilator-off", {}, "ventilator off", service("ventilator-off", "ventilator off", {})],
  ["bleed", { volume: 500, minutes: 5 }, "training blood loss 500 mL over 5 min", service("training-bleed", "training blood loss", { quantityQuantity: ucum(500, "mL"), occurrenceTiming: { repeat: { duration: 300, durationUnit: "s" } } })],
];

describe("an order", () => {
  for (const [name, values, text, resource] of EXAMPLES) {
    it(`is written as the server reads it: ${text}`, () => {
      expect(checkOrder(kind(name), values, 80)).toBe("");
      expect(kind(name).text(values)).toBe(text);
      expect(JSON.parse(new TextDecoder().decode(orderContent(kind(name), values, fromHex(PATIENT))))).toEqual(resource);
    });
  }
  it("has a form that starts within its own limits", () => {
    for (const each of ORDER_KINDS) expect(checkOrder(each, Object.fromEntries(each.fields.map((f) => [f.name, f.start])), 70), each.kind).toBe("");
  });
  it("is refused by a sentence when it cannot be", () => {
    const fault = (name: string, values: Values, kg = 70) => checkOrder(kind(name), values, kg);
    expect(fault("oxygen", { fraction: 20 })).toMatch(/allowed is 21 to 100 %/);
    expect(fault("oxygen", { fraction: Number.NaN })).toMatch(/give a number/);
    expect(fault("oxygen", {})).toMatch(/give a number/);
    expect(fault("fluid", { volume: 2000, minutes: 1 })).toMatch(/33\.3 mL\/s/);
    expect(fault("fluid", { volume: 2000, minutes: 60 }, 50)).toMatch(/at most 1500 mL for 50 kg/);
    expect(fault("bleed", { volume: 1000, minutes: 1 })).toMatch(/at most 5 mL\/s/);
    expect(fault("propofol", { dose: 300, seconds: 60 }, 50)).toMatch(/at most 250 mg/);
    expect(fault("propofol", { dose: 200, seconds: 5 })).toMatch(/at most 20 mg\/s/);
    expect(fault("ventilator", { rate: 12, tidal: 900, peep: 5 }, 50)).toMatch(/at most 750 mL/);
  });
  it("fits into its frame", () => {
    for (const [name, values] of EXAMPLES) expect(orderContent(kind(name), values, fromHex(PATIENT)).length).toBeLessThan(8192);
  });
});
