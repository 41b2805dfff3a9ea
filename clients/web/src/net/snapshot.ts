/** Snapshot frames to rows of typed arrays. Keeps the newest keyframes as baselines; never interprets what it reads. */

import { BitReader, SnapshotError } from "./bits";
import { shiftRotation } from "./rotation";

export const KEYFRAME = 1;
export const DELTA = 2;
const HEADER_BYTES = 12;
const HEAD_WIDTHS = [16, 12, 16] as const;
const HEAD_ZERO = [32768, 0, 32768] as const;
const HAND_WIDTHS = [11, 11, 11] as const;
const HAND_ZERO = [1024, 1024, 1024] as const;
const POSITION_CLASSES = [5, 8, 11] as const;
const ROTATION_CLASSES = [4, 6, 8] as const;
const BASELINES_MAX = 4;

/** Row i of every array is the avatar in slot `slot[i]`. Lengths in mm, hands relative to the head, yaw in 1/1024 turn. */
export interface AvatarRows {
  count: number;
  slot: Uint16Array; // (n)
  ack: Uint8Array; // (n)
  head: Int32Array; // (3n)
  headRot: Uint32Array; // (n) packed
  yaw: Uint16Array; // (n)
  flags: Uint8Array; // (n)
  grips: Uint8Array; // (n)
  hand: Int32Array; // (6n) left xyz, right xyz
  handRot: Uint32Array; // (2n) packed
}

/** Where a thing is: in a hand of `owner`, or loose at a place. */
export interface ThingRow {
  slot: number;
  owner: number; // avatar slot, -1 when loose
  hand: number;
  position: [number, number, number]; // mm, when loose
  rotation: number; // packed, when loose
}

/** One tick of one room. */
export interface View {
  room: number;
  tick: number;
  keyframe: boolean;
  avatars: AvatarRows;
  things: ReadonlyMap<number, ThingRow>;
}

/** Empty rows with room for `n` avatars. */
export function makeRows(n: number): AvatarRows {
  return {
    count: 0,
    slot: new Uint16Array(n),
    ack: new Uint8Array(n),
    head: new Int32Array(3 * n),
    headRot: new Uint32Array(n),
    yaw: new Uint16Array(n),
    flags: new Uint8Array(n),
    grips: new Uint8Array(n),
    hand: new Int32Array(6 * n),
    handRot: new Uint32Array(2 * n),
  };
}

/** Decodes frames of one session in order; a delta whose baseline is not here gives null. */
export class SnapshotDecoder {
  private baselines: View[] = [];

  /** The view of a frame, or null for a delta without its baseline. Throws SnapshotError on anything malformed. */
  decode(frame: Uint8Array): View | null {
    if (frame.length < HEADER_BYTES) throw new SnapshotError(`a snapshot has at least ${HEADER_BYTES} bytes, got ${frame.length}`);
    const head = new DataView(frame.buffer, frame.byteOffset, HEADER_BYTES);
    const kind = head.getUint8(0);
    if (kind !== KEYFRAME && kind !== DELTA) throw new SnapshotError(`kind ${kind} is not a snapshot`);
    const [room, tick, age] = [head.getUint8(1), head.getUint32(2, true), head.getUint8(6)];
    const [records, newcomers, things] = [head.getUint16(7, true), head.getUint16(9, true), head.getUint8(11)];
    const bits = new BitReader(frame, HEADER_BYTES);
    if (kind === KEYFRAME) {
      if (age !== 0 || newcomers !== 0) throw new SnapshotError("a keyframe has age 0 and no newcomers");
      return this.keep(readKeyframe(bits, room, tick, records, things));
    }
    if (age === 0) throw new SnapshotError("a delta has an age of at least 1");
    const base = this.baselines.find((view) => view.room === room && view.tick === tick - age);
    if (base === undefined) return null;
    if (records !== base.avatars.count) throw new SnapshotError(`the baseline has ${base.avatars.count} avatars, the delta says ${records}`);
    return readDelta(bits, base, tick, newcomers, things);
  }

  /** Forgets everything, as after a room change or a reconnect. */
  reset(): void {
    this.baselines = [];
  }

  private keep(view: View): View {
    this.baselines = [view, ...this.baselines.filter((old) => old.tick !== view.tick)].slice(0, BASELINES_MAX);
    return view;
  }
}

function readKeyframe(bits: BitReader, room: number, tick: number, records: number, thingCount: number): View {
  const avatars = makeRows(records);
  for (let i = 0; i < records; i++) readFull(bits, avatars);
  checkSlots(avatars, 0, avatars);
  const things = new Map<number, ThingRow>();
  readThings(bits, things, thingCount);
  bits.finish();
  return { room, tick, keyframe: true, avatars, things };
}

function readDelta(bits: BitReader, base: View, tick: number, newcomers: number, thingCount: number): View {
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
  return { room: base.room, tick, keyframe: false, avatars, things };
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

function copyRow(from: AvatarRows, i: number, to: AvatarRows): number {
  const row = to.count++;
  to.slot[row] = from.slot[i]!;
  to.ack[row] = from.ack[i]!;
  to.headRot[row] = from.headRot[i]!;
  to.yaw[row] = from.yaw[i]!;
  to.flags[row] = from.flags[i]!;
  to.grips[row] = from.grips[i]!;
  for (let k = 0; k < 3; k++) to.head[3 * row + k] = from.head[3 * i + k]!;
  for (let k = 0; k < 6; k++) to.hand[6 * row + k] = from.hand[6 * i + k]!;
  for (let k = 0; k < 2; k++) to.handRot[2 * row + k] = from.handRot[2 * i + k]!;
  return row;
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
