/** Writes the 39-byte pose row (frame 0x10). Clamps to the fields' ranges; the server decides what is possible. Pure. */

export const POSE_KIND = 0x10;
export const POSE_BYTES = 39;
export const SPEAKING = 1;
export const RAISED = 2;
export const SEATED = 4;
export const POINTING = 8;
export const AWAY = 16;
export const MUTED = 32;

/** One sampled wish. Lengths in mm, velocity in mm/s in world axes, yaw in 1/1024 turn, rotations packed. */
export interface Pose {
  seq: number;
  wish: readonly [number, number];
  yaw: number;
  headY: number;
  headRot: number;
  left: readonly [number, number, number];
  leftRot: number;
  right: readonly [number, number, number];
  rightRot: number;
  grips: number;
  flags: number;
}

const i16 = (value: number): number => Math.max(-32768, Math.min(32767, Math.round(value)));

/** Radians to the wire's 1/1024 turn, 0..1023. */
export function yawToWire(radians: number): number {
  return Math.round((radians / (2 * Math.PI)) * 1024) & 1023;
}

/** The wire's 1/1024 turn to radians. */
export function yawFromWire(turns: number): number {
  return (turns / 1024) * 2 * Math.PI;
}

/** The frame of a pose. */
export function encodePose(pose: Pose): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(POSE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, POSE_KIND);
  view.setUint32(1, pose.seq, true);
  view.setInt16(5, i16(pose.wish[0]), true);
  view.setInt16(7, i16(pose.wish[1]), true);
  view.setUint16(9, pose.yaw & 1023, true);
  view.setUint16(11, Math.max(0, Math.min(4095, Math.round(pose.headY))), true);
  view.setUint32(13, pose.headRot, true);
  writeHand(view, 17, pose.left, pose.leftRot);
  writeHand(view, 27, pose.right, pose.rightRot);
  view.setUint8(37, pose.grips);
  view.setUint8(38, pose.flags & (SPEAKING | RAISED | POINTING));
  return bytes;
}

function writeHand(view: DataView, at: number, mm: readonly [number, number, number], rot: number): void {
  for (let i = 0; i < 3; i++) view.setInt16(at + 2 * i, i16(mm[i]!), true);
  view.setUint32(at + 6, rot, true);
}
