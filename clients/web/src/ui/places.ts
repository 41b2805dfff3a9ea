/** Where one can go and what one can do, as buttons: the whole room by keyboard and screen reader, with or without 3D. */

import { type Model, slotOf } from "../model";
import type { ThingRow } from "../net/snapshot";
import { button, h, rebuild } from "./dom";

/** What the buttons ask for. */
export interface PlaceHooks {
  goThrough(room: string): void;
  goToBed(row: number): void;
  sit(seat: number): void;
  stand(): void;
  take(slot: number): void;
  letGo(hand: 0 | 1): void;
  offer(hand: 0 | 1): void;
}

/** See the module's head. */
export class PlacesPanel {
  readonly root: HTMLElement;
  private readonly list = h("div", { class: "places" });

  constructor(
    private readonly model: Model,
    private readonly hooks: PlaceHooks,
    private readonly titleOf: (room: string) => string,
  ) {
    this.root = h("section", { class: "panel", "aria-label": "Places and things" }, h("h2", {}, "Places"), this.list);
  }

  /** Shows the state as it is. */
  render(things: ReadonlyMap<number, ThingRow>, seated: boolean): void {
    const { layout, room } = this.model;
    if (layout === null || room === null) return;
    const held = [...things.values()].filter((row) => row.owner === slotOf(room.avatar));
    const loose = [...things.values()].filter((row) => row.owner < 0 && this.model.things.has(row.slot));
    const offers = this.model.offers.filter((offer) => things.get(slotOf(offer.thing))?.owner === slotOf(offer.by));
    const key = JSON.stringify([room.room, seated, held.map((row) => [row.slot, row.hand]), loose.map((row) => row.slot), offers, this.model.may("grab"), this.model.things.size]);
    rebuild(this.list, key, () => [
      ...group("Offered to you", offers.map((offer) => this.act(`Take the ${this.model.thingName(offer.thing)} from ${this.model.nameOf(offer.by)}`, () => this.hooks.take(slotOf(offer.thing))))),
      ...group("In your hands", held.flatMap((row) => this.inHand(row))),
      ...group("Doors", layout.door.map((door) => this.act(`Go to ${this.titleOf(door.to)}`, () => this.hooks.goThrough(door.to)))),
      ...group("Beds", layout.bed.map((bed, row) => this.act(`Go to ${bed.patient.name}`, () => this.hooks.goToBed(row)))),
      ...group("Seats", seated ? [this.act("Stand up", () => this.hooks.stand())] : layout.seat.map((_seat, i) => this.act(`Sit on seat ${i + 1}`, () => this.hooks.sit(i)))),
      ...group("Things", this.model.may("grab") ? loose.map((row) => this.act(`Take the ${this.model.things.get(row.slot)!.name}`, () => this.hooks.take(row.slot), `take${row.slot}`)) : []),
    ]);
  }

  private inHand(row: ThingRow): HTMLElement[] {
    const name = this.model.things.get(row.slot)?.name ?? "thing";
    const hand = row.hand === 0 ? 0 : 1;
    return [this.act(`Put down the ${name}`, () => this.hooks.letGo(hand)), this.act(`Offer the ${name} to who is nearest`, () => this.hooks.offer(hand))];
  }

  private act(label: string, run: () => void, key = label): HTMLElement {
    return button(label, run, { "data-key": key });
  }
}

function group(title: string, buttons: HTMLElement[]): HTMLElement[] {
  return buttons.length === 0 ? [] : [h("h3", {}, title), h("div", { class: "row" }, ...buttons)];
}
