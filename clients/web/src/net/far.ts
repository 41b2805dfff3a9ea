/** The far tier of a hall: reads its block, a class of the room's people at a time, and keeps everybody's newest row. */

import { BitReader, SnapshotError } from "./bits";
import { copyFar, type AvatarRows, type FarRows, makeFar } from "./rows";

const HEAD_BYTES = 4;
const RECORD_BITS = 60;
const STEP = 16; // mm of a length, 1/1024 turns of yaw
const BIAS = 8192;
const SLOTS = 4096;

/** Who is in one class: slots with slot % parts == part. */
export interface FarBlock {
  part: number;
  parts: number;
  rows: FarRows;
}

/** The rows of a FAR body. Throws SnapshotError on anything malformed. */
export function decodeFar(body: Uint8Array, tick: number): FarBlock {
  if (body.length < HEAD_BYTES) throw new SnapshotError(`a far block has at least ${HEAD_BYTES} bytes, got ${body.length}`);
  const [part, parts, count] = [body[0]!, body[1]!, body[2]! | (body[3]! << 8)];
  if (part >= parts) throw new SnapshotError(`part ${part} of ${parts} is none`);
  if (body.length - HEAD_BYTES !== Math.ceil((count * RECORD_BITS) / 8)) throw new SnapshotError(`${body.length} bytes are not ${count} far records`);
  const [bits, rows] = [new BitReader(body, HEAD_BYTES), makeFar(count)];
  for (; rows.count < count; rows.count++) readRecord(bits, rows, rows.count, tick);
  for (let i = 0; i < count; i++) {
    const slot = rows.slot[i]!;
    if (slot % parts !== part || (i > 0 && slot <= rows.slot[i - 1]!)) throw new SnapshotError("slots of a far block do not ascend, or are of another part");
  }
  bits.finish();
  return { part, parts, rows };
}

function readRecord(bits: BitReader, rows: FarRows, i: number, tick: number): void {
  rows.slot[i] = bits.take(12);
  rows.head[3 * i] = (bits.take(14) - BIAS) * STEP;
  rows.head[3 * i + 2] = (bits.take(14) - BIAS) * STEP;
  rows.head[3 * i + 1] = bits.take(8) * STEP;
  rows.yaw[i] = bits.take(6) * STEP;
  rows.flags[i] = bits.take(6);
  rows.tick[i] = tick;
}

/** Everybody of a hall as last heard, a class at a time: who is missing from a newer block of the class has left. */
export class FarTier {
  private parts: (FarRows | undefined)[] = [];
  private readonly where = new Int32Array(SLOTS); // of a slot: its row << 8 | its part, + 1; -1 near

  /** Takes in a FAR body; what was heard stays as it is if that throws SnapshotError. */
  take(body: Uint8Array, tick: number): void {
    const { part, parts, rows } = decodeFar(body, tick);
    if (this.parts.length !== parts) this.parts = Array.from({ length: parts }, () => undefined);
    this.parts[part] = rows;
  }

  /** Forgets everybody. */
  clear(): void {
    this.parts = [];
  }

  /** Whether nobody was ever heard of since the last `clear`. */
  get empty(): boolean {
    return this.parts.length === 0;
  }

  /** Everybody who is not among the near rows, slots ascending. */
  beyond(near: AvatarRows): FarRows {
    const where = this.where.fill(0);
    for (let i = 0; i < near.count; i++) where[near.slot[i]!] = -1;
    let count = 0;
    this.parts.forEach((rows, part) => {
      for (let i = 0; rows !== undefined && i < rows.count; i++) {
        if (where[rows.slot[i]!]! < 0) continue;
        where[rows.slot[i]!] = 1 + i * 256 + part;
        count++;
      }
    });
    const out = makeFar(count);
    for (let slot = 0; out.count < count; slot++) {
      const at = where[slot]! - 1;
      if (at >= 0) copyFar(this.parts[at & 255]!, at >> 8, out);
    }
    return out;
  }
}
