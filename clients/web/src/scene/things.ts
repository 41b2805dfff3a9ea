/** Things that can be carried: a small solid per kind, drawn where they rest or in the hand that holds them. */

import { type BufferGeometry, Group, type Material, Mesh, type Sprite } from "three";
import type { Sample } from "../motion/interpolate";
import type { ThingInfo } from "../net/protocol";
import { unpackRotation } from "../net/rotation";
import type { ThingRow } from "../net/snapshot";
import { disposeLabel, makeSprite } from "./labels";
import { Mesher } from "./mesher";
import { lit, type Quality } from "./surfaces";

type Make = (m: Mesher) => Mesher;

const KINDS: Readonly<Record<string, Make>> = {
  clipboard: (m) => m.soft(0x8a5f3c, [0, 0.006, 0], [0.23, 0.012, 0.32], 0.006).soft(0xffffff, [0, 0.014, 0.01], [0.2, 0.004, 0.27], 0.002).box(0xaab4b8, [0, 0.02, -0.14], [0.09, 0.02, 0.03]),
  stethoscope: (m) => m.tube(0x22333a, [0, 0.015, 0], 0.1, 0.1, 0.018, [0, 0, 0], 24).tube(0xf2f4f4, [0, 0.017, 0], 0.082, 0.082, 0.02, [0, 0, 0], 24).tube(0xc8d2d6, [0.12, 0.02, 0.05], 0.03, 0.03, 0.025),
  cup: (m) => m.tube(0x2f9e8f, [0, 0.05, 0], 0.034, 0.042, 0.1).tube(0x5a3a22, [0, 0.098, 0], 0.038, 0.038, 0.006).box(0x2f9e8f, [0.055, 0.05, 0], [0.03, 0.05, 0.012]),
  ball: (m) => m.ball(0xe2703a, [0, 0.1, 0], [0.1, 0.1, 0.1]).tube(0xf6efe2, [0, 0.1, 0], 0.101, 0.101, 0.02, [0, 0, 0], 24),
  syringe: (m) => m.tube(0xdcebf0, [0, 0.014, 0], 0.013, 0.013, 0.12, [Math.PI / 2, 0, 0]).tube(0x4a90c2, [0, 0.014, 0.07], 0.017, 0.017, 0.012, [Math.PI / 2, 0, 0]).tube(0x9fb0b6, [0, 0.014, -0.09], 0.002, 0.002, 0.06, [Math.PI / 2, 0, 0]),
  tablet: (m) => m.soft(0x222c31, [0, 0.008, 0], [0.2, 0.016, 0.27], 0.008).box(0x8fd0d8, [0, 0.0165, 0], [0.18, 0.002, 0.24]),
  pen: (m) => m.tube(0x2d5aa8, [0, 0.008, 0], 0.007, 0.007, 0.13, [Math.PI / 2, 0, 0]).tube(0xd8dee0, [0, 0.008, -0.07], 0.001, 0.006, 0.02, [-Math.PI / 2, 0, 0]),
  model: (m) => m.ball(0xc0434b, [0, 0.09, 0], [0.06, 0.08, 0.055]).tube(0xd9767a, [0.02, 0.18, 0], 0.02, 0.016, 0.07).tube(0x5d78b5, [-0.025, 0.165, 0.01], 0.016, 0.014, 0.06, [0, 0, 0.4]).tube(0x6f6257, [0, 0.008, 0], 0.06, 0.05, 0.016),
  box: (m) => m.soft(0xcda06a, [0, 0.1, 0], [0.3, 0.2, 0.22], 0.012).box(0xe8d7b8, [0, 0.201, 0], [0.05, 0.003, 0.22]),
};

/** All things of a room, by slot. */
export class Things {
  readonly group = new Group();
  private readonly meshes = new Map<number, Mesh>();
  private readonly shapes = new Map<string, BufferGeometry>();
  private readonly material: Material;
  private label: Sprite | null = null;
  private labelled = -1;

  constructor(private readonly quality: Quality) {
    this.material = lit(quality, { vertexColors: true, roughness: 0.6 });
  }

  /** What there is now, by slot. */
  infos(things: ReadonlyMap<number, ThingInfo>): void {
    for (const [slot, mesh] of this.meshes) {
      if (things.has(slot)) continue;
      mesh.removeFromParent();
      this.meshes.delete(slot);
    }
    for (const [slot, info] of things) if (!this.meshes.has(slot)) this.add(slot, info);
  }

  /** Puts everything in its place. `samples` are the people as drawn, one's own among them. */
  draw(rows: ReadonlyMap<number, ThingRow>, samples: ReadonlyMap<number, Sample>): void {
    for (const [slot, mesh] of this.meshes) {
      const row = rows.get(slot);
      mesh.visible = row !== undefined && (row.owner < 0 || samples.has(row.owner));
      if (row === undefined) continue;
      if (row.owner < 0) {
        mesh.position.set(row.position[0] / 1000, row.position[1] / 1000, row.position[2] / 1000);
        mesh.quaternion.set(...unpackRotation(row.rotation));
      } else if (mesh.visible) inHand(mesh, samples.get(row.owner)!, row.hand);
    }
  }

  /** Shows the name of one thing over it, -1 for none. */
  highlight(slot: number, name: string): void {
    if (slot !== this.labelled) {
      if (this.label !== null) disposeLabel(this.label);
      this.label = slot < 0 ? null : makeSprite({ title: name, color: "#2fd6a8" }, 0.11);
      if (this.label !== null) this.group.add(this.label);
      this.labelled = slot;
    }
    const mesh = this.meshes.get(slot);
    if (mesh !== undefined) this.label?.position.copy(mesh.position).setY(mesh.position.y + 0.3);
  }

  /** Frees everything. */
  dispose(): void {
    this.highlight(-1, "");
    this.group.removeFromParent();
    this.shapes.forEach((shape) => shape.dispose());
    this.material.dispose();
  }

  private add(slot: number, info: ThingInfo): void {
    const shape = this.shapes.get(info.kind) ?? (KINDS[info.kind] ?? KINDS["box"]!)(new Mesher().at(0, 0)).build()!;
    this.shapes.set(info.kind, shape);
    const mesh = new Mesh(shape, this.material);
    mesh.castShadow = this.quality === "high";
    mesh.visible = false;
    this.meshes.set(slot, mesh);
    this.group.add(mesh);
  }
}

function inHand(mesh: Mesh, sample: Sample, hand: number): void {
  const offset = hand === 0 ? sample.left : sample.right;
  mesh.position.set((sample.head[0] + offset[0]) / 1000, (sample.head[1] + offset[1]) / 1000, (sample.head[2] + offset[2]) / 1000);
  mesh.quaternion.set(...(hand === 0 ? sample.leftRot : sample.rightRot));
}
