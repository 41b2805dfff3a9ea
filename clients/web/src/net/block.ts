/** The body of one near block to rows, whole or as a difference to an earlier keyframe. Keeps nothing. */

import { BitReader, SnapshotError } from "./bits";
import * as code from "./code";
import { expectedFields, FIELD_MAX } from "./rotation";
import { copyRow, makeRows, type AvatarRows, type ThingRow } from "./rows";

const FULL_BITS_MIN = 225;
const THING_BITS_MIN = 12;
const SLOT_MAX = 4095;
const COARSE_MAX = 1021; // of a field of a hand's rotation
const HEAD_ZERO = [32768, 0, 32768] as const;
const HEAD_BITS = [16, 12, 16] as const;
const HEAD_ORDER = [0, 2, 1] as const; // of the axes in a delta record
const HAND_ZERO = 1024;
const YAW_BIT = 1, HEAD_BIT = 2, HEAD_ROT_BIT = 4, LEFT_BIT = 8, LEFT_ROT_BIT = 16, OTHER_BIT = 128;
const LOOSE = 0, HELD = 1, TAKEN = 2;

/** What a block showed in a tick; also the baseline of later deltas. */
export interface BlockRows {
  tick: number;
  avatars: AvatarRows;
  things: ReadonlyMap<number, ThingRow>;
}

/** The rows of a body, or null for a delta whose keyframe is not among `keyframes`. Throws SnapshotError on anything malformed. */
export function decodeBlock(body: Uint8Array, tick: number, keyframes: readonly BlockRows[]): BlockRows | null {
  if (body.length < 2) throw new SnapshotError(`a block has at least 2 bytes, got ${body.length}`);
  const age = body[0]!;
  const base = age === 0 ? EMPTY : keyframes.find((each) => each.tick === (tick - age) >>> 0);
  if (base === undefined) return null;
  const bits = new BitReader(body, 1);
  const [full, changed] = bits.take(1) === 1 ? [bits.takeCount(), bits.takeCount()] : [0, 0];
  if (full * FULL_BITS_MIN > bits.left || changed * THING_BITS_MIN > bits.left) throw new SnapshotError(`${body.length} bytes cannot hold ${full} people and ${changed} things`);
  const kept = readDelta(bits, base.avatars, age);
  const avatars = merged(kept, readFull(bits, full));
  const things = readThings(bits, base.things, changed);
  bits.finish();
  return { tick, avatars, things };
}

const EMPTY: BlockRows = { tick: 0, avatars: makeRows(0), things: new Map() };

function readDelta(bits: BitReader, base: AvatarRows, age: number): AvatarRows {
  if (base.count === 0) return EMPTY.avatars;
  const rows = makeRows(base.count);
  for (let i = 0; i < base.count; i++) {
    const mask = code.readMask(bits);
    if (mask !== code.GONE) readChange(bits, rows, copyRow(base, i, rows), mask, age);
  }
  return rows;
}

function readChange(bits: BitReader, rows: AvatarRows, row: number, mask: number, age: number): void {
  const acked = code.readSymbol(bits, code.ACK + (mask === 0 ? 0 : Math.min(age, code.ACK_AGES - 1)));
  rows.ack[row] = acked === code.ACK_ESCAPE ? bits.take(8) : rows.ack[row]! + acked;
  let largest = mask & YAW_BIT ? code.readSymbol(bits, code.YAW) : 0;
  rows.yaw[row] = (rows.yaw[row]! + code.readDifference(bits, largest)) & 1023;
  if (mask & HEAD_BIT) readHead(bits, rows.head, 3 * row);
  if (mask & HEAD_ROT_BIT) rows.headRot[row] = readRotation(bits, rows.headRot[row]!, code.HEAD_ROT, largest, 0);
  largest = mask & HEAD_ROT_BIT ? largestClass() : 0;
  for (let side = 0; side < 2; side++) {
    largest = mask & (LEFT_BIT << (2 * side)) ? readHand(bits, rows.hand, 6 * row + 3 * side, largest) : 0;
    if (mask & (LEFT_ROT_BIT << (2 * side))) rows.handRot[2 * row + side] = readRotation(bits, rows.handRot[2 * row + side]!, code.HAND_ROT, largest, 1);
  }
  if (mask & OTHER_BIT) {
    rows.flags[row] = bits.take(8);
    rows.grips[row] = bits.take(8);
  }
}

function readHead(bits: BitReader, head: Int32Array, at: number): void {
  let context = code.HEAD;
  for (const axis of HEAD_ORDER) {
    const kind = code.readSymbol(bits, context);
    const width = HEAD_BITS[axis];
    const value = kind === code.ESCAPE ? bits.take(width) : head[at + axis]! + HEAD_ZERO[axis] + code.readDifference(bits, kind);
    if (value < 0 || value >= 1 << width) throw new SnapshotError("a head leaves its range");
    head[at + axis] = value - HEAD_ZERO[axis];
    context = code.nextRow(context, code.HEAD, 1, kind);
  }
}

/** Moves a hand; the largest class of its differences. */
function readHand(bits: BitReader, hand: Int32Array, at: number, after: number): number {
  let [context, largest] = [code.HAND + after, 0];
  for (let axis = 0; axis < 3; axis++) {
    const kind = code.readSymbol(bits, context);
    const value = hand[at + axis]! + 2 * code.readDifference(bits, kind);
    if (value < -HAND_ZERO || value >= HAND_ZERO) throw new SnapshotError("a hand leaves its range");
    hand[at + axis] = value;
    largest = Math.max(largest, kind);
    context = code.nextRow(context, code.HAND, code.CONTEXTS, kind);
  }
  return largest;
}

