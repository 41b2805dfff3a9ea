/**
 * Pointing and touching as commands: asks what one points at while one points, tells what a reaching hand comes to.
 * Owns when to ask; the server judges by its own places, at the tick one saw. Pure of DOM; time comes in as an argument.
 */

import type { Model } from "./model";
import type { Timeline } from "./motion/interpolate";
import type { Body } from "./net/protocol";
import { BED_HEIGHT_M } from "./scene/layout";

const POINT_EVERY_MS = 600; // while the aim moves
const AIM_RAD = 0.03;
const REACH_MM = 330; // a hand farther from the body's axis than this reaches for something
const TOUCH_EVERY_MS = 400;
const SENT_MAX = 16;
const TOUCH_MM = 150; // and how thick things are, as server/world/gestures.py has it
const PERSON_MM = 280;
const THING_MM = 200;
const BED_MM = 700;
const BODY_MM = [0, -450, -900] as const;

type Triple = readonly [number, number, number];
type Hand = 0 | 1;

/** One's own hands and look, as one's pose says it: head in the room, hands relative to it, mm. */
export interface Reach {
  head: Triple;
  hands: readonly [Triple, Triple]; // left, right
  yaw: number;
  pitch: number;
  pointing: boolean; // and the server knows
}

/** What gestures need of the rest. */
export interface GestureParts {
  model: Model;
  timeline(): Timeline;
  send(body: Body): number; // the message's number, -1 when it was not sent
}

type Target = { what: "person" | "thing" | "bed"; target: number };

/** See the module's head. */
export class Gestures {
  private aim: readonly [number, number] | null = null;
  private pointMs = Number.NEGATIVE_INFINITY;
  private touchMs = Number.NEGATIVE_INFINITY;
  private readonly sent: number[] = []; // the newest numbers
  private readonly touched: [Set<string>, Set<string>] = [new Set(), new Set()]; // by hand, what it is at now

  constructor(private readonly parts: GestureParts) {}

  /** Says what is due. */
  update(own: number, reach: Reach, nowMs: number): void {
    this.point(reach, nowMs);
    for (const hand of [0, 1] as const) this.touch(own, hand, reach, nowMs);
  }

  /** Whether a message of this number was a gesture: a refused one is no matter for people, it was only a little off. */
  owns(seq: number): boolean {
    return this.sent.includes(seq);
  }

  private say(body: Body): void {
    this.sent.push(this.parts.send(body));
    if (this.sent.length > SENT_MAX) this.sent.shift();
  }

  private point({ yaw, pitch, pointing }: Reach, nowMs: number): void {
    if (!pointing) return void (this.aim = null);
    if (nowMs - this.pointMs < POINT_EVERY_MS) return;
    if (this.aim !== null && Math.abs(yaw - this.aim[0]) + Math.abs(pitch - this.aim[1]) < AIM_RAD) return;
    [this.aim, this.pointMs] = [[yaw, pitch], nowMs];
    this.say({ tag: "point", hand: 1, seen: this.parts.timeline().shownTick });
  }

  /** Each thing once while the hand stays at it. */
  private touch(own: number, hand: Hand, { head, hands }: Reach, nowMs: number): void {
    const at = hands[hand];
    const found = Math.hypot(at[0], at[2]) < REACH_MM ? [] : this.at([head[0] + at[0], head[1] + at[1], head[2] + at[2]], own);
    const before = this.touched[hand];
    const fresh = found.find((each) => !before.has(keyOf(each)));
    for (const key of before) if (!found.some((each) => keyOf(each) === key)) before.delete(key);
    if (fresh === undefined || nowMs - this.touchMs < TOUCH_EVERY_MS) return;
    before.add(keyOf(fresh));
    this.touchMs = nowMs;
    this.say({ tag: "touch", hand, ...fresh, seen: this.parts.timeline().shownTick });
  }

  /** What is at a place. */
  private at(place: Triple, own: number): Target[] {
    const { model } = this.parts;
    const timeline = this.parts.timeline();
    const out: Target[] = [];
    for (const row of timeline.things().values()) {
      const thing = model.things.get(row.slot);
      if (thing !== undefined && row.owner < 0 && within(row.position, place, THING_MM)) out.push({ what: "thing", target: thing.thing });
    }
    for (const [slot, head] of timeline.places(true)) {
      const person = slot === own ? undefined : model.people.get(slot);
      if (person !== undefined && BODY_MM.some((up) => within([head[0], head[1] + up, head[2]], place, PERSON_MM))) out.push({ what: "person", target: person.avatar });
    }
    for (const bed of model.beds) if (within([bed.place.at[0] * 1000, BED_HEIGHT_M * 1000, bed.place.at[1] * 1000], place, BED_MM)) out.push({ what: "bed", target: bed.index });
    return out;
  }
}

const keyOf = (each: Target): string => `${each.what} ${each.target}`;

const within = (a: Triple, b: Triple, thick: number): boolean => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) <= thick + TOUCH_MM;
