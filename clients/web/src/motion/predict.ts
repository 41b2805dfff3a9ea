/**
 * One's own avatar ahead of the server: walks at once, then goes over the same steps again from where the server says.
 * Pure of time and DOM. What a correction moves is shown gradually; a jump over a metre at once.
 */

import { step, type Floor } from "./collide";

const STEPS_MAX = 240;
const JUMP_MM = 1_000;
const EASE_S = 0.12;

type Place = [number, number];

interface Step {
  endMs: number;
  dt: number;
  velocity: Place;
}

/** See the module's head. Lengths in mm. */
export class Predictor {
  correctionMm = 0; // of the newest word of the server
  private x = 0;
  private z = 0;
  private offX = 0;
  private offZ = 0;
  private placed = false;
  private steps: Step[] = [];
  private sent = new Map<number, number>(); // low byte of a pose's number -> when it was sent
  private ack = -1;
  private ackTick = 0;

  constructor(
    private readonly tickMs: number,
    private readonly speedMax: number,
    private floor: Floor,
  ) {}

  /** Where one is drawn. */
  get position(): Place {
    return [this.x + this.offX, this.z + this.offZ];
  }

  /** Where the newest steps lead, without the easing of corrections. */
  get target(): Place {
    return [this.x, this.z];
  }

  /** Another room, or the room anew: the next authoritative place is taken as it is. */
  enter(floor: Floor): void {
    this.floor = floor;
    this.placed = false;
    this.steps = [];
    this.sent.clear();
    this.ack = -1;
    [this.offX, this.offZ] = [0, 0];
  }

  /** Walks `dt` seconds, ending at `nowMs`, by wish and push. `held` people (seated) stay. */
  walk(velocity: Place, dt: number, nowMs: number, held: boolean): void {
    const ease = Math.exp(-dt / EASE_S);
    [this.offX, this.offZ] = [this.offX * ease, this.offZ * ease];
    if (!this.placed) return;
    const row: Step = { endMs: nowMs, dt, velocity: held ? [0, 0] : velocity };
    this.steps.push(row);
    if (this.steps.length > STEPS_MAX) this.steps.shift();
    [this.x, this.z] = step([this.x, this.z], row.velocity, row.dt, this.speedMax, this.floor);
  }

  /** A pose went out at `nowMs`. */
  posted(seq: number, nowMs: number): void {
    this.sent.set(seq & 0xff, nowMs);
  }

  /** The server's word: at `tick` one was at (x, z), `ack` being the low byte of the newest pose it had applied. */
  correct(x: number, z: number, ack: number, tick: number, held: boolean): void {
    if (ack !== this.ack) [this.ack, this.ackTick] = [ack, tick];
    const sentMs = this.sent.get(ack);
    if (!this.placed || held || sentMs === undefined) return this.place(x, z);
    const sinceMs = sentMs + (tick - this.ackTick + 1) * this.tickMs;
    this.steps = this.steps.filter((row) => row.endMs > sinceMs);
    let place: Place = [x, z];
    for (const row of this.steps) place = step(place, row.velocity, Math.min(row.dt, (row.endMs - sinceMs) / 1000), this.speedMax, this.floor);
    this.moveTo(...place);
  }

  private moveTo(x: number, z: number): void {
    const [dx, dz] = [this.x - x, this.z - z];
    this.correctionMm = Math.hypot(dx, dz);
    [this.x, this.z] = [x, z];
    if (Math.hypot(dx + this.offX, dz + this.offZ) > JUMP_MM) [this.offX, this.offZ] = [0, 0];
    else [this.offX, this.offZ] = [this.offX + dx, this.offZ + dz];
  }

  private place(x: number, z: number): void {
    const first = !this.placed;
    this.placed = true;
    if (first) [this.x, this.z, this.offX, this.offZ] = [x, z, 0, 0];
    else this.moveTo(x, z);
  }
}
