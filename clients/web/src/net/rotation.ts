/** Unit quaternions (x, y, z, w) on the wire's grid: smallest-three in a u32. Pure. */

export type Quaternion = [number, number, number, number];

const SCALE = Math.SQRT2 * 511;

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

/** A packed rotation with its three fields moved by differences, same largest index. */
export function shiftRotation(packed: number, d0: number, d1: number, d2: number): number {
  const f0 = (((packed >>> 2) & 1023) + d0) & 1023;
  const f1 = (((packed >>> 12) & 1023) + d1) & 1023;
  const f2 = (((packed >>> 22) & 1023) + d2) & 1023;
  return ((packed & 3) | (f0 << 2) | (f1 << 12) | (f2 << 22)) >>> 0;
}

/** Yaw (radians, counter-clockwise from above, 0 faces -z) and pitch (radians, up) as a quaternion. */
export function lookRotation(yaw: number, pitch: number): Quaternion {
  const [sy, cy] = [Math.sin(yaw / 2), Math.cos(yaw / 2)];
  const [sp, cp] = [Math.sin(pitch / 2), Math.cos(pitch / 2)];
  return [cy * sp, sy * cp, -sy * sp, cy * cp];
}
