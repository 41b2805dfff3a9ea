/**
 * Control messages both ways: MessagePack arrays [tag, field, ...] to objects and back (PROTOCOL.md). Pure.
 * Owns tags and field order; never decides what a message means.
 */

import { decode, encode } from "@msgpack/msgpack";
import type { Bytes } from "../bytes";

/** First 8 bytes of the protocol's hash; the shard refuses another. Pinned by tests/vectors. */
export const PROTOCOL = "95694c0f4273d6db";

export type Role = "patient" | "clinician" | "carer" | "student" | "observer" | "operator";
export type Priority = "high" | "medium" | "low";

/** One avatar as others see it; `avatar` is generation << 12 | slot. */
export interface Person {
  avatar: number;
  name: string;
  role: Role;
  person: Bytes;
  muted: boolean;
  away: boolean;
}
export interface Waiting {
  avatar: number;
  name: string;
  role: Role;
}
export interface ThingInfo {
  thing: number;
  name: string;
  kind: string;
}
export interface Alarm {
  code: string;
  priority: Priority;
  text: string;
  active: boolean;
  acked_by: string;
}
type Number_ = number | null;

interface Welcome { kind: "welcome"; client: number; resume: Bytes; tick: number; tick_hz: number; seat_hold_s: number; input_hz: number; name: string; log_vkey: string; log_kid: number; resumed: boolean }
interface Pong { kind: "pong"; stamp: number; tick: number }
interface Bye { kind: "bye"; code: string; text: string }
interface Notice { kind: "notice"; topic: string; state: string; text: string }
/** Where one is now, who and what is there. `scene` is a MessagePack map (server/world/scene.py, Room). */
export interface RoomEntered { kind: "room"; room: string; room_index: number; avatar: number; role: Role; scene: Bytes; people: Person[]; things: ThingInfo[]; rights: string[]; locked: boolean; waiting: Waiting[]; first_bed: number }
interface PersonCame { kind: "came"; who: Person }
interface PersonLeft { kind: "left"; avatar: number; reason: string }
interface Said { kind: "said"; avatar: number; name: string; text: string }
interface Refused { kind: "refused"; seq: number; code: string; text: string }
interface WaitingList { kind: "waiting"; waiting: Waiting[] }
interface YouWait { kind: "you-wait"; room: string; text: string }
/** A thing changed hands (`owner` 0: put down); `name` and `what` when it came into the room in a hand. */
interface ThingTaken { kind: "taken"; thing: number; owner: number; hand: number; name: string; what: string }
interface Offered { kind: "offered"; thing: number; by: number }
interface RoomLocked { kind: "locked"; on: boolean }
export interface InviteMade { kind: "invite"; seq: number; code: string; room: string; role: Role; uses: number; valid_s: number }
/** A bed's numbers; null where there is no value. */
export interface BedVitals { kind: "vitals"; bed: number; tick: number; source: string; live: boolean; hr: Number_; sap: Number_; dap: Number_; map: Number_; spo2: Number_; rr: Number_; etco2: Number_; temp: Number_; news2: Number_; news2_text: string; alarms: Alarm[]; running: string[] }
interface BedAccess { kind: "access"; bed: number; index: number; patient: Bytes; orders: boolean }
interface BedChain { kind: "chain"; bed: number; patient_seq: number; prev: Bytes }
export interface OrderState { kind: "order"; seq: number; bed: number; state: "recording" | "recorded" | "refused"; index: number; proof: Bytes; text: string }
interface Care { kind: "care"; bed: number; index: number; by: string; text: string }
export interface Enrolled { kind: "enrolled"; seq: number; index: number; proof: Bytes }
interface Removed { kind: "removed"; act: string; reason: string }
/** Messages of one tick in one frame. */
interface Several { kind: "several"; messages: Bytes[] }
type What = "person" | "thing" | "bed" | "nothing";
/** Somebody points at a person or thing (`target`: handle), a bed (index) or nothing. */
interface Pointed { kind: "pointed"; by: number; hand: number; what: What; target: number }
/** A hand touches a person, thing or bed. */
interface Touched { kind: "touched"; by: number; hand: number; what: What; target: number }

export type ServerMessage =
  | Welcome | Pong | Bye | Notice | RoomEntered | PersonCame | PersonLeft | Said | Refused | WaitingList | YouWait | ThingTaken
  | Offered | RoomLocked | InviteMade | BedVitals | BedAccess | BedChain | OrderState | Care | Enrolled | Removed
  | Several | Pointed | Touched;

/** The messages of one kind. */
export type Of<K extends ServerMessage["kind"]> = Extract<ServerMessage, { kind: K }>;

