/**
 * Draws other people between snapshots: a playout clock behind the newest tick by an adaptive delay, and positions at it.
 * Pure of time and DOM: milliseconds come in as arguments. Never shows what was not received, but for <= 100 ms ahead.
 */

import type { AvatarRows, ThingRow, View } from "../net/snapshot";
import { type Quaternion, unpackRotation } from "../net/rotation";

export const DELAY_MIN_MS = 66;
export const DELAY_MAX_MS = 200;
export const EXTRAPOLATE_MAX_MS = 100;
const WINDOW = 128;
const VIEWS_MAX = 64;
const JUMP_MM = 1_500;
const CATCH_UP_MAX_MS = 500;

/** One avatar as drawn. Lengths in mm; hands relative to the head; angles in radians. */
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
}

/** Where playing stands: delay behind arrival, jitter, and whether what is shown is older than it should be. */
export interface Health {
  delayMs: number;
  jitterMs: number;
  stale: boolean;
  ageMs: number;
}

/** Value at fraction `p` of the sorted numbers. */
export function percentile(values: readonly number[], p: number): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))]!;
}

/** How far behind to play: two ticks and the jitter's 95th percentile, 66 to 200 ms. */
export function delayFor(tickMs: number, jitterMs: number): number {
  return Math.min(DELAY_MAX_MS, Math.max(DELAY_MIN_MS, 2 * tickMs + jitterMs));
}

/** Turns arrivals into a smoothly running tick to be drawn. */
export class PlayoutClock {
  jitterMs = 0;
  delayMs: number;
  private offsets: number[] = [];
  private tick = Number.NaN;
  private lastMs = 0;

  constructor(private readonly tickMs: number) {
    this.delayMs = delayFor(tickMs, 0);
  }

  /** A snapshot of `tick` came at `nowMs`. */
  arrived(tick: number, nowMs: number): void {
    this.offsets.push(nowMs - tick * this.tickMs);
    if (this.offsets.length > WINDOW) this.offsets.shift();
    const base = Math.min(...this.offsets);
    this.jitterMs = percentile(this.offsets.map((offset) => offset - base), 0.95);
  }

  /** The tick (with fraction) to draw at `nowMs`; NaN before the first arrival. */
  at(nowMs: number): number {
    if (this.offsets.length === 0) return Number.NaN;
    const dt = Math.max(0, nowMs - this.lastMs);
    this.lastMs = nowMs;
    this.delayMs += clamp(delayFor(this.tickMs, this.jitterMs) - this.delayMs, 0.05 * dt);
    const wanted = (nowMs - Math.min(...this.offsets) - this.delayMs) / this.tickMs;
    const steady = dt / this.tickMs;
    const behind = wanted - this.tick - steady;
    if (Number.isNaN(this.tick) || Math.abs(behind) * this.tickMs > CATCH_UP_MAX_MS) this.tick = wanted;
    else this.tick += steady * (1 + clamp(behind * 0.1, 0.15));
    return this.tick;
  }

  /** Forgets the past, as after a pause: the next arrival sets the clock anew. */
  reset(): void {
    this.offsets = [];
    this.tick = Number.NaN;
  }
}

const clamp = (value: number, limit: number): number => Math.max(-limit, Math.min(limit, value));

/** The views of one room in time order, and what they show at any tick. */
export class Timeline {
  readonly clock: PlayoutClock;
  private views: View[] = [];
  private samples = new Map<number, Sample>();

  constructor(private readonly tickMs: number) {
    this.clock = new PlayoutClock(tickMs);
  }

  /** Adds a view; what is not newer than the newest is left out. */
  push(view: View, nowMs: number): void {
    const newest = this.newest();
    if (newest !== undefined && (view.room !== newest.room || view.tick < newest.tick - 300)) this.reset();
    else if (newest !== undefined && view.tick <= newest.tick) return;
    this.views.push(view);
    if (this.views.length > VIEWS_MAX) this.views.shift();
    this.clock.arrived(view.tick, nowMs);
  }

  /** The newest view. */
  newest(): View | undefined {
    return this.views.at(-1);
  }

  /** Forgets everything. */
  reset(): void {
    this.views = [];
    this.samples.clear();
    this.clock.reset();
  }

  /** After the tab was hidden: keep the newest view only and start from it. */
  jumpToNewest(): void {
    this.views = this.views.slice(-1);
    this.clock.reset();
  }

  /** Everybody at `nowMs`. The map and its samples are reused by the next call. */
  sample(nowMs: number): ReadonlyMap<number, Sample> {
    const at = this.clock.at(nowMs);
    const [before, after] = this.around(at);
    if (before === undefined) return this.samples;
    const next = new Map<number, Sample>();
    if (after === undefined) this.ahead(before, at, next);
    else blend(before, after, (at - before.tick) / (after.tick - before.tick), next, this.samples);
    this.samples = next;
    return next;
  }

