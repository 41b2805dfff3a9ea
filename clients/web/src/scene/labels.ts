/** Words in the scene: cards drawn on canvas, shown as sprites or on walls. */

import { type CanvasTexture, Mesh, MeshBasicMaterial, PlaneGeometry, Sprite, SpriteMaterial } from "three";
import { canvasTexture } from "./surfaces";

const FONT = 'system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif';

/** What a card looks like. */
export interface Card {
  title: string;
  line?: string;
  color: string; // of the stripe and icon
  icon?: string; // one character
  background?: string;
  ink?: string;
}

const TITLE_PX = 40;
const LINE_PX = 28;
const PAD = 18;

/** Draws a card; gives its texture and width / height. */
export function cardTexture(card: Card): { texture: CanvasTexture; ratio: number } {
  const probe = document.createElement("canvas").getContext("2d")!;
  probe.font = `600 ${TITLE_PX}px ${FONT}`;
  const icon = card.icon === undefined ? 0 : 52;
  const titleWidth = probe.measureText(card.title).width + icon;
  probe.font = `500 ${LINE_PX}px ${FONT}`;
  const width = Math.ceil(Math.max(titleWidth, probe.measureText(card.line ?? "").width + icon) + 2 * PAD);
  const height = card.line === undefined ? 64 : 96;
  const texture = canvasTexture(width, height, (c) => drawCard(c, card, width, height, icon));
  return { texture, ratio: width / height };
}

function drawCard(c: CanvasRenderingContext2D, card: Card, width: number, height: number, icon: number): void {
  c.fillStyle = card.background ?? "rgba(12,28,34,0.82)";
  c.beginPath();
  c.roundRect(0, 0, width, height, 18);
  c.fill();
  c.fillStyle = card.color;
  if (card.icon !== undefined) {
    c.beginPath();
    c.arc(PAD + 19, height / 2, 23, 0, 2 * Math.PI);
    c.fill();
    c.fillStyle = "#ffffff";
    c.font = `700 30px ${FONT}`;
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.fillText(card.icon, PAD + 19, height / 2 + 2);
  }
  c.textAlign = "left";
  c.textBaseline = "alphabetic";
  c.fillStyle = card.ink ?? "#f2fbf9";
  c.font = `600 ${TITLE_PX}px ${FONT}`;
  c.fillText(card.title, PAD + icon, 46);
  if (card.line === undefined) return;
  c.globalAlpha = 0.85;
  c.font = `500 ${LINE_PX}px ${FONT}`;
  c.fillText(card.line, PAD + icon, 82);
}

/** A card that always faces the viewer, `height` metres high. */
export function makeSprite(card: Card, height: number): Sprite {
  const { texture, ratio } = cardTexture(card);
  const sprite = new Sprite(new SpriteMaterial({ map: texture, depthWrite: false, toneMapped: false }));
  sprite.scale.set(height * ratio, height, 1);
  sprite.renderOrder = 2;
  return sprite;
}

/** A card on a wall, seen from both sides of nothing: one face, `height` metres high. */
export function makeSign(card: Card, height: number): Mesh {
  const { texture, ratio } = cardTexture(card);
  return new Mesh(new PlaneGeometry(height * ratio, height), new MeshBasicMaterial({ map: texture, transparent: true, toneMapped: false }));
}

/** Frees a sprite or sign. */
export function disposeLabel(label: Sprite | Mesh): void {
  label.removeFromParent();
  const material = label.material as SpriteMaterial | MeshBasicMaterial;
  material.map?.dispose();
  material.dispose();
  if (label instanceof Mesh) label.geometry.dispose();
}
