/**
 * What a bed's monitor draws: samples kept by their index, a cursor that follows them, gaps where there are none.
 * Pure of time and DOM. Never invents, moves or smooths a sample.
 */

import { MISSING, type WaveBlock } from "../net/wave";

const KEEP_S = 12;
const LAG_S = 0.2;
const CATCH_UP_S = 1.5;

/** One channel's newest samples, addressed by sample index. */
export class Trace {
  newest = -1; // index of the newest sample, -1 before the first
  private oldest = 0;
  private readonly ring: Int16Array;

  constructor(readonly size: number) {
    this.ring = new Int16Array(size).fill(MISSING);
  }

  /** Puts samples at their indexes; what lies between the last and these stays missing. */
  put(first: number, samples: Int16Array): void {
    if (this.newest < 0 || first > this.newest + this.size || first + samples.length < this.newest - this.size) this.start(first);
    for (let index = this.newest + 1; index < first; index++) this.ring[index % this.size] = MISSING;
    samples.forEach((value, i) => (this.ring[(first + i) % this.size] = value));
    this.newest = Math.max(this.newest, first + samples.length - 1);
    this.oldest = Math.max(this.oldest, this.newest - this.size + 1);
  }

  /** The sample at an index, MISSING when there is none. */
  at(index: number): number {
    return index < this.oldest || index > this.newest ? MISSING : this.ring[index % this.size]!;
  }

  private start(first: number): void {
    this.ring.fill(MISSING);
    this.oldest = first;
    this.newest = first - 1;
  }
}

/** All channels of one bed and the place of the sweep. */
export class Sweep {
  rate = 0;
  device = false;
  cursor = Number.NaN; // sample index (with fraction) up to which is drawn
  lastMs = Number.NEGATIVE_INFINITY; // when the newest block came
  readonly traces = new Map<number, Trace>();

  /** Takes a block; another rate or source starts afresh, so that model and device never mix. */
  put(block: WaveBlock, nowMs: number): void {
    if (block.rate !== this.rate || block.device !== this.device) {
      this.traces.clear();
      [this.rate, this.device, this.cursor] = [block.rate, block.device, Number.NaN];
    }
    for (const { channel, samples } of block.channels) {
      const trace = this.traces.get(channel) ?? new Trace(block.rate * KEEP_S);
      this.traces.set(channel, trace);
      trace.put(block.first, samples);
    }
    this.lastMs = nowMs;
  }

  /** Moves the cursor `dt` seconds on, towards a little behind the newest sample, never past it, never back by a little. */
  update(dt: number): void {
    const newest = Math.max(-1, ...[...this.traces.values()].map((trace) => trace.newest));
    if (newest < 0) return;
    const wanted = newest - LAG_S * this.rate;
    const behind = wanted - this.cursor;
    if (Number.isNaN(this.cursor) || Math.abs(behind) > CATCH_UP_S * this.rate) this.cursor = wanted;
    else this.cursor = Math.min(newest, this.cursor + dt * this.rate * Math.max(0.5, Math.min(1.5, 1 + behind / this.rate)));
  }

  /** Whether anything came within the last `ms`. */
  live(nowMs: number, ms = 2_000): boolean {
    return nowMs - this.lastMs < ms;
  }
}

/** A stretch of samples without a gap: columns in 0..1 of the window, raw values. */
export type Run = { x: number; value: number }[];

/** What to draw of a trace: a window that is overwritten from left to right, open for `gap` of it ahead of the cursor. */
export function runs(trace: Trace, cursor: number, window: number, gap = 0.06): Run[] {
  const out: Run[] = [];
  let run: Run = [];
  const last = Math.floor(cursor);
  const close = (): void => {
    if (run.length > 0) out.push(run);
    run = [];
  };
  for (let index = Math.ceil(last - window * (1 - gap)); index <= last; index++) {
    const value = index < 0 ? MISSING : trace.at(index);
    if (value === MISSING || index % window === 0) close();
    if (value !== MISSING) run.push({ x: (index % window) / window, value });
  }
  close();
  return out;
}
