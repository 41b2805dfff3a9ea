/**
 * Paints a bed's monitor on a 2D canvas: four sweeping traces, numbers, alarms, source. The same picture hangs in the
 * scene and stands in the panel. Alarms have marks and words beside their colour (IEC 60601-1-8). Nothing flashes.
 */

import type { BedVitals, Priority } from "../net/protocol";
import { CHANNELS } from "../net/wave";
import { runs, type Sweep, type Trace } from "./trace";

const FONT = 'system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif';
const WINDOW_S = 6;
const SLOW_WINDOW_S = 12;
const SIMULATED = "simulated, not for diagnosis";

/** Marks and colours of alarm priorities. */
export const PRIORITIES: Readonly<Record<Priority, { mark: string; color: string; ink: string; rank: number }>> = {
  high: { mark: "***", color: "#ff4d4d", ink: "#ffffff", rank: 0 },
  medium: { mark: "**", color: "#ffd23f", ink: "#1b1b1b", rank: 1 },
  low: { mark: "*", color: "#46d9e8", ink: "#0b2024", rank: 2 },
};

interface Lane {
  channels: number[]; // the first that has samples is drawn
  title: string;
  color: string;
  seconds: number;
  span: (low: number, high: number) => [number, number]; // range to draw for the range seen, in counts
}

const around = (low: number, high: number, least: number): [number, number] => {
  const pad = Math.max((high - low) * 0.12, (least - (high - low)) / 2);
  return [low - pad, high + pad];
};

const LANES: readonly Lane[] = [
  { channels: [1, 2], title: "ECG", color: "#5df08a", seconds: WINDOW_S, span: (low, high) => around(Math.min(low, -200), Math.max(high, 900), 1200) },
  { channels: [3], title: "ABP", color: "#ff6b6b", seconds: WINDOW_S, span: (low, high) => around(low, high, 3000) },
  { channels: [4], title: "PPG", color: "#58d5f7", seconds: WINDOW_S, span: (low, high) => around(low, high, 200) },
  { channels: [5], title: "CO2", color: "#ffe066", seconds: SLOW_WINDOW_S, span: (low, high) => [Math.min(low, 0) - 200, Math.max(high, 4500) + 400] },
];

/** What the picture is of. */
export interface Shown {
  name: string;
  vitals: BedVitals | null;
  sweep: Sweep;
  nowMs: number;
  note: string; // instead of numbers, when there are none to see
}

/** A number for people; a dash where there is none. */
export function say(value: number | null, digits = 0): string {
  return value === null ? "\u2013" : value.toFixed(digits);
}

/** What the numbers come from, in words for people. */
export function sourceText(vitals: BedVitals): string {
  return vitals.source === "model" ? SIMULATED : vitals.source;
}

/** Alarms, the most urgent first. */
export function sortedAlarms(vitals: BedVitals | null): BedVitals["alarms"] {
  return [...(vitals?.alarms ?? [])].sort((a, b) => PRIORITIES[a.priority].rank - PRIORITIES[b.priority].rank || (a.code < b.code ? -1 : 1));
}

/** Paints the whole picture. */
export function drawMonitor(c: CanvasRenderingContext2D, shown: Shown): void {
  const { width, height } = c.canvas;
  const unit = height / 100;
  c.fillStyle = "#05090b";
  c.fillRect(0, 0, width, height);
  const [top, bottom, right] = [11 * unit, 9 * unit, Math.min(width * 0.33, 62 * unit)];
  const laneHeight = (height - top - bottom) / LANES.length;
  LANES.forEach((lane, i) => drawLane(c, lane, shown.sweep, 0, top + i * laneHeight, width - right, laneHeight, unit));
  drawNumbers(c, shown, width - right, top, right, laneHeight, unit);
  drawBanner(c, shown, width, top, unit);
  drawFoot(c, shown, width, height, bottom, unit);
  if (!shown.sweep.live(shown.nowMs)) drawNotice(c, shown.note || "no waveform", (width - right) / 2, top + 2 * laneHeight, unit);
}

function drawLane(c: CanvasRenderingContext2D, lane: Lane, sweep: Sweep, x: number, y: number, w: number, h: number, unit: number): void {
  c.strokeStyle = "#14252b";
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(x, y + h);
  c.lineTo(x + w, y + h);
  c.stroke();
  c.fillStyle = lane.color;
  c.font = `600 ${4 * unit}px ${FONT}`;
  c.textAlign = "left";
  c.textBaseline = "top";
  c.fillText(lane.title, x + 2 * unit, y + 1.2 * unit);
  const channel = lane.channels.find((each) => (sweep.traces.get(each)?.newest ?? -1) >= 0);
  if (channel === undefined || Number.isNaN(sweep.cursor)) return;
  drawTrace(c, lane, sweep.traces.get(channel)!, channel, sweep, [x, y + 0.14 * h, w, 0.8 * h], unit);
}

