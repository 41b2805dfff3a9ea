import { createHash, generateKeyPairSync, sign as signNode } from "node:crypto";
import { decode } from "cborg";
import { fromHex, toBase64, toHex, utf8, type Bytes } from "@/bytes";
import { ORDER_KINDS } from "@/care/orders";
import { type Desk, Placing, type Placement, stageText } from "@/care/placing";
import { leafHash } from "@/ledger/entry";
import type { Body, ServerMessage } from "@/net/protocol";

/** A log of two entries that signs as the real one does: the browser's part is what is tested, to the last check. */
class Log {
  private readonly keys = generateKeyPairSync("ed25519");
  readonly publicKey = new Uint8Array(this.keys.publicKey.export({ format: "der", type: "spki" }).subarray(-32));
  readonly origin = "localhost/test";

  get vkey(): string {
    return `${this.origin}+${toHex(this.id())}+${toBase64(Uint8Array.of(1, ...this.publicKey))}`;
  }
  receipt(index: number, leaf: Uint8Array): Bytes {
    const other = sha(Uint8Array.of(0, 99));
    const root = index === 0 ? sha(Uint8Array.of(1), leaf, other) : sha(Uint8Array.of(1), other, leaf);
    const text = `${this.origin}\n2\n${toBase64(root)}\n`;
    const signature = new Uint8Array(signNode(null, Buffer.from(text), this.keys.privateKey));
    return utf8(`c2sp.org/tlog-proof@v1\nindex ${index}\n${toBase64(other)}\n\n${text}\n\u2014 ${this.origin} ${toBase64(Uint8Array.of(...this.id(), ...signature))}\n`);
  }
  private id(): Bytes {
    return sha(utf8(`${this.origin}\n`), Uint8Array.of(1), this.publicKey).slice(0, 4);
  }
}
const sha = (...parts: Uint8Array[]): Bytes => new Uint8Array(createHash("sha256").update(Buffer.concat(parts)).digest());
const PATIENT = fromHex("00112233445566778899aabbccddeeff");
const OXYGEN = ORDER_KINDS[0]!;

/** The order desk of a browser, with what it sent. */
async function open(kid = 7) {
  const pair = (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const log = new Log();
  const sent: { seq: number; body: Body }[] = [];
  let seq = 0;
  let published = log.vkey;
  const desk: Desk = {
    identity: { publicKey, sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, message)) },
    send: (body) => {
      seq += 1;
      sent.push({ seq, body });
      return seq;
    },
    nowMs: () => 1_767_225_600_000,
    tick: () => 99,
    patient: () => PATIENT,
    logVkey: () => log.vkey,
    publishedVkey: () => Promise.resolve(published),
    changed: () => undefined,
  };
  const placing = new Placing(desk);
  const hear = (message: object): void => placing.apply(message as ServerMessage);
  hear({ kind: "welcome", log_kid: kid });
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise((resolve) => setImmediate(resolve));
  };
  const chain = (patient_seq: number, prev: Uint8Array): void => hear({ kind: "chain", bed: 3, patient_seq, prev });
  return { placing, log, sent, hear, until, chain, republish: (text: string) => (published = text) };
}
type House = Awaited<ReturnType<typeof open>>;
const order = ({ placing }: House): Placement => placing.place(3, "Test", OXYGEN, { fraction: 60 });
type OrderBody = Extract<Body, { tag: "order" }>;
const last = ({ sent }: House): { seq: number; body: OrderBody } => sent.at(-1)! as { seq: number; body: OrderBody };

function payloadOf(entry: Uint8Array): unknown[] {
  const [, , payload] = decode(entry, { tags: Object.assign([], { 18: (inner: () => unknown) => inner() }), useMaps: true }) as [Uint8Array, unknown, Uint8Array];
  return decode(payload) as unknown[];
}

async function recorded(house: House, receipt?: (leaf: Bytes) => Bytes, index = 1): Promise<Placement> {
  house.chain(0, new Uint8Array(0));
  const placement = order(house);
  await house.until(() => placement.stage === "recording");
  const { seq, body } = last(house);
  const leaf = await leafHash(body.entry);
  house.hear({ kind: "order", seq, bed: 3, state: "recording", index: 0, proof: new Uint8Array(0), text: "" });
  house.hear({ kind: "order", seq, bed: 3, state: "recorded", index, proof: receipt?.(leaf) ?? house.log.receipt(1, leaf), text: "" });
  await house.until(() => !["recording", "checking"].includes(placement.stage));
  return placement;
}

