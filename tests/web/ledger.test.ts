import { readFileSync } from "node:fs";
import { fromHex, toHex, utf8, type Bytes } from "@/bytes";
import { encodePayload, encodeProtected, fingerprint, keyEntry, leafHash, sealContent, signEntry, toBeSigned, type Entry } from "@/ledger/entry";
import { checkInclusion, parseVkey, ReceiptError, verifyReceipt } from "@/ledger/receipt";

interface EntryRow {
  name: string;
  seed: string;
  kid: number | null;
  fields: Record<string, string | number>;
  protected: string;
  payload: string;
  to_be_signed: string;
  entry: string;
  leaf: string;
}
interface ReceiptRow {
  name: string;
  index: number;
  size: number;
  leaf: string;
  receipt: string;
  vkey?: string;
}
const vectors = JSON.parse(readFileSync(new URL("../vectors/entry.json", import.meta.url), "utf8")) as {
  content: Record<"plaintext" | "key" | "nonce" | "salt" | "blob" | "commit" | "ct_hash", string>;
  public_keys: Record<string, string>;
  entries: EntryRow[];
  vkey: string;
  receipts: ReceiptRow[];
  bad_receipts: ReceiptRow[];
};

const bytes = (row: EntryRow, name: string): Bytes => fromHex(String(row.fields[name]));

function entryOf(row: EntryRow): Entry {
  const f = row.fields;
  return {
    type: f["type"] as Entry["type"],
    timeMs: Number(f["time_ms"]),
    tick: Number(f["tick"]),
    actor: bytes(row, "actor"),
    patient: bytes(row, "patient"),
    patientSeq: Number(f["patient_seq"]),
    prev: bytes(row, "prev"),
    purpose: String(f["purpose"]),
    consentIndex: Number(f["consent_index"]),
    commit: bytes(row, "commit"),
    ctHash: bytes(row, "ct_hash"),
    compartment: String(f["compartment"]),
    epoch: Number(f["epoch"]),
    rulesHash: bytes(row, "rules_hash"),
    extra: bytes(row, "extra"),
  };
}

async function signer(seed: string): Promise<(message: Bytes) => Promise<Bytes>> {
  const pkcs8 = fromHex(`302e020100300506032b657004220420${seed}`);
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", false, ["sign"]);
  return async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", key, message));
}

describe("an entry has the golden bytes", () => {
  for (const row of vectors.entries) {
    it(row.name, async () => {
      const entry = entryOf(row);
      expect(toHex(encodePayload(entry))).toBe(row.payload);
      expect(toHex(encodeProtected(row.kid))).toBe(row.protected);
      expect(toHex(toBeSigned(encodeProtected(row.kid), encodePayload(entry)))).toBe(row.to_be_signed);
      const signed = await signEntry(entry, row.kid, await signer(row.seed));
      expect(toHex(signed)).toBe(row.entry);
      expect(toHex(await leafHash(signed))).toBe(row.leaf);
    });
  }

  it("puts a key on record with the key entry of the vectors", async () => {
    const row = vectors.entries.find((each) => each.name === "key")!;
    const publicKey = fromHex(vectors.public_keys[row.seed]!);
    expect(toHex(await fingerprint(publicKey))).toBe(row.fields["actor"]);
    const made = await keyEntry(publicKey, Number(row.fields["time_ms"]), Number(row.fields["tick"]), await signer(row.seed));
    expect(toHex(made)).toBe(row.entry);
  });

  it("refuses to make an entry over the limit", async () => {
    const entry = { ...entryOf(vectors.entries[0]!), extra: new Uint8Array(2048) };
    await expect(signEntry(entry, null, await signer(vectors.entries[0]!.seed))).rejects.toThrow(/at most 2048/);
  });
});

it("seals content as the vectors say", async () => {
  const c = vectors.content;
  const sealed = await sealContent(fromHex(c.plaintext), fromHex(c.key), fromHex(c.nonce), fromHex(c.salt));
  expect([sealed.blob, sealed.commit, sealed.ctHash].map(toHex)).toEqual([c.blob, c.commit, c.ct_hash]);
});

describe("a receipt", () => {
  for (const row of vectors.receipts) {
    it(`verifies: ${row.name}`, async () => {
      const got = await verifyReceipt(utf8(row.receipt), fromHex(row.leaf), await parseVkey(row.vkey ?? vectors.vkey));
      expect([got.index, got.size]).toEqual([row.index, row.size]);
    });
  }
  for (const row of vectors.bad_receipts) {
    it(`is refused: ${row.name}`, async () => {
      const check = async () => verifyReceipt(utf8(row.receipt), fromHex(row.leaf), await parseVkey(row.vkey ?? vectors.vkey));
      await expect(check()).rejects.toThrow(ReceiptError);
    });
  }

  it("is refused when any one of its characters is another", async () => {
    const row = vectors.receipts[0]!;
    const key = await parseVkey(vectors.vkey);
    const good = utf8(row.receipt);
    for (let i = 0; i < good.length; i++) {
      const bad = good.slice();
      bad[i] = bad[i]! ^ 1;
      await expect(verifyReceipt(bad, fromHex(row.leaf), key), `byte ${i}`).rejects.toThrow(ReceiptError);
    }
  });

  it("leads from every leaf of a tree of any size to 20 to its root, and from no other index", async () => {
    const { createHash } = await import("node:crypto");
    const hash = (...parts: Uint8Array[]) => new Uint8Array(createHash("sha256").update(Buffer.concat(parts)).digest());
    const leaves = Array.from({ length: 20 }, (_, i) => hash(Uint8Array.of(0, i)));
    const split = (n: number) => 2 ** Math.floor(Math.log2(n - 1));
    const root = (rows: Uint8Array[]): Uint8Array => (rows.length === 1 ? rows[0]! : hash(Uint8Array.of(1), root(rows.slice(0, split(rows.length))), root(rows.slice(split(rows.length)))));
    const path = (i: number, rows: Uint8Array[]): Uint8Array[] => {
      if (rows.length === 1) return [];
      const k = split(rows.length);
      return i < k ? [...path(i, rows.slice(0, k)), root(rows.slice(k))] : [...path(i - k, rows.slice(k)), root(rows.slice(0, k))];
    };
    for (let size = 1; size <= 20; size++) {
      const rows = leaves.slice(0, size);
      for (let i = 0; i < size; i++) {
        const proof = path(i, rows) as Bytes[];
        await checkInclusion(rows[i] as Bytes, i, size, proof, root(rows) as Bytes);
        const other = (i + 1) % size;
        if (other !== i) await expect(checkInclusion(rows[i] as Bytes, other, size, proof, root(rows) as Bytes)).rejects.toThrow(ReceiptError);
      }
    }
  });
});
