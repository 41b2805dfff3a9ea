/** The link one came by, and the edge's two questions before a session: who is inside, and what the invite is worth. */

import { type Bytes, toBase64Url } from "../bytes";
import type { Role } from "./protocol";

/** Room and invite of /r/<room>#<invite>. */
export interface JoinLink {
  room: string;
  invite: string;
}

/** What may be known before going in. */
export interface Inside {
  title: string;
  kind: string;
  role: Role;
  capacity: number;
  people: { name: string; role: Role }[];
}

/** A join token and what it says. */
export interface Ticket {
  token: string;
  room: string;
  role: Role;
  name: string;
}

/** The edge said no, or could not be reached; the message is a sentence for people. */
export class JoinError extends Error {
  constructor(
    readonly code: string,
    text: string,
  ) {
    super(text);
  }
}

/** Reads a link; the room is "lobby" where the path names none. */
export function parseLink(path: string, hash: string): JoinLink {
  const match = /^\/r\/([a-z0-9][a-z0-9-]{0,39})\/?$/.exec(path);
  return { room: match?.[1] ?? "lobby", invite: decodeURIComponent(hash.replace(/^#/, "")) };
}

/** The room's title and who is inside, for the holder of a good invite. */
export function askWho(link: JoinLink): Promise<Inside> {
  return post<Inside>("/api/who", { room: link.room, invite: link.invite });
}

/** Uses the invite once for a join token. */
export function redeem(link: JoinLink, name: string, key: Bytes): Promise<Ticket> {
  return post<Ticket>("/api/redeem", { room: link.room, invite: link.invite, name, key: toBase64Url(key) });
}

const SENTENCES: Readonly<Record<number, string>> = {
  400: "The server could not read the request.",
  403: "This link does not open this room.",
  404: "There is no such room, or the link is not valid.",
  410: "This link has expired or has been used up.",
  429: "Too many attempts: please wait a moment and try again.",
  502: "The house is not open at the moment. Please try again shortly.",
  503: "The house is not open at the moment. Please try again shortly.",
  504: "The house did not answer in time. Please try again shortly.",
};

async function post<T>(path: string, body: object): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new JoinError("offline", "The server cannot be reached. Is it running, and are you online?");
  }
  const said = (await answer.json().catch(() => ({}))) as { code?: string; text?: string };
  if (answer.ok) return said as T;
  throw new JoinError(said.code ?? String(answer.status), said.text || SENTENCES[answer.status] || `The server answered ${answer.status}.`);
}
