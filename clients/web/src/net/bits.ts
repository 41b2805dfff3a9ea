/** Reads and never writes the LSB-first bit streams of snapshots. Running past the end is a SnapshotError. */

/** The frame is not a snapshot as PROTOCOL.md says. */
export class SnapshotError extends Error {}

/** A cursor over bytes; bit 0 of byte `start` comes first. */
export class BitReader {
  private position: number;
  private readonly end: number;

  constructor(
    private readonly bytes: Uint8Array,
    start: number,
  ) {
    this.position = start * 8;
    this.end = bytes.length * 8;
  }

  /** The next `width` bits (1 to 24) as an unsigned number. */
  take(width: number): number {
    const at = this.position;
    this.position = at + width;
    if (this.position > this.end) throw new SnapshotError(`the frame ends ${this.position - this.end} bits early`);
    const i = at >> 3;
    const b = this.bytes;
    const word = b[i]! | ((b[i + 1] ?? 0) << 8) | ((b[i + 2] ?? 0) << 16) | ((b[i + 3] ?? 0) << 24);
    return (word >>> (at & 7)) & ((1 << width) - 1);
  }

  /** The next `width` bits (1 to 24) without going on; past the end they are zeros. */
  peek(width: number): number {
    const i = this.position >> 3;
    const b = this.bytes;
    const word = (b[i] ?? 0) | ((b[i + 1] ?? 0) << 8) | ((b[i + 2] ?? 0) << 16) | ((b[i + 3] ?? 0) << 24);
    return (word >>> (this.position & 7)) & ((1 << width) - 1);
  }

  /** Goes on by `width` bits. */
  skip(width: number): void {
    this.position += width;
    if (this.position > this.end) throw new SnapshotError(`the frame ends ${this.position - this.end} bits early`);
  }

  /** The next 32 bits. */
  take32(): number {
    const low = this.take(16);
    return (low | (this.take(16) << 16)) >>> 0;
  }

  /** A number in groups of three bits, the lowest first, each followed by a bit: whether more come; at most four. */
  takeCount(): number {
    let count = 0;
    for (let shift = 0; shift < 12; shift += 3) {
      const piece = this.take(4);
      count |= (piece & 7) << shift;
      if (piece < 8) return count;
    }
    throw new SnapshotError("a number has more than four groups");
  }

  /** How many bits are left. */
  get left(): number {
    return this.end - this.position;
  }

  /** What is left must be less than a byte of zero bits. */
  finish(): void {
    const left = this.end - this.position;
    if (left >= 8) throw new SnapshotError(`${left} bits are left over, at most 7 are allowed`);
    if (left > 0 && this.take(left) !== 0) throw new SnapshotError("the padding bits are not zero");
  }
}