const fields = new Int32Array(3);
const differences = new Int32Array(3);

/** The largest class among the differences read last. */
const largestClass = (): number => 32 - Math.clz32(Math.max(Math.abs(differences[0]!), Math.abs(differences[1]!), Math.abs(differences[2]!)));

/** The rotation that `old` turned into; `hand` is 1 for one on the coarse grid. */
function readRotation(bits: BitReader, old: number, first: number, after: number, hand: 0 | 1): number {
  let [row, dropped, switched] = [first + after, old & 3, false];
  for (let k = 0; k < 3; k++) {
    let kind = code.readSymbol(bits, row);
    if (kind >= code.SWITCHED) [kind, switched] = [kind - code.SWITCHED, true];
    differences[k] = code.readDifference(bits, kind);
    row = code.nextRow(row, first, code.CONTEXTS, kind);
  }
  if (switched) dropped = bits.take(2);
  expectedFields(old, dropped, fields);
  let packed = dropped;
  for (let k = 0; k < 3; k++) {
    const expected = Math.min(Math.max(fields[k]!, hand), FIELD_MAX - hand) >> hand;
    const field = ((expected + differences[k]!) << hand) | hand;
    if (field < 0 || field > FIELD_MAX - hand) throw new SnapshotError("a rotation leaves its range");
    packed |= field << (2 + 10 * k);
  }
  return packed >>> 0;
}

function readFull(bits: BitReader, count: number): AvatarRows {
  if (count === 0) return EMPTY.avatars;
  const rows = makeRows(count);
  for (let before = -1; rows.count < count; before = rows.slot[rows.count - 1]!) readRow(bits, rows, before);
  return rows;
}

function readRow(bits: BitReader, rows: AvatarRows, before: number): void {
  const row = rows.count++;
  const slot = before + 1 + bits.takeCount();
  if (slot > SLOT_MAX) throw new SnapshotError(`slot ${slot} is beyond the last`);
  rows.slot[row] = slot;
  rows.ack[row] = bits.take(8);
  for (let axis = 0; axis < 3; axis++) rows.head[3 * row + axis] = bits.take(HEAD_BITS[axis]!) - HEAD_ZERO[axis]!;
  rows.headRot[row] = validRotation(bits.take32());
  rows.yaw[row] = bits.take(10);
  rows.flags[row] = bits.take(8);
  rows.grips[row] = bits.take(1) === 1 ? bits.take(8) : 0;
  for (let side = 0; side < 2; side++) {
    for (let axis = 0; axis < 3; axis++) rows.hand[6 * row + 3 * side + axis] = 2 * bits.take(10) - HAND_ZERO;
    rows.handRot[2 * row + side] = coarseRotation(bits);
  }
}

function coarseRotation(bits: BitReader): number {
  let packed = bits.take(2);
  for (let shift = 2; shift < 32; shift += 10) {
    const field = 2 * bits.take(9) + 1;
    if (field > COARSE_MAX) throw new SnapshotError("a rotation field is above its maximum");
    packed |= field << shift;
  }
  return packed >>> 0;
}

function validRotation(packed: number): number {
  if (((packed >>> 2) & 1023) > FIELD_MAX || ((packed >>> 12) & 1023) > FIELD_MAX || packed >>> 22 > FIELD_MAX) throw new SnapshotError("a rotation field is above its maximum");
  return packed;
}

/** Both by slot; no slot is in both. */
function merged(kept: AvatarRows, newcomers: AvatarRows): AvatarRows {
  if (newcomers.count === 0) return kept;
  if (kept.count === 0) return newcomers;
  const rows = makeRows(kept.count + newcomers.count);
  for (let i = 0, j = 0; i < kept.count || j < newcomers.count; ) {
    const [a, b] = [i < kept.count ? kept.slot[i]! : SLOT_MAX + 1, j < newcomers.count ? newcomers.slot[j]! : SLOT_MAX + 1];
    if (a === b) throw new SnapshotError(`slot ${a} is in the baseline and new`);
    if (a < b) copyRow(kept, i++, rows);
    else copyRow(newcomers, j++, rows);
  }
  return rows;
}

function readThings(bits: BitReader, base: ReadonlyMap<number, ThingRow>, count: number): ReadonlyMap<number, ThingRow> {
  if (count === 0) return base;
  const things = new Map(base);
  for (let i = 0, before = -1; i < count; i++) {
    const slot = bits.take(10);
    if (slot <= before) throw new SnapshotError("slots of things have to ascend");
    before = slot;
    readThing(bits, things, slot);
  }
  return things;
}

function readThing(bits: BitReader, things: Map<number, ThingRow>, slot: number): void {
  const kind = bits.take(2);
  if (kind === HELD) things.set(slot, { slot, owner: bits.take(12), hand: bits.take(1), position: [0, 0, 0], rotation: 0 });
  else if (kind === LOOSE) {
    const position: [number, number, number] = [0, 0, 0];
    for (let axis = 0; axis < 3; axis++) position[axis] = bits.take(HEAD_BITS[axis]!) - HEAD_ZERO[axis]!;
    things.set(slot, { slot, owner: -1, hand: 0, position, rotation: validRotation(bits.take32()) });
  } else if (kind !== TAKEN || !things.delete(slot)) throw new SnapshotError(`thing ${slot} is of kind ${kind}, or was not there`);
}
