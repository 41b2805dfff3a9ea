/**
 * People: instanced torso, head, hair, eyes, arms, hands and feet of those near, the crowd of those far, name cards of a few.
 * Owns how people look; never moves anybody: it draws the samples it is handed.
 */

import { type BufferGeometry, type Color, CylinderGeometry, Group, LatheGeometry, type Material, Matrix4, MeshBasicMaterial, Quaternion, SphereGeometry, TorusGeometry, Vector2, Vector3 } from "three";
import { RoundedBoxGeometry } from "three/examples/jsm/geometries/RoundedBoxGeometry.js";
import type { Crowd, Sample } from "../motion/interpolate";
import { AWAY, MUTED, POINTING, RAISED, SPEAKING } from "../net/pose";
import type { Person } from "../net/protocol";
import { CrowdScene } from "./crowd";
import { Instances } from "./instances";
import { DARK, GREY, type Look, lookOf, RAY, shadesOf, SPEAK, speaks, WHITE } from "./looks";
import { chosen, type NameCard, type Named, NAMED_WITHIN_M, Names } from "./names";
import { ROLES } from "./roles";
import { lit, type Quality } from "./surfaces";

const MAX = 160; // people drawn with hands
const BEHIND_M = 2; // who is farther behind the eye is not drawn
const RAY_M = 5;

type Part = "torso" | "collar" | "head" | "hair" | "eye" | "arm" | "shoulder" | "hand" | "foot" | "badge" | "ring" | "ray";
const COPIES: Readonly<Record<Part, number>> = { torso: 1, collar: 1, head: 1, hair: 1, eye: 2, arm: 2, shoulder: 2, hand: 2, foot: 2, badge: 1, ring: 1, ray: 1 };

/** Who is drawn in one frame, and for whom. */
export interface Scenery {
  samples: ReadonlyMap<number, Sample>; // near, with hands
  crowd: Crowd; // far
  own: number; // one's slot
  seconds: number;
  calm: boolean;
}

/** Where one looks from: metres, the way as a unit step on the floor, whether from behind one's own avatar. */
export interface Viewpoint {
  x: number;
  y: number;
  z: number;
  ahead: readonly [number, number];
  behind: boolean;
}

/** Whether a place (metres) may be seen by somebody who looks ahead. */
const inFront = (eye: Viewpoint, x: number, z: number): boolean => (x - eye.x) * eye.ahead[0] + (z - eye.z) * eye.ahead[1] > -BEHIND_M;

const at = new Vector3();
const turn = new Quaternion();
const tilt = new Quaternion();
const size = new Vector3();
const matrix = new Matrix4();
const shoulder = new Vector3();
const reach = new Vector3();
const spot = new Vector3();
const UP = new Vector3(0, 1, 0);

/** Everybody in the room but the one whose eyes one sees through. */
export class Avatars {
  readonly group = new Group();
  private readonly parts: Readonly<Record<Part, Instances>>;
  private readonly materials: Material[];
  private readonly crowd: CrowdScene;
  private readonly names = new Names();
  private readonly looks = new Map<number, Look>(); // by slot

  constructor(quality: Quality) {
    const [skin, cloth] = [lit(quality, { roughness: 0.7 }), lit(quality, { roughness: 0.9 })];
    const bright = new MeshBasicMaterial({ toneMapped: false });
    const ray = new MeshBasicMaterial({ toneMapped: false, transparent: true, opacity: 0.7 });
    this.materials = [skin, cloth, bright, ray];
    const materials: Record<Part, Material> = { torso: cloth, collar: cloth, head: skin, hair: cloth, eye: cloth, arm: cloth, shoulder: cloth, hand: skin, foot: cloth, badge: bright, ring: bright, ray };
    this.parts = Object.fromEntries(Object.entries(shapes()).map(([part, geometry]) => [part, new Instances(geometry, materials[part as Part], MAX * COPIES[part as Part], GREY)])) as Record<Part, Instances>;
    for (const [part, { mesh }] of Object.entries(this.parts)) {
      mesh.castShadow = quality === "high" && part !== "ring" && part !== "ray";
      this.group.add(mesh);
    }
    this.crowd = new CrowdScene(quality);
    this.group.add(this.crowd.group, this.names.group);
  }

  /** Who is in the room now, by slot. */
  people(people: ReadonlyMap<number, Person>): void {
    for (const slot of this.looks.keys()) if (!people.has(slot)) this.looks.delete(slot);
    for (const [slot, person] of people) if (this.looks.get(slot)?.person !== person) this.looks.set(slot, lookOf(person));
  }

