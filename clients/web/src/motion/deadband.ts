/**
 * Which poses are worth a message: what differs from the last one sent by more than a hair, and a sign of life.
 * Pure: milliseconds come in as arguments. Never changes a pose; what is left out is never more than a hair off.
 */

import type { Pose } from "../net/pose";
import { unpackRotation } from "../net/rotation";

export const HEAD_MM = 4;
export const HAND_MM = 6;
export const TURN_RAD = 0.012; // 0.7 degrees, three steps of the wire's grid
export const YAW_TURN = 2; // of 1024
export const WISH_MM_S = 20;
export const KEEP_MS = 450; // a still person speaks up so often: under the 0.5 s after which a wish is void
export const WALKING_MS = 150; // and one who walks so often

type Triple = readonly [number, number, number];

/** See the module's head. `spacingMs` is the shortest time between two poses (1000 / `Welcome.input_hz`). */
export class DeadBand {
  private last: Pose | null = null;
  private lastMs = Number.NEGATIVE_INFINITY;
  private dueMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly spacingMs: number) {}

  /** Whether the input rate allows a pose at `nowMs`. */
  ready(nowMs: number): boolean {
    return nowMs >= this.dueMs;
  }

  /** Whether this pose should be sent at `nowMs`. */
  wants(pose: Pose, nowMs: number): boolean {
    if (!this.ready(nowMs)) return false;
    if (this.last === null) return true;
    const walking = pose.wish[0] !== 0 || pose.wish[1] !== 0;
    return nowMs - this.lastMs >= (walking ? WALKING_MS : KEEP_MS) || differs(this.last, pose);
  }

  /** This pose went out at `nowMs`. */
  sent(pose: Pose, nowMs: number): void {
    this.last = pose;
    this.lastMs = nowMs;
    // Evenly while poses flow; after a pause the spacing counts from now, so that two never go out at once.
    this.dueMs = Math.max(this.dueMs, nowMs - this.spacingMs / 2) + this.spacingMs;
  }

  /** Whether the last pose sent was of one who stands: nothing walks on when no other follows. */
  get stands(): boolean {
    return this.last !== null && this.last.wish[0] === 0 && this.last.wish[1] === 0;
  }

  /** The server knows nothing any more, as in another room: the next pose is sent. */
  reset(): void {
    this.last = null;
  }
}

/** Whether two poses differ by more than the dead-band. */
export function differs(a: Pose, b: Pose): boolean {
  return (
    a.flags !== b.flags ||
    a.grips !== b.grips ||
    wishDiffers(a.wish, b.wish) ||
    Math.abs(((b.yaw - a.yaw + 1536) & 1023) - 512) > YAW_TURN ||
    Math.abs(a.headY - b.headY) > HEAD_MM ||
    apart(a.left, b.left) > HAND_MM ||
    apart(a.right, b.right) > HAND_MM ||
    angleBetween(a.headRot, b.headRot) > TURN_RAD ||
    angleBetween(a.leftRot, b.leftRot) > TURN_RAD ||
    angleBetween(a.rightRot, b.rightRot) > TURN_RAD
  );
}

/** A stop or a start is never left out. */
function wishDiffers(a: readonly [number, number], b: readonly [number, number]): boolean {
  const [stoodStill, standsStill] = [a[0] === 0 && a[1] === 0, b[0] === 0 && b[1] === 0];
  return stoodStill !== standsStill || Math.hypot(b[0] - a[0], b[1] - a[1]) > WISH_MM_S;
}

function apart(a: Triple, b: Triple): number {
  return Math.hypot(b[0] - a[0], b[1] - a[1], b[2] - a[2]);
}

/** The angle between two packed rotations, radians. */
export function angleBetween(a: number, b: number): number {
  if (a === b) return 0;
  const [p, q] = [unpackRotation(a), unpackRotation(b)];
  const dot = Math.abs(p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3]);
  return 2 * Math.acos(Math.min(1, dot));
}
