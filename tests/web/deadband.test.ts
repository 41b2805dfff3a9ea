import { angleBetween, DeadBand, differs, HAND_MM, HEAD_MM, TURN_RAD, WISH_MM_S, YAW_TURN } from "@/motion/deadband";
import type { Pose } from "@/net/pose";
import { lookRotation, packRotation } from "@/net/rotation";

const SPACING_MS = 50;
const VOID_MS = 500; // limits.wish_timeout_s

/** A small generator, so that random tests are the same every time. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const rotation = (yaw: number, pitch: number): number => packRotation(lookRotation(yaw, pitch));
const STILL: Pose = {
  seq: 0, wish: [0, 0], yaw: 100, headY: 1650, headRot: rotation(0.4, 0), left: [-250, -780, -60], leftRot: rotation(0.4, -1.2),
  right: [250, -780, -60], rightRot: rotation(0.4, -1.2), grips: 0, flags: 0,
};

/** Somebody who stands, fidgets, looks about and walks by turns, sampled at any time. */
function* life(seed: number): Generator<Pose> {
  const roll = dice(seed);
  let pose = STILL;
  let yaw = 0.4;
  for (;;) {
    const mood = roll();
    for (let k = 0; k < 40; k++) {
      const shake = (size: number): number => (roll() - 0.5) * size;
      if (mood < 0.3) pose = { ...pose, wish: [0, 0] };
      else if (mood < 0.6) pose = { ...pose, headY: 1650 + shake(5), left: [-250 + shake(6), -780 + shake(6), -60], headRot: rotation(yaw, shake(0.008)) };
      else if (mood < 0.8) {
        yaw += shake(0.2);
        pose = { ...pose, headRot: rotation(yaw, shake(0.4)), yaw: Math.round((yaw / (2 * Math.PI)) * 1024) & 1023, right: [250 + shake(300), -400, -300] };
      } else pose = { ...pose, wish: [1400 + shake(30), shake(30)], flags: roll() < 0.1 ? 2 : pose.flags };
      yield pose;
    }
  }
}

describe("the dead-band of poses", () => {
  it.each([1, 2, 3, 4, 5])("what the server has is never more than a hair off, and never too old (life %i)", (seed) => {
    const band = new DeadBand(SPACING_MS);
    const roll = dice(seed + 100);
    let sent: Pose | null = null;
    const times: number[] = [];
    let ms = 1000;
    let late = 0; // how long something new has waited for the input rate
    for (const pose of life(seed)) {
      const step = 8 + 20 * roll();
      ms += step;
      if (band.wants(pose, ms)) {
        band.sent(pose, ms);
        times.push(ms);
        sent = pose;
        late = 0;
      } else late = sent !== null && differs(sent, pose) ? late + step : 0;
      expect(late).toBeLessThan(2 * SPACING_MS);
      expect(ms - times.at(-1)!).toBeLessThan(VOID_MS);
      if (ms > 60_000) break;
    }
    const gaps = times.slice(1).map((at, i) => at - times[i]!);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(SPACING_MS / 2);
    for (let i = 20; i < times.length; i++) expect(times[i]! - times[i - 20]!).toBeGreaterThan(950);
    expect(times.length).toBeLessThan(60 * 20 * 0.8);
  });
  it("says of every field what a hair is", () => {
    const off: [string, Partial<Pose>, Partial<Pose>][] = [
      ["head", { headY: 1650 + HEAD_MM }, { headY: 1651 + HEAD_MM }],
      ["left", { left: [-250, -780 + HAND_MM, -60] }, { left: [-250, -781 + HAND_MM, -54] }],
      ["right", { right: [250 - HAND_MM, -780, -60] }, { right: [249 - HAND_MM, -780, -60] }],
      ["yaw", { yaw: 100 + YAW_TURN }, { yaw: 101 + YAW_TURN }],
      ["headRot", { headRot: rotation(0.4 + TURN_RAD / 2, 0) }, { headRot: rotation(0.4 + 2 * TURN_RAD, 0) }],
      ["rightRot", { rightRot: rotation(0.4, -1.2 + TURN_RAD / 2) }, { rightRot: rotation(0.4, -1.2 + 2 * TURN_RAD) }],
    ];
    for (const [name, less, more] of off) {
      expect(differs(STILL, { ...STILL, ...less }), name).toBe(false);
      expect(differs(STILL, { ...STILL, ...more }), name).toBe(true);
    }
    expect(differs(STILL, { ...STILL, flags: 1 })).toBe(true);
    expect(differs(STILL, { ...STILL, grips: 15 })).toBe(true);
    expect(differs({ ...STILL, yaw: 1023 }, { ...STILL, yaw: 1 })).toBe(false);
    const walk: Pose = { ...STILL, wish: [1000, 0] };
    expect(differs(walk, { ...walk, wish: [1000, WISH_MM_S] })).toBe(false);
    expect(differs(walk, { ...walk, wish: [1000, 2 * WISH_MM_S] })).toBe(true);
  });
  it("never leaves out a start or a stop, however slow the walk", () => {
    const creep: Pose = { ...STILL, wish: [3, 0] };
    expect(differs(STILL, creep)).toBe(true);
    expect(differs(creep, STILL)).toBe(true);
  });
  it("says everything anew in another room", () => {
    const band = new DeadBand(SPACING_MS);
    band.sent(STILL, 0);
    expect(band.wants(STILL, 100)).toBe(false);
    band.reset();
    expect(band.wants(STILL, 100)).toBe(true);
  });
  it("measures the angle between rotations, whatever way they are packed", () => {
    expect(angleBetween(rotation(1, 0), rotation(1.5, 0))).toBeCloseTo(0.5, 2);
    expect(angleBetween(rotation(3.1, 0), rotation(-3.1, 0))).toBeCloseTo(2 * Math.PI - 6.2, 2);
  });
});
