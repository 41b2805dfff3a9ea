/** The body of one near block to rows, whole or as a difference to an earlier keyframe. Keeps nothing. */

import { BitReader, SnapshotError } from "./bits";
import { shiftRotation } from "./rotation";
import { copyRow, makeRows, type AvatarRows, type ThingRow } from "./rows";

const HEAD_BYTES = 6;
const FULL_BITS = 252;
const HEAD_WIDTHS = [16, 12, 16] as const;
const HEAD_ZERO = [32768, 0, 32768] as const;
const HAND_WIDTHS = [11, 11, 11] as const;
const HAND_ZERO = [1024, 1024, 1024] as const;
const POSITION_CLASSES = [5, 8, 11] as const;
const ROTATION_CLASSES = [4, 6, 8] as const;

/** What a block showed in a tick; also the baseline of later deltas. */
export interface BlockRows {
  tick: number;
  avatars: AvatarRows;
  things: ReadonlyMap<number, ThingRow>;
}

/** The rows of a body, or null for a delta whose keyframe is not among `keyframes`. Throws SnapshotError on anything malformed. */
export function decodeBlock(body: Uint8Array, tick: number, keyframes: readonly BlockRows[]): BlockRows | null {
  if (body.length < HEAD_BYTES) throw new SnapshotError(`a block has at least ${HEAD_BYTES} bytes, got ${body.length}`);
  const head = new DataView(body.buffer, body.byteOffset, HEAD_BYTES);
  const [age, records, newcomers, things] = [head.getUint8(0), head.getUint16(1, true), head.getUint16(3, true), head.getUint8(5)];
  if ((age === 0 ? records : newcomers) * FULL_BITS > (body.length - HEAD_BYTES) * 8) throw new SnapshotError(`${body.length} bytes cannot hold ${records} records and ${newcomers} newcomers`);
  const bits = new BitReader(body, HEAD_BYTES);
  if (age === 0) {
    if (newcomers !== 0) throw new SnapshotError("a keyframe has no newcomers");
    return readKeyframe(bits, tick, records, things);
  }
  const base = keyframes.find((each) => each.tick === (tick - age) >>> 0);
  if (base === undefined) return null;
  if (records !== base.avatars.count) throw new SnapshotError(`the baseline has ${base.avatars.count} avatars, the delta says ${records}`);
  return readDelta(bits, base, tick, newcomers, things);
}

function readKeyframe(bits: BitReader, tick: number, records: number, thingCount: number): BlockRows {
  const avatars = makeRows(records);
  for (let i = 0; i < records; i++) readFull(bits, avatars);
  checkSlots(avatars, 0, avatars);
  const things = new Map<number, ThingRow>();
  readThings(bits, things, thingCount);
  bits.finish();
  return { tick, avatars, things };
}

function readDelta(bits: BitReader, base: BlockRows, tick: number, newcomers: number, thingCount: number): BlockRows {
  const avatars = makeRows(base.avatars.count + newcomers);
  for (let i = 0; i < base.avatars.count; i++) {
    const code = bits.take(2);
    if (code === 3) throw new SnapshotError("avatar code 3 is not allowed");
    if (code === 2) continue;
    const row = copyRow(base.avatars, i, avatars);
    if (code === 1) readChanges(bits, avatars, row);
  }
  const kept = avatars.count;
  for (let i = 0; i < newcomers; i++) readFull(bits, avatars);
  checkSlots(avatars, kept, base.avatars);
  const things = new Map(base.things);
  readThings(bits, things, thingCount);
  bits.finish();
  dropUnheld(things, avatars);
  return { tick, avatars, things };
}

/** Full records, from row `first` on, have ascending slots; those of a delta are not in its baseline. */
function checkSlots(rows: AvatarRows, first: number, base: AvatarRows): void {
  for (let i = first; i < rows.count; i++) {
    if (i > first && rows.slot[i]! <= rows.slot[i - 1]!) throw new SnapshotError("slots of full records have to ascend");
    if (base !== rows && base.slot.subarray(0, base.count).includes(rows.slot[i]!)) throw new SnapshotError(`slot ${rows.slot[i]} is in the baseline and new`);
  }
}

