/** What others point at and touch, for as long as it is shown. Owns the marks; time comes in as an argument. */

import { type Model, slotOf } from "./model";
import type { Timeline } from "./motion/interpolate";
import type { Of } from "./net/protocol";
import { BED_HEIGHT_M } from "./scene/layout";

const POINTED_MS = 2_000;
const TOUCHED_MS = 900;
const MARKS_MAX = 12;

/** One mark as drawn: metres, and 0 to 1 of its time gone by. */
export interface Mark {
  key: string;
  kind: "pointed" | "touched";
  x: number;
  y: number;
  z: number;
  title: string;
  line: string;
  age: number;
}

type Gesture = Of<"pointed"> | Of<"touched">;

/** See the module's head. */
export class Marks {
  private kept: { gesture: Gesture; fromMs: number }[] = [];

  /** Takes what somebody does; their earlier gesture of the same kind is over. */
  take(gesture: Gesture, nowMs: number): void {
    this.kept = this.kept.filter(({ gesture: old }) => old.by !== gesture.by || old.kind !== gesture.kind);
    if (gesture.what !== "nothing") this.kept.push({ gesture, fromMs: nowMs });
    this.kept = this.kept.slice(-MARKS_MAX);
  }

  /** Forgets everything, as in another room. */
  reset(): void {
    this.kept = [];
  }

  /** The marks that are shown at `nowMs`, where their targets are. */
  live(model: Model, timeline: Timeline, nowMs: number): Mark[] {
    this.kept = this.kept.filter(({ gesture, fromMs }) => nowMs - fromMs < lasts(gesture));
    return this.kept.flatMap(({ gesture, fromMs }) => {
      const at = placeOf(gesture, model, timeline);
      if (at === null) return [];
      const { kind, by, what, target } = gesture;
      const line = `${model.nameOf(by)} ${kind === "pointed" ? "points here" : "touches it"}`;
      return [{ key: `${kind} ${by} ${what} ${target}`, kind, x: at[0], y: at[1], z: at[2], title: targetName(gesture, model), line, age: (nowMs - fromMs) / lasts(gesture) }];
    });
  }
}

const lasts = (gesture: Gesture): number => (gesture.kind === "pointed" ? POINTED_MS : TOUCHED_MS);

/** What a gesture is at, in a word. */
export function targetName({ what, target }: Gesture, model: Model): string {
  if (what === "person") return model.nameOf(target);
  if (what === "thing") return model.thingName(target);
  return model.bed(target)?.place.patient.name ?? "";
}

/** Where a gesture's target is, metres; null when it is not to be seen here. */
function placeOf({ what, target }: Gesture, model: Model, timeline: Timeline): readonly [number, number, number] | null {
  if (what === "bed") {
    const bed = model.bed(target)?.place;
    return bed === undefined ? null : [bed.at[0], BED_HEIGHT_M + 0.25, bed.at[1]];
  }
  if (what === "person") return metres(timeline.headOf(slotOf(target)), [0, 0, 0], -400);
  const row = timeline.things().get(slotOf(target));
  if (row === undefined) return null;
  return row.owner < 0 ? metres(row.position, [0, 0, 0], 60) : metres(timeline.headOf(row.owner), timeline.handOf(row.owner, row.hand), 0);
}

function metres(at: readonly number[] | null, offset: readonly number[] | null, up: number): readonly [number, number, number] | null {
  if (at === null || offset === null) return null;
  return [(at[0]! + offset[0]!) / 1000, (at[1]! + offset[1]! + up) / 1000, (at[2]! + offset[2]!) / 1000];
}
