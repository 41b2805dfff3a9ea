/** What is seen of people and things: rows of typed arrays. Owns their shapes and copying; never reads bytes. */

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

/** People far off in a hall, slots ascending: heads only, within 8 mm, each as of its own tick (at most 10 back). */
export interface FarRows {
  count: number;
  slot: Uint16Array; // (n)
  head: Int32Array; // (3n) mm
  yaw: Uint16Array; // (n) 1/1024 turn
  flags: Uint8Array; // (n)
  tick: Uint32Array; // (n) of the frame it came with
}

/** Empty rows with room for `n` avatars, all in one buffer. */
export function makeRows(n: number): AvatarRows {
  const b = new ArrayBuffer(55 * n);
  return {
    count: 0,
    slot: new Uint16Array(b, 48 * n, n),
    ack: new Uint8Array(b, 52 * n, n),
    head: new Int32Array(b, 0, 3 * n),
    headRot: new Uint32Array(b, 12 * n, n),
    yaw: new Uint16Array(b, 50 * n, n),
    flags: new Uint8Array(b, 53 * n, n),
    grips: new Uint8Array(b, 54 * n, n),
    hand: new Int32Array(b, 16 * n, 6 * n),
    handRot: new Uint32Array(b, 40 * n, 2 * n),
  };
}

/** Empty far rows with room for `n` people. */
export function makeFar(n: number): FarRows {
  return { count: 0, slot: new Uint16Array(n), head: new Int32Array(3 * n), yaw: new Uint16Array(n), flags: new Uint8Array(n), tick: new Uint32Array(n) };
}

/** Appends row `i` of `from`; the row it became. */
export function copyRow(from: AvatarRows, i: number, to: AvatarRows): number {
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

/** Appends far row `i` of `from`. */
export function copyFar(from: FarRows, i: number, to: FarRows): void {
  const row = to.count++;
  to.slot[row] = from.slot[i]!;
  to.yaw[row] = from.yaw[i]!;
  to.flags[row] = from.flags[i]!;
  to.tick[row] = from.tick[i]!;
  for (let k = 0; k < 3; k++) to.head[3 * row + k] = from.head[3 * i + k]!;
}
