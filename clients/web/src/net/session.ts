/**
 * One session over WebSockets that come and go: hello by token, then by resume secret with back-off, same seat.
 * Owns the socket, the sequence numbers and the resume secret. Never knows what a frame means beyond welcome, bye and pong.
 */

import { type Bytes, concat, fromBase64, fromHex, sha256, toBase64, utf8 } from "../bytes";
import { backoff, type Loss, lossOf, lossOfBye } from "./backoff";
import { SnapshotError } from "./bits";
import type { Identity } from "./identity";
import { Meter } from "./meter";
import { type Body, decodeMessage, encodeBye, encodeCommand, encodeHello, encodePing, type Of, PROTOCOL, ProtocolError, type ServerMessage } from "./protocol";
import { WaveError } from "./wave";

export const SOCKET_URL = `${globalThis.location?.protocol === "https:" ? "wss" : "ws"}://${globalThis.location?.host}/ws`;
export const SUBPROTOCOL = "asclepion.1";
const TOKEN_ATTEMPTS_MAX = 10; // before the first welcome; a join token is good for a minute
const PING_EVERY_MS = 2_000;
const SILENCE_MAX_MS = 12_000;
const CLOSE_AFTER_MS = 2_000; // the server closes first; two closes at once are a fault to some browsers
const RESUME_AT = "asclepion.resume";

/** Where the session stands. */
export type State = "closed" | "connecting" | "active" | "waiting";

/** What the session tells. `frame` is binary (first byte below 0x80); `loss` is why the last connection ended. */
export interface Hooks {
  message(message: ServerMessage): void;
  frame(frame: Bytes): void;
  state(state: State, loss: Loss): void;
  over(code: string, text: string): void; // no way back: join again
}

/** What may follow what; everything else is a fault of ours. */
export const TRANSITIONS: Readonly<Record<State, readonly State[]>> = {
  closed: ["connecting"],
  connecting: ["active", "waiting", "closed"],
  active: ["waiting", "closed"],
  waiting: ["connecting", "closed"],
};

/** Codes of Bye after which the same secret may work again. */
const COME_BACK = new Set(["stopping", "slow", "too-slow", "idle", "lost", "busy", "closed", "edge", "silent"]);

/** A resume secret kept for this tab, so that a reload finds its seat. */
export interface Kept {
  room: string;
  resume: Bytes;
}

/** The secret kept for this tab, if any. */
export function kept(storage: Storage): Kept | null {
  const text = storage.getItem(RESUME_AT);
  if (text === null) return null;
  const [room = "", secret = ""] = text.split(" ");
  return { room, resume: fromBase64(secret) };
}

/** Forgets the secret. */
export function forget(storage: Storage): void {
  storage.removeItem(RESUME_AT);
}

/** What a hello's proof is a signature of; `secret` is the token's text or the resume secret. */
export async function helloMessage(secret: Bytes): Promise<Bytes> {
  return concat(utf8("asclepion/hello/1\0"), await sha256(secret), fromHex(PROTOCOL));
}

/** The hello frame: by token, or by `resume` when there is one. */
export async function makeHello(identity: Identity, token: string, resume: Bytes): Promise<Bytes> {
  const proof = await identity.sign(await helloMessage(resume.length > 0 ? resume : utf8(token)));
  return encodeHello(fromHex(PROTOCOL), token, resume, identity.publicKey, proof);
}

/** See the module's head. */
export class Session {
  state: State = "closed";
  roundTripMs = 0;
  readonly meter = new Meter();
  private socket: WebSocket | null = null;
  private sequence = 0;
  private attempts = 0;
  private retry = 0;
  private pinger = 0;
  private heardMs = 0;
  private token = "";
  private resume: Bytes = new Uint8Array(0);
  private room = "";
  private loss: Loss = "lost";

  constructor(
    private readonly url: string,
    private readonly identity: Identity,
    private readonly storage: Storage,
    private readonly hooks: Hooks,
  ) {}

  /** Comes in by a fresh join token. */
  join(token: string, room: string): void {
    [this.token, this.room] = [token, room];
    this.connect();
  }

  /** Comes back by a kept secret. */
  comeBack(secret: Kept): void {
    [this.resume, this.room] = [secret.resume, secret.room];
    this.connect();
  }

  /** Sends a command and returns its number; -1 when there is no connection (it is not kept for later). */
  send(body: Body): number {
    if (this.state !== "active") return -1;
    const seq = this.next();
    this.socket?.send(encodeCommand(seq, body));
    return seq;
  }

  /** Sends a pose that carries a number of `next`. */
  sendPose(frame: Bytes): void {
    if (this.state !== "active") return;
    this.socket?.send(frame);
    this.meter.posed(performance.now());
  }

