/** What the connection carries and how what is shown comes about, in figures: measured in this page, nothing guessed. */

import type { Health } from "../motion/interpolate";
import type { Traffic } from "../net/meter";
import { h, rebuild } from "./dom";

/** What is shown. */
export interface NetworkState {
  near: number; // people drawn with hands
  far: number; // people drawn as heads only
  quiet: number; // of both: nothing new for a while
  traffic: Traffic;
  roundTripMs: number;
  health: Health;
  correctionMm: number;
  fps: number;
}

/** Rows of words and figures. */
export function networkRows({ near, far, quiet, traffic, roundTripMs, health, correctionMm, fps }: NetworkState): [string, string][] {
  const kilobytes = traffic.bytesPerS / 1000;
  return [
    ["People near, with hands", String(near)],
    ["People far, heads only", String(far)],
    ["Of these: nothing new lately", String(quiet)],
    ["Received", `${kilobytes.toFixed(kilobytes < 10 ? 1 : 0)} kB/s (${((8 * traffic.bytesPerS) / 1e6).toFixed(2)} Mbit/s)`],
    ["Snapshots", `${traffic.snapshotsPerS.toFixed(0)} per second`],
    ["Pieces of floor held back", `${(100 * traffic.heldShare).toFixed(1)} %`],
    ["Reading a snapshot", `${traffic.decodeMs.toFixed(2)} ms, worst 1 % from ${traffic.decodeWorstMs.toFixed(2)} ms`],
    ["Poses sent", `${traffic.posesPerS.toFixed(0)} per second`],
    ["Round trip", `${roundTripMs.toFixed(0)} ms`],
    ["Shown behind arrival", `${health.delayMs.toFixed(0)} ms, of it jitter ${health.jitterMs.toFixed(0)} ms`],
    ["Newest correction of your place", `${(correctionMm / 1000).toFixed(2)} m`],
    ["Pictures", `${fps.toFixed(0)} per second`],
  ];
}

/** See the module's head. */
export class NetworkPanel {
  readonly root: HTMLElement;
  private readonly list = h("dl", { class: "figures" });

  constructor() {
    this.root = h("section", { class: "panel", "aria-label": "Network" }, h("h2", {}, "Network"), h("p", { class: "about" }, "Measured in this page over the last seconds; payload only."), this.list);
  }

  /** Shows the figures, when the panel can be seen. */
  render(state: () => NetworkState): void {
    if (this.root.hidden) return;
    const rows = networkRows(state());
    rebuild(this.list, JSON.stringify(rows), () => rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }
}