  /** Draws everybody; one's own avatar is left out unless seen from behind, and never named. */
  draw(scenery: Scenery, eye: Viewpoint): void {
    const parts = Object.values(this.parts);
    for (const part of parts) part.begin();
    this.crowd.begin();
    const named: Named[] = [];
    this.near(scenery, eye, named);
    this.far(scenery, eye, named);
    for (const part of parts) part.end();
    this.crowd.end();
    this.names.show(chosen(named, eye), (of) => this.card(of));
  }

  /** Frees everything. */
  dispose(): void {
    this.names.dispose();
    this.crowd.dispose();
    for (const part of Object.values(this.parts)) part.dispose();
    for (const material of this.materials) material.dispose();
    this.looks.clear();
    this.group.removeFromParent();
  }

  /** The nearest with hands; in a throng the others of them as the crowd. */
  private near({ samples, own, seconds, calm }: Scenery, eye: Viewpoint, named: Named[]): void {
    const seen: { sample: Sample; look: Look; metres: number }[] = [];
    for (const sample of samples.values()) {
      const look = this.looks.get(sample.slot);
      const [x, z] = [sample.head[0] / 1000, sample.head[2] / 1000];
      if (look === undefined || (sample.slot === own && !eye.behind) || !inFront(eye, x, z)) continue;
      seen.push({ sample, look, metres: Math.hypot(x - eye.x, z - eye.z) });
    }
    if (seen.length > MAX) seen.sort((a, b) => a.metres - b.metres);
    seen.forEach(({ sample, look, metres }, i) => {
      const { slot, head, yaw, flags, quiet } = sample;
      const [x, y, z] = [head[0] / 1000, head[1] / 1000, head[2] / 1000];
      if (i < MAX) this.person(sample, look, seconds, calm);
      else this.crowd.add(look, x, y, z, yaw, flags, quiet);
      if (slot !== own) named.push({ slot, x, y, z, metres, flags, speaks: speaks(look, flags) });
    });
  }

  private far({ crowd, own }: Scenery, eye: Viewpoint, named: Named[]): void {
    for (let i = 0; i < crowd.count; i++) {
      const slot = crowd.slot[i]!;
      const [x, y, z] = [crowd.head[3 * i]! / 1000, crowd.head[3 * i + 1]! / 1000, crowd.head[3 * i + 2]! / 1000];
      const look = slot === own || !inFront(eye, x, z) ? undefined : this.looks.get(slot);
      if (look === undefined) continue;
      this.crowd.add(look, x, y, z, crowd.yaw[i]!, crowd.flags[i]!, crowd.quiet[i] !== 0);
      const metres = Math.hypot(x - eye.x, z - eye.z);
      if (metres <= NAMED_WITHIN_M) named.push({ slot, x, y, z, metres, flags: crowd.flags[i]!, speaks: false });
    }
  }

  private person(sample: Sample, look: Look, seconds: number, calm: boolean): void {
    const [x, y, z] = [sample.head[0] / 1000, sample.head[1] / 1000, sample.head[2] / 1000];
    const { coat, skin, hair } = shadesOf(look, sample.flags, sample.quiet);
    turn.setFromAxisAngle(UP, sample.yaw);
    this.put("torso", at.set(x, 0, z), turn, size.set(1, Math.max(0.4, y - 0.2) / 1.4, 1), coat);
    this.put("collar", at.set(x, y - 0.2, z), turn, size.set(1, 1, 1), skin);
    for (const side of [-1, 1]) this.put("foot", local(x, 0.05, z, side * 0.1, -0.06, sample.yaw), turn, size.set(1, 1, 1), GREY);
    this.put("badge", local(x, y - 0.42, z, 0.09, -0.178, sample.yaw), turn, size.set(1, 1, 1), WHITE);
    this.head(sample, x, y, z, skin, hair);
    this.arm(sample, x, y, z, -1, coat, skin);
    this.arm(sample, x, y, z, 1, coat, skin);
    if (!speaks(look, sample.flags)) return;
    const pulse = calm ? 1 : 1 + 0.06 * Math.sin(seconds * 2 * Math.PI);
    this.put("ring", at.set(x, 0.02, z), turn.identity(), size.set(pulse, 1, pulse), SPEAK);
  }