function drawTrace(c: CanvasRenderingContext2D, lane: Lane, trace: Trace, channel: number, sweep: Sweep, [x, y, w, h]: [number, number, number, number], unit: number): void {
  const parts = runs(trace, sweep.cursor, Math.round(lane.seconds * sweep.rate));
  let [low, high] = [Infinity, -Infinity];
  for (const run of parts) {
    for (const { value } of run) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  if (low > high) return;
  const [from, to] = lane.span(low, high);
  const place = (value: number): number => y + h - ((value - from) / (to - from)) * h;
  c.strokeStyle = lane.color;
  c.lineWidth = Math.max(1.2, 0.55 * unit);
  c.lineJoin = "round";
  c.beginPath();
  for (const run of parts) {
    run.forEach((point, i) => (i === 0 ? c.moveTo(x + point.x * w, place(point.value)) : c.lineTo(x + point.x * w, place(point.value))));
  }
  c.stroke();
  const { unit: name, scale } = CHANNELS[channel]!;
  if (name !== "mmHg") return;
  c.fillStyle = "#6f8f96";
  c.font = `${2.8 * unit}px ${FONT}`;
  c.textAlign = "right";
  c.fillText(`${(low * scale).toFixed(0)}\u2013${(high * scale).toFixed(0)} mmHg`, x + w - 2 * unit, y - 0.1 * h);
}

function drawNumbers(c: CanvasRenderingContext2D, shown: Shown, x: number, y: number, w: number, lane: number, unit: number): void {
  const v = shown.vitals;
  c.fillStyle = "#081216";
  c.fillRect(x, y, w, 4 * lane);
  const pressure = v === null ? "\u2013" : `${say(v.sap)}/${say(v.dap)}`;
  big(c, "HR", "/min", say(v?.hr ?? null), LANES[0]!.color, x, y, w, lane, unit);
  big(c, "ABP", "mmHg", pressure, LANES[1]!.color, x, y + lane, w, lane, unit, `(${say(v?.map ?? null)})`);
  big(c, "SpO2", "%", say(v?.spo2 ?? null), LANES[2]!.color, x, y + 2 * lane, w, lane, unit);
  const half = w / 2;
  big(c, "etCO2", "mmHg", say(v?.etco2 ?? null), LANES[3]!.color, x, y + 3 * lane, half, lane, unit);
  big(c, "RR", "/min", say(v?.rr ?? null), "#e8eef0", x + half, y + 3 * lane, half, lane, unit);
}

function big(c: CanvasRenderingContext2D, title: string, of: string, value: string, color: string, x: number, y: number, w: number, h: number, unit: number, extra = ""): void {
  c.strokeStyle = "#14252b";
  c.strokeRect(x, y, w, h);
  c.fillStyle = color;
  c.textAlign = "left";
  c.textBaseline = "top";
  c.font = `600 ${3.6 * unit}px ${FONT}`;
  c.fillText(title, x + 1.5 * unit, y + 1.2 * unit);
  const after = c.measureText(title).width + 1.2 * unit;
  c.globalAlpha = 0.65;
  c.font = `${2.8 * unit}px ${FONT}`;
  c.fillText(of, x + 1.5 * unit + after, y + 2 * unit, w - after - 2 * unit);
  c.globalAlpha = 1;
  c.textAlign = "right";
  c.textBaseline = "alphabetic";
  const size = Math.min(12 * unit, (1.6 * (w - 4 * unit)) / Math.max(2, value.length));
  c.font = `650 ${size}px ${FONT}`;
  c.fillText(value, x + w - 1.8 * unit, y + h - (extra ? 5.4 : 2.6) * unit);
  if (extra === "") return;
  c.font = `500 ${4.2 * unit}px ${FONT}`;
  c.fillText(extra, x + w - 1.8 * unit, y + h - 1.2 * unit);
}

function drawBanner(c: CanvasRenderingContext2D, shown: Shown, width: number, height: number, unit: number): void {
  const alarm = sortedAlarms(shown.vitals)[0];
  const look = alarm === undefined ? null : PRIORITIES[alarm.priority];
  c.fillStyle = look === null ? "#0e2026" : look.color;
  c.fillRect(0, 0, width, height);
  c.fillStyle = look === null ? "#dfeef0" : look.ink;
  c.textBaseline = "middle";
  c.textAlign = "left";
  c.font = `650 ${5 * unit}px ${FONT}`;
  c.fillText(shown.name, 2 * unit, height / 2, width * 0.5);
  c.textAlign = "right";
  if (alarm === undefined || look === null) return;
  const state = alarm.acked_by !== "" ? " (acknowledged)" : alarm.active ? "" : " (over)";
  c.fillText(`${look.mark} ${alarm.text}${state}`, width - 2 * unit, height / 2, width * 0.55);
}

function drawFoot(c: CanvasRenderingContext2D, shown: Shown, width: number, height: number, tall: number, unit: number): void {
  const v = shown.vitals;
  const y = height - tall / 2;
  c.fillStyle = "#0e2026";
  c.fillRect(0, height - tall, width, tall);
  c.textBaseline = "middle";
  c.textAlign = "left";
  c.font = `500 ${3.8 * unit}px ${FONT}`;
  c.fillStyle = "#9fc2c8";
  if (v === null) return;
  c.fillText(sourceText(v), 2 * unit, y, width * 0.5);
  c.textAlign = "right";
  c.fillStyle = "#e8eef0";
  const temperature = v.temp === null ? "" : `${say(v.temp, 1)} \u00b0C   `;
  c.fillText(`${temperature}NEWS2 ${v.news2 ?? "\u2013"}`, width - 2 * unit, y, width * 0.48);
}

function drawNotice(c: CanvasRenderingContext2D, text: string, x: number, y: number, unit: number): void {
  c.font = `600 ${6 * unit}px ${FONT}`;
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.fillStyle = "rgba(5,9,11,0.75)";
  const width = c.measureText(text).width + 8 * unit;
  c.fillRect(x - width / 2, y - 6 * unit, width, 12 * unit);
  c.fillStyle = "#9fb4b9";
  c.fillText(text, x, y);
}
