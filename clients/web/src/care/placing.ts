/**
 * Takes an order from the form to a receipt checked here: enrol, seal, sign, send, again when the chain moved, verify.
 * Owns what is on its way and what came of it. Says "verified" only after this browser's own check of its own bytes.
 */

import { type Bytes, equal } from "../bytes";
import { type Entry, fingerprint, keyEntry, leafHash, sealContent, signEntry } from "../ledger/entry";
import { parseVkey, ReceiptError, type Verified, verifyReceipt } from "../ledger/receipt";
import type { Identity } from "../net/identity";
import type { Body, Enrolled, Of, OrderState, ServerMessage } from "../net/protocol";
import { type OrderKind, orderContent, type Values } from "./orders";

/** Where an order stands. */
export type Stage = "enrolling" | "sending" | "recording" | "checking" | "verified" | "not-verified" | "refused" | "unknown";

/** One order of ours, from the first click on. */
export interface Placement {
  id: number;
  bed: number;
  bedName: string;
  text: string;
  stage: Stage;
  detail: string; // why refused, why not verified
  index: number; // of the entry, -1 until known
  entry: Bytes;
  receipt: Bytes;
  proof: Verified | null;
  startedMs: number;
}

/** What must be known of the world to order. */
export interface Desk {
  identity: Identity;
  send(body: Body): number;
  nowMs(): number; // Unix
  tick(): number;
  patient(bed: number): Bytes | null;
  logVkey(): string;
  publishedVkey(): Promise<string>; // from the log's public files
  changed(): void;
}

interface Job {
  placement: Placement;
  kind: OrderKind;
  values: Values;
  seq: number;
  tries: number;
  leaf: Bytes;
}

const TRIES_MAX = 6;
const ENDED: ReadonlySet<Stage> = new Set(["verified", "not-verified", "refused", "unknown"]);

/** See the module's head. */
export class Placing {
  readonly placements: Placement[] = [];
  kid = -1;
  private jobs: Job[] = [];
  private chains = new Map<number, Of<"chain">>();
  private enrolling: { seq: number; entry: Bytes } | null = null;

  constructor(private readonly desk: Desk) {}

  /** Begins an order. */
  place(bed: number, bedName: string, kind: OrderKind, values: Values): Placement {
    const placement: Placement = {
      id: this.placements.length + 1,
      bed,
      bedName,
      text: kind.text(values),
      stage: this.kid < 0 ? "enrolling" : "sending",
      detail: "",
      index: -1,
      entry: new Uint8Array(0),
      receipt: new Uint8Array(0),
      proof: null,
      startedMs: this.desk.nowMs(),
    };
    this.placements.unshift(placement);
    const job: Job = { placement, kind, values, seq: -1, tries: 0, leaf: new Uint8Array(0) };
    this.jobs.push(job);
    void (this.kid < 0 ? this.enrol() : this.submit(job));
    this.desk.changed();
    return placement;
  }

  /** Takes what the server says; messages that do not concern orders are none of ours. */
  apply(message: ServerMessage): void {
    switch (message.kind) {
      case "welcome":
        return this.welcomed(message);
      case "chain":
        return this.chained(message);
      case "enrolled":
        return void this.enrolled(message);
      case "refused":
        return this.refused(message);
      case "order":
        return void this.answered(message);
    }
  }

  /** The connection is gone: what was under way may or may not be recorded, until the server says. */
  lost(): void {
    this.enrolling = null;
    this.chains.clear();
    for (const job of this.jobs) {
      if (job.placement.stage === "recording") this.end(job, "unknown", "the connection was lost before the answer came");
      else if (!ENDED.has(job.placement.stage)) this.end(job, "refused", "the connection was lost before the order was sent");
    }
  }

  private welcomed(message: Of<"welcome">): void {
    if (message.log_kid >= 0) this.kid = message.log_kid;
  }

  private chained(message: Of<"chain">): void {
    this.chains.set(message.bed, message);
    for (const job of this.jobs) {
      if (job.placement.bed !== message.bed) continue;
      if (job.placement.stage === "unknown" && equal(job.leaf, message.prev)) job.placement.detail = "it is recorded, but its receipt was lost with the connection";
      if (job.placement.stage === "sending" && job.seq < 0) void this.submit(job);
    }
    this.desk.changed();
  }

  private async enrol(): Promise<void> {
    if (this.enrolling !== null) return;
    this.enrolling = { seq: -1, entry: new Uint8Array(0) };
    const entry = await keyEntry(this.desk.identity.publicKey, this.desk.nowMs(), this.desk.tick(), this.desk.identity.sign);
    this.enrolling = { seq: this.desk.send({ tag: "enrol", entry }), entry };
  }

