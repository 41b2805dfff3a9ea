import { readFileSync } from "node:fs";
import { fromHex, toHex, utf8, type Bytes } from "@/bytes";
import { SnapshotError } from "@/net/bits";
import { encodePose } from "@/net/pose";
import { type Body, decodeMessage, encodeBye, encodeCommand, encodeHello, encodePing, PROTOCOL, ProtocolError } from "@/net/protocol";
import { lookRotation, packRotation, unpackRotation, type Quaternion } from "@/net/rotation";
import { decodeBlock } from "@/net/block";
import { decodeFar } from "@/net/far";
import { readFrame } from "@/net/frame";
import { FrameDecoder, type AvatarRows, type ThingRow } from "@/net/snapshot";
import { SUBPROTOCOL } from "@/net/session";
import { CHANNELS, decodeWave, WaveError } from "@/net/wave";

const read = <T>(name: string): T => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8")) as T;

it("speaks the protocol of the server", () => {
  const protocol = read<{ hash: string; subprotocol: string }>("protocol");
  expect([PROTOCOL, SUBPROTOCOL]).toEqual([protocol.hash, protocol.subprotocol]);
});

describe("rotations", () => {
  const vectors = read<Record<"pack" | "unpack", { quaternion: Quaternion; packed: number }[]>>("rotation");
  it("pack as the vectors", () => {
    for (const { quaternion, packed } of vectors.pack) expect(packRotation(quaternion)).toBe(packed);
  });
  it("unpack as the vectors", () => {
    for (const { quaternion, packed } of vectors.unpack) unpackRotation(packed).forEach((value, i) => expect(value).toBeCloseTo(quaternion[i]!, 6));
  });
  it("of a look to the left and up point there", () => {
    const [x, y, z, w] = unpackRotation(packRotation(lookRotation(Math.PI / 2, 0.3)));
    const ahead = [-2 * (x * z + w * y), -2 * (y * z - w * x), -(1 - 2 * (x * x + y * y))];
    [-Math.cos(0.3), Math.sin(0.3), 0].forEach((value, i) => expect(ahead[i]).toBeCloseTo(value, 2));
  });
});

it("poses have the golden bytes", () => {
  interface Row { hex: string; fields: { seq: number; wish_mm_s: [number, number]; yaw: number; head_y_mm: number; head_rot: number; left_mm: [number, number, number]; left_rot: number; right_mm: [number, number, number]; right_rot: number; grips: number; flags: number } }
  const rows = read<{ poses: Row[] }>("pose").poses;
  expect(rows.length).toBeGreaterThan(3);
  for (const { hex, fields: f } of rows) {
    const made = encodePose({ seq: f.seq, wish: f.wish_mm_s, yaw: f.yaw, headY: f.head_y_mm, headRot: f.head_rot, left: f.left_mm, leftRot: f.left_rot, right: f.right_mm, rightRot: f.right_rot, grips: f.grips, flags: f.flags });
    expect(toHex(made)).toBe(hex);
  }
});

