/** Unit quaternions (x, y, z, w) on the wire's grid: smallest-three in a u32. Pure. */

export type Quaternion = [number, number, number, number];

const SCALE = Math.SQRT2 * 511;
const ZERO = 511; // the field of 0
const SQUARES = 2 * 511 * 511; // the sum of the squares of all four components, in steps of a field
export const FIELD_MAX = 1022;

/** Packs a unit quaternion: index of the largest component, then the other three in 10 bits each. */
export function packRotation(q: readonly [number, number, number, number]): number {
  let largest = 0;
  for (let i = 1; i < 4; i++) if (Math.abs(q[i]!) > Math.abs(q[largest]!)) largest = i;
  const sign = q[largest]! < 0 ? -1 : 1;
  let packed = largest;
  let shift = 2;
  for (let i = 0; i < 4; i++) {
    if (i === largest) continue;
    const field = Math.min(1022, Math.max(0, Math.round(sign * q[i]! * SCALE) + 511));
    packed |= field << shift;
    shift += 10;
  }
  return packed >>> 0;
}

/** The quaternion of a packed u32, into `out`. */
export function unpackRotation(packed: number, out: Quaternion = [0, 0, 0, 1]): Quaternion {
  const largest = packed & 3;
  let shift = 2;
  let rest = 1;
  for (let i = 0; i < 4; i++) {
    if (i === largest) continue;
    const c = (((packed >>> shift) & 1023) - 511) / SCALE;
    out[i] = c;
    rest -= c * c;
    shift += 10;
  }
  out[largest] = Math.sqrt(Math.max(0, rest));
  return out;
}

/** Writes the three fields a packed rotation would have if component `largest` were the one to be dropped. */
export function expectedFields(packed: number, largest: number, out: Int32Array): void {
  const old = packed & 3;
  let total = 0;
  for (let k = 0; k < 3; k++) {
    const field = (packed >>> (2 + 10 * k)) & 1023;
    out[k] = field;
    total += (field - ZERO) * (field - ZERO);
  }
  if (old === largest) return;
  const dropped = Math.floor(Math.sqrt(Math.max(SQUARES - total, 0)));
  const moved = largest < old ? largest : largest - 1; // where the one to be dropped stands among the three
  const sign = out[moved]! < ZERO ? -1 : 1;
  for (let k = moved; k < 2; k++) out[k] = out[k + 1]!;
  const place = old < largest ? old : old - 1; // where the one dropped so far will stand
  for (let k = 2; k > place; k--) out[k] = out[k - 1]!;
  out[place] = ZERO + dropped;
  for (let k = 0; k < 3; k++) out[k] = Math.min(Math.max(ZERO + sign * (out[k]! - ZERO), 0), FIELD_MAX);
}

/** Yaw (radians, counter-clockwise from above, 0 faces -z) and pitch (radians, up) as a quaternion. */
export function lookRotation(yaw: number, pitch: number): Quaternion {
  const [sy, cy] = [Math.sin(yaw / 2), Math.cos(yaw / 2)];
  const [sp, cp] = [Math.sin(pitch / 2), Math.cos(pitch / 2)];
  return [cy * sp, sy * cp, -sy * sp, cy * cp];
}
