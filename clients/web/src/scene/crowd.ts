/**
 * People far off: body and head of everybody without hands, in a handful of draw calls for a thousand of them.
 * Owns how they look from afar; never moves anybody, keeps nothing of one person from frame to frame.
 */

import { type BufferGeometry, CylinderGeometry, Group, LatheGeometry, type Material, MeshBasicMaterial, SphereGeometry, TorusGeometry, Vector2 } from "three";
import { mergeGeometries } from "three/examples/jsm/utils/BufferGeometryUtils.js";
import { RAISED } from "../net/pose";
import { Instances } from "./instances";
import { GREY, type Look, shadesOf, SPEAK, speaks } from "./looks";
import { lit, type Quality } from "./surfaces";

const PEOPLE_MAX = 4096;
const MARKED_MAX = 256; // of those who speak or raise a hand
const BODY_M = 1.4; // from the floor to the neck as made
const NECK_M = 0.2; // from the eyes down

/** See the module's head. */
export class CrowdScene {
  readonly group = new Group();
  private readonly parts: Record<"body" | "head" | "hair" | "arm" | "ring", Instances>;
  private readonly materials: Material[];

  constructor(quality: Quality) {
    const [cloth, skin, bright] = [lit(quality, { roughness: 0.9 }), lit(quality, { roughness: 0.7 }), new MeshBasicMaterial({ toneMapped: false })];
    this.materials = [cloth, skin, bright];
    this.parts = {
      body: new Instances(bodyShape(), cloth, PEOPLE_MAX, GREY),
      head: new Instances(new SphereGeometry(0.125, 8, 6).scale(0.88, 1.12, 0.96), skin, PEOPLE_MAX, GREY),
      hair: new Instances(new SphereGeometry(0.134, 8, 3, 0, 2 * Math.PI, 0, Math.PI * 0.52).rotateX(0.42).scale(0.92, 1.12, 1).translate(0, 0.012, 0.012), cloth, PEOPLE_MAX, GREY),
      arm: new Instances(new CylinderGeometry(0.035, 0.05, 0.62, 6).translate(0.25, 0.02, -0.04), cloth, MARKED_MAX, GREY),
      ring: new Instances(new TorusGeometry(0.38, 0.022, 6, 24).rotateX(Math.PI / 2), bright, MARKED_MAX, SPEAK),
    };
    for (const part of Object.values(this.parts)) this.group.add(part.mesh);
  }

  /** Takes everybody away. */
  begin(): void {
    for (const part of Object.values(this.parts)) part.begin();
  }

  /** Adds somebody, metres and radians. */
  add(look: Look, x: number, y: number, z: number, yaw: number, flags: number, quiet: boolean): void {
    const { coat, skin, hair } = shadesOf(look, flags, quiet);
    const [sine, cosine] = [Math.sin(yaw), Math.cos(yaw)];
    this.parts.body.putUpright(x, 0, z, sine, cosine, Math.max(0.4, y - NECK_M) / BODY_M, coat);
    this.parts.head.putUpright(x, y, z, sine, cosine, 1, skin);
    this.parts.hair.putUpright(x, y, z, sine, cosine, 1, hair);
    if ((flags & RAISED) !== 0) this.parts.arm.putUpright(x, y, z, sine, cosine, 1, coat);
    if (speaks(look, flags)) this.parts.ring.putUpright(x, 0.02, z, 0, 1, 1, SPEAK);
  }

  /** Shows those who were added. */
  end(): void {
    for (const part of Object.values(this.parts)) part.end();
  }

  /** Frees everything. */
  dispose(): void {
    for (const part of Object.values(this.parts)) part.dispose();
    for (const material of this.materials) material.dispose();
    this.group.removeFromParent();
  }
}

/** A torso with sleeves, feet at y 0, in about a hundred triangles. */
function bodyShape(): BufferGeometry {
  const outline: [number, number][] = [[0.15, 0.03], [0.165, 0.1], [0.15, 0.55], [0.19, 1.1], [0.175, 1.3], [0.06, 1.38], [0.05, 1.42]];
  const torso = new LatheGeometry(outline.map(([r, y]) => new Vector2(r, y)), 8).scale(1.12, 1, 0.86);
  const sleeves = [-1, 1].map((side) => new CylinderGeometry(0.058, 0.042, 0.62, 5, 1, true).rotateZ(side * 0.1).translate(side * 0.235, 0.98, 0.02));
  const merged = mergeGeometries([torso, ...sleeves]);
  for (const part of [torso, ...sleeves]) part.dispose();
  return merged;
}
