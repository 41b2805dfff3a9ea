/**
 * Draws other people between snapshots: everybody's track, played behind the newest tick by an adaptive delay.
 * Pure of time and DOM: milliseconds come in as arguments. Owns who is drawn near (with hands) and who far (heads only).
 */

import type { ThingRow, View } from "../net/snapshot";
import { PlayoutClock } from "./clock";
import { EXTRAPOLATE_MAX_MS, type Moment, type Sample, Track } from "./track";

export type { Sample } from "./track";

const FAR_TICKS = 10; // from one far row of a person to the next, until it is seen
const FAR_SLACK_TICKS = 1;
const OLDER_MAX_TICKS = 300; // a tick older by more is of another life of the server

/** Where playing stands: delay behind arrival, jitter, and whether what is shown is older than it should be. */
export interface Health {
  delayMs: number;
  jitterMs: number;
  stale: boolean;
  ageMs: number;
}

/** Who is drawn without hands, in columns. Lengths in mm, yaw in radians. The arrays are reused by the next moment. */
export interface Crowd {
  count: number;
  slot: Uint16Array; // (n)
  head: Float32Array; // (3n)
  yaw: Float32Array; // (n)
  flags: Uint8Array; // (n)
  quiet: Uint8Array; // (n)
}

/** An empty crowd with room for `n` people. */
export function makeCrowd(n: number): Crowd {
  return { count: 0, slot: new Uint16Array(n), head: new Float32Array(3 * n), yaw: new Float32Array(n), flags: new Uint8Array(n), quiet: new Uint8Array(n) };
}

/** The newest of everything in one room, and how it looks at any moment. */
export class Timeline {
  readonly clock: PlayoutClock;
  private view: View | undefined;
  private readonly tracks = new Map<number, Track>();
  private samples = new Map<number, Sample>();
  private crowd = makeCrowd(64);
  private startTick = 0;
  private farTicks = Number.POSITIVE_INFINITY;
  private lastMs = Number.NaN;

  constructor(private readonly tickMs: number) {
    this.clock = new PlayoutClock(tickMs);
  }

  /** Adds a view; what is not newer than the newest is left out. */
  push(view: View, nowMs: number): void {
    const newest = this.view;
    if (newest !== undefined && (view.room !== newest.room || view.tick < newest.tick - OLDER_MAX_TICKS)) this.reset();
    else if (newest !== undefined && view.tick <= newest.tick) return;
    if (this.view === undefined) this.startTick = view.tick;
    this.view = view;
    this.take(view);
    for (const track of this.tracks.values()) if (track.viewTick !== view.tick) this.end(track, view.tick);
    this.clock.arrived(view.tick, nowMs);
  }

  /** The newest view. */
  newest(): View | undefined {
    return this.view;
  }

  /** The tick that is drawn, for what one does to what one sees; 0 when nothing is drawn yet. */
  get shownTick(): number {
    const at = this.clock.shown;
    return Number.isNaN(at) || at < 0 ? 0 : Math.floor(Math.min(at, this.view?.tick ?? 0));
  }

  /** Forgets everything. */
  reset(): void {
    this.view = undefined;
    this.tracks.clear();
    this.samples.clear();
    this.crowd.count = 0;
    this.farTicks = Number.POSITIVE_INFINITY;
    this.clock.reset();
  }

  /** After the tab was hidden: keep the newest places only and start from them. */
  jumpToNewest(): void {
    for (const track of this.tracks.values()) track.jumpToNewest();
    this.clock.reset();
  }

  /** Everybody with hands at `nowMs`; `far` has the others of the same moment. Both are reused by the next call. */
  sample(nowMs: number): ReadonlyMap<number, Sample> {
    const moment = this.moment(nowMs);
    this.samples.clear();
    this.crowd = roomFor(this.crowd, this.tracks.size);
    this.crowd.count = 0;
    for (const [slot, track] of this.tracks) {
      if (!track.update(moment)) {
        if (moment.at > track.goneTick) this.tracks.delete(slot);
      } else if (track.detailed) this.samples.set(slot, track.sample);
      else append(this.crowd, track.sample);
    }
    return this.samples;
  }

  /** Everybody without hands as of the last `sample`. */
  far(): Crowd {
    return this.crowd;
  }