describe("snapshots", () => {
  interface Avatar { slot: number; ack: number; head_mm: number[]; head_rot: number; yaw: number; flags: number; grips: number; hand_mm: number[][]; hand_rot: number[] }
  interface Thing { slot: number; owner: number; hand: number; mm: number[]; rot: number }
  interface Shown { room: number; tick: number; avatars: Avatar[]; things: Thing[] }
  interface Far { hex: string; part: number; parts: number; rows: { slot: number; head_mm: number[]; yaw: number; flags: number }[] }
  interface Whole { name: string; hex: string; room: number; tick: number; home: number; blocks: { cell: number; body: string }[] }
  interface Named { name: string; hex: string }
  interface Golden { bodies: (Named & { baseline: string | null; view: Shown })[]; refused: Named[]; far: Far[]; far_refused: Named[]; frames: Whole[]; frames_refused: Named[] }
  const golden = read<Golden>("snapshot");
  const body = (name: string): Bytes => fromHex(golden.bodies.find((each) => each.name === name)!.hex);
  const frame = (name: string): Bytes => fromHex(golden.frames.find((each) => each.name === name)!.hex);
  const crowd = golden.bodies.find((each) => each.name === "crowd")!;
  const base = decodeBlock(fromHex(crowd.hex), crowd.view.tick, [])!;

  function plain(a: AvatarRows, things: ReadonlyMap<number, ThingRow>): Omit<Shown, "room" | "tick"> {
    const avatars = Array.from({ length: a.count }, (_, i): Avatar => ({
      slot: a.slot[i]!,
      ack: a.ack[i]!,
      head_mm: [...a.head.subarray(3 * i, 3 * i + 3)],
      head_rot: a.headRot[i]!,
      yaw: a.yaw[i]!,
      flags: a.flags[i]!,
      grips: a.grips[i]!,
      hand_mm: [[...a.hand.subarray(6 * i, 6 * i + 3)], [...a.hand.subarray(6 * i + 3, 6 * i + 6)]],
      hand_rot: [...a.handRot.subarray(2 * i, 2 * i + 2)],
    }));
    const rows = [...things.values()].map(({ slot, owner, hand, position, rotation }): Thing => ({ slot, owner, hand, mm: position, rot: rotation }));
    return { avatars, things: rows.sort((p, q) => p.slot - q.slot) };
  }

  for (const { name, hex, baseline, view } of golden.bodies) {
    it(`decodes: ${name}`, () => {
      const rows = decodeBlock(fromHex(hex), view.tick, baseline === null ? [] : [base])!;
      expect({ room: view.room, tick: rows.tick, ...plain(rows.avatars, rows.things) }).toEqual(view);
    });
  }
  for (const { name, hex } of golden.refused) {
    it(`refuses a body: ${name}`, () => expect(() => decodeBlock(fromHex(hex), base.tick + 1, [base])).toThrow(SnapshotError));
  }
  for (const { hex, part, parts, rows } of golden.far) {
    it(`decodes far part ${part} of ${parts}`, () => {
      const found = decodeFar(fromHex(hex), 7);
      const people = Array.from({ length: found.rows.count }, (_, i) => ({ slot: found.rows.slot[i], head_mm: [...found.rows.head.subarray(3 * i, 3 * i + 3)], yaw: found.rows.yaw[i], flags: found.rows.flags[i] }));
      expect([found.part, found.parts, people]).toEqual([part, parts, rows]);
    });
  }
  for (const { name, hex } of golden.far_refused) {
    it(`refuses a far block: ${name}`, () => expect(() => decodeFar(fromHex(hex), 7)).toThrow(SnapshotError));
  }
  for (const { name, hex, room, tick, home, blocks } of golden.frames) {
    it(`splits: ${name}`, () => {
      const found = readFrame(fromHex(hex));
      expect({ ...found, blocks: found.blocks.map(({ cell, body }) => ({ cell, body: toHex(body) })) }).toEqual({ room, tick, home, blocks });
    });
  }
  for (const { name, hex } of golden.frames_refused) {
    it(`refuses a frame: ${name}`, () => expect(() => new FrameDecoder().decode(fromHex(hex))).toThrow(SnapshotError));
  }
  it("passes over a delta whose keyframe it has not got", () => {
    expect(decodeBlock(body("nothing changed"), base.tick + 1, [])).toBeNull();
  });

  it("shows all blocks as one, far people apart, and those held back as they were", () => {
    const decoder = new FrameDecoder();
    const first = decoder.decode(frame("a hall"))!;
    expect([first.room, first.tick, first.home, first.held.size]).toEqual([2, base.tick, 17, 0]);
    expect([...first.avatars.slot]).toEqual([0, 5, 9, 30, 39]);
    expect([...first.far.slot]).toEqual([3, 13, 23, 33]);
    const later = decoder.decode(frame("a hall, later"))!;
    expect([...later.avatars.slot]).toEqual([0, 5, 9, 30, 39]);
    expect([...later.held]).toEqual([0, 5, 9, 30, 39]); // the hero block comes first and was held back
    expect([...later.far.tick]).toEqual(later.far.count === 4 ? Array(4).fill(base.tick) : []);
  });
  it("forgets a block that is not listed, and what is gone is not far either", () => {
    const decoder = new FrameDecoder();
    decoder.decode(frame("a hall"));
    const view = decoder.decode(frame("nothing in view"))!;
    expect([view.avatars.count, view.far.count, view.things.size]).toEqual([0, 0, 0]);
    expect(decoder.decode(frame("a hall, later"))).toBeNull();
  });
  it("has no news in a frame whose blocks are all held back, or wait for a keyframe", () => {
    const decoder = new FrameDecoder();
    expect(decoder.decode(frame("a hall, later"))).toBeNull();
    expect(decoder.decode(frame("one cell"))!.avatars.count).toBe(5);
  });

  it("throws nothing but SnapshotError, whatever the bytes, and shows no more people than there are slots", () => {
    let state = 11;
    const roll = (n: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % n;
    const spoil = (bytes: Bytes): Bytes => {
      for (let k = 0; k < 1 + roll(3) && bytes.length > 0; k++) bytes[roll(bytes.length)] = roll(256);
      return bytes.slice(0, roll(4) === 0 ? roll(bytes.length + 1) : bytes.length);
    };
    for (let i = 0; i < 3000; i++) {
      const decoder = new FrameDecoder();
      decoder.decode(frame("a hall"));
      try {
        const rows = decodeBlock(spoil(fromHex(golden.bodies[roll(golden.bodies.length)]!.hex)), base.tick + 1 + roll(9), [base]);
        expect(rows?.avatars.count ?? 0).toBeLessThanOrEqual(4096);
        const view = decoder.decode(spoil(frame(["a hall", "a hall, later"][roll(2)]!)));
        expect(view?.avatars.count ?? 0).toBeLessThanOrEqual(4096);
      } catch (error) {
        expect(error).toBeInstanceOf(SnapshotError);
      }
    }
  });
});

describe("wave blocks", () => {
  interface Block { hex: string; fields: { bed: number; source: number; first: number; rate_hz: number; channels: Record<string, number[]> } }
  const { blocks, refused } = read<{ blocks: Block[]; refused: { name: string; hex: string }[] }>("wave");
  it("decode as the vectors", () => {
    for (const { hex, fields } of blocks) {
      const { bed, device, first, rate, channels } = decodeWave(fromHex(hex));
      expect([bed, device ? 1 : 0, first, rate]).toEqual([fields.bed, fields.source, fields.first, fields.rate_hz]);
      expect(Object.fromEntries(channels.map((row) => [CHANNELS[row.channel]!.name, [...row.samples]]))).toEqual(fields.channels);
    }
  });
  it("are refused when they are not whole", () => {
    for (const { hex } of refused) expect(() => decodeWave(fromHex(hex))).toThrow(WaveError);
  });
});

describe("messages", () => {
  type Plain = string | number | boolean | null | { hex: string } | Plain[] | { [name: string]: Plain };
  interface Row { from: "client" | "server"; tag: number; name: string; hex: string; fields: Record<string, Plain> }
  const { messages } = read<{ messages: Row[] }>("messages");
  const TAGS: Readonly<Record<string, Body["tag"]>> = {
    Teleport: "teleport", Sit: "sit", Stand: "stand", Go: "go", Grab: "grab", Release: "release", Offer: "offer", Say: "say", Admit: "admit", Moderate: "moderate",
    Lock: "lock", MakeInvite: "make-invite", RevokeInvite: "revoke-invite", AckAlarm: "ack-alarm", PlaceOrder: "order", Enrol: "enrol", Point: "point", Touch: "touch",
  };
  const bytesOr = (value: Plain): unknown => (typeof value === "object" && value !== null && "hex" in value ? fromHex(value.hex as string) : value);

  function hexed(value: unknown): Plain {
    if (value instanceof Uint8Array) return { hex: toHex(value) };
    if (Array.isArray(value)) return value.map(hexed);
    if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, hexed(each)]));
    return value as Plain;
  }
  function encode({ name, fields }: Row): Bytes {
    const f = Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, bytesOr(value)]));
    if (name === "Hello") return encodeHello(f["protocol"] as Bytes, f["token"] as string, f["resume"] as Bytes, f["key"] as Bytes, f["proof"] as Bytes);
    if (name === "Ping") return encodePing(f["seq"] as number, f["stamp"] as number);
    if (name === "Bye") return encodeBye(f["code"] as string, f["text"] as string);
    const body = { ...f, x: f["x_mm"], z: f["z_mm"], tag: TAGS[name] } as unknown as Body;
    return encodeCommand(f["seq"] as number, body);
  }

  it("of the client are told apart by their tags and all can be written", () => {
    const rows = messages.filter((row) => row.from === "client");
    expect(new Set(rows.map((row) => row.name))).toEqual(new Set(["Hello", "Ping", "Bye", ...Object.keys(TAGS)]));
    const own = rows.filter((row) => row.hex === toHex(encode(row)) || isShort(row));
    expect(own).toEqual(rows);
  });
  /** The vectors also hold forms this client reads but never writes: fields left off at the end, or a code it leaves empty. */
  function isShort(row: Row): boolean {
    return ["Bye", "Moderate", "MakeInvite", "Grab", "Offer", "Point", "Touch"].includes(row.name);
  }

  /** Here `kind` is the kind of the message. */
  const rename = (fields: Row["fields"], from: string, to: string): Row["fields"] => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name === from ? to : name, value]));

  for (const row of messages.filter((each) => each.from === "server")) {
    it(`reads ${row.name} (${row.hex.length / 2} bytes)`, () => {
      const { kind, ...fields } = decodeMessage(fromHex(row.hex));
      expect(kind).not.toBe("");
      if (row.name === "ThingTaken") row.fields = rename(row.fields, "kind", "what");
      expect(hexed(fields)).toEqual(row.fields);
    });
  }
  it("that are none are refused", () => {
    for (const hex of ["", "80", "90", "91cc90", "9260", "c1", "a3616263"]) expect(() => decodeMessage(fromHex(hex)), hex).toThrow(ProtocolError);
  });
});

it("a hello is signed as the server checks it", async () => {
  const { seed, public: key, hellos } = read<{ seed: string; public: string; hellos: { token: string; resume: string; to_be_signed: string; proof: string; frame: string }[] }>("hello");
  const signing = await crypto.subtle.importKey("pkcs8", fromHex(`302e020100300506032b657004220420${seed}`), "Ed25519", false, ["sign"]);
  const sign = async (message: Bytes): Promise<Bytes> => new Uint8Array(await crypto.subtle.sign("Ed25519", signing, message));
  const { makeHello, helloMessage } = await import("@/net/session");
  for (const row of hellos) {
    expect(toHex(await helloMessage(row.resume === "" ? utf8(row.token) : fromHex(row.resume)))).toBe(row.to_be_signed);
    expect(toHex(await makeHello({ publicKey: fromHex(key), sign }, row.token, fromHex(row.resume)))).toBe(row.frame);
  }
});