  /** Things as of the drawn tick. */
  things(): ReadonlyMap<number, ThingRow> {
    return this.newest()?.things ?? new Map();
  }

  /** Quality of what is shown at `nowMs`. */
  health(nowMs: number): Health {
    const newest = this.newest();
    const at = this.clock.at(nowMs);
    const ageMs = newest === undefined || Number.isNaN(at) ? 0 : (at - newest.tick) * this.tickMs + this.clock.delayMs;
    return { delayMs: this.clock.delayMs, jitterMs: this.clock.jitterMs, stale: ageMs > this.clock.delayMs + EXTRAPOLATE_MAX_MS, ageMs };
  }

  private around(at: number): [View | undefined, View | undefined] {
    if (Number.isNaN(at)) return [this.newest(), undefined];
    const after = this.views.findIndex((view) => view.tick > at);
    if (after === 0) return [this.views[0], undefined];
    if (after < 0) return [this.newest(), undefined];
    return [this.views[after - 1], this.views[after]];
  }

  /** Goes on in the newest direction for at most 100 ms, then stands still. */
  private ahead(last: View, at: number, out: Map<number, Sample>): void {
    const before = this.views[this.views.indexOf(last) - 1];
    const over = Math.min(at - last.tick, EXTRAPOLATE_MAX_MS / this.tickMs);
    if (before === undefined || !(over > 0)) return blend(last, last, 0, out, this.samples);
    blend(before, last, 1 + over / (last.tick - before.tick), out, this.samples);
  }
}

const from: Quaternion = [0, 0, 0, 1];

function blend(a: View, b: View, t: number, out: Map<number, Sample>, reuse: Map<number, Sample>): void {
  const rowIn = new Map<number, number>();
  for (let i = 0; i < a.avatars.count; i++) rowIn.set(a.avatars.slot[i]!, i);
  for (let j = 0; j < b.avatars.count; j++) {
    const slot = b.avatars.slot[j]!;
    const sample = reuse.get(slot) ?? newSample(slot);
    const i = rowIn.get(slot);
    const far = i === undefined || jumped(a.avatars, i, b.avatars, j);
    fill(sample, far ? b.avatars : a.avatars, far ? j : i, b.avatars, j, far ? 0 : t);
    out.set(slot, sample);
  }
}

function jumped(a: AvatarRows, i: number, b: AvatarRows, j: number): boolean {
  const [dx, dz] = [a.head[3 * i]! - b.head[3 * j]!, a.head[3 * i + 2]! - b.head[3 * j + 2]!];
  return dx * dx + dz * dz > JUMP_MM * JUMP_MM;
}

function newSample(slot: number): Sample {
  return {
    slot,
    head: [0, 0, 0],
    headRot: [0, 0, 0, 1],
    yaw: 0,
    left: [0, 0, 0],
    leftRot: [0, 0, 0, 1],
    right: [0, 0, 0],
    rightRot: [0, 0, 0, 1],
    flags: 0,
    grips: 0,
  };
}

function fill(out: Sample, a: AvatarRows, i: number, b: AvatarRows, j: number, t: number): void {
  for (let k = 0; k < 3; k++) {
    out.head[k] = mix(a.head[3 * i + k]!, b.head[3 * j + k]!, t);
    out.left[k] = mix(a.hand[6 * i + k]!, b.hand[6 * j + k]!, t);
    out.right[k] = mix(a.hand[6 * i + 3 + k]!, b.hand[6 * j + 3 + k]!, t);
  }
  turn(out.headRot, a.headRot[i]!, b.headRot[j]!, t);
  turn(out.leftRot, a.handRot[2 * i]!, b.handRot[2 * j]!, t);
  turn(out.rightRot, a.handRot[2 * i + 1]!, b.handRot[2 * j + 1]!, t);
  out.yaw = mixYaw(a.yaw[i]!, b.yaw[j]!, Math.min(1, t));
  out.flags = b.flags[j]!;
  out.grips = b.grips[j]!;
}

const mix = (a: number, b: number, t: number): number => a + (b - a) * t;

/** From one yaw on the wire to another by the short way, in radians. */
export function mixYaw(a: number, b: number, t: number): number {
  const short = ((b - a + 1536) & 1023) - 512;
  return ((a + short * t) / 1024) * 2 * Math.PI;
}

function turn(out: Quaternion, a: number, b: number, t: number): void {
  unpackRotation(b, out);
  if (a === b || t >= 1) return;
  unpackRotation(a, from);
  const dot = from[0] * out[0] + from[1] * out[1] + from[2] * out[2] + from[3] * out[3];
  const sign = dot < 0 ? -1 : 1;
  let norm = 0;
  for (let k = 0; k < 4; k++) {
    out[k] = mix(from[k]!, sign * out[k]!, t);
    norm += out[k]! * out[k]!;
  }
  norm = Math.sqrt(norm) || 1;
  for (let k = 0; k < 4; k++) out[k] = out[k]! / norm;
}
