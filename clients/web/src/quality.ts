/** Words for how the connection is, from what is measured. Pure. */

import type { Model } from "./model";
import type { Health } from "./motion/interpolate";
import type { HeaderState } from "./ui/shell";

/** "good", "fair" or "poor"; `stale` is always poor. */
export function connectionWord(roundTripMs: number, health: Pick<Health, "jitterMs" | "stale">): "good" | "fair" | "poor" {
  if (health.stale || roundTripMs > 400 || health.jitterMs > 150) return "poor";
  return roundTripMs > 150 || health.jitterMs > 60 ? "fair" : "good";
}

/** "ward-a" as people read it: "Ward a". */
export function titleOf(room: string): string {
  return room.charAt(0).toUpperCase() + room.slice(1).replaceAll("-", " ");
}

/** What the header says now. */
export function headerState(model: Model, session: { state: string; roundTripMs: number }, health: Health): HeaderState {
  const ledger = model.notices.get("ledger");
  const known = (model.welcome?.log_vkey ?? "") !== "";
  return {
    title: model.layout?.title ?? "\u2026",
    locked: model.locked,
    connection: session.state === "active" ? connectionWord(session.roundTripMs, health) : "lost",
    roundTripMs: session.roundTripMs,
    ledger: ledger === undefined ? (known ? "up" : "unknown") : ledger.state === "down" ? "down" : "up",
    ledgerText: ledger?.text ?? "",
  };
}
