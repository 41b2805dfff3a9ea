/** The room as the server describes it (server/world/scene.py, Room): types of the scene map, and what follows from them. */

import { decode } from "@msgpack/msgpack";
import type { Block, Floor } from "../motion/collide";

export type RoomKind = "lobby" | "consult" | "ward" | "theatre" | "rehab" | "lecture";
export type BoxKind = "desk" | "table" | "chair" | "cabinet" | "screen" | "plant" | "counter" | "bench" | "podium" | "machine" | "block";
type Pair = [number, number];

export interface Wall { start: Pair; end: Pair; thickness_m: number }
export interface Box { kind: BoxKind; at: Pair; size_m: [number, number, number]; name: string }
export interface Door { to: string; at: Pair; facing_deg: number; width_m: number }
export interface Seat { at: Pair; facing_deg: number; height_m: number }
export interface Patient { name: string; sex: "female" | "male"; age_y: number; height_cm: number; weight_kg: number; condition: string }
export interface BedPlace { id: string; at: Pair; patient: Patient; facing_deg: number; monitor_at: Pair | null }
export interface Device { kind: "monitor" | "ventilator" | "pump" | "screen" | "defibrillator"; at: Pair; bed: string }

/** A room file, metres. Facing 0 looks along -z, counter-clockwise from above. */
export interface Layout {
  title: string;
  kind: RoomKind;
  size_m: [number, number, number];
  capacity: number;
  wall: Wall[];
  box: Box[];
  door: Door[];
  seat: Seat[];
  bed: BedPlace[];
  device: Device[];
  slug: string;
}

export const BODY_RADIUS_MM = 220;
export const BED_WIDTH_M = 1.0;
export const BED_HEIGHT_M = 0.75;
export const BED_LENGTH_M = 2.1;
/** What devices take of the floor: x, height, z. */
export const DEVICE_M: Readonly<Record<Device["kind"], [number, number, number]>> = {
  monitor: [0.4, 1.4, 0.4],
  ventilator: [0.5, 1.4, 0.5],
  pump: [0.35, 1.6, 0.35],
  screen: [0.3, 2.0, 0.3],
  defibrillator: [0.5, 1.1, 0.5],
};

/** Reads the scene of RoomEntered. */
export function readLayout(scene: Uint8Array): Layout {
  const map = decode(scene) as Partial<Layout> & Pick<Layout, "title" | "kind" | "size_m">;
  return { capacity: 0, wall: [], box: [], door: [], seat: [], bed: [], device: [], slug: "", ...map };
}

const blockOf = (x: number, z: number, sizeX: number, sizeZ: number): Block => [
  Math.round((x - sizeX / 2) * 1000),
  Math.round((z - sizeZ / 2) * 1000),
  Math.round((x + sizeX / 2) * 1000),
  Math.round((z + sizeZ / 2) * 1000),
];

/** Degrees to radians. */
export const radians = (degrees: number): number => (degrees * Math.PI) / 180;

/** The way one looks at an angle: [x, z] of a unit step. */
export const ahead = (yaw: number): Pair => [-Math.sin(yaw), -Math.cos(yaw)];

/** Centre and size of an inner wall on the floor. */
export function wallBox(wall: Wall): { x: number; z: number; sizeX: number; sizeZ: number } {
  const [ax, az] = wall.start;
  const [bx, bz] = wall.end;
  const [sizeX, sizeZ] = [Math.abs(bx - ax) + wall.thickness_m, Math.abs(bz - az) + wall.thickness_m];
  return { x: (ax + bx) / 2, z: (az + bz) / 2, sizeX, sizeZ };
}

/** Where a bed's monitor stands: its own device, as given, or beside the head end. */
export function monitorPlace(bed: BedPlace, layout: Layout): Pair {
  const device = layout.device.find((each) => each.kind === "monitor" && each.bed === bed.id);
  if (device !== undefined) return device.at;
  if (bed.monitor_at !== null) return bed.monitor_at;
  const yaw = radians(bed.facing_deg);
  const [fx, fz] = ahead(yaw);
  const [back, side] = [BED_LENGTH_M / 2 - 0.15, BED_WIDTH_M / 2 + 0.35];
  return [bed.at[0] - fx * back - fz * side, bed.at[1] - fz * back + fx * side];
}

/** A bed's size along x and z. */
export function bedSize(bed: BedPlace): Pair {
  return Math.abs(Math.round(bed.facing_deg / 90)) % 2 === 0 ? [BED_WIDTH_M, BED_LENGTH_M] : [BED_LENGTH_M, BED_WIDTH_M];
}

/** What stands in the way in a room, for prediction and path finding. */
export function floorOf(layout: Layout): Floor {
  const blocks = [
    ...layout.wall.map(wallBox).map((w) => blockOf(w.x, w.z, w.sizeX, w.sizeZ)),
    ...layout.box.map((box) => blockOf(box.at[0], box.at[1], box.size_m[0], box.size_m[2])),
    ...layout.bed.map((bed) => blockOf(bed.at[0], bed.at[1], ...bedSize(bed))),
    ...layout.device.map((device) => blockOf(device.at[0], device.at[1], DEVICE_M[device.kind][0], DEVICE_M[device.kind][2])),
  ];
  return { bounds: blockOf(0, 0, layout.size_m[0], layout.size_m[2]), radius: BODY_RADIUS_MM, blocks };
}
