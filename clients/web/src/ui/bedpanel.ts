/** One bed in 2D: the monitor's picture, the same numbers as words, alarms with Acknowledge, what runs. */

import type { BedState, Model } from "../model";
import { drawMonitor, PRIORITIES, say, sortedAlarms, type Shown, sourceText } from "../monitor/draw";
import type { Alarm, BedVitals } from "../net/protocol";
import { button, h, rebuild, setText } from "./dom";

const PIXELS = [720, 450] as const;
const CLOSED = "opening the monitor: your access is being recorded\u2026";

/** What the monitor of a bed shows now. */
export function shownOf(bed: BedState, nowMs: number): Shown {
  const note = bed.patient === null && bed.vitals === null ? "locked" : "";
  return { name: bed.place.patient.name, vitals: bed.patient === null ? null : bed.vitals, sweep: bed.sweep, nowMs, note };
}

/** See the module's head. */
export class BedPanel {
  readonly root: HTMLElement;
  bedIndex = -1;
  private readonly picker = h("div", { class: "tabs", role: "group", "aria-label": "Beds" });
  private readonly canvas = h("canvas", { width: PIXELS[0], height: PIXELS[1], role: "img", "aria-label": "Monitor traces" });
  private readonly source = h("p", { class: "source" });
  private readonly numbers = h("dl", { class: "numbers" });
  private readonly news = h("p", { class: "news" });
  private readonly alarms = h("ul", { class: "alarms", "aria-label": "Alarms" });
  private readonly urgent = h("p", { class: "sr-only", role: "alert" });
  private readonly running = h("ul", { class: "running", "aria-label": "Running now" });
  private readonly context = this.canvas.getContext("2d")!;

  constructor(
    private readonly model: Model,
    private readonly acknowledge: (bed: number, alarm: string) => void,
    private readonly choose: (bed: number) => void,
  ) {
    this.root = h("section", { class: "panel bed", "aria-label": "Bedside monitor" }, h("h2", {}, "Bedside"), this.picker, this.canvas, this.source, this.numbers, this.news, this.alarms, this.running, this.urgent);
  }

  /** The bed that is shown, if the room has one. */
  bed(): BedState | undefined {
    return this.model.bed(this.bedIndex) ?? this.model.beds[0];
  }

  /** Paints the traces, when the panel can be seen. */
  paint(nowMs: number): void {
    const bed = this.bed();
    if (bed !== undefined && this.canvas.offsetParent !== null) drawMonitor(this.context, shownOf(bed, nowMs));
  }

  /** Shows the numbers and alarms as they are. */
  render(): void {
    const bed = this.bed();
    this.root.classList.toggle("empty", bed === undefined);
    rebuild(this.picker, JSON.stringify([bed?.index, this.model.beds.map((each) => [each.index, worst(each)])]), () => this.model.beds.map((each) => this.tab(each, each === bed)));
    if (bed === undefined) return setText(this.source, "There is no bed in this room.");
    const { vitals } = bed;
    const open = bed.patient !== null && vitals !== null;
    setText(this.source, open ? `${sourceText(vitals)}${vitals.live ? "" : " \u2013 no data"} \u00b7 access is entry ${bed.accessIndex}` : this.model.may("see_twin") ? CLOSED : "Your role does not see this monitor.");
    rebuild(this.numbers, JSON.stringify(open ? { ...vitals, tick: 0, alarms: [], running: [] } : null), () => (open ? numberRows(vitals) : []));
    setText(this.news, open ? `NEWS2 ${vitals.news2 ?? "\u2013"}${vitals.news2_text === "" ? "" : ` \u2013 ${vitals.news2_text}`}` : "");
    this.renderAlarms(bed, open ? sortedAlarms(vitals) : []);
    const running = open ? vitals.running : [];
    rebuild(this.running, JSON.stringify(running), () => running.map((text) => h("li", {}, text)));
  }

  private renderAlarms(bed: BedState, alarms: Alarm[]): void {
    const clinician = this.model.room?.role === "clinician";
    rebuild(this.alarms, JSON.stringify([bed.index, clinician, alarms]), () => alarms.map((alarm) => this.alarm(bed, alarm, clinician)));
    const high = alarms.filter((alarm) => alarm.priority === "high" && alarm.active && alarm.acked_by === "").map((alarm) => alarm.text);
    setText(this.urgent, high.length === 0 ? "" : `High priority alarm, ${bed.place.patient.name}: ${high.join(", ")}`);
  }

  private tab(bed: BedState, chosen: boolean): HTMLElement {
    const mark = worst(bed);
    return button(`${bed.place.id}${mark === "" ? "" : ` ${mark}`}`, () => this.choose(bed.index), { "aria-pressed": chosen, "data-key": `bed${bed.index}`, "aria-label": `Bed ${bed.place.id}, ${bed.place.patient.name}` });
  }

  private alarm(bed: BedState, alarm: Alarm, clinician: boolean): HTMLElement {
    const state = alarm.active ? "" : " (over)";
    const by = alarm.acked_by === "" ? "" : ` \u2013 acknowledged by ${alarm.acked_by}`;
    const words = h("span", {}, h("b", {}, `${PRIORITIES[alarm.priority].mark} `), `${alarm.text}${state}${by}`, h("small", {}, ` ${alarm.priority} priority`));
    const may = clinician && alarm.acked_by === "";
    return h("li", { class: `alarm ${alarm.priority}` }, words, may && button("Acknowledge", () => this.acknowledge(bed.index, alarm.code), { "data-key": `ack${alarm.code}`, "aria-label": `Acknowledge ${alarm.text}` }));
  }
}

function worst(bed: BedState): string {
  const first = sortedAlarms(bed.vitals).find((alarm) => alarm.acked_by === "");
  return first === undefined ? "" : PRIORITIES[first.priority].mark;
}

function numberRows(v: BedVitals): HTMLElement[] {
  const rows: [string, string, string, string][] = [
    ["HR", say(v.hr), "/min", "ecg"],
    ["ABP", `${say(v.sap)}/${say(v.dap)} (${say(v.map)})`, "mmHg", "abp"],
    ["SpO2", say(v.spo2), "%", "ppg"],
    ["RR", say(v.rr), "/min", "rr"],
    ["etCO2", say(v.etco2), "mmHg", "co2"],
    ["Temp", say(v.temp, 1), "\u00b0C", "temp"],
  ];
  return rows.map(([name, value, unit, color]) => h("div", { class: `number ${color}` }, h("dt", {}, name), h("dd", {}, h("b", {}, value), ` ${unit}`)));
}