/** A thing whose holder is not in the view has left it. */
function dropUnheld(things: Map<number, ThingRow>, avatars: AvatarRows): void {
  for (const thing of things.values()) {
    if (thing.owner >= 0 && !avatars.slot.subarray(0, avatars.count).includes(thing.owner)) things.delete(thing.slot);
  }
}

function readFull(bits: BitReader, rows: AvatarRows): void {
  const row = rows.count++;
  rows.slot[row] = bits.take(12);
  rows.ack[row] = bits.take(8);
  readAbsolute(bits, rows.head, 3 * row, HEAD_WIDTHS, HEAD_ZERO);
  rows.headRot[row] = validRotation(bits.take32());
  rows.yaw[row] = bits.take(10);
  rows.flags[row] = bits.take(8);
  rows.grips[row] = bits.take(8);
  for (let hand = 0; hand < 2; hand++) {
    readAbsolute(bits, rows.hand, 6 * row + 3 * hand, HAND_WIDTHS, HAND_ZERO);
    rows.handRot[2 * row + hand] = validRotation(bits.take32());
  }
}

function readChanges(bits: BitReader, rows: AvatarRows, row: number): void {
  const mask = bits.take(9);
  if (mask & 1) rows.ack[row] = bits.take(8);
  if (mask & 2) readPosition(bits, rows.head, 3 * row, HEAD_WIDTHS, HEAD_ZERO);
  if (mask & 4) rows.headRot[row] = readRotation(bits, rows.headRot[row]!);
  if (mask & 8) rows.yaw[row] = bits.take(10);
  if (mask & 16) {
    rows.flags[row] = bits.take(8);
    rows.grips[row] = bits.take(8);
  }
  if (mask & 32) readPosition(bits, rows.hand, 6 * row, HAND_WIDTHS, HAND_ZERO);
  if (mask & 64) rows.handRot[2 * row] = readRotation(bits, rows.handRot[2 * row]!);
  if (mask & 128) readPosition(bits, rows.hand, 6 * row + 3, HAND_WIDTHS, HAND_ZERO);
  if (mask & 256) rows.handRot[2 * row + 1] = readRotation(bits, rows.handRot[2 * row + 1]!);
}

type Three = readonly [number, number, number];

function readAbsolute(bits: BitReader, out: Int32Array | number[], at: number, widths: Three, zero: Three): void {
  for (let k = 0; k < 3; k++) out[at + k] = bits.take(widths[k]!) - zero[k]!;
}

function readPosition(bits: BitReader, out: Int32Array, at: number, widths: Three, zero: Three): void {
  const size = bits.take(2);
  if (size === 3) return readAbsolute(bits, out, at, widths, zero);
  const width = POSITION_CLASSES[size]!;
  for (let k = 0; k < 3; k++) out[at + k] = out[at + k]! + bits.takeSigned(width);
}

function readRotation(bits: BitReader, old: number): number {
  const size = bits.take(2);
  if (size === 3) return validRotation(bits.take32());
  const width = ROTATION_CLASSES[size]!;
  return validRotation(shiftRotation(old, bits.takeSigned(width), bits.takeSigned(width), bits.takeSigned(width)));
}

function validRotation(packed: number): number {
  if (((packed >>> 2) & 1023) === 1023 || ((packed >>> 12) & 1023) === 1023 || packed >>> 22 === 1023) throw new SnapshotError("a rotation field is 1023");
  return packed;
}

function readThings(bits: BitReader, things: Map<number, ThingRow>, count: number): void {
  for (let i = 0; i < count; i++) {
    const slot = bits.take(10);
    if (bits.take(1) === 1) {
      things.set(slot, { slot, owner: bits.take(12), hand: bits.take(1), position: [0, 0, 0], rotation: 0 });
      continue;
    }
    const position: [number, number, number] = [0, 0, 0];
    readAbsolute(bits, position, 0, HEAD_WIDTHS, HEAD_ZERO);
    things.set(slot, { slot, owner: -1, hand: 0, position, rotation: validRotation(bits.take32()) });
  }
}
