/**
 * One person's newest places, near or far, and where they are between them. Near rows have hands and come every tick, far
 * rows are heads only and come a few times a second: both go into one ring, so that who changes tier goes on from where
 * they are, only played a little later or sooner. Pure; never shows what was not received, but for <= 100 ms ahead.
 */

import type { AvatarRows, FarRows } from "../net/snapshot";
import { lookRotation, type Quaternion, unpackRotation } from "../net/rotation";

export const EXTRAPOLATE_MAX_MS = 100;
export const QUIET_MS = 250;
const STALLED_MS = 1_000;
export const BLEND_MS = 200;
const RING = 32;
const WIDTH = 15;
const [YAW, FLAGS, GRIPS, HEAD_ROT, LEFT, LEFT_ROT, RIGHT, RIGHT_ROT] = [3, 4, 5, 6, 7, 10, 11, 14] as const;
const EXTRAPOLATE_GAP_TICKS = 3; // wider apart than that, two places say too little of the next
const JUMP_MM = 1_200; // and so much per ms between two places: farther is a jump, not a walk
const JUMP_MM_MS = 3;
const LATER = 0.5; // ticks of lag per tick: who goes far is played at half speed until far rows suffice,
const SOONER = 1; // who comes near at double speed until they are up to date
const HANG_MM = [255, -780, -60] as const; // a hand nobody knows of: beside, below, before

/** One avatar as drawn, with hands. Lengths in mm; hands relative to the head; angles in radians. */
export interface Sample {
  slot: number;
  head: [number, number, number];
  headRot: Quaternion;
  yaw: number;
  left: [number, number, number];
  leftRot: Quaternion;
  right: [number, number, number];
  rightRot: Quaternion;
  flags: number;
  grips: number;
  quiet: boolean; // nothing new of them for a while: they keep their place
}

/** What a track is asked for: the tick drawn, and how long one is. */
export interface Moment {
  at: number; // NaN: whatever is newest
  viewTick: number; // of the newest view
  startTick: number; // of the first view: who is in it is drawn at once
  tickMs: number;
  dtMs: number; // since the moment before
  farTicks: number; // how much later than near people far ones are drawn
}

type Triple = [number, number, number];

/** See the module's head. */
export class Track {
  near = false; // in the newest view with hands, held back or not
  goneTick = Number.POSITIVE_INFINITY; // from when on they are not to be seen
  viewTick = -1; // of the newest view they were in
  newestFarTick = -1; // of the newest far row
  readonly sample: Sample;
  private readonly ticks = new Float64Array(RING);
  private readonly data = new Int32Array(RING * WIDTH);
  private readonly full = new Uint8Array(RING);
  private count = 0; // of all ever put in; the newest is at count - 1
  private lag = Number.NaN; // ticks
  private detail = 0; // 1 with hands, 0 without
  private firstTick = -1;
  private drawnCount = 0;
  private drawnTick = -1; // the newest place's, when last drawn
  private hands = 0; // the newest place drawn that has hands
  private offset: [...Triple, number] = [0, 0, 0, 0]; // x, y, z, yaw still to be blended away
  private offsetMs = 0;
  private stuck = false; // drawn at or past the newest place

  constructor(slot: number) {
    this.sample = {
      slot, head: [0, 0, 0], headRot: [0, 0, 0, 1], yaw: 0, left: [0, 0, 0], leftRot: [0, 0, 0, 1],
      right: [0, 0, 0], rightRot: [0, 0, 0, 1], flags: 0, grips: 0, quiet: false,
    };
  }

  /** Tick of the newest place, -1 before the first. */
  get newestTick(): number {
    return this.count === 0 ? -1 : this.ticks[(this.count - 1) % RING]!;
  }

  /** The newest place of the head, mm. */
  get newestHead(): readonly [number, number, number] {
    const i = ((this.count - 1) % RING) * WIDTH;
    return [this.data[i]!, this.data[i + 1]!, this.data[i + 2]!];
  }

  /** The newest flags. */
  get newestFlags(): number {
    return this.count === 0 ? 0 : this.data[((this.count - 1) % RING) * WIDTH + FLAGS]!;
  }

  /** The newest place of a hand (0 left, 1 right), mm from the head; null when only the head is known. */
  newestHand(hand: number): readonly [number, number, number] | null {
    const slot = (this.count - 1) % RING;
    if (this.count === 0 || this.full[slot] === 0) return null;
    const i = slot * WIDTH + (hand === 0 ? LEFT : RIGHT);
    return [this.data[i]!, this.data[i + 1]!, this.data[i + 2]!];
  }

  /** Whether they are drawn with hands just now. */
  get detailed(): boolean {
    return this.detail > 0;
  }

