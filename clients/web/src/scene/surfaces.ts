/** Materials and drawn textures: floors, walls, windows by the kind of room. Everything is made here, nothing is loaded. */

import { CanvasTexture, type Material, MeshBasicMaterial, MeshLambertMaterial, MeshStandardMaterial, RepeatWrapping, SRGBColorSpace, type Texture } from "three";
import type { RoomKind } from "./layout";

/** How much a picture may cost. */
export type Quality = "low" | "high";

/** The colours of a kind of room. */
export interface Palette {
  wall: number;
  dado: number;
  trim: number;
  floor: "wood" | "tile" | "lino";
  floorA: string;
  floorB: string;
  ceiling: number;
  accent: number;
  windows: boolean;
}

/** Colours by kind of room. */
export const PALETTES: Readonly<Record<RoomKind, Palette>> = {
  lobby: { wall: 0xf1ece2, dado: 0x3f7f78, trim: 0x8a6a48, floor: "wood", floorA: "#b98f62", floorB: "#a97f53", ceiling: 0xe9e4d8, accent: 0x2f9e8f, windows: true },
  consult: { wall: 0xeef0ea, dado: 0x6f8f7a, trim: 0xa78a66, floor: "wood", floorA: "#c49d72", floorB: "#b58e63", ceiling: 0xe8e6dc, accent: 0x5c9c74, windows: true },
  ward: { wall: 0xe9f0f1, dado: 0x8fb6bd, trim: 0xd9e3e4, floor: "lino", floorA: "#a9bdbb", floorB: "#9fb4b3", ceiling: 0xe2eaea, accent: 0x3c8fa3, windows: true },
  theatre: { wall: 0xdfe9e6, dado: 0x5fa39a, trim: 0xc7d6d3, floor: "tile", floorA: "#9fb2b0", floorB: "#93a7a6", ceiling: 0xdfe8e6, accent: 0x2a8f84, windows: false },
  rehab: { wall: 0xf4efe4, dado: 0xd8925a, trim: 0xb98a5c, floor: "wood", floorA: "#cfa878", floorB: "#c39b6a", ceiling: 0xebe5d8, accent: 0xd07a3c, windows: true },
  lecture: { wall: 0xe6e4ea, dado: 0x56608c, trim: 0x6d5a48, floor: "lino", floorA: "#6f7590", floorB: "#686e88", ceiling: 0xdcdae4, accent: 0x5764a8, windows: false },
};

/** A lit surface; cheaper shading when quality is low. */
export function lit(quality: Quality, options: { color?: number; map?: Texture; vertexColors?: boolean; roughness?: number }): Material {
  const { roughness = 0.85, ...rest } = options;
  return quality === "low" ? new MeshLambertMaterial(rest) : new MeshStandardMaterial({ ...rest, roughness, metalness: 0 });
}

/** A surface that shines by itself, like a lamp or a screen. */
export function glowing(options: { color?: number; map?: Texture; vertexColors?: boolean }): Material {
  return new MeshBasicMaterial({ ...options, toneMapped: false });
}

/** A canvas as a texture; `draw` paints it once. */
export function canvasTexture(width: number, height: number, draw: (context: CanvasRenderingContext2D) => void): CanvasTexture {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  draw(canvas.getContext("2d")!);
  const texture = new CanvasTexture(canvas);
  texture.colorSpace = SRGBColorSpace;
  texture.anisotropy = 4;
  return texture;
}

/** The floor's texture, one tile of `2 x 2` metres repeated over the room. */
export function floorTexture(palette: Palette, sizeX: number, sizeZ: number): CanvasTexture {
  const texture = canvasTexture(256, 256, (c) => FLOORS[palette.floor](c, palette));
  texture.wrapS = texture.wrapT = RepeatWrapping;
  texture.repeat.set(sizeX / 2, sizeZ / 2);
  return texture;
}

const FLOORS: Readonly<Record<Palette["floor"], (c: CanvasRenderingContext2D, p: Palette) => void>> = { wood, tile, lino };

