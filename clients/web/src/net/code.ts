/** Prefix codes of the snapshot: tables made canonical from lengths, and reading of symbols and differences. Keeps nothing. */

import { SnapshotError, type BitReader } from "./bits";
import { MASK_LENGTHS, ROWS_LENGTHS } from "./lengths";

export const ESCAPE = 11; // class of a difference that is written as the whole column instead
export const SWITCHED = 12; // added to the first class of a rotation whose largest component is another
export const GONE = 256; // symbol of the mask code
export const ACK_ESCAPE = 15;
export const CONTEXTS = 12;
const LENGTH_MAX = 8;
const MASK_LENGTH_MAX = 12;

/** Rows of the codes, one for each context: see PROTOCOL.md. */
export const ACK_AGES = 16;
export const ACK = 0;
export const YAW = ACK + ACK_AGES;
export const HEAD = YAW + 1;
export const HEAD_ROT = HEAD + 1 + 2 * CONTEXTS;
export const HAND = HEAD_ROT + 3 * CONTEXTS;
export const HAND_ROT = HAND + 3 * CONTEXTS;

/** `lookup[low bits of the stream]` is symbol << 4 | length, or 0 where there is no code. */
function lookup(lengths: string, longest: number): Uint16Array {
  const table = new Uint16Array(1 << longest);
  const own = [...lengths].map((digit) => parseInt(digit, 36));
  for (let length = 1, code = 0; length <= longest; length++, code <<= 1) {
    own.forEach((each, symbol) => {
      if (each !== length) return;
      let turned = 0;
      for (let bit = 0; bit < length; bit++) turned |= ((code >> bit) & 1) << (length - 1 - bit);
      for (let at = turned; at < table.length; at += 1 << length) table[at] = (symbol << 4) | length;
      code++;
    });
  }
  return table;
}

const TABLES = ROWS_LENGTHS.map((row) => lookup(row, LENGTH_MAX));
const MASKS = lookup(MASK_LENGTHS, MASK_LENGTH_MAX);

function symbolIn(bits: BitReader, table: Uint16Array, longest: number): number {
  const found = table[bits.peek(longest)]!;
  if (found === 0) throw new SnapshotError("there is no such code");
  bits.skip(found & 15);
  return found >> 4;
}

/** The next symbol in the context `row`. */
export function readSymbol(bits: BitReader, row: number): number {
  return symbolIn(bits, TABLES[row]!, LENGTH_MAX);
}

/** The next mask, or GONE. */
export function readMask(bits: BitReader): number {
  return symbolIn(bits, MASKS, MASK_LENGTH_MAX);
}

/** The bits of a difference whose class (0 to ESCAPE - 1) is known. */
export function readDifference(bits: BitReader, kind: number): number {
  if (kind === 0) return 0;
  const rest = bits.take(kind);
  const size = (rest >> 1) + (1 << (kind - 1));
  return (rest & 1) !== 0 ? -size : size;
}

/** The row for the class of the next component, after one of class `kind` was read with `row`. */
export function nextRow(row: number, first: number, contexts: number, kind: number): number {
  if (row < first + contexts) return first + contexts + kind;
  return first + contexts + CONTEXTS + Math.max(kind, row - first - contexts);
}