  /** A near row of `tick`. */
  seeNear(tick: number, rows: AvatarRows, row: number): void {
    const i = this.put(tick, rows.head, 3 * row, rows.yaw[row]!, rows.flags[row]!, 1);
    this.data[i + GRIPS] = rows.grips[row]!;
    this.data[i + HEAD_ROT] = rows.headRot[row]!;
    for (let k = 0; k < 3; k++) {
      this.data[i + LEFT + k] = rows.hand[6 * row + k]!;
      this.data[i + RIGHT + k] = rows.hand[6 * row + 3 + k]!;
    }
    this.data[i + LEFT_ROT] = rows.handRot[2 * row]!;
    this.data[i + RIGHT_ROT] = rows.handRot[2 * row + 1]!;
  }

  /** A far row; one that is not newer than what is known says nothing. */
  seeFar(rows: FarRows, row: number): void {
    this.newestFarTick = rows.tick[row]!;
    if (rows.tick[row]! > this.newestTick) this.put(rows.tick[row]!, rows.head, 3 * row, rows.yaw[row]!, rows.flags[row]!, 0);
  }

  /** Keeps the newest place only, and draws it at once. */
  jumpToNewest(): void {
    if (this.count === 0) return;
    const newest = (this.count - 1) % RING;
    this.ticks[0] = this.ticks[newest]!;
    this.full[0] = this.full[newest]!;
    this.data.copyWithin(0, newest * WIDTH, (newest + 1) * WIDTH);
    [this.count, this.hands] = [1, 0];
    this.lag = Number.NaN;
  }

  /** Brings `sample` up to the moment; false while they are not to be seen yet, or any more. */
  update(moment: Moment): boolean {
    if (this.count === 0 || moment.at > this.goneTick - 1) return false;
    const fresh = Number.isNaN(this.lag);
    if (fresh && this.near && this.firstTick > moment.startTick && moment.at <= this.firstTick - 1) return false;
    this.advance(moment, fresh);
    const { sample } = this;
    const [stuckAt, news] = [this.drawnTick, this.stuck && this.count !== this.drawnCount];
    const [x, y, z, yaw] = [...sample.head, sample.yaw];
    const at = moment.at - this.lag;
    this.place(at, moment, fresh);
    sample.quiet = this.isQuiet(at, moment);
    const limit = farthest((this.newestTick - stuckAt) * moment.tickMs);
    if (news) this.takeOffset(x - sample.head[0], y - sample.head[1], z - sample.head[2], yaw - sample.yaw, limit);
    [this.drawnCount, this.drawnTick] = [this.count, this.newestTick];
    this.blend(moment.dtMs);
    return true;
  }

  /** Whether others are heard of and they are not, or nobody for long. */
  private isQuiet(at: number, { viewTick, tickMs, farTicks }: Moment): boolean {
    const older = viewTick - this.newestTick - (this.near ? 0 : farTicks);
    return older * tickMs > QUIET_MS || (at - this.newestTick) * tickMs > STALLED_MS;
  }

  /** The lag moves towards what the tier needs. */
  private advance({ dtMs, tickMs, farTicks }: Moment, fresh: boolean): void {
    const lag = this.near ? 0 : farTicks;
    if (fresh) [this.lag, this.offsetMs, this.stuck] = [lag, 0, false];
    const ticks = dtMs / tickMs;
    this.lag = this.lag < lag ? Math.min(lag, this.lag + LATER * ticks) : Math.max(lag, this.lag - SOONER * ticks);
  }

  private put(tick: number, head: Int32Array, from: number, yaw: number, flags: number, full: 0 | 1): number {
    const slot = this.count % RING;
    if (this.count === 0) this.firstTick = tick;
    this.count += 1;
    [this.ticks[slot], this.full[slot]] = [tick, full];
    const i = slot * WIDTH;
    for (let k = 0; k < 3; k++) this.data[i + k] = head[from + k]!;
    [this.data[i + YAW], this.data[i + FLAGS]] = [yaw, flags];
    return i;
  }

  /** The two places around `at`, and how far from the first to the second it is. */
  private place(at: number, { tickMs, dtMs }: Moment, fresh: boolean): void {
    const oldest = Math.max(0, this.count - RING);
    let k = this.count - 1;
    while (k > oldest && this.ticks[k % RING]! > at) k--;
    const newest = k === this.count - 1;
    const [a, b] = [(newest && k > oldest ? k - 1 : k) % RING, (newest ? k : k + 1) % RING];
    const gap = this.ticks[b]! - this.ticks[a]!;
    this.stuck = newest && !(at <= this.ticks[b]!);
    const ahead = this.stuck && gap > 0 && gap <= EXTRAPOLATE_GAP_TICKS && this.full[a] === 1;
    const over = Math.min((at - this.ticks[b]!) / (gap || 1), ahead ? EXTRAPOLATE_MAX_MS / tickMs / gap : 0);
    const t = Number.isNaN(over) || this.jumped(a, b, gap * tickMs) ? 1 : Math.max(0, 1 + over);
    this.gainDetail(this.near && this.full[t < 1 ? a : b] === 1, fresh ? BLEND_MS : dtMs);
    this.fill(a, b, t);
  }

  /** Hands come and go gradually with what is known of them. */
  private gainDetail(known: boolean, dtMs: number): void {
    this.detail = known ? Math.min(1, this.detail + dtMs / BLEND_MS) : Math.max(0, this.detail - dtMs / BLEND_MS);
  }

