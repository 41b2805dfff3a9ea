import { toWorld } from "@/input/controls";
import { type Doing, poseOf } from "@/motion/body";
import { parseLink } from "@/net/join";
import { encodePose, POINTING, POSE_BYTES, RAISED, yawFromWire, yawToWire } from "@/net/pose";
import { TRANSITIONS } from "@/net/session";
import { connectionWord, titleOf } from "@/quality";
import { Model } from "@/model";
import { listed } from "@/ui/people";
import type { Person } from "@/net/protocol";
import { floorOf, type Layout, monitorPlace } from "@/scene/layout";
import { free } from "@/motion/collide";

it("a link names its room and invite, and the lobby when it names none", () => {
  expect(parseLink("/r/ward-a", "#aB-_1")).toEqual({ room: "ward-a", invite: "aB-_1" });
  expect(parseLink("/", "")).toEqual({ room: "lobby", invite: "" });
  expect(parseLink("/r/../etc", "#x").room).toBe("lobby");
});

it("a session can always be closed, and goes on only by connecting", () => {
  for (const [state, next] of Object.entries(TRANSITIONS)) {
    if (state !== "closed") expect(next).toContain("closed");
    if (state !== "connecting") expect(next).not.toContain("active");
  }
});

it("walking ahead follows the look: -z at yaw 0, -x a quarter turn to the left", () => {
  const [x, z] = toWorld(0, -1000, 0);
  expect([x, z].map(Math.round)).toEqual([0, -1000]);
  expect(toWorld(0, -1000, Math.PI / 2).map((value) => Math.round(value) + 0)).toEqual([-1000, 0]);
  expect(toWorld(1000, 0, 0).map((value) => Math.round(value) + 0)).toEqual([1000, 0]);
});

it("yaw keeps its way over the wire", () => {
  for (const yaw of [0, 1, -1, 3.1, -3.1, 12]) {
    const back = yawFromWire(yawToWire(yaw));
    expect(Math.cos(back - yaw)).toBeGreaterThan(0.9999);
  }
});

it("the hands stay within reach, whatever one does", () => {
  const base: Doing = { yaw: 0.7, pitch: 0, eyes: 1650, wish: [1500, 0], raised: false, pointing: false, speaking: false, holds: [false, false], seconds: 0 };
  for (const pitch of [-1.2, 0, 1.2]) {
    for (const raised of [false, true]) {
      for (const pointing of [false, true]) {
        for (const held of [false, true]) {
          const pose = poseOf({ ...base, pitch, raised, pointing, holds: [held, held] }, 9);
          for (const hand of [pose.left, pose.right]) expect(Math.hypot(...hand)).toBeLessThan(900);
          expect(pose.flags & (RAISED | POINTING)).toBe((raised ? RAISED : 0) | (pointing ? POINTING : 0));
          expect(encodePose(pose)).toHaveLength(POSE_BYTES);
        }
      }
    }
  }
});

it("the connection has a word", () => {
  expect(connectionWord(20, { jitterMs: 5, stale: false })).toBe("good");
  expect(connectionWord(200, { jitterMs: 5, stale: false })).toBe("fair");
  expect(connectionWord(20, { jitterMs: 5, stale: true })).toBe("poor");
  expect(titleOf("ward-a")).toBe("Ward a");
});

it("what stands in a room is in the way, and one can stand beside it", () => {
  const layout: Layout = {
    title: "Test", kind: "ward", size_m: [8, 3, 6], capacity: 9, slug: "test", seat: [], door: [],
    wall: [{ start: [-1, -3], end: [-1, 0], thickness_m: 0.1 }],
    box: [{ kind: "desk", at: [2, 2], size_m: [1, 0.8, 0.6], name: "" }],
    bed: [{ id: "one", at: [-2.5, 0], facing_deg: 90, monitor_at: null, patient: { name: "P", sex: "female", age_y: 40, height_cm: 170, weight_kg: 70, condition: "healthy" } }],
    device: [{ kind: "ventilator", at: [3, -2], bed: "one" }],
  };
  const floor = floorOf(layout);
  for (const place of [[-1000, -1000], [2000, 2000], [-2500, 0], [-3400, 0], [3000, -2000], [4000, 0]] as const) expect(free([...place], floor), String(place)).toBe(false);
  for (const place of [[0, 0], [-2500, 900], [2000, 1400], [3000, -1400]] as const) expect(free([...place], floor), String(place)).toBe(true);
  const [x, z] = monitorPlace(layout.bed[0]!, layout);
  expect(x).toBeGreaterThan(-2.5);
  expect(Math.abs(z)).toBeGreaterThan(0.5);
});

it("a thousand people are listed to a maximum: oneself, who speaks, then by name, or who is sought", () => {
  const person = (slot: number, name: string, role: Person["role"] = "student"): Person => ({ avatar: slot | (3 << 12), name, role, person: new Uint8Array(16), muted: false, away: false });
  const people = Array.from({ length: 1000 }, (_, slot) => person(slot, `Person ${String(999 - slot).padStart(3, "0")}`, slot === 500 ? "clinician" : "student"));
  const own = people[700]!.avatar;
  const { shown, found } = listed(people, "", own, new Set([17]), 60);
  expect([found, shown.length]).toEqual([1000, 60]);
  expect(shown.slice(0, 4).map((each) => each.name)).toEqual(["Person 299", "Person 982", "Person 000", "Person 001"]);
  expect(listed(people, " PERSON 04", own, new Set(), 60).found).toBe(10);
  expect(listed(people, "clinic", own, new Set(), 60).shown).toEqual([people[500]]);
  expect(listed(people, "nobody", own, new Set(), 60)).toEqual({ shown: [], found: 0 });
});

it("comings and goings are noted in a small company, not in a hall", () => {
  const model = new Model();
  const person = (slot: number): Person => ({ avatar: slot, name: `Person ${slot}`, role: "student", person: new Uint8Array(16), muted: false, away: false });
  for (let slot = 1; slot <= 300; slot++) model.apply({ kind: "came", who: person(slot) });
  expect(model.people.size).toBe(300);
  expect(model.lines.map((line) => line.text).slice(-2)).toEqual(["Person 40 (student) came in", "There are many people here: who comes and goes is not listed any more."]);
  for (let slot = 300; slot > 3; slot--) model.apply({ kind: "left", avatar: slot, reason: "" });
  expect(model.people.size).toBe(3);
  expect(model.lines.at(-1)!.text).toBe("Person 4 left");
  expect(model.lines.length).toBeLessThan(90);
});
