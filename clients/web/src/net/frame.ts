/** Splits a snapshot frame into its blocks. Never looks into a block's body. */

import { SnapshotError } from "./bits";

export const KIND = 1;
export const HERO_CELL = 4096;
export const FAR = 4097;
const HEADER_BYTES = 9;
const BLOCK_BYTES = 4;

/** One cell in view; an empty body is held back in this tick. */
export interface Block {
  cell: number;
  body: Uint8Array;
}

/** One tick as one viewer sees it; cells ascend. `home` is the viewer's cell. */
export interface Frame {
  room: number;
  tick: number;
  home: number;
  blocks: Block[];
}

/** The frame in these bytes, bodies as views of them. Throws SnapshotError on anything malformed. */
export function readFrame(bytes: Uint8Array): Frame {
  if (bytes.length < HEADER_BYTES) throw new SnapshotError(`a frame has at least ${HEADER_BYTES} bytes, got ${bytes.length}`);
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (data.getUint8(0) !== KIND) throw new SnapshotError(`kind ${data.getUint8(0)} is not a snapshot`);
  const blocks: Block[] = [];
  let at = HEADER_BYTES;
  let before = -1;
  for (let left = data.getUint8(8); left > 0; left--) {
    if (at + BLOCK_BYTES > bytes.length) throw new SnapshotError("the frame ends within the header of a block");
    const [cell, size] = [data.getUint16(at, true), data.getUint16(at + 2, true)];
    at += BLOCK_BYTES;
    if (cell <= before) throw new SnapshotError(`block ${cell} follows block ${before}, cells have to ascend`);
    if (at + size > bytes.length) throw new SnapshotError(`block ${cell} has ${size} bytes, only ${bytes.length - at} are there`);
    blocks.push({ cell, body: bytes.subarray(at, at + size) });
    at += size;
    before = cell;
  }
  if (at !== bytes.length) throw new SnapshotError(`${bytes.length - at} bytes follow the last block`);
  return { room: data.getUint8(1), tick: data.getUint32(2, true), home: data.getUint16(6, true), blocks };
}