describe("an order on its way", () => {
  it("is verified by the receipt of its own bytes", async () => {
    const house = await open();
    const placement = await recorded(house);
    expect(stageText(placement)).toBe("recorded, entry 1, verified in your browser");
    expect(placement.proof).toMatchObject({ index: 1, size: 2, origin: "localhost/test" });
    const payload = payloadOf(last(house).body.entry);
    expect([payload[1], payload[3], payload[5], toHex(payload[4] as Uint8Array)]).toEqual(["order", 99, 0, toHex(PATIENT)]);
  });
  it("commits to exactly the content that is sent", async () => {
    const house = await open();
    await recorded(house);
    const { content, salt, key, nonce, entry } = last(house).body;
    const payload = payloadOf(entry);
    const mac = await crypto.subtle.importKey("raw", salt, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    expect(await crypto.subtle.verify("HMAC", mac, payload[10] as Bytes, content)).toBe(true);
    const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
    const cipher = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, aes, content));
    expect(toHex(payload[11] as Uint8Array)).toBe(toHex(sha(nonce, cipher)));
  });
  it("is not verified by the receipt of another entry, index or log, nor by a key that is not the published one", async () => {
    const stranger = new Log();
    const faults: [string, (house: House) => Promise<Placement>][] = [
      ["root", (house) => recorded(house, () => house.log.receipt(1, sha(utf8("another"))))],
      ["not signed by|of another log|signature", (house) => recorded(house, (leaf) => stranger.receipt(1, leaf))],
      ["entry 1, the server said 0", (house) => recorded(house, undefined, 0)],
      ["begins with|no checkpoint", (house) => recorded(house, () => utf8("nonsense"))],
      ["published key differs", async (house) => (house.republish(stranger.vkey), recorded(house))],
    ];
    for (const [words, run] of faults) {
      const placement = await run(await open());
      expect(stageText(placement)).toMatch(new RegExp(`^not verified: .*(${words})`));
      expect(placement.proof === null || words.startsWith("entry 1")).toBe(true);
    }
  });
  it("puts the key on record first when it is not there yet", async () => {
    const house = await open(-1);
    house.chain(0, new Uint8Array(0));
    const placement = order(house);
    await house.until(() => house.sent.length > 0);
    const enrol = house.sent[0]!;
    expect(enrol.body.tag).toBe("enrol");
    const { entry } = enrol.body as Extract<Body, { tag: "enrol" }>;
    house.hear({ kind: "enrolled", seq: enrol.seq, index: 1, proof: house.log.receipt(1, await leafHash(entry)) });
    await house.until(() => placement.stage === "recording");
    const header = decode((decode(last(house).body.entry, { tags: Object.assign([], { 18: (inner: () => unknown) => inner() }), useMaps: true }) as [Uint8Array])[0], { useMaps: true }) as Map<number, Uint8Array>;
    expect(toHex(header.get(4)!)).toBe("0000000000000001");
  });
  it("is signed again when the chain moved, and again, but not for ever", async () => {
    const house = await open();
    house.chain(0, new Uint8Array(0));
    const placement = order(house);
    for (let i = 1; i <= 6; i++) {
      await house.until(() => placement.stage === "recording");
      const { seq, body } = last(house);
      expect(payloadOf(body.entry)[5]).toBe(i - 1);
      house.hear({ kind: "refused", seq, code: "chain-moved", text: "" });
      house.chain(i, sha(Uint8Array.of(i)));
    }
    await house.until(() => placement.stage === "refused");
    expect(house.sent.length).toBe(6);
  });
  it("waits for the chain when it is not known yet", async () => {
    const house = await open();
    const placement = order(house);
    await new Promise((resolve) => setImmediate(resolve));
    expect(house.sent).toEqual([]);
    house.chain(4, sha(Uint8Array.of(4)));
    await house.until(() => placement.stage === "recording");
    expect(payloadOf(last(house).body.entry)[5]).toBe(4);
  });
  it("says why it was refused", async () => {
    const house = await open();
    house.chain(0, new Uint8Array(0));
    const placement = order(house);
    await house.until(() => placement.stage === "recording");
    house.hear({ kind: "refused", seq: last(house).seq, code: "may-not-order", text: "a student may not order here" });
    expect(stageText(placement)).toBe("refused: a student may not order here");
  });
  it("is unknown when the connection was lost, until the chain or the answer tells", async () => {
    const house = await open();
    house.chain(0, new Uint8Array(0));
    const [first, second] = [order(house), order(house)];
    await house.until(() => first.stage === "recording" && second.stage === "recording");
    house.placing.lost();
    expect([first.stage, second.stage]).toEqual(["unknown", "unknown"]);
    const bodies = house.sent.map(({ seq, body }) => ({ seq, body: body as OrderBody }));
    house.chain(1, await leafHash(bodies[0]!.body.entry));
    expect([first.detail, second.detail].filter((text) => text.startsWith("it is recorded"))).toHaveLength(1);
    const leaf = await leafHash(bodies[1]!.body.entry);
    house.hear({ kind: "order", seq: bodies[1]!.seq, bed: 3, state: "recorded", index: 1, proof: house.log.receipt(1, leaf), text: "" });
    await house.until(() => [first, second].some((each) => each.stage === "verified"));
  });
});
