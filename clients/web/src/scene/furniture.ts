/** Furniture of room files as solids in a Mesher. One function per kind; sizes from the file, metres, y from the floor. */

import { type Box, type BoxKind, DEVICE_M, type Device } from "./layout";
import type { Mesher } from "./mesher";
import type { Palette } from "./surfaces";

type Size = readonly [number, number, number];
type Make = (lit: Mesher, glow: Mesher, size: Size, palette: Palette) => void;

const WOOD = 0xb48a5e;
const WOOD_DARK = 0x8c6844;
const STEEL = 0xb9c4c8;
const DARK = 0x2b353c;
const WHITE = 0xf2f4f4;

const legs = (m: Mesher, [x, y, z]: Size, color: number, thick = 0.05): void => {
  for (const sx of [-1, 1]) for (const sz of [-1, 1]) m.box(color, [sx * (x / 2 - thick), y / 2, sz * (z / 2 - thick)], [thick, y, thick]);
};

const desk: Make = (m, glow, [x, y, z], palette) => {
  m.soft(WOOD, [0, y - 0.02, 0], [x, 0.045, z], 0.015);
  m.box(palette.dado, [0, y * 0.55, z / 2 - 0.05], [x - 0.12, y * 0.7, 0.025]);
  for (const side of [-1, 1]) m.box(WOOD_DARK, [side * (x / 2 - 0.06), (y - 0.05) / 2, 0], [0.05, y - 0.05, z - 0.1]);
  if (x < 1) return;
  m.soft(DARK, [0, y + 0.25, z * 0.18], [0.52, 0.32, 0.025], 0.01);
  m.box(DARK, [0, y + 0.05, z * 0.2], [0.05, 0.12, 0.03]);
  glow.box(0x9fd6d2, [0, y + 0.25, z * 0.18 - 0.014], [0.48, 0.28, 0.004]);
  m.soft(WHITE, [0, y + 0.012, -z * 0.15], [0.42, 0.02, 0.14], 0.008);
};

const table: Make = (m, _glow, [x, y, z]) => {
  m.soft(WOOD, [0, y - 0.025, 0], [x, 0.05, z], 0.02);
  legs(m, [x - 0.1, y - 0.05, z - 0.1], WOOD_DARK);
};

const chair: Make = (m, _glow, [x, y, z], palette) => {
  const seat = Math.min(0.46, y * 0.55);
  m.soft(palette.dado, [0, seat, 0], [x * 0.92, 0.09, z * 0.92], 0.035);
  m.soft(palette.dado, [0, (seat + y) / 2 + 0.05, z / 2 - 0.06], [x * 0.88, Math.max(0.2, y - seat - 0.06), 0.07], 0.03);
  legs(m, [x * 0.86, seat - 0.04, z * 0.86], STEEL, 0.03);
};

const cabinet: Make = (m, _glow, [x, y, z]) => {
  m.soft(WHITE, [0, y / 2, 0], [x, y, z], 0.015);
  const doors = Math.max(1, Math.round(x / 0.5));
  for (let i = 0; i < doors; i++) {
    const at = -x / 2 + (i + 0.5) * (x / doors);
    for (const side of [-1, 1]) {
      m.box(0xe3e8e8, [at, y / 2, side * (z / 2 + 0.004)], [x / doors - 0.03, y - 0.06, 0.008]);
      m.box(STEEL, [at + x / doors / 2 - 0.06, y / 2, side * (z / 2 + 0.018)], [0.015, 0.16, 0.02]);
    }
  }
};

const screen: Make = (m, glow, [x, y, z]) => {
  m.soft(DARK, [0, y / 2, 0], [x, y, z], 0.015);
  const [face, long] = x >= z ? [z / 2 + 0.003, x] : [x / 2 + 0.003, z];
  for (const side of [-1, 1]) {
    const place: Size = x >= z ? [0, y / 2, side * face] : [side * face, y / 2, 0];
    glow.box(0x7fb7c2, place, x >= z ? [long - 0.08, y - 0.1, 0.004] : [0.004, y - 0.1, long - 0.08]);
  }
};

