/** The log's entries (COSE_Sign1 over a fixed CBOR array) as this client writes them, and how content is sealed. */

import { encode, Token, Type } from "cborg";
import { type Bytes, concat, sha256 } from "../bytes";

export const CONTENT_TYPE = "application/vnd.asclepion.entry+cbor";
export const ENTRY_BYTES_MAX = 2048;
const EDDSA = -8;
const NONE: Bytes = new Uint8Array(0);

/** What an entry says; fields in the order of the payload. Empty bytes where a field does not apply. */
export interface Entry {
  type: "key" | "order" | "access" | "alarm-ack" | "session" | "note";
  timeMs: number;
  tick: number;
  actor: Bytes; // 16, fingerprint of the signing key
  patient?: Bytes; // 16
  patientSeq?: number;
  prev?: Bytes; // 32, empty at patientSeq 0
  purpose?: string;
  consentIndex?: number;
  commit?: Bytes; // 32
  ctHash?: Bytes; // 32
  compartment?: string;
  epoch?: number;
  rulesHash?: Bytes;
  extra?: Bytes;
}

/** Content encrypted under a fresh key, and what the entry says about it. */
export interface Sealed {
  blob: Bytes; // nonce || ciphertext || tag
  commit: Bytes;
  ctHash: Bytes;
}

/** Signs bytes with the person's Ed25519 key. */
export type Signer = (bytes: Bytes) => Promise<Bytes>;

/** The payload: a CBOR array of 16, deterministic. */
export function encodePayload(entry: Entry): Bytes {
  return bytesOf([
    1,
    entry.type,
    entry.timeMs,
    entry.tick,
    entry.patient ?? NONE,
    entry.patientSeq ?? 0,
    entry.prev ?? NONE,
    entry.actor,
    entry.purpose ?? "TREAT",
    entry.consentIndex ?? -1,
    entry.commit ?? NONE,
    entry.ctHash ?? NONE,
    entry.compartment ?? "general",
    entry.epoch ?? 0,
    entry.rulesHash ?? NONE,
    entry.extra ?? NONE,
  ]);
}

/** The protected header. `kid`: log index of the author's key entry, null in that entry itself. */
export function encodeProtected(kid: number | null): Bytes {
  const raw = new Uint8Array(kid === null ? 0 : 8);
  if (kid !== null) new DataView(raw.buffer).setBigUint64(0, BigInt(kid));
  return bytesOf(new Map<number, unknown>([[1, EDDSA], [3, CONTENT_TYPE], [4, raw]]));
}

/** What is signed: the Sig_structure of RFC 9052, section 4.4. */
export function toBeSigned(protectedHeader: Bytes, payload: Bytes): Bytes {
  return bytesOf(["Signature1", protectedHeader, NONE, payload]);
}

/** The whole entry, signed. */
export async function signEntry(entry: Entry, kid: number | null, sign: Signer): Promise<Bytes> {
  const [header, payload] = [encodeProtected(kid), encodePayload(entry)];
  const signature = await sign(toBeSigned(header, payload));
  const bytes = concat(Uint8Array.of(0xd2), bytesOf([header, new Map(), payload, signature]));
  if (bytes.length > ENTRY_BYTES_MAX) throw new RangeError(`the entry has ${bytes.length} bytes, at most ${ENTRY_BYTES_MAX} are allowed`);
  return bytes;
}

/** The self-signed entry that puts a key on record. */
export async function keyEntry(publicKey: Bytes, timeMs: number, tick: number, sign: Signer): Promise<Bytes> {
  const actor = await fingerprint(publicKey);
  return signEntry({ type: "key", timeMs, tick, actor, purpose: "HSYSADMIN", extra: publicKey }, null, sign);
}

/** The 16-byte name of a raw Ed25519 public key. */
export async function fingerprint(publicKey: Bytes): Promise<Bytes> {
  return (await sha256(publicKey)).slice(0, 16);
}

/** SHA-256(0x00 || entry). */
export function leafHash(entry: Uint8Array): Promise<Bytes> {
  return sha256(Uint8Array.of(0), entry);
}

/** Encrypts (AES-256-GCM, no additional data) and commits (HMAC-SHA256 by `salt`) to `content`. */
export async function sealContent(content: Bytes, key: Bytes, nonce: Bytes, salt: Bytes): Promise<Sealed> {
  const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  const cipher = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, aes, content);
  const mac = await crypto.subtle.importKey("raw", salt, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const commit = new Uint8Array(await crypto.subtle.sign("HMAC", mac, content));
  const blob = concat(nonce, new Uint8Array(cipher));
  return { blob, commit, ctHash: await sha256(blob) };
}

/** CBOR in the shortest form; a Map keeps its order, numbers must be whole. */
function bytesOf(value: unknown): Bytes {
  return new Uint8Array(encode(value, { typeEncoders: { Map: mapTokens } }));
}

function mapTokens(map: Map<number, unknown>): Token[] {
  const tokens = [new Token(Type.map, map.size)];
  for (const [key, value] of map) tokens.push(key < 0 ? new Token(Type.negint, key) : new Token(Type.uint, key), valueToken(value));
  return tokens;
}

function valueToken(value: unknown): Token {
  if (typeof value === "number") return new Token(value < 0 ? Type.negint : Type.uint, value);
  if (typeof value === "string") return new Token(Type.string, value);
  return new Token(Type.bytes, value);
}
