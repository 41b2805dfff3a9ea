/** What E would do where one stands: the nearest thing, seat, door or bed within reach, and its words. Pure. */

import { type Model, slotOf } from "./model";
import type { ThingRow } from "./net/snapshot";
import { titleOf } from "./quality";

const THING_MM = 1_000;
const SEAT_MM = 1_100;
const DOOR_MM = 1_300;
const BED_MM = 2_200;

/** What E would do. */
export type Chance =
  | { act: "stand" }
  | { act: "release"; hand: 0 | 1; slot: number }
  | { act: "grab"; slot: number }
  | { act: "sit"; seat: number }
  | { act: "go"; room: string }
  | { act: "bed"; row: number };

/** What is held in a hand by an avatar's slot. */
export function heldBy(things: ReadonlyMap<number, ThingRow>, slot: number): ThingRow[] {
  return [...things.values()].filter((row) => row.owner === slot);
}

/** The first of: stand up, take what is offered or lies near, sit, door, put down, bedside. `look` is one's yaw. */
export function chanceAt(model: Model, things: ReadonlyMap<number, ThingRow>, [x, z]: readonly [number, number], look: number, seated: boolean): Chance | null {
  const { layout, room } = model;
  if (layout === null || room === null) return null;
  if (seated) return { act: "stand" };
  const far = (px: number, pz: number): number => Math.hypot(px - x, pz - z) + (Math.hypot(px - x, pz - z) > 250 ? turnedAway(px - x, pz - z, look) * 300 : 0);
  const held = heldBy(things, slotOf(room.avatar));
  const options: { chance: Chance; far: number }[] = [];
  const add = (chance: Chance, distance: number, within: number): void => void (distance <= within && options.push({ chance, far: distance }));
  if (model.may("grab") && held.length < 2) {
    for (const row of things.values()) if (row.owner < 0 && model.things.has(row.slot)) add({ act: "grab", slot: row.slot }, far(row.position[0], row.position[2]), THING_MM);
    for (const { thing, by } of model.offers) if (things.get(slotOf(thing))?.owner === slotOf(by)) add({ act: "grab", slot: slotOf(thing) }, 0, 1);
  }
  layout.seat.forEach((seat, i) => add({ act: "sit", seat: i }, far(seat.at[0] * 1000, seat.at[1] * 1000), SEAT_MM));
  layout.door.forEach((door) => add({ act: "go", room: door.to }, far(door.at[0] * 1000, door.at[1] * 1000), DOOR_MM));
  if (held.length > 0) add({ act: "release", hand: held[0]!.hand === 0 ? 0 : 1, slot: held[0]!.slot }, 900, 900);
  layout.bed.forEach((bed, row) => add({ act: "bed", row }, far(bed.at[0] * 1000, bed.at[1] * 1000), BED_MM));
  return options.sort((a, b) => a.far - b.far)[0]?.chance ?? null;
}

/** 0 for straight ahead to 1 for behind. */
function turnedAway(dx: number, dz: number, look: number): number {
  const cosine = (dx * -Math.sin(look) + dz * -Math.cos(look)) / (Math.hypot(dx, dz) || 1);
  return (1 - cosine) / 2;
}

/** The words of the prompt. */
export function chanceText(chance: Chance, model: Model): string {
  switch (chance.act) {
    case "stand":
      return "E \u2013 stand up";
    case "release":
      return `E \u2013 put down the ${model.things.get(chance.slot)?.name ?? "thing"} (G \u2013 offer it)`;
    case "grab":
      return `E \u2013 take the ${model.things.get(chance.slot)?.name ?? "thing"}`;
    case "sit":
      return "E \u2013 sit down";
    case "go":
      return `E \u2013 go to ${titleOf(chance.room)}`;
    case "bed":
      return `E \u2013 bedside of ${model.layout!.bed[chance.row]!.patient.name}`;
  }
}