  private async enrolled(message: Enrolled): Promise<void> {
    this.kid = message.index;
    const entry = this.enrolling?.entry;
    this.enrolling = null;
    const fault = entry === undefined || message.proof.length === 0 ? "" : await this.faultOf(entry, message.proof, message.index);
    for (const job of this.jobs.filter((each) => each.placement.stage === "enrolling")) {
      if (fault !== "") this.end(job, "not-verified", `the enrolment of your key: ${fault}`);
      else {
        job.placement.stage = "sending";
        void this.submit(job);
      }
    }
    this.desk.changed();
  }

  /** Signs and sends by the newest chain; without one it waits for it. */
  private async submit(job: Job): Promise<void> {
    const { placement } = job;
    const chain = this.chains.get(placement.bed);
    const patient = this.desk.patient(placement.bed);
    if (patient === null) return this.end(job, "refused", "the bed is not open to you");
    if (chain === undefined) return;
    job.tries += 1;
    if (job.tries > TRIES_MAX) return this.end(job, "refused", "others kept ordering at the same moment: please try again");
    job.seq = 0;
    const content = orderContent(job.kind, job.values, patient);
    const [key, salt, nonce] = [32, 32, 12].map((size) => crypto.getRandomValues(new Uint8Array(size))) as [Bytes, Bytes, Bytes];
    const sealed = await sealContent(content, key, nonce, salt);
    const entry: Entry = {
      type: "order",
      timeMs: this.desk.nowMs(),
      tick: this.desk.tick(),
      actor: await fingerprint(this.desk.identity.publicKey),
      patient,
      patientSeq: chain.patient_seq,
      prev: chain.prev as Bytes,
      commit: sealed.commit,
      ctHash: sealed.ctHash,
    };
    placement.entry = await signEntry(entry, this.kid, this.desk.identity.sign);
    job.leaf = await leafHash(placement.entry);
    job.seq = this.desk.send({ tag: "order", bed: placement.bed, entry: placement.entry, content, salt, key, nonce });
    placement.stage = "recording";
    if (job.seq < 0) this.end(job, "refused", "there is no connection");
    this.desk.changed();
  }

  private refused(message: Of<"refused">): void {
    if (this.enrolling !== null && message.seq === this.enrolling.seq) {
      this.enrolling = null;
      for (const job of this.jobs.filter((each) => each.placement.stage === "enrolling")) this.end(job, "refused", message.text);
      return;
    }
    const job = this.jobs.find((each) => each.seq === message.seq);
    if (job === undefined) return;
    if (message.code !== "chain-moved") return this.end(job, "refused", message.text);
    this.chains.delete(job.placement.bed);
    job.seq = -1;
    job.placement.stage = "sending";
    this.desk.changed();
  }

  private async answered(message: OrderState): Promise<void> {
    const job = this.jobs.find((each) => each.seq === message.seq);
    if (job === undefined) return;
    if (message.state === "refused") return this.end(job, "refused", message.text);
    if (message.state === "recording") return;
    const { placement } = job;
    [placement.index, placement.receipt, placement.stage] = [message.index, message.proof as Bytes, "checking"];
    this.desk.changed();
    const fault = await this.faultOf(placement.entry, placement.receipt, placement.index, placement);
    this.end(job, fault === "" ? "verified" : "not-verified", fault);
  }

  /** What is wrong with a receipt for these bytes at this index; "" when it proves them. */
  private async faultOf(entry: Bytes, receipt: Uint8Array, index: number, keep?: Placement): Promise<string> {
    const vkey = this.desk.logVkey();
    try {
      if (vkey === "") return "the log's key is not known";
      const published = await this.desk.publishedVkey();
      if (published.trim() !== vkey.trim()) return "the log's published key differs from the one the server gave";
      const proof = await verifyReceipt(receipt, await leafHash(entry), await parseVkey(vkey.trim()));
      if (proof.index !== index) return `the receipt is for entry ${proof.index}, the server said ${index}`;
      if (keep !== undefined) keep.proof = proof;
      return "";
    } catch (error) {
      if (error instanceof ReceiptError) return error.message;
      if (error instanceof TypeError) return "the log's published key cannot be fetched";
      throw error;
    }
  }

  private end(job: Job, stage: Stage, detail: string): void {
    job.placement.stage = stage;
    job.placement.detail = detail;
    if (stage !== "unknown") this.jobs = this.jobs.filter((each) => each !== job);
    this.desk.changed();
  }
}

/** An order's state in words for people. */
export function stageText({ stage, index, detail }: Placement): string {
  const words: Readonly<Record<Stage, string>> = {
    enrolling: "putting your key on record\u2026",
    sending: "sending\u2026",
    recording: "recording\u2026",
    checking: `recorded, entry ${index}, checking the receipt\u2026`,
    verified: `recorded, entry ${index}, verified in your browser`,
    "not-verified": `not verified: ${detail}`,
    refused: `refused: ${detail}`,
    unknown: `unknown: ${detail}`,
  };
  return words[stage];
}
