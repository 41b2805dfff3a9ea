import { Color, Matrix4, MeshBasicMaterial, BoxGeometry, Quaternion, Vector3 } from "three";
import { Timeline } from "@/motion/interpolate";
import { makeFar, makeRows, type View } from "@/net/snapshot";
import { packRotation } from "@/net/rotation";
import { Instances } from "@/scene/instances";
import { chosen, type Named, NAMES_MAX, SPEAKERS_MAX } from "@/scene/names";

const TICK_MS = 1000 / 30;
const PARTS = 10;
const SLOT = 7;
const SPEED = 1400; // mm/s
const FRAME_MS = 16;

/** A small generator, so that random tests are the same every time. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

type Tier = "near" | "far" | "held" | "gone";
interface Truth {
  x: number;
  z: number;
  yaw: number;
}

/** What the server shows of one person who is there in truth, tick by tick, in the tier that is asked for. */
class Hall {
  private nearRow: View["avatars"] | null = null;
  private far = makeFar(0);

  constructor(private readonly truth: (tick: number) => Truth) {}

  view(tick: number, tier: Tier): View {
    if (tier === "gone") [this.nearRow, this.far] = [null, makeFar(0)];
    if (tier === "near") this.nearRow = this.rows(tick);
    if (tier === "far") this.nearRow = null;
    if (tick % PARTS === SLOT % PARTS && tier !== "gone") this.far = this.farRows(tick);
    const near = this.nearRow ?? makeRows(0);
    return { room: 0, tick, home: 0, avatars: near, things: new Map(), held: new Set(tier === "held" && near.count > 0 ? [SLOT] : []), far: near.count > 0 ? makeFar(0) : this.far };
  }

  private rows(tick: number): View["avatars"] {
    const { x, z, yaw } = this.truth(tick);
    const rows = makeRows(1);
    [rows.count, rows.slot[0], rows.yaw[0]] = [1, SLOT, yaw & 1023];
    rows.head.set([Math.round(x), 1650, Math.round(z)]);
    rows.hand.set([-300, -200, -400, 300, -200, -400]);
    rows.headRot[0] = packRotation([0, 0, 0, 1]);
    rows.handRot.fill(packRotation([0, 0, 0, 1]));
    return rows;
  }

  private farRows(tick: number): View["far"] {
    const { x, z, yaw } = this.truth(tick);
    const rows = makeFar(1);
    [rows.count, rows.slot[0], rows.yaw[0], rows.tick[0]] = [1, SLOT, yaw & 1008, tick];
    rows.head.set([16 * Math.round(x / 16), 1648, 16 * Math.round(z / 16)]);
    return rows;
  }
}

interface Drawn {
  ms: number;
  tier: "near" | "far" | "none";
  x: number;
  z: number;
  yaw: number;
  left: readonly number[];
  quiet: boolean;
}

/** Plays `seconds` of a hall at the frame rate; views come when `tier` says (null: nothing comes in that tick). */
function play(seconds: number, truth: (tick: number) => Truth, tier: (tick: number) => Tier | null): Drawn[] {
  const [line, hall, drawn] = [new Timeline(TICK_MS), new Hall(truth), [] as Drawn[]];
  let tick = 1;
  for (let ms = 0; ms < seconds * 1000; ms += FRAME_MS) {
    for (; tick * TICK_MS <= ms; tick++) {
      const now = tier(tick);
      if (now !== null) line.push(hall.view(tick, now), tick * TICK_MS);
    }
    const samples = line.sample(ms);
    const [near, crowd] = [samples.get(SLOT), line.far()];
    const inCrowd = crowd.slot.subarray(0, crowd.count).indexOf(SLOT);
    expect(near !== undefined && inCrowd >= 0, `drawn twice at ${ms}`).toBe(false);
    if (near !== undefined) drawn.push({ ms, tier: "near", x: near.head[0], z: near.head[2], yaw: near.yaw, left: [...near.left], quiet: near.quiet });
    else if (inCrowd >= 0) drawn.push({ ms, tier: "far", x: crowd.head[3 * inCrowd]!, z: crowd.head[3 * inCrowd + 2]!, yaw: crowd.yaw[inCrowd]!, left: [], quiet: crowd.quiet[inCrowd] !== 0 });
    else drawn.push({ ms, tier: "none", x: Number.NaN, z: Number.NaN, yaw: Number.NaN, left: [], quiet: false });
  }
  return drawn;
}