  private jumped(a: number, b: number, gapMs: number): boolean {
    const { data } = this;
    return Math.hypot(data[a * WIDTH]! - data[b * WIDTH]!, data[a * WIDTH + 2]! - data[b * WIDTH + 2]!) > farthest(gapMs);
  }

  private fill(a: number, b: number, t: number): void {
    const { data, sample } = this;
    const [i, j] = [a * WIDTH, b * WIDTH];
    for (let k = 0; k < 3; k++) sample.head[k] = mix(data[i + k]!, data[j + k]!, t);
    sample.yaw = mixYaw(data[i + YAW]!, data[j + YAW]!, Math.min(1, t));
    sample.flags = data[j + FLAGS]!;
    if (this.full[b] === 1) this.hands = b;
    if (this.full[a] === 1) this.hands = a;
    if (this.detail > 0) this.reach(this.hands, this.full[a] === 1 && this.full[b] === 1 ? b : this.hands, t);
  }

  /** Hands and the tilt of the head, as last known, from hanging hands and a level look by as much as there is detail. */
  private reach(a: number, b: number, t: number): void {
    const { data, sample, detail } = this;
    const [i, j] = [a * WIDTH, b * WIDTH];
    sample.grips = data[j + GRIPS]!;
    hang(sample.left, -1, sample.yaw);
    hang(sample.right, 1, sample.yaw);
    level(sample);
    for (let k = 0; k < 3; k++) {
      sample.left[k] = mix(sample.left[k]!, mix(data[i + LEFT + k]!, data[j + LEFT + k]!, t), detail);
      sample.right[k] = mix(sample.right[k]!, mix(data[i + RIGHT + k]!, data[j + RIGHT + k]!, t), detail);
    }
    turn(sample.headRot, data[i + HEAD_ROT]!, data[j + HEAD_ROT]!, t, detail);
    turn(sample.leftRot, data[i + LEFT_ROT]!, data[j + LEFT_ROT]!, t, detail);
    turn(sample.rightRot, data[i + RIGHT_ROT]!, data[j + RIGHT_ROT]!, t, detail);
  }

  /** What was drawn while nothing was known goes over into what is known now; a jump is shown as one. */
  private takeOffset(dx: number, dy: number, dz: number, dyaw: number, limit: number): void {
    if (Math.hypot(dx, dz) > limit) return;
    this.offset = [dx, dy, dz, Math.atan2(Math.sin(dyaw), Math.cos(dyaw))];
    this.offsetMs = BLEND_MS;
  }

  private blend(dtMs: number): void {
    if (this.offsetMs <= 0) return;
    this.offsetMs -= dtMs;
    const share = Math.max(0, this.offsetMs / BLEND_MS);
    for (let k = 0; k < 3; k++) this.sample.head[k] = this.sample.head[k]! + this.offset[k]! * share;
    this.sample.yaw += this.offset[3] * share;
  }
}

/** How far one may walk in so long, mm; more is a jump. */
const farthest = (ms: number): number => JUMP_MM + JUMP_MM_MS * ms;

function hang(out: Triple, side: -1 | 1, yaw: number): void {
  const [s, c] = [Math.sin(yaw), Math.cos(yaw)];
  const [right, up, back] = [side * HANG_MM[0], HANG_MM[1], HANG_MM[2]];
  [out[0], out[1], out[2]] = [right * c + back * s, up, -right * s + back * c];
}

function level(sample: Sample): void {
  const look = lookRotation(sample.yaw, 0);
  const down = lookRotation(sample.yaw, -1.2);
  for (let k = 0; k < 4; k++) [sample.headRot[k], sample.leftRot[k], sample.rightRot[k]] = [look[k]!, down[k]!, down[k]!];
}

const mix = (a: number, b: number, t: number): number => a + (b - a) * t;

/** From one yaw on the wire to another by the short way, in radians. */
export function mixYaw(a: number, b: number, t: number): number {
  const short = ((b - a + 1536) & 1023) - 512;
  return ((a + short * t) / 1024) * 2 * Math.PI;
}

const [from, to]: [Quaternion, Quaternion] = [[0, 0, 0, 1], [0, 0, 0, 1]];

/** Between two packed rotations at `t`, then from what is in `out` to that by `known`. */
function turn(out: Quaternion, a: number, b: number, t: number, known: number): void {
  unpackRotation(b >>> 0, to);
  if (a !== b && t < 1) between(unpackRotation(a >>> 0, from), to, t, to);
  between(out, to, known, out);
}

function between(a: Quaternion, b: Quaternion, t: number, out: Quaternion): void {
  const sign = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3] < 0 ? -1 : 1;
  for (let k = 0; k < 4; k++) out[k] = t >= 1 ? b[k]! : mix(a[k]!, sign * b[k]!, t);
  const norm = Math.hypot(out[0], out[1], out[2], out[3]) || 1;
  for (let k = 0; k < 4; k++) out[k] = out[k]! / norm;
}