/** Tag -> kind and field names in the order of the wire. Fields at the end may be missing: see DEFAULTS. */
const SERVER: Readonly<Record<number, readonly [ServerMessage["kind"], ...string[]]>> = {
  3: ["bye", "code", "text"],
  4: ["welcome", "client", "resume", "tick", "tick_hz", "seat_hold_s", "input_hz", "name", "log_vkey", "log_kid", "resumed"],
  5: ["pong", "stamp", "tick"],
  6: ["notice", "topic", "state", "text"],
  7: ["several", "messages"],
  96: ["room", "room", "room_index", "avatar", "role", "scene", "people", "things", "rights", "locked", "waiting", "first_bed"],
  97: ["came", "who"],
  98: ["left", "avatar", "reason"],
  99: ["said", "avatar", "name", "text"],
  100: ["refused", "seq", "code", "text"],
  101: ["waiting", "waiting"],
  102: ["you-wait", "room", "text"],
  103: ["taken", "thing", "owner", "hand", "name", "what"],
  104: ["offered", "thing", "by"],
  105: ["locked", "on"],
  106: ["invite", "seq", "code", "room", "role", "uses", "valid_s"],
  107: ["vitals", "bed", "tick", "source", "live", "hr", "sap", "dap", "map", "spo2", "rr", "etco2", "temp", "news2", "news2_text", "alarms", "running"],
  108: ["access", "bed", "index", "patient", "orders"],
  109: ["chain", "bed", "patient_seq", "prev"],
  110: ["order", "seq", "bed", "state", "index", "proof", "text"],
  111: ["care", "bed", "index", "by", "text"],
  112: ["enrolled", "seq", "index", "proof"],
  113: ["removed", "act", "reason"],
  114: ["pointed", "by", "hand", "what", "target"],
  115: ["touched", "by", "hand", "what", "target"],
};
const PERSON = ["avatar", "name", "role", "person", "muted", "away"];
const NESTED: Readonly<Record<string, readonly string[]>> = {
  people: PERSON,
  waiting: ["avatar", "name", "role"],
  things: ["thing", "name", "kind"],
  alarms: ["code", "priority", "text", "active", "acked_by"],
};
const DEFAULTS: Readonly<Record<string, unknown>> = { text: "", name: "", what: "", locked: false, waiting: [], first_bed: 0, muted: false, away: false, acked_by: "" };

/** What came is no message of this protocol. */
export class ProtocolError extends Error {}

/** The message of a control frame. */
export function decodeMessage(frame: Uint8Array): ServerMessage {
  const row = readArray(frame);
  const [kind, ...names] = SERVER[Number(row[0])] ?? [];
  if (kind === undefined) throw new ProtocolError(`tag ${String(row[0])} is not known here`);
  return { kind, ...fields(names, row.slice(1)) } as unknown as ServerMessage;
}

function readArray(frame: Uint8Array): unknown[] {
  let row: unknown;
  try {
    row = decode(frame);
  } catch (error) {
    throw new ProtocolError(`not MessagePack: ${String(error)}`);
  }
  if (!Array.isArray(row) || row.length === 0) throw new ProtocolError("a message is an array with a tag");
  return row;
}

function fields(names: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  names.forEach((name, i) => {
    const value = i < values.length ? values[i] : DEFAULTS[name];
    if (value === undefined) throw new ProtocolError(`the field ${name} is missing`);
    out[name] = nested(name, value);
  });
  return out;
}

function nested(name: string, value: unknown): unknown {
  if (name === "who") return fields(PERSON, value as unknown[]);
  const inner = NESTED[name];
  return inner === undefined ? value : (value as unknown[][]).map((row) => fields(inner, row));
}

/** What the client says. Numbers are whole; `seq` is put in by the session. */
export type Body =
  | { tag: "teleport"; x: number; z: number }
  | { tag: "sit"; seat: number }
  | { tag: "stand" }
  | { tag: "go"; room: string }
  | { tag: "grab"; thing: number; hand: 0 | 1; seen: number }
  | { tag: "release"; hand: 0 | 1 }
  | { tag: "offer"; hand: 0 | 1; to: number; seen: number }
  | { tag: "point"; hand: 0 | 1; seen: number }
  | { tag: "touch"; hand: 0 | 1; what: "person" | "thing" | "bed"; target: number; seen: number }
  | { tag: "say"; text: string }
  | { tag: "admit"; who: number; allow: boolean }
  | { tag: "moderate"; who: number; act: "mute" | "unmute" | "remove" | "ban"; reason: string }
  | { tag: "lock"; on: boolean }
  | { tag: "make-invite"; room: string; role: Role; uses: number; valid_s: number }
  | { tag: "revoke-invite"; code: string }
  | { tag: "ack-alarm"; bed: number; alarm: string }
  | { tag: "order"; bed: number; entry: Bytes; content: Bytes; salt: Bytes; key: Bytes; nonce: Bytes }
  | { tag: "enrol"; entry: Bytes };

const CLIENT: Readonly<Record<Body["tag"], readonly [number, ...string[]]>> = {
  teleport: [16, "x", "z"],
  sit: [17, "seat"],
  stand: [18],
  go: [19, "room"],
  grab: [20, "thing", "hand", "seen"],
  release: [21, "hand"],
  offer: [22, "hand", "to", "seen"],
  point: [32, "hand", "seen"],
  touch: [33, "hand", "what", "target", "seen"],
  say: [23, "text"],
  admit: [24, "who", "allow"],
  moderate: [25, "who", "act", "reason"],
  lock: [26, "on"],
  "make-invite": [27, "room", "role", "uses", "valid_s"],
  "revoke-invite": [28, "code"],
  "ack-alarm": [29, "bed", "alarm"],
  order: [30, "bed", "entry", "content", "salt", "key", "nonce"],
  enrol: [31, "entry"],
};

/** A command's frame. */
export function encodeCommand(seq: number, body: Body): Bytes {
  const [tag, ...names] = CLIENT[body.tag];
  const row = body as unknown as Record<string, unknown>;
  return pack([tag, seq, ...names.map((name) => row[name])]);
}

/** The first frame of a session. Either `token` or `resume` is empty. */
export function encodeHello(protocol: Bytes, token: string, resume: Bytes, key: Bytes, proof: Bytes): Bytes {
  return pack([1, protocol, token, resume, key, proof]);
}

/** Asks for a Pong with the same stamp. */
export function encodePing(seq: number, stamp: number): Bytes {
  return pack([2, seq, stamp]);
}

/** Ends the session. */
export function encodeBye(code: string, text = ""): Bytes {
  return pack([3, code, text]);
}

function pack(row: readonly unknown[]): Bytes {
  return encode(row) as Bytes;
}
