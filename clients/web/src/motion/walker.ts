/**
 * One's own walk: wishes of the controls or of an errand, prediction, poses at the input rate, passage through doors.
 * Owns where one is going. Knows the server only by the commands it hands out; draws nothing.
 */

import { pushOf } from "./collide";
import { type Doing, EYES_MM, ownSample, poseOf } from "./body";
import { DeadBand } from "./deadband";
import { type Sample, type Timeline } from "./interpolate";
import { findPath } from "./path";
import { Predictor } from "./predict";
import { encodePose, POINTING, SEATED } from "../net/pose";
import type { Bytes } from "../bytes";
import type { Reach } from "../gestures";
import { ahead, type Door, floorOf, type Layout, radians } from "../scene/layout";

const SPEED_MAX = 2_200;
const SPACE_MM = 500;
const WALK_MM_S = 1_500;
const DOOR_NEAR_M = 0.5;
const DOOR_AGAIN_MS = 3_000;
const STUCK_MS = 1_500;
const STUCK_MM = 60;
const TURN_RAD_S = 6;

type Place = [number, number];

/** Something to do once one is near enough to a place. */
export interface Errand {
  to: Place; // mm
  within: number; // mm
  then(): void;
  fail?(): void;
}

/** What the walk needs and tells. */
export interface WalkerHooks {
  nextSeq(): number;
  send(frame: Bytes): void;
  goThrough(room: string): void;
}

/** See the module's head. */
export class Walker {
  raised = false;
  pointing = false;
  speakingUntilMs = 0;
  seated = false;
  private readonly predictor: Predictor;
  private readonly band: DeadBand;
  private layout: Layout | null = null;
  private slot = -1;
  private wish: Place = [0, 0];
  private errand: (Errand & { path: Place[] | null }) | null = null; // the path is found at the first step
  private arrived: (() => void) | null = null; // what one came for, once the server has been told that one stands
  private progress = { at: [0, 0] as Place, ms: 0 };
  private doorMs = 0;
  private pointsThere = false; // by the server's word
  private ready = false; // the first snapshot of this room has come
  private yawWanted: number | null = null;

  constructor(
    readonly tickMs: number,
    inputMs: number,
    private readonly timeline: Timeline,
    private readonly look: { yaw: number; pitch: number },
    private readonly hooks: WalkerHooks,
  ) {
    this.predictor = new Predictor(tickMs, SPEED_MAX, { bounds: [0, 0, 0, 0], radius: 0, blocks: [] });
    this.band = new DeadBand(inputMs);
  }

  /** Where one is, mm. */
  get position(): Place {
    return this.predictor.position;
  }

  /** How far the server's newest word was from the prediction, mm. */
  get correctionMm(): number {
    return this.predictor.correctionMm;
  }

  /** Whether an errand is under way. */
  get busy(): boolean {
    return this.errand !== null;
  }

  /** Another room, or the same anew; `cameFrom` is the room before, "" at first. */
  enter(layout: Layout, slot: number, cameFrom: string): void {
    const again = this.layout?.slug === layout.slug && this.slot === slot;
    [this.layout, this.slot, this.errand, this.arrived] = [layout, slot, null, null];
    this.predictor.enter(floorOf(layout));
    this.band.reset();
    this.ready = false;
    const door = layout.door.find((each) => each.to === cameFrom);
    if (door !== undefined) this.yawWanted = radians(door.facing_deg);
    if (again) this.yawWanted = this.look.yaw;
    this.doorMs = performance.now();
  }

  /** Takes one's own row of the newest view. */
  seen(place: Place, ack: number, tick: number, yaw: number, flags: number): void {
    this.seated = (flags & SEATED) !== 0;
    this.pointsThere = (flags & POINTING) !== 0;
    if (!this.ready) {
      this.look.yaw = this.yawWanted ?? yaw;
      this.yawWanted = null;
      this.ready = true;
    }
    this.predictor.correct(...place, ack, tick, this.seated);
  }

  /** Goes somewhere and does something there; an earlier errand is dropped. */
  go(errand: Errand): void {
    if (this.layout === null || this.seated) return errand.fail?.();
    this.errand = { ...errand, path: null };
  }

  /** Asks to go through the door to `room`, once: what one was about to do here is over. */
  pass(room: string, nowMs: number): void {
    this.errand = null;
    this.doorMs = nowMs;
    this.hooks.goThrough(room);
  }

  /** Turns to look at a place, mm. */
  face([x, z]: Place): void {
    const [px, pz] = this.predictor.target;
    this.look.yaw = Math.atan2(-(x - px), -(z - pz));
  }

  /** One frame: `wanted` is the controls' wish in world axes. */
  update(dt: number, nowMs: number, wanted: Place): void {
    if (wanted[0] !== 0 || wanted[1] !== 0) this.errand = null;
    this.wish = this.seated || !this.ready ? [0, 0] : this.errand === null ? wanted : this.follow(dt, nowMs);
    const target = this.predictor.target;
    const push = pushOf(target, this.others(), SPACE_MM, SPEED_MAX);
    this.predictor.walk([this.wish[0] + push[0], this.wish[1] + push[1]], dt, nowMs, this.seated);
    this.tryDoors(nowMs);
  }

