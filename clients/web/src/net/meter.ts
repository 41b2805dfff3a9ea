/**
 * What the connection carries, over the last seconds: bytes, snapshots, blocks held back, time to decode, poses sent.
 * Owns the sums. Pure: milliseconds come in as arguments; never estimates what was not counted.
 */

const WINDOW_MS = 5_000;
const SLICE_MS = 500;
const DECODES_MAX = 256;

/** Figures per second over the window, and shares of it. */
export interface Traffic {
  bytesPerS: number;
  snapshotsPerS: number;
  posesPerS: number;
  heldShare: number; // of the blocks in view: nothing new came for them in that tick
  decodeMs: number; // median
  decodeWorstMs: number; // 99th percentile
}

interface Slice {
  from: number; // ms
  bytes: number;
  snapshots: number;
  poses: number;
  blocks: number;
  held: number;
}

/** See the module's head. */
export class Meter {
  private slices: Slice[] = [];
  private decodes: number[] = [];

  /** A message of so many bytes came. */
  received(bytes: number, nowMs: number): void {
    this.slice(nowMs).bytes += bytes;
  }

  /** A snapshot was read in `decodeMs`; `held` of its `blocks` had nothing new. */
  snapshot(blocks: number, held: number, decodeMs: number, nowMs: number): void {
    const slice = this.slice(nowMs);
    slice.snapshots += 1;
    slice.blocks += blocks;
    slice.held += held;
    this.decodes.push(decodeMs);
    if (this.decodes.length > DECODES_MAX) this.decodes.shift();
  }

  /** A pose was sent. */
  posed(nowMs: number): void {
    this.slice(nowMs).poses += 1;
  }

  /** The figures at `nowMs`. Over less than the window when the session is younger than that. */
  traffic(nowMs: number): Traffic {
    this.forget(nowMs);
    const sum = (key: Exclude<keyof Slice, "from">): number => this.slices.reduce((total, slice) => total + slice[key], 0);
    const seconds = Math.max(SLICE_MS, nowMs - (this.slices[0]?.from ?? nowMs)) / 1000;
    const sorted = [...this.decodes].sort((a, b) => a - b);
    const at = (p: number): number => sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? 0;
    const blocks = sum("blocks");
    return {
      bytesPerS: sum("bytes") / seconds,
      snapshotsPerS: sum("snapshots") / seconds,
      posesPerS: sum("poses") / seconds,
      heldShare: blocks === 0 ? 0 : sum("held") / blocks,
      decodeMs: at(0.5),
      decodeWorstMs: at(0.99),
    };
  }

  private slice(nowMs: number): Slice {
    const newest = this.slices.at(-1);
    if (newest !== undefined && nowMs - newest.from < SLICE_MS) return newest;
    this.forget(nowMs);
    const slice = { from: nowMs, bytes: 0, snapshots: 0, poses: 0, blocks: 0, held: 0 };
    this.slices.push(slice);
    return slice;
  }

  private forget(nowMs: number): void {
    this.slices = this.slices.filter((slice) => nowMs - slice.from < WINDOW_MS);
  }
}
