/**
 * People: instanced torso, head, hair, eyes, arms, hands and feet; name cards, speaking rings, pointing rays.
 * Owns how people look; never moves anybody: it draws the samples it is handed.
 */

import { Color, CylinderGeometry, DynamicDrawUsage, Group, InstancedMesh, LatheGeometry, type Material, Matrix4, MeshBasicMaterial, Quaternion, SphereGeometry, type Sprite, TorusGeometry, Vector2, Vector3, type BufferGeometry } from "three";
import { RoundedBoxGeometry } from "three/examples/jsm/geometries/RoundedBoxGeometry.js";
import type { Sample } from "../motion/interpolate";
import { AWAY, MUTED, POINTING, RAISED, SPEAKING } from "../net/pose";
import type { Person } from "../net/protocol";
import { disposeLabel, makeSprite } from "./labels";
import { ROLES } from "./roles";
import { lit, type Quality } from "./surfaces";

const MAX = 128;
const SKIN = [0xf2d3bd, 0xe3b48f, 0xc68c63, 0x9a6642, 0x6d452c];
const HAIR = [0x2b211c, 0x4a3426, 0x7a5a3a, 0xb08a56, 0x8d8d92, 0x5c2e22];
const GREY = new Color(0x9aa3a8);
const RAY_M = 5;
const LABEL_M = 0.21;
const NEAR_M = 4;

type Part = "torso" | "collar" | "head" | "hair" | "eye" | "arm" | "shoulder" | "hand" | "foot" | "badge" | "ring" | "ray";
const COPIES: Readonly<Record<Part, number>> = { torso: 1, collar: 1, head: 1, hair: 1, eye: 2, arm: 2, shoulder: 2, hand: 2, foot: 2, badge: 1, ring: 1, ray: 1 };

/** What a person looks like, from who they are: the same in every browser. */
interface Look {
  person: Person;
  coat: Color;
  skin: Color;
  hair: Color;
  label: Sprite;
  shown: string;
}

const at = new Vector3();
const turn = new Quaternion();
const tilt = new Quaternion();
const size = new Vector3();
const matrix = new Matrix4();
const shoulder = new Vector3();
const reach = new Vector3();
const UP = new Vector3(0, 1, 0);

/** Everybody in the room but the one whose eyes one sees through. */
export class Avatars {
  readonly group = new Group();
  private readonly parts = new Map<Part, InstancedMesh>();
  private readonly looks = new Map<number, Look>(); // by slot
  private readonly counts = new Map<Part, number>();

  constructor(quality: Quality) {
    const skin = lit(quality, { roughness: 0.7 });
    const cloth = lit(quality, { roughness: 0.9 });
    const bright = new MeshBasicMaterial({ toneMapped: false });
    const ray = new MeshBasicMaterial({ toneMapped: false, transparent: true, opacity: 0.7 });
    const materials: Record<Part, Material> = { torso: cloth, collar: cloth, head: skin, hair: cloth, eye: cloth, arm: cloth, shoulder: cloth, hand: skin, foot: cloth, badge: bright, ring: bright, ray };
    for (const [part, geometry] of Object.entries(shapes()) as [Part, BufferGeometry][]) this.addPart(part, geometry, materials[part], quality);
  }

  /** Who is in the room now, by slot. */
  people(people: ReadonlyMap<number, Person>): void {
    for (const [slot, look] of this.looks) if (people.get(slot)?.avatar !== look.person.avatar) this.forget(slot);
    for (const [slot, person] of people) {
      const look = this.looks.get(slot) ?? this.addLook(slot, person);
      look.person = person;
    }
  }

  /** Draws the samples; one's own is left out unless seen from behind, and never labelled. `seconds` drives the ring's slow pulse. */
  draw(samples: ReadonlyMap<number, Sample>, own: number, eye: { x: number; z: number; behind: boolean }, seconds: number, calm: boolean): void {
    for (const part of this.parts.keys()) this.counts.set(part, 0);
    for (const look of this.looks.values()) look.label.visible = false;
    for (const sample of samples.values()) {
      const look = this.looks.get(sample.slot);
      if (look === undefined || (sample.slot === own && !eye.behind)) continue;
      this.person(sample, look, seconds, calm);
      look.label.visible = sample.slot !== own;
      sizeLabel(look.label, Math.hypot(look.label.position.x - eye.x, look.label.position.z - eye.z));
    }
    for (const [part, mesh] of this.parts) {
      mesh.count = this.counts.get(part)!;
      mesh.instanceMatrix.needsUpdate = true;
      if (mesh.instanceColor !== null) mesh.instanceColor.needsUpdate = true;
    }
  }

  /** Frees everything. */
  dispose(): void {
    for (const slot of [...this.looks.keys()]) this.forget(slot);
    for (const mesh of this.parts.values()) {
      mesh.geometry.dispose();
      (mesh.material as Material).dispose();
      mesh.dispose();
    }
    this.group.removeFromParent();
  }

  private addPart(part: Part, geometry: BufferGeometry, material: Material, quality: Quality): void {
    const mesh = new InstancedMesh(geometry, material, MAX * COPIES[part]);
    mesh.instanceMatrix.setUsage(DynamicDrawUsage);
    mesh.frustumCulled = false;
    mesh.castShadow = quality === "high" && part !== "ring" && part !== "ray";
    mesh.count = 0;
    mesh.setColorAt(0, GREY);
    this.parts.set(part, mesh);
    this.group.add(mesh);
  }