function wood(c: CanvasRenderingContext2D, palette: Palette): void {
  const plank = 256 / 8;
  for (let row = 0; row < 8; row++) {
    for (let part = -1; part < 2; part++) {
      const x = part * 128 + ((row * 57) % 128);
      c.fillStyle = (row * 3 + part * 5) % 2 === 0 ? palette.floorA : palette.floorB;
      c.fillRect(x, row * plank, 128, plank);
      c.fillStyle = `rgba(40,20,0,${0.02 + (((row * 7 + part * 3) % 5) * 0.012)})`;
      c.fillRect(x, row * plank, 128, plank);
      c.fillStyle = "rgba(50,28,10,0.22)";
      c.fillRect(x, row * plank, 1, plank);
    }
    c.fillStyle = "rgba(50,28,10,0.22)";
    c.fillRect(0, row * plank, 256, 1);
  }
}

function tile(c: CanvasRenderingContext2D, palette: Palette): void {
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j < 4; j++) {
      c.fillStyle = (i + j) % 2 === 0 ? palette.floorA : palette.floorB;
      c.fillRect(i * 64, j * 64, 64, 64);
    }
  }
  c.strokeStyle = "rgba(255,255,255,0.25)";
  for (let i = 0; i <= 4; i++) c.strokeRect(i * 64, -1, 0.5, 258);
  for (let j = 0; j <= 4; j++) c.strokeRect(-1, j * 64, 258, 0.5);
}

function lino(c: CanvasRenderingContext2D, palette: Palette): void {
  c.fillStyle = palette.floorA;
  c.fillRect(0, 0, 256, 256);
  let state = 7;
  for (let i = 0; i < 900; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    c.fillStyle = i % 2 === 0 ? palette.floorB : "rgba(255,255,255,0.10)";
    c.fillRect(state % 256, (state >>> 8) % 256, 2 + (state >>> 20) % 3, 1 + (state >>> 24) % 3);
  }
}

/** A window with a soft morning outside. */
export function windowTexture(): CanvasTexture {
  return canvasTexture(256, 192, (c) => {
    const sky = c.createLinearGradient(0, 0, 0, 192);
    sky.addColorStop(0, "#bfe3f5");
    sky.addColorStop(0.62, "#eef6ee");
    sky.addColorStop(1, "#dfead2");
    c.fillStyle = sky;
    c.fillRect(0, 0, 256, 192);
    hills(c, 128, 22, "#b9d3b7");
    hills(c, 146, 14, "#9cc09a");
    c.fillStyle = "rgba(255,255,255,0.75)";
    for (const [x, y, r] of [[60, 40, 18], [82, 44, 24], [104, 42, 15], [180, 62, 14], [196, 60, 18]] as const) {
      c.beginPath();
      c.ellipse(x, y, r * 1.5, r * 0.55, 0, 0, 2 * Math.PI);
      c.fill();
    }
  });
}

/** The picture of an idle screen: the house's mark and the room's title. */
export function screenTexture(title: string, ratio: number): CanvasTexture {
  const [width, height] = [512, Math.max(96, Math.round(512 / ratio))];
  return canvasTexture(width, height, (c) => {
    const ground = c.createLinearGradient(0, 0, width, height);
    ground.addColorStop(0, "#0f3b42");
    ground.addColorStop(1, "#1d7a6c");
    c.fillStyle = ground;
    c.fillRect(0, 0, width, height);
    c.fillStyle = "rgba(255,255,255,0.06)";
    for (const [x, r] of [[0.85, 0.5], [0.95, 0.32], [0.1, 0.4]] as const) {
      c.beginPath();
      c.arc(width * x, height * 0.9, height * r, 0, 2 * Math.PI);
      c.fill();
    }
    c.fillStyle = "#eafaf5";
    c.textAlign = "center";
    c.font = `600 ${Math.min(58, height * 0.26)}px system-ui, "DejaVu Sans", sans-serif`;
    c.fillText(title, width / 2, height * 0.5, width * 0.86);
    c.font = `500 ${Math.min(24, height * 0.12)}px system-ui, "DejaVu Sans", sans-serif`;
    c.fillStyle = "#9fe3cf";
    c.fillText("Asclepion", width / 2, height * 0.5 + Math.min(48, height * 0.22));
  });
}

function hills(c: CanvasRenderingContext2D, level: number, height: number, color: string): void {
  c.fillStyle = color;
  c.beginPath();
  c.moveTo(0, 192);
  for (let x = 0; x <= 256; x += 4) c.lineTo(x, level - height * Math.sin(x / 31 + height) - height * 0.4 * Math.sin(x / 13));
  c.lineTo(256, 192);
  c.fill();
}
