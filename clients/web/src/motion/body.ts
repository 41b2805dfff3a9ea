/** One's own body as others are to see it: head and hands for what one does, without trackers. Pure. Lengths in mm. */

import type { Sample } from "./interpolate";
import { POINTING, RAISED, SPEAKING, type Pose, yawToWire } from "../net/pose";
import { lookRotation, packRotation, type Quaternion } from "../net/rotation";

export const EYES_MM = 1_650;
const AIM_MM = 6_000; // so far ahead the ray of a pointing hand meets the look

/** What one does. */
export interface Doing {
  yaw: number; // radians
  pitch: number;
  eyes: number;
  wish: readonly [number, number];
  raised: boolean;
  pointing: boolean;
  speaking: boolean;
  holds: readonly [boolean, boolean]; // left, right
  seconds: number;
}

type Triple = [number, number, number];

/** Own axes (right, up, back) to the world's. */
function turned([right, up, back]: Triple, yaw: number): Triple {
  const [s, c] = [Math.sin(yaw), Math.cos(yaw)];
  return [right * c + back * s, up, -right * s + back * c];
}

function handAt(side: -1 | 1, doing: Doing): Triple {
  const { pitch, yaw } = doing;
  const walking = Math.hypot(...doing.wish) > 100;
  const swing = walking ? side * 90 * Math.sin(doing.seconds * 7) : 0;
  if (side > 0 && doing.pointing) return turned([190, -180 + 420 * Math.sin(pitch), -430 * Math.cos(pitch)], yaw);
  if (side > 0 && doing.raised) return turned([250, 260, -60], yaw);
  if (doing.holds[side < 0 ? 0 : 1]) return turned([side * 190, -400, -330], yaw);
  return turned([side * 255, -780, -60 + swing], yaw);
}

/** The way a pointing hand points: to what the eyes look at. */
function aim(doing: Doing): Quaternion {
  const { yaw, pitch } = doing;
  const from = handAt(1, doing);
  const to = turned([0, AIM_MM * Math.sin(pitch), -AIM_MM * Math.cos(pitch)], yaw);
  const [dx, dy, dz] = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
  return lookRotation(Math.atan2(-dx, -dz), Math.atan2(dy, Math.hypot(dx, dz)));
}

/** The pose to send. */
export function poseOf(doing: Doing, seq: number): Pose {
  const look = lookRotation(doing.yaw, doing.pitch);
  const level = packRotation(lookRotation(doing.yaw, 0));
  const hanging = packRotation(lookRotation(doing.yaw, -1.2));
  const rotation = (side: 0 | 1): number => {
    if (side === 1 && doing.pointing) return packRotation(aim(doing));
    return doing.holds[side] ? level : hanging;
  };
  return {
    seq,
    wish: doing.wish,
    yaw: yawToWire(doing.yaw),
    headY: doing.eyes,
    headRot: packRotation(look),
    left: handAt(-1, doing),
    leftRot: rotation(0),
    right: handAt(1, doing),
    rightRot: rotation(1),
    grips: (doing.holds[0] ? 0x0f : 0) | (doing.holds[1] ? 0xf0 : 0),
    flags: (doing.speaking ? SPEAKING : 0) | (doing.raised ? RAISED : 0) | (doing.pointing ? POINTING : 0),
  };
}

/** One's own avatar as drawn: the server's sample, at the predicted place, with the newest look and hands. */
export function ownSample(sample: Sample, place: readonly [number, number], doing: Doing): Sample {
  const look = lookRotation(doing.yaw, doing.pitch);
  return { ...sample, head: [place[0], sample.head[1], place[1]], headRot: look, yaw: doing.yaw, left: handAt(-1, doing), right: handAt(1, doing), rightRot: doing.pointing ? aim(doing) : lookRotation(doing.yaw, 0) };
}