  private head(sample: Sample, x: number, y: number, z: number, skin: Color, hair: Color): void {
    tilt.set(...sample.headRot);
    this.put("head", at.set(x, y, z), tilt, size.set(1, 1, 1), skin);
    this.put("hair", at.set(x, y, z), tilt, size.set(1, 1, 1), hair);
    for (const side of [-1, 1]) {
      at.set(side * 0.042, 0.02, -0.108).applyQuaternion(tilt).add(size.set(x, y, z));
      this.put("eye", at, tilt, size.set(1, 1, 1), DARK);
    }
  }

  private arm(sample: Sample, x: number, y: number, z: number, side: -1 | 1, coat: Color, skin: Color): void {
    const hand = side < 0 ? sample.left : sample.right;
    reach.set(x + hand[0] / 1000, y + hand[1] / 1000, z + hand[2] / 1000);
    shoulder.copy(local(x, y - 0.3, z, side * 0.19, 0, sample.yaw));
    at.copy(reach).sub(shoulder);
    const length = at.length();
    tilt.setFromUnitVectors(UP, at.divideScalar(length || 1));
    this.put("arm", shoulder, tilt, size.set(1, length, 1), coat);
    this.put("shoulder", shoulder, tilt, size.set(1, 1, 1), coat);
    tilt.set(...(side < 0 ? sample.leftRot : sample.rightRot));
    this.put("hand", reach, tilt, size.set(1, 1, 1), skin);
    if (side < 0 || (sample.flags & POINTING) === 0) return;
    this.put("ray", reach, tilt, size.set(1, 1, RAY_M), RAY);
  }

  private card({ slot, flags }: Named): NameCard {
    const { person } = this.looks.get(slot)!;
    const role = ROLES[person.role];
    const [away, muted, raised] = [person.away || (flags & AWAY) !== 0, person.muted || (flags & MUTED) !== 0, (flags & RAISED) !== 0];
    const state = [away && "away", muted && "muted", raised && "hand raised", (flags & SPEAKING) !== 0 && !muted && "speaking"].filter(Boolean);
    return { title: person.name, line: [role.word, ...state].join(" \u00b7 "), icon: raised ? "\u2191" : role.icon, color: role.css };
  }

  private put(part: Part, place: Vector3, rotation: Quaternion, scale: Vector3, color: Color): void {
    this.parts[part].put(matrix.compose(place, rotation, scale), color);
  }
}

/** A point beside and before a body that looks along `yaw`. */
function local(x: number, y: number, z: number, right: number, back: number, yaw: number): Vector3 {
  const [s, c] = [Math.sin(yaw), Math.cos(yaw)];
  return spot.set(x + right * c + back * s, y, z - right * s + back * c);
}

/** Geometry of every part, feet at y 0 and a body of 1.4 m to the neck. */
function shapes(): Record<Part, BufferGeometry> {
  const outline: [number, number][] = [[0, 0.03], [0.15, 0.04], [0.165, 0.1], [0.15, 0.5], [0.155, 0.8], [0.185, 1.08], [0.2, 1.2], [0.175, 1.3], [0.1, 1.365], [0.055, 1.4], [0, 1.4]];
  const torso = new LatheGeometry(outline.map(([r, y]) => new Vector2(r, y)), 20).scale(1.12, 1, 0.86);
  return {
    torso,
    collar: new CylinderGeometry(0.05, 0.06, 0.16, 12),
    head: new SphereGeometry(0.125, 20, 16).scale(0.88, 1.12, 0.96),
    hair: new SphereGeometry(0.134, 20, 12, 0, 2 * Math.PI, 0, Math.PI * 0.52).rotateX(0.42).scale(0.92, 1.12, 1).translate(0, 0.012, 0.012),
    eye: new SphereGeometry(0.0135, 8, 6),
    arm: new CylinderGeometry(0.042, 0.058, 1, 12).translate(0, 0.5, 0),
    shoulder: new SphereGeometry(0.062, 12, 10),
    hand: new RoundedBoxGeometry(0.075, 0.05, 0.13, 2, 0.024),
    foot: new RoundedBoxGeometry(0.1, 0.09, 0.24, 2, 0.04),
    badge: new RoundedBoxGeometry(0.07, 0.045, 0.008, 1, 0.004),
    ring: new TorusGeometry(0.38, 0.022, 8, 40).rotateX(Math.PI / 2),
    ray: new CylinderGeometry(0.006, 0.006, 1, 6).rotateX(Math.PI / 2).translate(0, 0, -0.5),
  };
}
