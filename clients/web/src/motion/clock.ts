/** When to draw what: a playout clock behind the newest tick by a delay that adapts to jitter. Pure: time comes in as arguments. */

export const DELAY_MIN_MS = 66;
export const DELAY_MAX_MS = 200;
const WINDOW = 128;
const CATCH_UP_MAX_MS = 500;

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

  /** The tick drawn last; NaN before the first. */
  get shown(): number {
    return this.tick;
  }

  /** Forgets the past, as after a pause: the next arrival sets the clock anew. */
  reset(): void {
    this.offsets = [];
    this.tick = Number.NaN;
  }
}

const clamp = (value: number, limit: number): number => Math.max(-limit, Math.min(limit, value));
