/** What this client knows of the world, as the server's messages say. Owns no DOM and no pixels; never guesses. */

import type { Bytes } from "./bytes";
import { Sweep } from "./monitor/trace";
import type { BedVitals, InviteMade, Of, Person, RoomEntered, ServerMessage, ThingInfo, Waiting } from "./net/protocol";
import type { WaveBlock } from "./net/wave";
import { type BedPlace, type Layout, readLayout } from "./scene/layout";

const LINES_MAX = 200;
const NOTED_MAX = 40; // people, from which on nobody wants to read who comes and goes

/** One line of the chat, or of what happened. */
export interface Line {
  id: number;
  who: string; // "" for the house
  text: string;
  own: boolean;
}

/** A bed of the room one is in. */
export interface BedState {
  index: number; // in the world
  row: number; // in the room file
  place: BedPlace;
  patient: Bytes | null; // pseudonym, once the monitor is open
  accessIndex: number;
  mayOrder: boolean;
  vitals: BedVitals | null;
  sweep: Sweep;
}

/** Slot of a handle. */
export const slotOf = (handle: number): number => handle & 0xfff;

/** See the module's head. */
export class Model {
  welcome: Of<"welcome"> | null = null;
  room: RoomEntered | null = null;
  layout: Layout | null = null;
  people = new Map<number, Person>(); // by slot
  things = new Map<number, ThingInfo>(); // by slot
  beds: BedState[] = []; // by row
  lines: Line[] = [];
  waiting: Waiting[] = [];
  offers: { thing: number; by: number }[] = [];
  invites: InviteMade[] = [];
  notices = new Map<string, { state: string; text: string }>();
  waitingFor: { room: string; text: string } | null = null;
  locked = false;
  version = 0; // grows with every change
  private lineCount = 0;

  /** One's own person. */
  get me(): Person | null {
    return this.room === null ? null : (this.people.get(slotOf(this.room.avatar)) ?? null);
  }

  /** Whether one has a right in this room. */
  may(right: string): boolean {
    return this.room?.rights.includes(right) ?? false;
  }

  /** The bed of a world index, if it is in this room. */
  bed(index: number): BedState | undefined {
    return this.beds.find((bed) => bed.index === index);
  }

  /** A person's name by handle. */
  nameOf(avatar: number): string {
    return this.people.get(slotOf(avatar))?.name ?? "somebody";
  }

  /** A thing's name by handle. */
  thingName(thing: number): string {
    return this.things.get(slotOf(thing))?.name ?? "something";
  }

  /** A line of the house. */
  note(text: string): void {
    this.line("", text, false);
  }

  /** Takes a wave block of a bed of this room. */
  wave(block: WaveBlock, nowMs: number): void {
    this.bed(block.bed)?.sweep.put(block, nowMs);
  }

  /** Takes a message. */
  apply(message: ServerMessage): void {
    this.version += 1;
    const take = this.takers[message.kind] as ((message: ServerMessage) => void) | undefined;
    take?.(message);
  }

  private readonly takers: { [K in ServerMessage["kind"]]?: (message: Of<K>) => void } = {
    welcome: (m) => (this.welcome = m),
    notice: (m) => void this.notices.set(m.topic, { state: m.state, text: m.text }),
    room: (m) => this.enter(m),
    came: (m) => this.came(m.who),
    left: (m) => this.left(m.avatar, m.reason),
    said: (m) => this.line(m.name, m.text, m.avatar === this.room?.avatar),
    waiting: (m) => (this.waiting = m.waiting),
    "you-wait": (m) => this.youWait(m),
    taken: (m) => this.taken(m),
    offered: (m) => this.offers.push({ thing: m.thing, by: m.by }),
    locked: (m) => this.lockedNow(m.on),
    invite: (m) => this.invites.unshift(m),
    vitals: (m) => this.vitals(m),
    access: (m) => this.access(m),
    care: (m) => this.note(`${m.by}: ${m.text} (entry ${m.index})`),
  };

  private enter(message: RoomEntered): void {
    const again = this.room?.room === message.room;
    this.room = message;
    this.layout = readLayout(message.scene);
    this.people = new Map(message.people.map((person) => [slotOf(person.avatar), person]));
    this.things = new Map(message.things.map((thing) => [slotOf(thing.thing), thing]));
    [this.waiting, this.locked, this.offers, this.waitingFor] = [message.waiting, message.locked, [], null];
    const old = again ? this.beds : [];
    this.beds = this.layout.bed.map((place, row) => {
      const kept = old[row];
      return { index: message.first_bed + row, row, place, patient: null, accessIndex: -1, mayOrder: false, vitals: kept?.vitals ?? null, sweep: kept?.sweep ?? new Sweep() };
    });
    if (!again) this.note(`You are in: ${this.layout.title}`);
  }

  private came(person: Person): void {
    const slot = slotOf(person.avatar);
    const known = this.people.get(slot);
    if (this.people.size === NOTED_MAX && known === undefined) this.note("There are many people here: who comes and goes is not listed any more.");
    if (this.people.size >= NOTED_MAX) return void this.people.set(slot, person);
    if (known?.avatar !== person.avatar) this.note(`${person.name} (${person.role}) came in`);
    else if (known.away && !person.away) this.note(`${person.name} is back`);
    this.people.set(slot, person);
  }

  private left(avatar: number, reason: string): void {
    const person = this.people.get(slotOf(avatar));
    if (person === undefined || person.avatar !== avatar) return;
    this.people.delete(slotOf(avatar));
    if (this.people.size < NOTED_MAX) this.note(`${person.name} left${reason === "" ? "" : ` (${reason})`}`);
  }

  private youWait(message: Of<"you-wait">): void {
    this.waitingFor = message.room === "" ? null : message;
    if (message.text !== "") this.note(message.text);
  }

  private taken(message: Of<"taken">): void {
    this.offers = this.offers.filter((offer) => offer.thing !== message.thing);
    if (message.name !== "") this.things.set(slotOf(message.thing), { thing: message.thing, name: message.name, kind: message.what });
  }

  private lockedNow(on: boolean): void {
    this.locked = on;
    this.note(on ? "The room is locked: nobody new comes in." : "The room is open again.");
  }

  private vitals(message: BedVitals): void {
    const bed = this.bed(message.bed);
    if (bed !== undefined) bed.vitals = message;
  }

  private access(message: Of<"access">): void {
    const bed = this.bed(message.bed);
    if (bed === undefined) return;
    [bed.patient, bed.accessIndex, bed.mayOrder] = [message.patient as Bytes, message.index, message.orders];
  }

  private line(who: string, text: string, own: boolean): void {
    this.lineCount += 1;
    this.lines = [...this.lines.slice(1 - LINES_MAX), { id: this.lineCount, who, text, own }];
    this.version += 1;
  }
}