const walking = (tick: number): Truth => ({ x: (tick * TICK_MS * SPEED) / 1000, z: 2000, yaw: 256 + tick });
const steps = (drawn: readonly Drawn[]): number[] => drawn.slice(1).map((each, i) => Math.hypot(each.x - drawn[i]!.x, each.z - drawn[i]!.z) / FRAME_MS); // mm/ms = m/s
const turns = (drawn: readonly Drawn[]): number[] => drawn.slice(1).map((each, i) => Math.abs(Math.atan2(Math.sin(each.yaw - drawn[i]!.yaw), Math.cos(each.yaw - drawn[i]!.yaw))));
const lagMs = (each: Drawn): number => each.ms - (each.x / SPEED) * 1000;
const after = (ms: number) => (each: Drawn): boolean => each.ms >= ms;

describe("people far off", () => {
  it("glide at the speed they walk, less than half a second behind, without hands", () => {
    const drawn = play(6, walking, () => "far").filter(after(2000));
    expect(new Set(drawn.map((each) => each.tier))).toEqual(new Set(["far"]));
    for (const speed of steps(drawn)) expect(Math.abs(speed - 1.4)).toBeLessThan(0.25);
    for (const turn of turns(drawn)) expect(turn).toBeLessThan(0.02);
    for (const each of drawn) expect(lagMs(each)).toBeLessThan(500);
    expect(drawn.some((each) => each.quiet)).toBe(false);
  });
  it("stand where they were last seen when nothing comes, and are shown as quiet after a second", () => {
    const drawn = play(6, walking, (tick) => (tick < 90 ? "far" : null));
    const [last] = drawn.slice(-1);
    expect(last!.quiet).toBe(true);
    expect(last!.x).toBeCloseTo(16 * Math.round(walking(87).x / 16), 0);
    expect(steps(drawn.filter(after(5000))).every((speed) => speed === 0)).toBe(true);
  });
  it("are gone as soon as the newest view has them no more", () => {
    const drawn = play(4, walking, (tick) => (tick < 60 ? "far" : "gone"));
    for (const each of drawn.filter(after(60 * TICK_MS + FRAME_MS))) expect(each.tier).toBe("none");
  });
});

describe("who comes near or goes far", () => {
  it("goes on from the same place: never twice, never missing, never a jump", () => {
    const tier = (tick: number): Tier => (tick < 60 ? "far" : tick < 135 ? "near" : "far");
    const drawn = play(8, walking, tier).filter(after(600));
    expect(drawn.map((each) => each.tier).filter((each, i, all) => each !== all[i - 1])).toEqual(["far", "near", "far"]);
    const speeds = steps(drawn);
    expect(Math.max(...speeds)).toBeLessThan(2 * 1.4 + 0.3);
    expect(Math.min(...speeds)).toBeGreaterThanOrEqual(0);
    for (let i = 1; i < drawn.length; i++) expect(drawn[i]!.x).toBeGreaterThanOrEqual(drawn[i - 1]!.x - 10);
    for (const turn of turns(drawn)) expect(turn).toBeLessThan(0.06);
    const near = drawn.filter((each) => each.tier === "near");
    for (const each of near.filter((one) => one.ms > near[0]!.ms + 700 && one.ms < near.at(-1)!.ms - 600)) expect(lagMs(each)).toBeLessThan(120);
  });
  it("gets hands gradually, from hanging to where they are, and loses them so", () => {
    const drawn = play(8, (tick) => ({ ...walking(tick), yaw: 0 }), (tick) => (tick < 60 ? "far" : tick < 135 ? "near" : "far"));
    const near = drawn.filter((each) => each.tier === "near");
    const moved = near.slice(1).map((each, i) => Math.hypot(...each.left.map((mm, k) => mm - near[i]!.left[k]!)));
    expect(Math.max(...moved)).toBeLessThan(120);
    const known = near.filter((each) => each.ms > near[0]!.ms + 300 && each.ms < near.at(-1)!.ms - 300);
    for (const each of known) expect(each.left[2]).toBeCloseTo(-400, 0);
    expect(near[0]!.left[1]).toBeLessThan(-700);
    expect(near.at(-1)!.left[1]).toBeLessThan(-650);
  });
  it.each([1, 2, 3, 4, 5, 6])("never pops, whatever comes when (fate %i)", (seed) => {
    const roll = dice(seed);
    const fate: (Tier | null)[] = [];
    while (fate.length < 400) {
      const [tier, length] = [roll(), 1 + Math.floor(roll() * 40)];
      const next: Tier | null = tier < 0.4 ? "near" : tier < 0.75 ? "far" : tier < 0.9 ? "held" : null;
      fate.push(...Array<Tier | null>(next === null ? Math.min(6, length) : length).fill(next));
    }
    const walk = (tick: number): Truth => ({ x: 3000 * Math.sin(tick / 60), z: 3000 * Math.cos(tick / 60), yaw: tick * 3 });
    const drawn = play(12, walk, (tick) => fate[tick]!).filter(after(700));
    expect(drawn.filter((each) => each.tier === "none")).toEqual([]);
    // Catching up after a pause is bounded: what was missed goes over in a fifth of a second.
    for (const speed of steps(drawn)) expect(speed).toBeLessThan(16);
  });
});

