/** Words for how the connection is, from what is measured. Pure. */

import type { Health } from "./motion/interpolate";

/** "good", "fair" or "poor"; `stale` is always poor. */
export function connectionWord(roundTripMs: number, health: Pick<Health, "jitterMs" | "stale">): "good" | "fair" | "poor" {
  if (health.stale || roundTripMs > 400 || health.jitterMs > 150) return "poor";
  return roundTripMs > 150 || health.jitterMs > 60 ? "fair" : "good";
}

/** "ward-a" as people read it: "Ward a". */
export function titleOf(room: string): string {
  return room.charAt(0).toUpperCase() + room.slice(1).replaceAll("-", " ");
}
