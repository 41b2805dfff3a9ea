/** What one does beyond walking: take, offer, sit, go through doors, stand at beds. Turns acts into errands and commands. */

import { type Model, slotOf } from "./model";
import type { Timeline } from "./motion/interpolate";
import type { Walker } from "./motion/walker";
import { type Chance, heldBy } from "./nearby";
import type { Body } from "./net/protocol";
import { ahead, BED_LENGTH_M, monitorPlace, radians } from "./scene/layout";

const OFFER_MM = 1_900;
const THING_MM = 800;
const SEAT_MM = 1_100;
const DOOR_MM = 1_000;
const PERSON_MM = 900;

/** What deeds need of the rest. */
export interface DeedParts {
  model: Model;
  walker(): Walker;
  timeline(): Timeline;
  send(body: Body): void;
  note(text: string): void;
  openBed(index: number): void;
}

/** See the module's head. */
export class Deeds {
  constructor(private readonly parts: DeedParts) {}

  /** One's own slot, -1 before the first room. */
  get slot(): number {
    const { room } = this.parts.model;
    return room === null ? -1 : slotOf(room.avatar);
  }

  /** Which hands hold something. */
  holds(): [boolean, boolean] {
    const held = heldBy(this.parts.timeline().things(), this.slot);
    return [held.some((row) => row.hand === 0), held.some((row) => row.hand === 1)];
  }

  /** Does what E would do. */
  use(chance: Chance): void {
    const { send } = this.parts;
    switch (chance.act) {
      case "stand":
        return send({ tag: "stand" });
      case "release":
        return send({ tag: "release", hand: chance.hand });
      case "grab":
        return this.take(chance.slot);
      case "sit":
        return send({ tag: "sit", seat: chance.seat });
      case "go":
        return this.parts.walker().pass(chance.room, performance.now());
      case "bed":
        return this.lookAtBed(chance.row);
    }
  }

  /** Walks to a door and through it. */
  goThrough(room: string): void {
    const door = this.parts.model.layout?.door.find((each) => each.to === room);
    if (door !== undefined) this.go(door.at, DOOR_MM, `the door to ${room}`, () => this.parts.walker().pass(room, performance.now()));
  }

  /** Walks to a bed's foot and looks at its monitor. */
  goToBed(row: number): void {
    const bed = this.parts.model.layout?.bed[row];
    if (bed === undefined) return;
    const [fx, fz] = ahead(radians(bed.facing_deg));
    const out = BED_LENGTH_M / 2 + 0.75;
    this.go([bed.at[0] + fx * out, bed.at[1] + fz * out], 200, `the bed of ${bed.patient.name}`, () => this.lookAtBed(row));
  }

  /** Walks to a seat and sits down. */
  sit(seat: number): void {
    const place = this.parts.model.layout?.seat[seat];
    if (place !== undefined) this.go(place.at, SEAT_MM, "that seat", () => this.parts.send({ tag: "sit", seat }));
  }

  /** Walks to a thing, or to who offers it, and takes it. */
  take(slot: number): void {
    const row = this.parts.timeline().things().get(slot);
    if (row === undefined) return;
    const at = row.owner < 0 ? ([row.position[0], row.position[2]] as const) : this.palmOf(row.owner, row.hand);
    if (at === null) return;
    this.go([at[0] / 1000, at[1] / 1000], THING_MM, `the ${this.parts.model.things.get(slot)?.name ?? "thing"}`, () => this.grab(slot));
  }

  /** Walks to a person. */
  goToPerson(slot: number): void {
    const place = this.placeOf(slot);
    if (place === null) return;
    const [x, z] = place;
    this.go([x / 1000, z / 1000], PERSON_MM, this.parts.model.people.get(slot)?.name ?? "them", () => this.parts.walker().face([x, z]));
  }

  /** Offers what a hand holds to who is nearest. */
  offer(hand?: 0 | 1): void {
    const { model, send, note } = this.parts;
    const held = heldBy(this.parts.timeline().things(), this.slot).find((row) => hand === undefined || row.hand === hand);
    if (held === undefined) return note("Your hands are empty.");
    const [x, z] = this.parts.walker().position;
    const near = [...model.people].flatMap(([slot, person]) => {
      const place = slot === this.slot ? null : this.placeOf(slot);
      return place === null ? [] : [{ person, far: Math.hypot(place[0] - x, place[1] - z) }];
    });
    const to = near.sort((a, b) => a.far - b.far)[0];
    if (to === undefined || to.far > OFFER_MM) return note("Nobody is near enough to take it.");
    send({ tag: "offer", hand: held.hand === 0 ? 0 : 1, to: to.person.avatar, seen: this.seen() });
    note(`You hold out the ${model.things.get(held.slot)?.name ?? "thing"} to ${to.person.name}.`);
  }

  private grab(slot: number): void {
    const info = this.parts.model.things.get(slot);
    const [left, right] = this.holds();
    if (left && right) return this.parts.note("Both hands are full.");
    if (info !== undefined) this.parts.send({ tag: "grab", thing: info.thing, hand: right ? 0 : 1, seen: this.seen() });
  }

  /** The tick one sees, 0 before there is one. */
  private seen(): number {
    return this.parts.timeline().shownTick;
  }

  private lookAtBed(row: number): void {
    const { model } = this.parts;
    const { layout } = model;
    if (layout === null) return;
    const [x, z] = monitorPlace(layout.bed[row]!, layout);
    this.parts.walker().face([x * 1000, z * 1000]);
    this.parts.openBed(model.beds[row]!.index);
  }

  /** Where a hand is, mm; null for who is not near. */
  private palmOf(slot: number, hand: number): [number, number] | null {
    const [head, palm] = [this.parts.timeline().headOf(slot), this.parts.timeline().handOf(slot, hand)];
    return head === null || palm === null ? null : [head[0] + palm[0], head[2] + palm[2]];
  }

  private placeOf(slot: number): [number, number] | null {
    const head = this.parts.timeline().headOf(slot);
    return head === null ? null : [head[0], head[2]];
  }

  private go([x, z]: readonly [number, number], within: number, what: string, then: () => void): void {
    if (this.parts.walker().seated) return this.parts.note("Please stand up first.");
    this.parts.walker().go({ to: [x * 1000, z * 1000], within, then, fail: () => this.parts.note(`There is no way to ${what} from here.`) });
  }
}
