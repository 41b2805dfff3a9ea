/** Orders: the form for those who may, and the list of one's own orders with what their receipts prove. */

import { type BedState, type Model } from "../model";
import { toHex } from "../bytes";
import { checkOrder, ORDER_KINDS, type OrderKind, type Values } from "../care/orders";
import { type Placement, stageText } from "../care/placing";
import { button, h, rebuild, setText } from "./dom";

/** See the module's head. */
export class OrderPanel {
  readonly root: HTMLElement;
  private readonly heading = h("p", { class: "about" });
  private readonly kind = h("select", { id: "order-kind" }, ...ORDER_KINDS.map((each) => h("option", { value: each.kind }, each.label)));
  private readonly fields = h("div", { class: "fields" });
  private readonly fault = h("p", { class: "fault", role: "alert", hidden: true });
  private readonly form: HTMLFormElement;
  private readonly list = h("ol", { class: "receipts", "aria-label": "Your orders", "aria-live": "polite" });
  private bed: BedState | undefined;

  constructor(
    private readonly model: Model,
    private readonly placements: readonly Placement[],
    private readonly place: (bed: BedState, kind: OrderKind, values: Values) => void,
  ) {
    this.kind.addEventListener("change", () => this.makeFields());
    const submit = h("button", { type: "submit", class: "primary" }, "Sign and order");
    this.form = h("form", { class: "order", novalidate: true, onsubmit: (event) => this.submit(event) }, h("label", { for: "order-kind" }, "Order"), this.kind, this.fields, this.fault, submit);
    this.root = h("section", { class: "panel orders", "aria-label": "Orders" }, h("h2", {}, "Orders"), this.heading, this.form, h("h3", {}, "Your orders and receipts"), this.list);
    this.makeFields();
  }

  /** Shows the state as it is; `bed` is the one that would be ordered for. */
  render(bed: BedState | undefined): void {
    this.bed = bed;
    const may = bed !== undefined && bed.mayOrder && this.model.may("order");
    this.form.hidden = !may;
    setText(this.heading, headingOf(bed, may, this.model.notices.get("ledger")));
    rebuild(this.list, JSON.stringify(this.placements.map((each) => [each.id, each.stage, each.index, each.detail])), () => (this.placements.length === 0 ? [h("li", { class: "none" }, "None yet.")] : this.placements.map(receipt)));
  }

  private chosen(): OrderKind {
    return ORDER_KINDS.find((each) => each.kind === this.kind.value)!;
  }

  private makeFields(): void {
    this.fault.hidden = true;
    this.fields.replaceChildren(
      ...this.chosen().fields.map(({ name, label, unit, min, max, step, start }) => {
        const id = `order-${name}`;
        return h("div", { class: "field" }, h("label", { for: id }, label), h("input", { id, name, type: "number", min, max, step, value: start, inputmode: "decimal" }), h("small", {}, `${unit} (${min} to ${max})`));
      }),
    );
  }

  private submit(event: Event): void {
    event.preventDefault();
    const values = Object.fromEntries([...this.fields.querySelectorAll("input")].map((input) => [input.name, input.value === "" ? Number.NaN : Number(input.value)]));
    if (this.bed === undefined) return;
    const fault = checkOrder(this.chosen(), values, this.bed.place.patient.weight_kg);
    this.fault.hidden = fault === "";
    setText(this.fault, fault);
    if (fault === "") this.place(this.bed, this.chosen(), values);
  }
}

function headingOf(bed: BedState | undefined, may: boolean, ledger: { state: string; text: string } | undefined): string {
  if (bed === undefined) return "There is no bed in this room.";
  const { name, weight_kg } = bed.place.patient;
  if (ledger?.state === "down") return `The ledger is down, so nothing can be ordered: ${ledger.text}`;
  return may ? `For ${name} (${weight_kg} kg, simulated). An order takes effect once the ledger has recorded it.` : "Your role cannot order here, or the monitor is not open yet.";
}

function receipt(placement: Placement): HTMLElement {
  const mark = placement.stage === "verified" ? "\u2713" : placement.stage === "not-verified" || placement.stage === "refused" ? "\u2717" : placement.stage === "unknown" ? "?" : "\u2026";
  const head = [h("b", {}, `${mark} ${placement.text}`), h("span", { class: "for" }, ` for ${placement.bedName}`), h("span", { class: "stage" }, stageText(placement))];
  return h("li", { class: `receipt ${placement.stage}` }, ...head, placement.proof === null ? null : details(placement));
}

function details(placement: Placement): HTMLElement {
  const { proof, entry, receipt: text } = placement;
  if (proof === null) return h("div");
  const rows: [string, string][] = [
    ["Log", proof.origin],
    ["Entry", `${proof.index} of ${proof.size}`],
    ["Leaf hash of your entry", toHex(proof.leaf)],
    ["Root signed by the log", toHex(proof.root)],
    ["Inclusion proof", `${proof.path} hashes`],
    ["Entry size", `${entry.length} bytes, signed by your key`],
  ];
  const save = button("Save receipt and entry", () => {
    download(`order-${proof.index}.tlog-proof`, text);
    download(`order-${proof.index}.cose`, entry);
  }, { "data-key": `save${placement.id}` });
  return h("details", {}, h("summary", { "data-key": `details${placement.id}` }, "What was checked"), h("dl", {}, ...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])), save);
}

function download(name: string, bytes: Uint8Array<ArrayBuffer>): void {
  const url = URL.createObjectURL(new Blob([bytes]));
  h("a", { href: url, download: name }).click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