describe("who is in a block that is held back", () => {
  const held = play(6, walking, (tick) => (tick < 60 ? "near" : tick < 100 ? "held" : "near"));
  const between = (from: number, to: number) => held.filter((each) => each.ms >= from && each.ms < to);
  it("goes on for at most 100 ms, then keeps their place and is shown as quiet", () => {
    const lastMs = 59 * TICK_MS;
    const quiet = between(lastMs + 100 + 66 + 100 + 200, 100 * TICK_MS);
    expect(quiet.length).toBeGreaterThan(20);
    for (const each of quiet) {
      expect(each.tier).toBe("near");
      expect(each.quiet).toBe(true);
      expect(Math.abs(each.x - walking(62).x)).toBeLessThan(5);
    }
  });
  it("goes over to where they are when news comes, and is not quiet any more", () => {
    const back = between(100 * TICK_MS, 100 * TICK_MS + 700);
    expect(Math.max(...steps(back))).toBeLessThan(15);
    expect(held.at(-1)!.quiet).toBe(false);
    expect(lagMs(held.at(-1)!)).toBeLessThan(120);
  });
});

describe("what is drawn many times", () => {
  const matrix = (x: number): Matrix4 => new Matrix4().compose(new Vector3(x, 1, 2), new Quaternion(), new Vector3(1, 1, 1));
  it("has the rows of this frame and no others, to its maximum", () => {
    const rows = new Instances(new BoxGeometry(), new MeshBasicMaterial(), 3, new Color(0));
    expect([rows.mesh.count, rows.mesh.visible]).toEqual([0, false]);
    rows.begin();
    for (let x = 0; x < 5; x++) rows.put(matrix(x), new Color(x / 10, 0, 0));
    rows.end();
    expect([rows.mesh.count, rows.mesh.visible]).toEqual([3, true]);
    const read = new Matrix4();
    rows.mesh.getMatrixAt(2, read);
    expect(read.elements).toEqual(matrix(2).elements);
    expect(rows.mesh.instanceColor!.array[6]).toBeCloseTo(0.2);
    rows.begin();
    rows.put(matrix(9), new Color(1, 1, 1));
    rows.end();
    expect(rows.mesh.count).toBe(1);
    rows.mesh.getMatrixAt(0, read);
    expect(read.elements[12]).toBe(9);
    rows.dispose();
  });
  it("stands upright as a composed matrix does", () => {
    const rows = new Instances(new BoxGeometry(), new MeshBasicMaterial(), 1, new Color(0));
    rows.putUpright(1, 2, 3, Math.sin(0.7), Math.cos(0.7), 1.5, new Color(0));
    rows.end();
    const wanted = new Matrix4().compose(new Vector3(1, 2, 3), new Quaternion().setFromAxisAngle(new Vector3(0, 1, 0), 0.7), new Vector3(1, 1.5, 1));
    const read = new Matrix4();
    rows.mesh.getMatrixAt(0, read);
    wanted.elements.forEach((value, i) => expect(read.elements[i]).toBeCloseTo(value, 5));
  });
});

it("names are for the nearest and for who speaks, however far", () => {
  const eye = { x: 0, y: 1.6, z: 0 };
  const around = (slot: number, metres: number, bearing: number): Named => ({ slot, x: metres * Math.sin(bearing), y: 1.6, z: metres * Math.cos(bearing), metres, flags: 0, speaks: slot % 20 === 3 });
  const people = Array.from({ length: 200 }, (_, slot) => around(slot, 0.5 + 0.1 * ((slot * 37) % 200), slot * 2.4));
  const names = chosen(people, eye);
  expect(names.filter((each) => each.speaks)).toHaveLength(SPEAKERS_MAX);
  const others = names.filter((each) => !each.speaks);
  expect(others).toHaveLength(NAMES_MAX);
  expect(Math.max(...others.map((each) => each.metres))).toBeLessThan(6);
  expect(new Set(names.map((each) => each.slot)).size).toBe(names.length);
  expect(chosen([around(1, 15, 0)], eye)).toEqual([]);
  expect(chosen([around(1, 5, 0), around(2, 4, 0.02), around(4, 5, 1), { ...around(5, 5, 1.01), y: 3 }], eye).map((each) => each.slot)).toEqual([2, 4, 5]);
});
