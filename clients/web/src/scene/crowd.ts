/**
 * People far off: body and head of everybody without hands, in a handful of draw calls for a thousand of them.
 * Owns how they look from afar; never moves anybody, keeps nothing of one person.
 */

import { type BufferGeometry, CylinderGeometry, Group, LatheGeometry, type Material, MeshBasicMaterial, SphereGeometry, TorusGeometry, Vector2 } from "three";
import { mergeGeometries } from "three/examples/jsm/utils/BufferGeometryUtils.js";
import type { Crowd } from "../motion/interpolate";
import { MUTED, RAISED, SPEAKING } from "../net/pose";
import { Instances } from "./instances";
import { GREY, isFaded, type Look, SPEAK } from "./looks";
import { lit, type Quality } from "./surfaces";

const PEOPLE_MAX = 4096;
const MARKED_MAX = 256; // of those who speak or raise a hand
const BEHIND_M = 2; // who is farther behind the eye is not drawn
const BODY_M = 1.4; // from the floor to the neck as made
const NECK_M = 0.2; // from the eyes down

/** Where one looks from: metres, and the way as a unit step on the floor. */
export interface Viewpoint {
  x: number;
  z: number;
  ahead: readonly [number, number];
}

/** Whether a place (metres) may be seen by somebody who looks ahead. */
export function inFront(eye: Viewpoint, x: number, z: number): boolean {
  return (x - eye.x) * eye.ahead[0] + (z - eye.z) * eye.ahead[1] > -BEHIND_M;
}

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

  /** Draws everybody of the crowd whose look is known, but oneself. */
  draw(crowd: Crowd, looks: ReadonlyMap<number, Look>, own: number, eye: Viewpoint): void {
    const parts = Object.values(this.parts);
    for (const part of parts) part.begin();
    for (let i = 0; i < crowd.count; i++) {
      const slot = crowd.slot[i]!;
      const look = slot === own ? undefined : looks.get(slot);
      if (look !== undefined) this.person(crowd, i, look, eye);
    }
    for (const part of parts) part.end();
  }

  /** Frees everything. */
  dispose(): void {
    for (const part of Object.values(this.parts)) part.dispose();
    for (const material of this.materials) material.dispose();
    this.group.removeFromParent();
  }

  private person(crowd: Crowd, i: number, look: Look, eye: Viewpoint): void {
    const [x, y, z] = [crowd.head[3 * i]! / 1000, crowd.head[3 * i + 1]! / 1000, crowd.head[3 * i + 2]! / 1000];
    if (!inFront(eye, x, z)) return;
    const [flags, yaw] = [crowd.flags[i]!, crowd.yaw[i]!];
    const faded = isFaded(look, flags, crowd.quiet[i] !== 0);
    const [sine, cosine] = [Math.sin(yaw), Math.cos(yaw)];
    this.parts.body.putUpright(x, 0, z, sine, cosine, Math.max(0.4, y - NECK_M) / BODY_M, faded ? GREY : look.coat);
    this.parts.head.putUpright(x, y, z, sine, cosine, 1, faded ? GREY : look.skin);
    this.parts.hair.putUpright(x, y, z, sine, cosine, 1, faded ? GREY : look.hair);
    if ((flags & RAISED) !== 0) this.parts.arm.putUpright(x, y, z, sine, cosine, 1, faded ? GREY : look.coat);
    if ((flags & (SPEAKING | MUTED)) === SPEAKING && !look.person.muted) this.parts.ring.putUpright(x, 0.02, z, 0, 1, 1, SPEAK);
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
