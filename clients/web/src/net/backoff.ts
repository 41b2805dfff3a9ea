/**
 * When a lost session tries again: exponential back-off with full jitter and a cap, and longer where the server asks for it.
 * Owns the arithmetic and the words for people. Pure: chance comes in as an argument.
 */

const FIRST_MS = 250;
const CAP_MS = 8_000;
const CROWD_MS = 1_500; // a restart throws everybody out at once: they come back over so long at the least
const BUSY_MS = 1_000; // who is told "busy" waits so long in any case
const DOUBLINGS_MAX = 16;

export const RESTART = 1012; // close codes, RFC 6455 and the IANA registry
export const TRY_LATER = 1013;

/** Why a connection ended: for how long to wait, and what to tell. */
export type Loss = "lost" | "restart" | "slow" | "busy";

/** What a close code of the WebSocket means for coming back. */
export function lossOf(closeCode: number): Loss {
  if (closeCode === RESTART) return "restart";
  return closeCode === TRY_LATER ? "slow" : "lost";
}

/** What a Bye that lets one come back means. */
export function lossOfBye(code: string): Loss {
  if (code === "busy") return "busy";
  if (code === "stopping") return "restart";
  return code === "slow" || code === "too-slow" ? "slow" : "lost";
}

/**
 * Milliseconds to wait before attempt `n` (0, 1, ...); `dice` in 0..1. Full jitter (M. Brooker, "Exponential Backoff And
 * Jitter", 2015): a crowd that lost its connections at once comes back evenly spread, not in waves.
 */
export function backoff(n: number, dice: number, loss: Loss = "lost"): number {
  const bound = Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(n, DOUBLINGS_MAX));
  if (loss === "lost") return dice * bound;
  if (loss === "restart") return dice * Math.max(CROWD_MS, bound);
  return BUSY_MS + dice * Math.max(BUSY_MS, bound);
}

/** What the page says meanwhile. `inside`: one had been in, so there is a seat. */
export function lossText(loss: Loss, inside: boolean): string {
  const why: Readonly<Record<Loss, string>> = {
    lost: "",
    restart: "The house is starting again. ",
    slow: "The connection could not keep up. ",
    busy: "Many people are coming in at once: you are let in shortly. ",
  };
  return `${why[loss]}${inside ? "Reconnecting\u2026 your seat is kept." : "Connecting\u2026"}`;
}
