/** What a frame of a full hall costs in script time: made-up rows through the real timeline and the real stage. */

import { type Sample, Timeline } from "../src/motion/interpolate";
import { lookRotation, packRotation } from "../src/net/rotation";
import type { Person, Role } from "../src/net/protocol";
import { makeFar, makeRows, type View } from "../src/net/snapshot";
import { encode } from "@msgpack/msgpack";
import type { WebGLRenderer } from "three";
import { readLayout } from "../src/scene/layout";
import { Stage } from "../src/scene/stage";
import type { Model } from "../src/model";

const TICK_MS = 1000 / 30;
const FRAME_MS = 1000 / 60;
const PARTS = 10;
const HALF_MM = 19_000;
const ROLES: readonly Role[] = ["student", "clinician", "patient", "carer", "observer"];

/** Milliseconds of every frame: taking in views, interpolation, arranging the scene, and the renderer with its graphics calls. */
export interface Measured {
  push: number[];
  sample: number[];
  scene: number[];
  render: number[];
  calls: number;
  drawn: [near: number, far: number];
}

interface Walk {
  radius: number;
  phase: number;
  speed: number;
}

function placeOf({ radius, phase, speed }: Walk, tick: number): [number, number, number] {
  const angle = phase + (speed * tick * TICK_MS) / radius;
  return [radius * Math.cos(angle), radius * Math.sin(angle), -angle];
}

/** One tick: the `near` people nearest to the middle with hands, a tenth of all others anew. */
function viewAt(tick: number, walks: readonly Walk[], near: number, far: View["far"]): View {
  const avatars = makeRows(near);
  const turned = (yaw: number): number => ((yaw / (2 * Math.PI)) * 1024) & 1023;
  for (let slot = 0; slot < near; slot++) {
    const [x, z, yaw] = placeOf(walks[slot]!, tick);
    avatars.slot[slot] = slot;
    avatars.head.set([x, 1650, z], 3 * slot);
    avatars.headRot[slot] = packRotation(lookRotation(yaw, 0.1));
    avatars.yaw[slot] = turned(yaw);
    avatars.flags[slot] = slot % 40 === 0 ? 1 : 0;
    avatars.hand.set([-250, -700 + 80 * Math.sin(tick / 5), -100, 250, -700, -100], 6 * slot);
    avatars.handRot.set([packRotation(lookRotation(yaw, -1)), packRotation(lookRotation(yaw, -1))], 2 * slot);
    avatars.count += 1;
  }
  for (let i = 0; i < far.count; i++) {
    const slot = near + i;
    if (slot % PARTS !== tick % PARTS && far.tick[i] !== 0) continue;
    const [x, z, yaw] = placeOf(walks[slot]!, tick);
    far.head.set([x, 1650, z], 3 * i);
    [far.slot[i], far.yaw[i], far.tick[i]] = [slot, turned(yaw) & 1008, tick];
  }
  return { room: 0, tick, home: 0, avatars, things: new Map(), held: new Set(), far };
}

function modelOf(people: number): Model {
  const rows = Array.from({ length: people }, (_, slot): [number, Person] => [slot, { avatar: slot, name: `Person ${slot}`, role: ROLES[slot % 5]!, person: Uint8Array.of(slot, slot >> 3), muted: false, away: false }]);
  return { people: new Map(rows), things: new Map() } as unknown as Model;
}

/** A hall ready to be measured: everything that comes of its server is made beforehand. */
interface Ready {
  stage: Stage;
  views: View[];
  renderMs: { spent: number };
}

let ready: Ready | null = null;

/** Makes a hall of `people`, `near` of them with hands, for so many frames. */
function prepare(people: number, near: number, frames: number): void {
  const stage = new Stage(document.getElementById("world") as HTMLCanvasElement, "low");
  stage.enter(readLayout(encode({ title: "Hall", kind: "lecture", size_m: [40, 4, 40] })), (room) => room);
  stage.people(modelOf(people));
  const walks = Array.from({ length: people }, (_, i): Walk => ({ radius: 1000 + (HALF_MM * i) / people, phase: i * 2.4, speed: i % 3 === 0 ? 1.2 : 0 }));
  const far = makeFar(people - near);
  far.count = people - near;
  const views = Array.from({ length: Math.ceil((frames * FRAME_MS) / TICK_MS) + 1 }, (_, tick) => {
    const { avatars, ...view } = viewAt(tick + 1, walks, near, far);
    return { ...view, avatars, far: structuredClone(far) };
  });
  const renderer = (stage as unknown as { renderer: WebGLRenderer }).renderer;
  const [render, renderMs] = [renderer.render.bind(renderer), { spent: 0 }];
  renderer.render = (scene, camera) => void (renderMs.spent += clocked(() => render(scene, camera)));
  ready = { stage, views, renderMs };
}

/** Draws `frames` frames of the hall that was prepared; the first `warm` do not count. */
async function measure(frames: number, warm: number): Promise<Measured> {
  const { stage, views, renderMs } = ready!;
  const [timeline, out] = [new Timeline(TICK_MS), { push: [], sample: [], scene: [], render: [], calls: 0, drawn: [0, 0] } as Measured];
  let tick = 1;
  for (let frame = 0; frame < frames; frame++) {
    const nowMs = 1000 + frame * FRAME_MS;
    const spent = { push: 0, sample: 0, scene: 0, render: 0 };
    for (; tick * TICK_MS + 1000 <= nowMs; tick++) spent.push += clocked(() => timeline.push(views[tick - 1]!, nowMs));
    let samples: ReadonlyMap<number, Sample> = new Map();
    spent.sample = clocked(() => void (samples = timeline.sample(nowMs)));
    const crowd = timeline.far();
    const eye = { x: 0, y: 1.65, z: 18, yaw: 0.3 * Math.sin(frame / 60), pitch: 0, behind: false };
    renderMs.spent = 0;
    spent.scene = clocked(() => stage.draw({ dt: FRAME_MS / 1000, seconds: nowMs / 1000, eye, own: -1, samples, crowd, things: new Map(), marks: [], monitor: () => { throw new Error("no beds"); }, calm: true })) - renderMs.spent;
    spent.render = renderMs.spent;
    out.drawn = [samples.size, crowd.count];
    if (frame >= warm) for (const key of ["push", "sample", "scene", "render"] as const) out[key].push(spent[key]);
    await new Promise((done) => requestAnimationFrame(done));
  }
  out.calls = stage.stats().calls;
  stage.dispose();
  return out;
}

function clocked(work: () => void): number {
  const from = performance.now();
  work();
  return performance.now() - from;
}

declare global {
  interface Window {
    prepare: typeof prepare;
    measure: typeof measure;
  }
}
Object.assign(window, { prepare, measure });
