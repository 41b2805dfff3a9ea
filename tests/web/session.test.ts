import { backoff, type Loss, lossOf, lossOfBye, lossText, RESTART, TRY_LATER } from "@/net/backoff";
import type { Identity } from "@/net/identity";
import { Session, type State } from "@/net/session";
import { decode, encode } from "@msgpack/msgpack";

const LOSSES: Loss[] = ["lost", "restart", "slow", "busy"];

describe("back-off", () => {
  it("is full jitter under a bound that doubles up to a cap", () => {
    for (let n = 0; n < 40; n++) {
      expect(backoff(n, 0)).toBe(0);
      expect(backoff(n, 1)).toBe(Math.min(8000, 250 * 2 ** n));
      expect(backoff(n, 0.25)).toBe(backoff(n, 1) / 4);
    }
  });
  it("waits at least a second where the server asks for it, and comes back spread after a restart", () => {
    for (let n = 0; n < 40; n++) {
      for (const loss of ["busy", "slow"] as const) {
        expect(backoff(n, 0, loss)).toBe(1000);
        expect(backoff(n, 1, loss)).toBeLessThanOrEqual(9000);
        expect(backoff(n, 1, loss)).toBeGreaterThanOrEqual(2000);
      }
      expect(backoff(n, 1, "restart")).toBeGreaterThanOrEqual(1500);
    }
  });
  it("brings a crowd back evenly", () => {
    const waits = Array.from({ length: 1000 }, (_, i) => backoff(3, (i + 0.5) / 1000));
    const perSlice = Array.from({ length: 10 }, (_, k) => waits.filter((ms) => ms >= k * 200 && ms < (k + 1) * 200).length);
    expect(perSlice).toEqual(Array(10).fill(100));
  });
  it("knows close codes and Byes, and has words for each", () => {
    expect([RESTART, TRY_LATER, 1006, 4000].map(lossOf)).toEqual(["restart", "slow", "lost", "lost"]);
    expect(["busy", "stopping", "too-slow", "idle"].map(lossOfBye)).toEqual(["busy", "restart", "slow", "lost"]);
    expect(new Set(LOSSES.map((loss) => lossText(loss, true))).size).toBe(4);
    expect(lossText("busy", false)).toContain("let in shortly");
    for (const loss of LOSSES) expect(lossText(loss, true)).toContain("seat is kept");
    for (const loss of LOSSES) expect(lossText(loss, false)).not.toContain("seat");
  });
});

/** A server's end of a WebSocket in memory. */
class Line extends EventTarget {
  static readonly OPEN = 1;
  static made: Line[] = [];
  readonly readyState = 1;
  binaryType = "";
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly sent: unknown[][] = [];
  constructor() {
    super();
    Line.made.push(this);
  }
  send(frame: Uint8Array): void {
    this.sent.push(decode(frame) as unknown[]);
  }
  close(): void {
    this.onclose?.({ code: 1000 });
  }
  say(row: unknown[]): void {
    const bytes = encode(row);
    this.onmessage?.({ data: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer });
  }
}

const identity = { publicKey: new Uint8Array(32), sign: async () => new Uint8Array(64) } as unknown as Identity;
const welcome = (resume: number): unknown[] => [4, 7, new Uint8Array(32).fill(resume), 100, 30, 60, 20, "Ada", "", -1, false];

describe("a session whose connection comes and goes", () => {
  let states: [State, Loss][] = [];
  let overs: string[] = [];
  const kept = new Map<string, string>();
  const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value), removeItem: (key: string) => void kept.delete(key) } as unknown as Storage;

  beforeEach(() => {
    [states, overs, Line.made] = [[], [], []];
    vi.useFakeTimers();
    vi.stubGlobal("WebSocket", Line);
    vi.stubGlobal("window", globalThis);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
  const make = (): Session =>
    new Session("ws://here/ws", identity, storage, { message: () => undefined, frame: () => undefined, state: (state, loss) => void states.push([state, loss]), over: (code) => void overs.push(code) });

  /** The newest connection, open, with the hello it sent. */
  async function opened(): Promise<Line> {
    const line = Line.made.at(-1)!;
    line.onopen?.();
    await vi.waitFor(() => expect(line.sent).toHaveLength(1));
    return line;
  }

  it("who is told busy at the door waits a second or more and knocks again with the same token", async () => {
    const session = make();
    session.join("a-token", "hall");
    (await opened()).say([3, "busy", ""]);
    expect(states.at(-1)).toEqual(["waiting", "busy"]);
    expect(overs).toEqual([]);
    vi.advanceTimersByTime(999);
    expect(Line.made).toHaveLength(1);
    vi.advanceTimersByTime(1100);
    expect(Line.made).toHaveLength(2);
    const again = await opened();
    expect(again.sent[0]!.slice(2, 3)).toEqual(["a-token"]);
    again.say(welcome(1));
    expect(session.state).toBe("active");
  });
  it("gives up at the door after some attempts, and says so", async () => {
    const session = make();
    session.join("a-token", "hall");
    for (let n = 0; n < 40 && overs.length === 0; n++) {
      Line.made.at(-1)!.onclose?.({ code: 1006 });
      vi.advanceTimersByTime(9000);
    }
    expect(overs).toEqual(["lost"]);
    expect(Line.made.length).toBeGreaterThan(5);
    expect(session.state).toBe("closed");
  });
  it("comes back into its seat by the newest secret after a restart, for as long as it takes", async () => {
    const session = make();
    session.join("a-token", "hall");
    (await opened()).say(welcome(1));
    session.moved("hall");
    Line.made[0]!.onclose?.({ code: RESTART });
    expect(states.at(-1)).toEqual(["waiting", "restart"]);
    for (let n = 0; n < 30; n++) {
      vi.advanceTimersByTime(9000);
      Line.made.at(-1)!.onclose?.({ code: 1006 });
    }
    expect(overs).toEqual([]);
    vi.advanceTimersByTime(9000);
    const back = await opened();
    expect(back.sent[0]!.slice(2, 4)).toEqual(["", new Uint8Array(32).fill(1)]);
    back.say(welcome(2));
    expect(session.state).toBe("active");
    expect(kept.size).toBe(1);
    session.dispose();
  });
  it("a refusal for good is told, and the secret forgotten", async () => {
    const session = make();
    session.join("a-token", "hall");
    (await opened()).say(welcome(1));
    Line.made[0]!.say([3, "banned", "You are banned."]);
    expect(overs).toEqual(["banned"]);
    expect(kept.size).toBe(0);
  });
});