  /** Sends a pose when one is due and says something new, or has to be renewed; then does what one came for. */
  post(nowMs: number, holds: [boolean, boolean]): void {
    this.postPose(nowMs, holds);
    if (this.arrived === null || !this.band.stands) return;
    const then = this.arrived;
    this.arrived = null;
    then();
  }

  private postPose(nowMs: number, holds: [boolean, boolean]): void {
    if (!this.ready || !this.band.ready(nowMs)) return;
    const pose = poseOf(this.doing(nowMs, holds), 0);
    if (!this.band.wants(pose, nowMs)) return;
    const seq = this.hooks.nextSeq();
    this.band.sent(pose, nowMs);
    this.predictor.posted(seq, nowMs);
    this.hooks.send(encodePose({ ...pose, seq }));
  }

  /** One's own hands and look as the newest pose has them, and whether the server knows that one points. */
  reach(nowMs: number, holds: [boolean, boolean]): Reach {
    const { left, right, headY } = poseOf(this.doing(nowMs, holds), 0);
    const [x, z] = this.position;
    return { head: [x, headY, z], hands: [left, right], yaw: this.look.yaw, pitch: this.look.pitch, pointing: this.pointing && this.pointsThere };
  }

  /** One's own avatar as drawn. */
  sample(sample: Sample, nowMs: number, holds: [boolean, boolean]): Sample {
    return ownSample(sample, this.position, this.doing(nowMs, holds));
  }

  private doing(nowMs: number, holds: [boolean, boolean]): Doing {
    const { yaw, pitch } = this.look;
    return { yaw, pitch, eyes: EYES_MM, wish: this.wish, raised: this.raised, pointing: this.pointing, speaking: nowMs < this.speakingUntilMs, holds, seconds: nowMs / 1000 };
  }

  private *others(): Generator<Place> {
    for (const [slot, head] of this.timeline.places(true)) if (slot !== this.slot) yield [head[0], head[2]];
  }

  private follow(dt: number, nowMs: number): Place {
    const errand = this.errand!;
    const at = this.predictor.target;
    if (distance(at, errand.to) <= errand.within) return this.arrive();
    if (errand.path === null) {
      errand.path = findPath(at, errand.to, floorOf(this.layout!));
      this.progress = { at, ms: nowMs };
    }
    while (errand.path.length > 0 && distance(at, errand.path[0]!) < 90) errand.path.shift();
    const next = errand.path[0];
    if (next === undefined) return distance(at, errand.to) < errand.within + 400 ? this.arrive() : this.giveUp();
    if (distance(at, this.progress.at) > STUCK_MM) this.progress = { at, ms: nowMs };
    if (nowMs - this.progress.ms > STUCK_MS) return this.giveUp();
    const [dx, dz] = [next[0] - at[0], next[1] - at[1]];
    const length = Math.hypot(dx, dz) || 1;
    this.turnTo(Math.atan2(-dx, -dz), dt);
    const speed = Math.min(WALK_MM_S, 200 + (errand.path.length === 1 ? length * 4 : WALK_MM_S));
    return [(dx / length) * speed, (dz / length) * speed];
  }

  private turnTo(yaw: number, dt: number): void {
    const short = Math.atan2(Math.sin(yaw - this.look.yaw), Math.cos(yaw - this.look.yaw));
    this.look.yaw += Math.max(-TURN_RAD_S * dt, Math.min(TURN_RAD_S * dt, short));
  }

  private arrive(): Place {
    this.arrived = this.errand!.then;
    this.errand = null;
    return [0, 0];
  }

  private giveUp(): Place {
    const { fail } = this.errand!;
    this.errand = null;
    fail?.();
    return [0, 0];
  }

  /** Who walks into a door goes through it. */
  private tryDoors(nowMs: number): void {
    if (nowMs - this.doorMs < DOOR_AGAIN_MS || Math.hypot(...this.wish) < 300) return;
    const door = this.layout?.door.find((each) => this.walksInto(each));
    if (door === undefined) return;
    this.pass(door.to, nowMs);
  }

  private walksInto(door: Door): boolean {
    const [x, z] = this.predictor.target;
    const [inX, inZ] = ahead(radians(door.facing_deg));
    const [dx, dz] = [x / 1000 - door.at[0], z / 1000 - door.at[1]];
    const [deep, beside] = [dx * inX + dz * inZ, Math.abs(dx * inZ - dz * inX)];
    const into = -(this.wish[0] * inX + this.wish[1] * inZ) / Math.hypot(...this.wish);
    return deep < DOOR_NEAR_M && beside < door.width_m / 2 && into > 0.5;
  }
}

const distance = (a: Place, b: Place): number => Math.hypot(a[0] - b[0], a[1] - b[1]);