const plant: Make = (m, _glow, [x, y, z]) => {
  const radius = Math.min(x, z) / 2;
  m.tube(0xd9cbb8, [0, y * 0.16, 0], radius * 0.62, radius * 0.85, y * 0.32);
  m.tube(0x4b3a2a, [0, y * 0.32, 0], radius * 0.8, radius * 0.8, 0.02);
  m.tube(0x6b5236, [0, y * 0.45, 0], 0.02, 0.02, y * 0.35);
  const leaves = [0x4f8f5b, 0x5da06a, 0x437d50];
  for (let i = 0; i < 9; i++) {
    const [angle, up] = [i * 2.4, y * (0.5 + 0.05 * i)];
    const out = radius * 0.55 * (1 - i / 12);
    m.clump(leaves[i % 3]!, [Math.cos(angle) * out, up, Math.sin(angle) * out], radius * (0.55 - 0.025 * i));
  }
};

const counter: Make = (m, glow, [x, y, z], palette) => {
  m.box(WHITE, [0, (y - 0.05) / 2, 0], [x - 0.06, y - 0.05, z - 0.06]);
  m.soft(WOOD, [0, y - 0.025, 0], [x, 0.05, z], 0.02);
  glow.box(palette.accent, [0, 0.1, z / 2 - 0.022], [x - 0.1, 0.02, 0.01]);
  m.box(palette.dado, [0, y * 0.62, z / 2 - 0.025], [x - 0.06, y * 0.34, 0.012]);
  m.box(palette.dado, [0, y * 0.62, -z / 2 + 0.025], [x - 0.06, y * 0.34, 0.012]);
};

const bench: Make = (m, _glow, [x, y, z], palette) => {
  m.soft(palette.dado, [0, y - 0.05, 0], [x, 0.1, z], 0.04);
  legs(m, [x - 0.15, y - 0.1, z - 0.06], WOOD_DARK);
};

const podium: Make = (m, _glow, [x, y, z]) => {
  m.soft(WOOD, [0, y * 0.47, 0], [x * 0.82, y * 0.94, z * 0.7], 0.02);
  m.soft(WOOD_DARK, [0, y - 0.02, 0], [x, 0.04, z], 0.015, [0.25, 0, 0]);
};

const machine: Make = (m, glow, [x, y, z], palette) => {
  m.soft(WHITE, [0, y * 0.5 + 0.04, 0], [x, y - 0.12, z], 0.05);
  m.soft(palette.dado, [0, y * 0.3, 0], [x + 0.01, y * 0.2, z + 0.01], 0.04);
  for (const side of [-1, 1]) {
    m.soft(DARK, [0, y * 0.76, side * (z / 2 + 0.004)], [x * 0.6, y * 0.22, 0.02], 0.01);
    glow.box(0x6fd0c4, [0, y * 0.76, side * (z / 2 + 0.016)], [x * 0.54, y * 0.18, 0.004]);
  }
  for (const sx of [-1, 1]) for (const sz of [-1, 1]) m.ball(DARK, [sx * x * 0.4, 0.05, sz * z * 0.4], [0.05, 0.05, 0.05]);
};

const block: Make = (m, _glow, [x, y, z], palette) => {
  m.soft(palette.trim, [0, y / 2, 0], [x, y, z], 0.03);
};

const KINDS: Readonly<Record<BoxKind, Make>> = { desk, table, chair, cabinet, screen, plant, counter, bench, podium, machine, block };

/** Puts a box of a room file into the room's meshes. */
export function furnish(lit: Mesher, glow: Mesher, box: Box, palette: Palette): void {
  lit.at(box.at[0], box.at[1]);
  glow.at(box.at[0], box.at[1]);
  KINDS[box.kind](lit, glow, box.size_m, palette);
}

/** Puts a device that stands by itself into the room's meshes. */
export function placeDevice(lit: Mesher, glow: Mesher, device: Device, palette: Palette): void {
  lit.at(device.at[0], device.at[1]);
  glow.at(device.at[0], device.at[1]);
  const size = DEVICE_M[device.kind];
  if (device.kind === "screen") return screen(lit, glow, size, palette);
  if (device.kind !== "pump") return machine(lit, glow, size, palette);
  lit.tube(STEEL, [0, 0.8, 0], 0.015, 0.015, 1.6).tube(DARK, [0, 0.03, 0], 0.22, 0.2, 0.05);
  for (const y of [1.0, 1.2]) {
    lit.soft(WHITE, [0, y, 0.03], [0.2, 0.14, 0.12], 0.02);
    glow.box(0x78d8a0, [0, y, 0.093], [0.13, 0.06, 0.004]);
  }
  lit.soft(0xdfeef2, [0.06, 1.62, 0], [0.1, 0.2, 0.03], 0.015);
}
