import { encode } from "@msgpack/msgpack";
import { Timeline } from "@/motion/interpolate";
import { Walker } from "@/motion/walker";
import { POSE_BYTES } from "@/net/pose";
import { type Layout, readLayout } from "@/scene/layout";

const TICK_MS = 1000 / 30;
const room = (slug: string): Layout =>
  readLayout(encode({
    title: slug, kind: "ward", size_m: [8, 3, 8], slug,
    box: [{ kind: "desk", at: [0, 0], size_m: [1.6, 0.8, 4], name: "" }],
    door: [{ to: "lobby", at: [0, 4], facing_deg: 0, width_m: 1.2 }],
  }));

function walker(slug = "ward") {
  const passed: string[] = [];
  const poses: Uint8Array[] = [];
  const look = { yaw: 0, pitch: 0 };
  let seq = 0;
  const made = new Walker(TICK_MS, 50, new Timeline(TICK_MS), look, { nextSeq: () => ++seq, send: (frame) => void poses.push(frame), goThrough: (to) => void passed.push(to) });
  made.enter(room(slug), 5, "");
  const run = (fromMs: number, seconds: number, wish: [number, number] = [0, 0]): number => {
    let ms = fromMs;
    for (; ms < fromMs + seconds * 1000; ms += 16) {
      made.update(0.016, ms, wish);
      made.post(ms, [false, false]);
    }
    return ms;
  };
  return { walker: made, look, passed, poses, run };
}

describe("one's own walk", () => {
  it("waits with everything until the room's first snapshot is there", () => {
    const { walker: me, poses, run } = walker();
    let arrived = false;
    me.go({ to: [2000, 0], within: 150, then: () => (arrived = true) });
    const ms = run(0, 1);
    expect(poses).toHaveLength(0);
    me.seen([-2000, 0], 0, 1, 1.5, 0);
    run(ms, 8);
    expect(arrived).toBe(true);
    expect(Math.hypot(me.position[0] - 2000, me.position[1])).toBeLessThan(160);
    expect(poses.every((frame) => frame.length === POSE_BYTES)).toBe(true);
  });
  it("does what it came for only when the server has been told that it stands", () => {
    const { walker: me, poses, run } = walker();
    me.seen([-2000, 0], 0, 1, 1.5, 0);
    let told = [1, 1];
    me.go({ to: [-2000, 1500], within: 150, then: () => (told = [5, 7].map((at) => new DataView(poses.at(-1)!.buffer).getInt16(at, true))) });
    run(0, 4);
    expect(told).toEqual([0, 0]);
  });
  it("looks the way the server says at first", () => {
    const { walker: me, look } = walker();
    me.seen([0, 3000], 0, 1, 1.5, 0);
    expect(look.yaw).toBe(1.5);
  });
  it("looks into the room after a door", () => {
    const { walker: me, look } = walker("hall");
    me.seen([0, 3000], 0, 1, 2, 0);
    me.enter(room("ward"), 5, "lobby");
    me.seen([0, 3000], 0, 2, 2, 0);
    expect(look.yaw).toBeCloseTo(0);
  });
  it("sends poses at the input rate while it walks, and a few when it stands", () => {
    const { walker: me, poses, run } = walker();
    me.seen([-2000, 0], 0, 1, 0, 0);
    const ms = run(1000, 2, [300, 0]);
    expect(poses.length).toBeGreaterThan(30);
    expect(poses.length).toBeLessThan(45);
    poses.length = 0;
    run(ms, 4);
    expect(poses.length).toBeGreaterThanOrEqual(8);
    expect(poses.length).toBeLessThanOrEqual(10);
    expect(new DataView(poses[0]!.buffer).getInt16(5, true)).toBe(0);
  });
  it("numbers only the poses it sends", () => {
    const { walker: me, poses, run } = walker();
    me.seen([-2000, 0], 0, 1, 0, 0);
    run(1000, 2);
    expect(poses.map((frame) => new DataView(frame.buffer).getUint32(1, true))).toEqual(poses.map((_, i) => i + 1));
  });
  it("passes a door it walks into once, and not one it passes by", () => {
    const { walker: me, passed, run } = walker();
    me.seen([0, 2500], 0, 1, 0, 0);
    run(performance.now() + 5000, 2, [0, 1500]);
    expect(passed).toEqual(["lobby"]);
    const other = walker();
    other.walker.seen([-2500, 3700], 0, 1, 0, 0);
    other.run(performance.now() + 5000, 3, [1500, 0]);
    expect(other.passed).toEqual([]);
  });
  it("stays on its seat", () => {
    const { walker: me, run } = walker();
    me.seen([-2000, 0], 0, 1, 0, 4);
    run(0, 1, [1500, 0]);
    expect(me.position).toEqual([-2000, 0]);
  });
  it("gives an errand up for a key, and says when there is no way", () => {
    const { walker: me, run } = walker();
    me.seen([-2000, 0], 0, 1, 0, 0);
    let arrived = false;
    me.go({ to: [2000, 0], within: 150, then: () => (arrived = true) });
    let ms = run(0, 0.2);
    ms = run(ms, 0.1, [-500, 0]);
    run(ms, 6);
    expect(arrived).toBe(false);
    let failed = false;
    me.go({ to: [0, 0], within: 50, then: () => undefined, fail: () => (failed = true) });
    run(ms, 8);
    expect(failed).toBe(true);
  });
});