  private addLook(slot: number, person: Person): Look {
    const [a = 0, b = 0] = person.person;
    const look: Look = {
      person,
      coat: new Color(ROLES[person.role].color),
      skin: new Color(SKIN[a % SKIN.length]!),
      hair: new Color(HAIR[b % HAIR.length]!),
      label: makeSprite({ title: person.name, color: "#ffffff" }, 0.2),
      shown: "",
    };
    this.looks.set(slot, look);
    this.group.add(look.label);
    return look;
  }

  private forget(slot: number): void {
    const look = this.looks.get(slot);
    if (look !== undefined) disposeLabel(look.label);
    this.looks.delete(slot);
  }

  private person(sample: Sample, look: Look, seconds: number, calm: boolean): void {
    const [x, y, z] = sample.head.map((mm) => mm / 1000) as [number, number, number];
    const away = look.person.away || (sample.flags & AWAY) !== 0;
    const [coat, skin, hair] = away ? [GREY, GREY, GREY] : [look.coat, look.skin, look.hair];
    turn.setFromAxisAngle(UP, sample.yaw);
    const body = Math.max(0.4, y - 0.2);
    this.put("torso", at.set(x, 0, z), turn, size.set(1, body / 1.4, 1), coat);
    this.put("collar", at.set(x, y - 0.2, z), turn, size.set(1, 1, 1), skin);
    for (const side of [-1, 1]) this.put("foot", local(x, 0.05, z, side * 0.1, -0.06, sample.yaw), turn, size.set(1, 1, 1), GREY);
    this.put("badge", local(x, y - 0.42, z, 0.09, -0.178, sample.yaw), turn, size.set(1, 1, 1), WHITE);
    this.head(sample, x, y, z, skin, hair);
    this.arm(sample, x, y, z, -1, coat, skin);
    this.arm(sample, x, y, z, 1, coat, skin);
    this.signs(sample, look, x, y, z, seconds, calm);
    this.label(look, sample.flags, away, x, y, z);
  }

  private head(sample: Sample, x: number, y: number, z: number, skin: Color, hair: Color): void {
    tilt.set(...sample.headRot);
    this.put("head", at.set(x, y, z), tilt, size.set(1, 1, 1), skin);
    this.put("hair", at.set(x, y, z), tilt, size.set(1, 1, 1), hair);
    for (const side of [-1, 1]) {
      at.set(side * 0.042, 0.02, -0.108).applyQuaternion(tilt).add(size.set(x, y, z));
      this.put("eye", at, tilt, size.set(1, 1, 1), EYE);
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

  private signs(sample: Sample, look: Look, x: number, _y: number, z: number, seconds: number, calm: boolean): void {
    if ((sample.flags & SPEAKING) === 0 || look.person.muted || (sample.flags & MUTED) !== 0) return;
    const pulse = calm ? 1 : 1 + 0.06 * Math.sin(seconds * 2 * Math.PI);
    this.put("ring", at.set(x, 0.02, z), turn.identity(), size.set(pulse, 1, pulse), SPEAK);
  }

  private label(look: Look, flags: number, away: boolean, x: number, y: number, z: number): void {
    const { person } = look;
    const muted = person.muted || (flags & MUTED) !== 0;
    const state = [away && "away", muted && "muted", (flags & RAISED) !== 0 && "hand raised", (flags & SPEAKING) !== 0 && !muted && "speaking"].filter(Boolean);
    const line = [ROLES[person.role].word, ...state].join(" \u00b7 ");
    if (`${person.name}\n${line}` !== look.shown) {
      look.shown = `${person.name}\n${line}`;
      disposeLabel(look.label);
      look.label = makeSprite({ title: person.name, line, icon: (flags & RAISED) !== 0 ? "\u2191" : ROLES[person.role].icon, color: ROLES[person.role].css }, LABEL_M);
      this.group.add(look.label);
    }
    look.label.position.set(x, y + 0.31, z);
  }

  private put(part: Part, place: Vector3, rotation: Quaternion, scale: Vector3, color: Color): void {
    const mesh = this.parts.get(part)!;
    const index = this.counts.get(part)!;
    if (index >= MAX * COPIES[part]) return;
    mesh.setMatrixAt(index, matrix.compose(place, rotation, scale));
    mesh.setColorAt(index, color);
    this.counts.set(part, index + 1);
  }
}

const WHITE = new Color(0xffffff);
const EYE = new Color(0x1d2426);
const RAY = new Color(0x37e0bd);
const SPEAK = new Color(0x2fd6a8);
const spot = new Vector3();

/** Cards keep a readable size on the screen: smaller by so much as one is nearer, a little larger from afar. */
function sizeLabel(label: Sprite, metres: number): void {
  const height = LABEL_M * Math.max(0.28, metres < NEAR_M ? metres / NEAR_M : Math.min(2, 1 + (metres - NEAR_M) / 12));
  label.scale.set((label.scale.x / label.scale.y) * height, height, 1);
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
