/** The picture: renderer, camera, light, and the parts of the room one is in. Draws what it is handed; decides nothing. */

import { ACESFilmicToneMapping, Color, DirectionalLight, Fog, HemisphereLight, PCFShadowMap, PerspectiveCamera, Raycaster, Scene, SRGBColorSpace, Vector2, Vector3, WebGLRenderer } from "three";
import type { Crowd, Sample } from "../motion/interpolate";
import type { ThingRow } from "../net/snapshot";
import type { Mark } from "../marks";
import type { Model } from "../model";
import type { Shown } from "../monitor/draw";
import { Avatars } from "./avatars";
import { Beds } from "./beds";
import { ahead, type Layout } from "./layout";
import { MarkScene } from "./marks";
import { RoomScene } from "./room";
import type { Quality } from "./surfaces";
import { Things } from "./things";

const PIXELS_MAX = 1.5;
const BEHIND_M = 2.4;

/** Where one looks from. Metres, radians. */
export interface Eye {
  x: number;
  y: number;
  z: number;
  yaw: number;
  pitch: number;
  behind: boolean; // from behind one's own avatar
}

/** What one frame shows. */
export interface Frame {
  dt: number;
  seconds: number;
  eye: Eye;
  own: number; // one's slot
  samples: ReadonlyMap<number, Sample>;
  crowd: Crowd;
  things: ReadonlyMap<number, ThingRow>;
  marks: readonly Mark[];
  monitor: (row: number) => Shown;
  calm: boolean;
}

/** What a click met. */
export type Pick = { what: "bed"; row: number; metres: number } | { what: "floor"; x: number; z: number } | null;

/** Whether this browser can draw it at all. */
export function canDraw(): boolean {
  return document.createElement("canvas").getContext("webgl2") !== null;
}

interface Parts {
  room: RoomScene;
  avatars: Avatars;
  things: Things;
  beds: Beds;
  marks: MarkScene;
}

/** See the module's head. */
export class Stage {
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(68, 1, 0.05, 90);
  private readonly sun = new DirectionalLight(0xfff1dc, 1.5);
  private readonly sky: HemisphereLight;
  private readonly caster = new Raycaster();
  private parts: Parts | null = null;
  private relaxed = false;
  private size: [number, number, number] = [1, 1, 1];

  constructor(
    canvas: HTMLCanvasElement,
    private readonly quality: Quality,
  ) {
    this.renderer = new WebGLRenderer({ canvas, antialias: quality === "high", powerPreference: quality === "high" ? "high-performance" : "low-power" });
    this.renderer.outputColorSpace = SRGBColorSpace;
    this.renderer.toneMapping = ACESFilmicToneMapping;
    this.renderer.toneMappingExposure = 1.12;
    this.renderer.shadowMap.enabled = quality === "high";
    this.renderer.shadowMap.type = PCFShadowMap;
    this.scene.background = new Color(0xcfe0e2);
    this.scene.fog = new Fog(0xcfe0e2, 25, 70);
    this.sky = new HemisphereLight(0xffffff, 0xe2d8c8, quality === "high" ? 2.7 : 3.0);
    this.sun.castShadow = quality === "high";
    this.sun.shadow.mapSize.set(2048, 2048);
    this.sun.shadow.bias = -0.0008;
    this.sun.shadow.normalBias = 0.03;
    this.scene.add(this.sky, this.sun, this.sun.target);
    this.camera.rotation.order = "YXZ";
    this.resize();
  }

  /** Builds another room; the old one is freed. */
  enter(layout: Layout, titleOf: (room: string) => string): void {
    this.leave();
    this.size = layout.size_m;
    this.parts = { room: new RoomScene(layout, this.quality, titleOf), avatars: new Avatars(this.quality), things: new Things(this.quality), beds: new Beds(layout, this.quality), marks: new MarkScene() };
    Object.values(this.parts).forEach((part: { group: Parameters<Scene["add"]>[0] }) => this.scene.add(part.group));
    this.aimSun();
  }

  /** Who and what there is, when it changed. */
  people(model: Model): void {
    this.parts?.avatars.people(model.people);
    this.parts?.things.infos(model.things);
  }

