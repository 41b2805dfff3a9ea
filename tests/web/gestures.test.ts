import { encode } from "@msgpack/msgpack";
import { Gestures, type Reach } from "@/gestures";
import { Marks } from "@/marks";
import { Model } from "@/model";
import { Timeline } from "@/motion/interpolate";
import { Meter } from "@/net/meter";
import type { Body, Person, RoomEntered } from "@/net/protocol";
import { makeFar, makeRows } from "@/net/snapshot";
import { networkRows } from "@/ui/network";

const TICK_MS = 1000 / 30;
const handle = (slot: number): number => slot | (1 << 12);
const person = (slot: number, name: string): Person => ({ avatar: handle(slot), name, role: "clinician", person: new Uint8Array(16), muted: false, away: false });

/** A ward with Ada (1, oneself) and Ben (2) one metre ahead, a pen at (0.6, 0.8, -0.5) m, and a bed. */
function ward(): { model: Model; timeline: Timeline } {
  const [model, timeline] = [new Model(), new Timeline(TICK_MS)];
  const scene = encode({ title: "Ward", kind: "ward", size_m: [8, 3, 8], slug: "ward", bed: [{ id: "bed-1", at: [3, 0], facing_deg: 0, monitor_at: null, patient: { name: "Clara", sex: "female", age_y: 40, height_cm: 170, weight_kg: 70, condition: "healthy" } }] });
  const room: RoomEntered = { kind: "room", room: "ward", room_index: 0, avatar: handle(1), role: "clinician", scene, people: [person(1, "Ada"), person(2, "Ben")], things: [{ thing: handle(9), name: "Pen", kind: "pen" }], rights: [], locked: false, waiting: [], first_bed: 4 };
  model.apply(room);
  const rows = makeRows(2);
  rows.slot.set([1, 2]);
  rows.count = 2;
  rows.head.set([0, 1650, 0, 0, 1650, -1000]);
  const things = new Map([[9, { slot: 9, owner: -1, hand: 0, position: [600, 800, -500] as [number, number, number], rotation: 0 }]]);
  for (let tick = 100; tick < 104; tick++) {
    timeline.push({ room: 0, tick, home: 0, avatars: rows, things, held: new Set(), far: makeFar(0) }, tick * TICK_MS);
    timeline.sample(tick * TICK_MS);
  }
  return { model, timeline };
}

function gestures(): { said: Body[]; gestures: Gestures; shown: number } {
  const [said, { model, timeline }] = [[] as Body[], ward()];
  return { said, gestures: new Gestures({ model, timeline: () => timeline, send: (body) => said.push(body) }), shown: timeline.shownTick };
}

const hanging: Reach = { head: [0, 1650, 0], hands: [[-255, -780, -60], [255, -780, -60]], yaw: 0, pitch: 0, pointing: false };
const pointing: Reach = { ...hanging, hands: [hanging.hands[0], [190, -180, -430]], pointing: true };

describe("pointing", () => {
  it("asks what it points at once, and again when the aim has moved, not more often than that", () => {
    const { said, gestures: mine, shown } = gestures();
    expect(shown).toBeGreaterThan(95);
    for (let ms = 0; ms < 3000; ms += 50) mine.update(1, pointing, ms);
    expect(said).toEqual([{ tag: "point", hand: 1, seen: shown }]);
    for (let ms = 3000; ms < 6000; ms += 50) mine.update(1, { ...pointing, yaw: ms / 1000 }, ms);
    expect(said.length).toBeGreaterThan(4);
    expect(said.length).toBeLessThanOrEqual(7);
  });
  it("waits until the server knows that one points, and begins anew the next time", () => {
    const { said, gestures: mine } = gestures();
    mine.update(1, { ...pointing, pointing: false }, 0);
    expect(said).toEqual([]);
    mine.update(1, pointing, 1000);
    mine.update(1, hanging, 2000);
    mine.update(1, pointing, 3000);
    expect(said.map((body) => body.tag)).toEqual(["point", "point"]);
  });
});

