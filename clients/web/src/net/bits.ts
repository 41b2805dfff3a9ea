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

  /** The next 32 bits. */
  take32(): number {
    const low = this.take(16);
    return (low | (this.take(16) << 16)) >>> 0;
  }

  /** The next `width` bits as offset-binary: 0 is -2^(width-1). */
  takeSigned(width: number): number {
    return this.take(width) - (1 << (width - 1));
  }

  /** What is left must be less than a byte of zero bits. */
  finish(): void {
    const left = this.end - this.position;
    if (left >= 8) throw new SnapshotError(`${left} bits are left over, at most 7 are allowed`);
    if (left > 0 && this.take(left) !== 0) throw new SnapshotError("the padding bits are not zero");
  }
}