  /** Names a thing in the scene; -1 for none. */
  highlight(slot: number, name: string): void {
    this.parts?.things.highlight(slot, name);
  }

  /** Draws one frame. */
  draw(frame: Frame): void {
    if (this.parts === null) return;
    this.look(frame.eye);
    const { x, y, z } = this.camera.position;
    this.parts.avatars.draw(frame, { x, y, z, ahead: ahead(frame.eye.yaw), behind: frame.eye.behind });
    this.parts.things.draw(frame.things, frame.samples);
    this.parts.beds.update(frame.dt, frame.seconds, frame.eye, frame.monitor);
    this.parts.marks.draw(frame.marks, this.camera.position, frame.calm);
    this.renderer.render(this.scene, this.camera);
  }

  /** What lies under a point of the canvas, 0..1 from the left and the top. */
  pick(x: number, y: number): Pick {
    if (this.parts === null) return null;
    this.caster.setFromCamera(new Vector2(2 * x - 1, 1 - 2 * y), this.camera);
    const bed = this.caster.intersectObjects([...this.parts.beds.group.children]).at(0);
    if (bed !== undefined && bed.distance < 12) return { what: "bed", row: this.nearestBed(bed.point), metres: bed.distance };
    const { origin, direction } = this.caster.ray;
    if (direction.y >= -0.01) return null;
    const far = -origin.y / direction.y;
    return { what: "floor", x: origin.x + direction.x * far, z: origin.z + direction.z * far };
  }

  /** Draws cheaper from now on, for a machine that cannot keep up: no shadows, one pixel per pixel. */
  relax(): void {
    this.relaxed = true;
    this.sun.castShadow = false;
    this.resize();
  }

  /** Fits the canvas to its box. */
  resize(): void {
    const { clientWidth, clientHeight } = this.renderer.domElement;
    const [width, height] = [Math.max(1, clientWidth), Math.max(1, clientHeight)];
    this.renderer.setPixelRatio(this.quality === "low" || this.relaxed ? 1 : Math.min(PIXELS_MAX, window.devicePixelRatio));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.fov = width < height ? 82 : 68;
    this.camera.updateProjectionMatrix();
  }

  /** Draw calls and triangles of the last frame. */
  stats(): { calls: number; triangles: number } {
    const { calls, triangles } = this.renderer.info.render;
    return { calls, triangles };
  }

  /** Frees everything. */
  dispose(): void {
    this.leave();
    this.renderer.dispose();
  }

  private leave(): void {
    if (this.parts === null) return;
    Object.values(this.parts).forEach((part: { dispose(): void }) => part.dispose());
    this.parts = null;
  }

  private look(eye: Eye): void {
    this.camera.rotation.set(eye.pitch, eye.yaw, 0);
    if (!eye.behind) return void this.camera.position.set(eye.x, eye.y, eye.z);
    const [x, height, z] = this.size;
    const clamp = (value: number, half: number): number => Math.max(-half + 0.15, Math.min(half - 0.15, value));
    const flat = Math.cos(eye.pitch) * BEHIND_M;
    this.camera.position.set(clamp(eye.x + Math.sin(eye.yaw) * flat + Math.cos(eye.yaw) * 0.35, x / 2), Math.min(height - 0.2, eye.y + 0.35 - Math.sin(eye.pitch) * BEHIND_M), clamp(eye.z + Math.cos(eye.yaw) * flat - Math.sin(eye.yaw) * 0.35, z / 2));
  }

  private nearestBed(point: Vector3): number {
    const screens = this.parts!.beds.screens.map((screen) => screen.getWorldPosition(new Vector3()));
    const places = this.parts!.beds.centres();
    const near = places.map((place, row) => Math.min(place.distanceTo(point), screens[row]!.distanceTo(point)));
    return near.indexOf(Math.min(...near));
  }

  private aimSun(): void {
    const [x, height, z] = this.size;
    this.sun.position.set(x * 0.18, height * 4, z * 0.26);
    const reach = Math.hypot(x, z) / 2 + 1;
    const camera = this.sun.shadow.camera;
    [camera.left, camera.right, camera.top, camera.bottom, camera.near, camera.far] = [-reach, reach, reach, -reach, 0.5, height * 4 + reach * 2];
    camera.updateProjectionMatrix();
  }
}