describe("touching", () => {
  it("is told once for what a reaching hand comes to, and again after it was away", () => {
    const { said, gestures: mine, shown } = gestures();
    const at: Reach = { ...hanging, hands: [hanging.hands[0], [580, -830, -450]] };
    for (let ms = 0; ms < 2000; ms += 50) mine.update(1, at, ms);
    expect(said).toEqual([{ tag: "touch", hand: 1, what: "thing", target: handle(9), seen: shown }]);
    mine.update(1, hanging, 2000);
    mine.update(1, at, 2500);
    expect(said).toHaveLength(2);
    expect([0, 1, 2, 3].map((seq) => mine.owns(seq))).toEqual([false, true, true, false]);
  });
  it("is of people and beds too, each in its turn, but not of oneself", () => {
    const { said, gestures: mine } = gestures();
    const between: Reach = { ...hanging, hands: [[0, -450, -700], [2700, -900, 0]] };
    for (let ms = 0; ms < 2000; ms += 50) mine.update(1, between, ms);
    expect(said.map((body) => (body.tag === "touch" ? [body.hand, body.what, body.target] : []))).toEqual([[0, "person", handle(2)], [1, "bed", 4]]);
  });
  it("is nothing while the hands hang, however near somebody stands", () => {
    const { said, gestures: mine } = gestures();
    for (let ms = 0; ms < 2000; ms += 50) mine.update(1, { ...hanging, head: [0, 1650, -900] }, ms);
    expect(said).toEqual([]);
  });
});

describe("marks", () => {
  it("stand where the target is, with who and what, until their time is over", () => {
    const { model, timeline } = ward();
    const marks = new Marks();
    marks.take({ kind: "pointed", by: handle(2), hand: 1, what: "thing", target: handle(9) }, 1000);
    const [mark] = marks.live(model, timeline, 2000);
    expect(mark).toMatchObject({ kind: "pointed", x: 0.6, z: -0.5, title: "Pen", line: "Ben points here", age: 0.5 });
    expect(marks.live(model, timeline, 2999)).toHaveLength(1);
    expect(marks.live(model, timeline, 3000)).toEqual([]);
  });
  it("are at beds and people; the next of the same kind, or nothing, ends the one before", () => {
    const { model, timeline } = ward();
    const marks = new Marks();
    marks.take({ kind: "pointed", by: handle(2), hand: 1, what: "bed", target: 4 }, 0);
    marks.take({ kind: "touched", by: handle(2), hand: 1, what: "person", target: handle(1) }, 0);
    expect(marks.live(model, timeline, 1).map((mark) => mark.title)).toEqual(["Clara", "Ada"]);
    marks.take({ kind: "pointed", by: handle(2), hand: 1, what: "nothing", target: 0 }, 1);
    expect(marks.live(model, timeline, 2).map((mark) => mark.kind)).toEqual(["touched"]);
    expect(marks.live(model, timeline, 950)).toEqual([]);
  });
  it("of what is not to be seen are not shown, and there is a maximum of them", () => {
    const { model, timeline } = ward();
    const marks = new Marks();
    for (const target of [handle(5), handle(2)]) marks.take({ kind: "pointed", by: handle(target), hand: 1, what: "person", target }, 0);
    expect(marks.live(model, timeline, 1).map((mark) => mark.title)).toEqual(["Ben"]);
    for (let by = 10; by < 90; by++) marks.take({ kind: "pointed", by, hand: 1, what: "bed", target: 4 }, 0);
    expect(marks.live(model, timeline, 1)).toHaveLength(12);
  });
});

describe("the figures of the connection", () => {
  it("are those of the last seconds", () => {
    const meter = new Meter();
    for (let ms = 0; ms < 20_000; ms += 50) {
      meter.received(ms < 10_000 ? 9_000 : 1_000, ms);
      meter.snapshot(10, ms < 10_000 ? 0 : 2, ms % 1000 === 0 ? 3 : 0.5, ms);
      if (ms % 100 === 0) meter.posed(ms);
    }
    const { bytesPerS, snapshotsPerS, posesPerS, heldShare, decodeMs, decodeWorstMs } = meter.traffic(20_000);
    expect(bytesPerS).toBeCloseTo(20_000, -3);
    expect(snapshotsPerS).toBeCloseTo(20, 0);
    expect(posesPerS).toBeCloseTo(10, 0);
    expect(heldShare).toBeCloseTo(0.2);
    expect([decodeMs, decodeWorstMs]).toEqual([0.5, 3]);
    expect(meter.traffic(40_000)).toEqual({ bytesPerS: 0, snapshotsPerS: 0, posesPerS: 0, heldShare: 0, decodeMs: 0.5, decodeWorstMs: 3 });
  });
  it("are words and numbers for people", () => {
    const rows = networkRows({ near: 40, far: 260, quiet: 1, traffic: { bytesPerS: 62_500, snapshotsPerS: 30, posesPerS: 2, heldShare: 0.034, decodeMs: 0.2, decodeWorstMs: 0.9 }, roundTripMs: 12, health: { delayMs: 70, jitterMs: 4, stale: false, ageMs: 60 }, correctionMm: 20, fps: 60 });
    const of = Object.fromEntries(rows);
    expect(of["Received"]).toBe("63 kB/s (0.50 Mbit/s)");
    expect(of["Pieces of floor held back"]).toBe("3.4 %");
    expect(of["People far, heads only"]).toBe("260");
  });
});
