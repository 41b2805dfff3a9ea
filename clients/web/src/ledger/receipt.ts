/**
 * Checks receipts (C2SP tlog-proof) of one's own entries by oneself: proof text, checkpoint signature, inclusion.
 * Trusts only the verifier key it is handed. Reads strictly: one way to write every receipt. Never asks the network.
 */

import { type Bytes, equal, fromBase64, sha256, toHex, utf8 } from "../bytes";

const FIRST = "c2sp.org/tlog-proof@v1";
const DASH = "\u2014 ";
const RECEIPT_BYTES_MAX = 131_072;

/** The receipt does not prove what it should; the message says which step failed. */
export class ReceiptError extends Error {}

/** A named Ed25519 key of a log. */
export interface VerifierKey {
  name: string;
  id: Bytes; // 4
  publicKey: Bytes; // 32
}

/** What a receipt has proved: the entry is number `index` of the log whose first `size` entries have this root. */
export interface Verified {
  index: number;
  size: number;
  origin: string;
  root: Bytes;
  leaf: Bytes;
  path: number;
}

/** Reads name+id+key; ReceiptError unless it is Ed25519 and the id follows from the rest. */
export async function parseVkey(text: string): Promise<VerifierKey> {
  const match = /^([^+\s]+)\+([0-9a-f]{8})\+(.+)$/.exec(text);
  if (match === null) throw new ReceiptError("the log's verifier key is malformed");
  const [, name = "", id = "", encoded = ""] = match;
  const raw = decode(encoded, "the log's verifier key");
  if (raw.length !== 33 || raw[0] !== 1) throw new ReceiptError("the log's verifier key is not an Ed25519 key");
  const digest = await sha256(utf8(`${name}\n`), raw);
  if (toHex(digest.slice(0, 4)) !== id) throw new ReceiptError("the log's verifier key does not match its own id");
  return { name, id: digest.slice(0, 4), publicKey: raw.slice(1) };
}

/** Checks that `receipt` proves the entry with leaf hash `leaf` under `key`. ReceiptError if anything does not hold. */
export async function verifyReceipt(receipt: Uint8Array, leaf: Bytes, key: VerifierKey): Promise<Verified> {
  const text = receiptText(receipt);
  const cut = text.indexOf("\n\n");
  if (cut < 0) throw new ReceiptError("the receipt has no checkpoint");
  const { index, path } = parseHead(text.slice(0, cut));
  const { origin, size, root } = await openCheckpoint(text.slice(cut + 2), key);
  await checkInclusion(leaf, index, size, path, root);
  return { index, size, origin, root, leaf, path: path.length };
}

/** RFC 9162, 2.1.3.2. Numbers stay below 2^53, so division is by arithmetic, never by bit operations. */
export async function checkInclusion(leaf: Bytes, index: number, size: number, path: readonly Bytes[], root: Bytes): Promise<void> {
  if (index >= size) throw new ReceiptError(`index ${index} is not in a log of ${size} entries`);
  let [fn, sn, hash] = [index, size - 1, leaf];
  for (const sibling of path) {
    if (sn === 0) throw new ReceiptError("the inclusion proof is too long");
    if (fn % 2 === 1 || fn === sn) {
      hash = await sha256(Uint8Array.of(1), sibling, hash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)];
    } else {
      hash = await sha256(Uint8Array.of(1), hash, sibling);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  if (sn !== 0) throw new ReceiptError("the inclusion proof is too short");
  if (!equal(hash, root)) throw new ReceiptError("the inclusion proof does not lead to the log's signed root");
}

function receiptText(receipt: Uint8Array): string {
  if (receipt.length > RECEIPT_BYTES_MAX) throw new ReceiptError("the receipt is too long");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(receipt);
  } catch {
    throw new ReceiptError("the receipt is not UTF-8 text");
  }
}

function parseHead(head: string): { index: number; path: Bytes[] } {
  const [first, second = "", ...hashes] = head.split("\n");
  if (first !== FIRST || !second.startsWith("index ")) throw new ReceiptError(`a receipt begins with ${FIRST} and an index`);
  const path = hashes.map((line) => decode(line, "a proof hash"));
  if (path.some((hash) => hash.length !== 32)) throw new ReceiptError("a proof hash is not 32 bytes");
  return { index: wholeNumber(second.slice(6)), path };
}

async function openCheckpoint(note: string, key: VerifierKey): Promise<{ origin: string; size: number; root: Bytes }> {
  const cut = note.lastIndexOf("\n\n");
  if (cut < 0 || !note.endsWith("\n")) throw new ReceiptError("the checkpoint is not a signed note");
  const text = note.slice(0, cut + 1);
  await checkSignature(text, note.slice(cut + 2, -1).split("\n"), key);
  const lines = text.split("\n");
  if (lines.length !== 4) throw new ReceiptError("a checkpoint has three lines");
  const [origin = "", size = "", encoded = ""] = lines;
  if (origin !== key.name) throw new ReceiptError(`the checkpoint is of another log: ${origin.slice(0, 80)}`);
  const root = decode(encoded, "the root");
  if (root.length !== 32) throw new ReceiptError("the root is not 32 bytes");
  return { origin, size: wholeNumber(size), root };
}

async function checkSignature(text: string, lines: readonly string[], key: VerifierKey): Promise<void> {
  let good = 0;
  for (const line of lines) {
    const [name, encoded, ...more] = line.startsWith(DASH) ? line.slice(DASH.length).split(" ") : [];
    if (!name || encoded === undefined || more.length > 0) throw new ReceiptError("a signature line is malformed");
    const raw = decode(encoded, "a signature");
    if (raw.length < 5) throw new ReceiptError("a signature is too short");
    if (name !== key.name || !equal(raw.slice(0, 4), key.id)) continue;
    if (!(await verifyEd25519(key.publicKey, raw.slice(4), utf8(text)))) throw new ReceiptError("the checkpoint's signature is not the log's");
    good += 1;
  }
  if (good === 0) throw new ReceiptError(`the checkpoint is not signed by ${key.name}`);
}

/** Whether an Ed25519 signature holds. */
export async function verifyEd25519(publicKey: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  if (signature.length !== 64) return false;
  const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", key, signature, message);
}

function decode(text: string, what: string): Bytes {
  try {
    return fromBase64(text);
  } catch {
    throw new ReceiptError(`${what} is not base64`);
  }
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^(0|[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(value)) throw new ReceiptError("a number in the receipt is malformed");
  return value;
}