  /** Where everybody's head was last seen, mm, who is near only if asked; for what one bumps into and walks to. */
  *places(nearOnly: boolean): Generator<readonly [slot: number, head: readonly [number, number, number]]> {
    for (const [slot, track] of this.tracks) if (track.goneTick === Number.POSITIVE_INFINITY && (track.near || !nearOnly)) yield [slot, track.newestHead];
  }

  /** Where somebody's head was last seen, mm; null for who is not here. */
  headOf(slot: number): readonly [number, number, number] | null {
    const track = this.tracks.get(slot);
    return track === undefined || track.goneTick !== Number.POSITIVE_INFINITY ? null : track.newestHead;
  }

  /** Where somebody's hand was last seen, mm from the head; null for who is not near. */
  handOf(slot: number, hand: number): readonly [number, number, number] | null {
    return this.tracks.get(slot)?.newestHand(hand) ?? null;
  }

  /** Somebody's newest flags, 0 for who is not here. */
  flagsOf(slot: number): number {
    return this.tracks.get(slot)?.newestFlags ?? 0;
  }

  /** Things as of the newest tick. */
  things(): ReadonlyMap<number, ThingRow> {
    return this.view?.things ?? NOTHING;
  }

  /** Quality of what is shown at `nowMs`. */
  health(nowMs: number): Health {
    const at = this.clock.at(nowMs);
    const ageMs = this.view === undefined || Number.isNaN(at) ? 0 : (at - this.view.tick) * this.tickMs + this.clock.delayMs;
    return { delayMs: this.clock.delayMs, jitterMs: this.clock.jitterMs, stale: ageMs > this.clock.delayMs + EXTRAPOLATE_MAX_MS, ageMs };
  }

  private moment(nowMs: number): Moment {
    const dtMs = Number.isNaN(this.lastMs) ? 0 : Math.max(0, nowMs - this.lastMs);
    this.lastMs = nowMs;
    const farTicks = (Number.isFinite(this.farTicks) ? this.farTicks : FAR_TICKS) + FAR_SLACK_TICKS;
    return { at: this.clock.at(nowMs), viewTick: this.view?.tick ?? 0, startTick: this.startTick, tickMs: this.tickMs, dtMs, farTicks };
  }

  /** Everybody's rows into their tracks. */
  private take({ tick, avatars, held, far }: View): void {
    for (let i = 0; i < avatars.count; i++) {
      const slot = avatars.slot[i]!;
      const track = this.track(slot, tick);
      track.near = true;
      if (!held.has(slot) || track.newestTick < 0) track.seeNear(tick, avatars, i);
    }
    for (let i = 0; i < far.count; i++) {
      const track = this.track(far.slot[i]!, tick);
      track.near = false;
      const gap = far.tick[i]! - track.newestFarTick;
      if (gap > 0 && track.newestFarTick >= 0) this.farTicks = Math.min(this.farTicks, gap);
      track.seeFar(far, i);
    }
  }

  private track(slot: number, tick: number): Track {
    let track = this.tracks.get(slot);
    if (track === undefined) this.tracks.set(slot, (track = new Track(slot)));
    [track.viewTick, track.goneTick] = [tick, Number.POSITIVE_INFINITY];
    return track;
  }

  /** Who is in no view any more: near ones are seen until the tick that lacks them, far ones no longer. */
  private end(track: Track, tick: number): void {
    if (!track.near) this.tracks.delete(track.sample.slot);
    else if (track.goneTick === Number.POSITIVE_INFINITY) track.goneTick = tick;
  }
}

const NOTHING: ReadonlyMap<number, ThingRow> = new Map();

function roomFor(crowd: Crowd, n: number): Crowd {
  return crowd.slot.length >= n ? crowd : makeCrowd(2 * n);
}

function append(crowd: Crowd, sample: Sample): void {
  const i = crowd.count++;
  crowd.slot[i] = sample.slot;
  for (let k = 0; k < 3; k++) crowd.head[3 * i + k] = sample.head[k]!;
  crowd.yaw[i] = sample.yaw;
  crowd.flags[i] = sample.flags;
  crowd.quiet[i] = sample.quiet ? 1 : 0;
}