  /** The session's next number. */
  next(): number {
    this.sequence += 1;
    return this.sequence;
  }

  /** The room one is in now, for the kept secret. */
  moved(room: string): void {
    this.room = room;
    this.keep();
  }

  /** Leaves for good. */
  leave(): void {
    if (this.state === "active") this.socket?.send(encodeBye("leave"));
    this.end();
  }

  /** Lets go of the socket without a word; the seat is held and the secret kept. */
  dispose(): void {
    this.drop();
    if (this.state !== "closed") this.enter("closed");
  }

  /** Whether one has been in: there is a seat to come back to. */
  get inside(): boolean {
    return this.resume.length > 0;
  }

  private end(): void {
    this.dispose();
    forget(this.storage);
  }

  private enter(state: State): void {
    if (!TRANSITIONS[this.state].includes(state)) throw new Error(`session: ${this.state} cannot become ${state}`);
    this.state = state;
    this.hooks.state(state, this.loss);
  }

  private connect(): void {
    this.enter("connecting");
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heardMs = performance.now();
    socket.onopen = () => void this.hello(socket);
    socket.onmessage = (event) => this.socket === socket && this.receive(new Uint8Array(event.data as ArrayBuffer));
    socket.onclose = (event) => this.socket === socket && this.lost(lossOf(event.code));
    this.pinger = window.setInterval(() => this.ping(), PING_EVERY_MS);
  }

  private async hello(socket: WebSocket): Promise<void> {
    const frame = await makeHello(this.identity, this.resume.length > 0 ? "" : this.token, this.resume);
    if (this.socket === socket && socket.readyState === WebSocket.OPEN) socket.send(frame);
  }

  private receive(frame: Bytes): void {
    this.heardMs = performance.now();
    this.meter.received(frame.length, this.heardMs);
    if (frame.length === 0) return;
    try {
      this.take(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError || error instanceof SnapshotError || error instanceof WaveError)) throw error;
      this.end();
      this.hooks.over("protocol", `The server sent what this page does not understand: ${error.message}. Please reload.`);
    }
  }

  private take(frame: Bytes): void {
    if (frame[0]! < 0x80) return this.hooks.frame(frame);
    const message = decodeMessage(frame);
    if (message.kind === "several") return message.messages.forEach((each) => this.take(each));
    if (message.kind === "welcome") this.welcome(message);
    if (message.kind === "pong") this.roundTripMs = performance.now() - message.stamp / 1000;
    if (message.kind === "bye") return this.bye(message.code, message.text);
    this.hooks.message(message);
  }

  private welcome(message: Of<"welcome">): void {
    this.resume = message.resume;
    this.token = "";
    this.attempts = 0;
    this.keep();
    if (this.state === "connecting") this.enter("active");
  }

  private keep(): void {
    if (this.resume.length > 0) this.storage.setItem(RESUME_AT, `${this.room} ${toBase64(this.resume)}`);
  }

  private bye(code: string, text: string): void {
    if (COME_BACK.has(code) && this.mayTryAgain) return this.lost(lossOfBye(code));
    this.end();
    this.hooks.over(code, text);
  }

  /** A seat is come back to as long as it takes; a join token is tried some times, then a new one is needed. */
  private get mayTryAgain(): boolean {
    return this.inside || (this.token !== "" && this.attempts < TOKEN_ATTEMPTS_MAX);
  }

  private lost(loss: Loss): void {
    this.drop();
    this.loss = loss;
    if (!this.mayTryAgain) {
      this.end();
      return this.hooks.over("lost", "The connection was lost before the room was entered.");
    }
    if (this.state !== "waiting") this.enter("waiting");
    this.retry = window.setTimeout(() => this.connect(), backoff(this.attempts, Math.random(), loss));
    this.attempts += 1;
  }

  private drop(): void {
    window.clearInterval(this.pinger);
    window.clearTimeout(this.retry);
    const socket = this.socket;
    this.socket = null;
    if (socket !== null) window.setTimeout(() => socket.close(), CLOSE_AFTER_MS);
  }

  private ping(): void {
    if (performance.now() - this.heardMs > SILENCE_MAX_MS) return this.lost("lost");
    if (this.state === "active") this.socket?.send(encodePing(this.next(), Math.round(performance.now() * 1000)));
  }
}

/** Leaves a seat that is still held for this tab, without going in: somebody opened another link here. */
export function giveUpSeat(identity: Identity, storage: Storage, secret: Kept): void {
  const quiet = (): void => undefined;
  const state = (now: State): void => void (now === "active" && session.leave());
  const session: Session = new Session(SOCKET_URL, identity, storage, { message: quiet, frame: quiet, over: quiet, state });
  session.comeBack(secret);
}
