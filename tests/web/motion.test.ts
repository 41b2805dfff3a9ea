import { free, pushOf, step, type Floor } from "@/motion/collide";
import { delayFor, percentile, PlayoutClock } from "@/motion/clock";
import { Timeline } from "@/motion/interpolate";
import { mixYaw } from "@/motion/track";
import { Predictor } from "@/motion/predict";
import { makeFar, makeRows, type View } from "@/net/snapshot";
import { packRotation } from "@/net/rotation";

const TICK_MS = 1000 / 30;
const EMPTY: Floor = { bounds: [-5000, -5000, 5000, 5000], radius: 220, blocks: [] };
const DESK: Floor = { ...EMPTY, blocks: [[-500, -1000, 500, 1000]] };

/** A small generator, so that random tests are the same every time. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function viewAt(tick: number, people: Record<number, number>, room = 0): View {
  const rows = makeRows(Object.keys(people).length);
  for (const [slot, x] of Object.entries(people)) {
    rows.slot[rows.count] = Number(slot);
    rows.head.set([x, 1600, 0], 3 * rows.count);
    rows.headRot[rows.count] = packRotation([0, 0, 0, 1]);
    rows.count += 1;
  }
  return { room, tick, home: 0, avatars: rows, things: new Map(), held: new Set(), far: makeFar(0) };
}

describe("a disc among boxes", () => {
  it("slides along walls and never stands in one, whatever the walk", () => {
    const roll = dice(1);
    const floor: Floor = { ...DESK, blocks: [...DESK.blocks, [2200, 300, 2800, 2100], [-4000, 2500, -1000, 2600]] };
    let place: [number, number] = [-3000, 0];
    for (let i = 0; i < 5000; i++) {
      const angle = roll() * 2 * Math.PI;
      for (let k = 0; k < 5; k++) place = step(place, [2200 * Math.cos(angle), 2200 * Math.sin(angle)], 1 / 30, 2200, floor);
      expect(free(place, floor)).toBe(true);
    }
  });
  it("is no faster than the limit", () => {
    expect(step([-3000, 3000], [9000, 0], 0.1, 2200, EMPTY)[0]).toBeCloseTo(-2780);
  });
  it("keeps the sideways part of a walk against a box", () => {
    let place: [number, number] = [-720, 0];
    for (let i = 0; i < 10; i++) place = step(place, [1000, 500], 0.1, 2200, DESK);
    expect(place).toEqual([-720, 500]);
  });
  it("cannot pass through a thin wall in one long step", () => {
    const thin: Floor = { ...EMPTY, blocks: [[0, -5000, 20, 5000]] };
    expect(step([-1000, 0], [2200, 0], 4, 2200, thin)).toEqual([-220, 0]);
  });
  it("is pushed away from others, the more the nearer", () => {
    expect(pushOf([0, 0], [[600, 0]], 500, 2200)).toEqual([0, 0]);
    expect(pushOf([0, 0], [[250, 0]], 500, 2200)[0]).toBeCloseTo(-1100);
  });
});

describe("prediction", () => {
  it("walks at once, and agrees with a server that does the same a moment later", () => {
    const me = new Predictor(TICK_MS, 2200, DESK);
    me.correct(-3000, 0, 0, 0, false);
    let server: [number, number] = [-3000, 0];
    let worst = 0;
    for (let i = 1; i <= 120; i++) {
      const nowMs = i * TICK_MS;
      const wish = i < 60 ? 1400 : 0;
      me.posted(i, nowMs - TICK_MS);
      me.walk([wish, 0], TICK_MS / 1000, nowMs, false);
      const late = i - 4;
      if (late >= 1) {
        server = step(server, [late < 60 ? 1400 : 0, 0], TICK_MS / 1000, 2200, DESK);
        const [x] = me.target;
        me.correct(...server, late & 0xff, late, false);
        worst = Math.max(worst, Math.abs(me.target[0] - x));
      }
    }
    expect(worst).toBeLessThan(2);
    expect(me.position[0]).toBeCloseTo(server[0], 0);
    expect(server[0]).toBeCloseTo(-720, 0);
  });
  it("eases a small correction in and takes a far one at once", () => {
    const me = new Predictor(TICK_MS, 2200, EMPTY);
    me.correct(0, 0, 0, 0, false);
    me.posted(1, 0);
    me.correct(100, 0, 1, 1, false);
    expect(me.target[0]).toBe(100);
    expect(me.position[0]).toBe(0);
    me.walk([0, 0], 1, 1000, false);
    expect(me.position[0]).toBeCloseTo(100, 0);
    me.correct(3000, 0, 1, 2, false);
    expect(me.position[0]).toBe(3000);
  });
});

describe("interpolation", () => {
  it("waits two ticks and the jitter, within 66 and 200 ms", () => {
    expect(delayFor(TICK_MS, 0)).toBeCloseTo(66.7, 0);
    expect(delayFor(11, 0)).toBe(66);
    expect(delayFor(TICK_MS, 40)).toBeCloseTo(106.7, 0);
    expect(delayFor(TICK_MS, 900)).toBe(200);
    expect(percentile([3, 1, 2], 0.95)).toBe(3);
  });
  it("plays evenly although snapshots come unevenly", () => {
    const roll = dice(2);
    const clock = new PlayoutClock(TICK_MS);
    const arrivals = Array.from({ length: 300 }, (_, tick) => ({ tick, ms: tick * TICK_MS + 20 + 30 * roll() }));
    let next = 0;
    let last = Number.NaN;
    for (let ms = 0; ms < 9500; ms += 16) {
      for (; next < arrivals.length && arrivals[next]!.ms <= ms; next++) clock.arrived(arrivals[next]!.tick, ms);
      const at = clock.at(ms);
      if (ms > 2000) {
        expect(at - last).toBeGreaterThan((16 / TICK_MS) * 0.8);
        expect(at - last).toBeLessThan((16 / TICK_MS) * 1.2);
        expect(at).toBeLessThan(next);
      }
      last = at;
    }
    expect(clock.delayMs).toBeGreaterThan(80);
  });
  function played(untilTick: number): Timeline {
    const line = new Timeline(TICK_MS);
    for (let tick = 0; tick <= untilTick; tick++) {
      line.push(viewAt(tick, { 3: tick * 40 }), tick * TICK_MS);
      line.sample(tick * TICK_MS);
    }
    return line;
  }
  it("draws between two views", () => {
    const line = played(30);
    const x = line.sample(30.5 * TICK_MS).get(3)!.head[0];
    expect(x / 40).toBeCloseTo(28.5, 1);
    expect(line.health(30.5 * TICK_MS).stale).toBe(false);
  });
  it("goes on for at most 100 ms without news, then stands and says so", () => {
    const line = played(30);
    const x = (ms: number) => line.sample(30 * TICK_MS + ms).get(3)!.head[0];
    for (let ms = 0; ms < 400; ms += 16) x(ms);
    expect(x(400) / 40).toBeCloseTo(33, 1);
    expect(x(900)).toBe(x(800));
    expect(line.health(30 * TICK_MS + 900).stale).toBe(true);
  });
  it("shows the newest at once when the tab comes back", () => {
    const line = played(30);
    line.push(viewAt(500, { 3: 9000 }), 500 * TICK_MS);
    line.jumpToNewest();
    expect(line.sample(500 * TICK_MS).get(3)!.head[0]).toBe(9000);
  });
  it("does not draw a jump as a walk, nor who has left", () => {
    const line = new Timeline(TICK_MS);
    line.push(viewAt(1, { 3: 0, 4: 0 }), 0);
    line.sample(0);
    line.push(viewAt(2, { 3: 4000 }), TICK_MS);
    const shown = line.sample(2.5 * TICK_MS);
    expect([...shown.keys()]).toEqual([3]);
    expect(shown.get(3)!.head[0]).toBe(4000);
  });
  it("starts anew in another room", () => {
    const line = played(10);
    line.push(viewAt(11, { 9: 1 }, 5), 11 * TICK_MS);
    expect([...line.sample(11 * TICK_MS).keys()]).toEqual([9]);
  });
  it("turns by the short way", () => {
    expect(mixYaw(1020, 4, 0.5)).toBeCloseTo(2 * Math.PI, 5);
    expect(mixYaw(4, 1020, 1)).toBeCloseTo((-4 / 1024) * 2 * Math.PI, 5);
  });
});
