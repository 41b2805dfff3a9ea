/** The page: from the link to the room and back. Reads the address, joins or comes back, and hands over to the house. */

import { type Hook } from "./hook";
import { House } from "./house";
import type { Action } from "./input/controls";
import { type Identity, loadIdentity } from "./net/identity";
import { parseLink, redeem } from "./net/join";
import { giveUpSeat, type Kept, kept } from "./net/session";
import { JoinPage, sentencePage } from "./ui/joinpage";

const LINK_AT = "asclepion.link";
const ROLE_AT = "asclepion.role";

const app = document.getElementById("app")!;
const link = parseLink(location.pathname, location.hash);

/** The join page; `reason` is why one is here again. */
function showJoin(reason: string): void {
  delete window.asclepion;
  const page = new JoinPage(link, reason, async (name, role) => {
    const identity = await loadIdentity(role);
    sessionStorage.setItem(ROLE_AT, role);
    const ticket = await redeem(link, name, identity.publicKey);
    page.dispose();
    showRoom(identity, { token: ticket.token, room: ticket.room });
  });
  app.replaceChildren(page.root);
}

function showRoom(identity: Identity, by: { token: string; room: string } | Kept): void {
  sessionStorage.setItem(LINK_AT, location.pathname + location.hash);
  const house = new House(app, identity, (reason) => showJoin(reason));
  const hook: Hook = { state: () => house.state(), walkTo: (x, z) => house.walkTo(x, z), act: (action) => house.act(action as Action) };
  window.asclepion = Object.freeze(hook);
  house.enter(by);
}

async function start(): Promise<void> {
  const secret = kept(sessionStorage);
  if (secret === null) return showJoin("");
  try {
    const identity = await loadIdentity(sessionStorage.getItem(ROLE_AT) ?? "");
    const sameLink = sessionStorage.getItem(LINK_AT) === location.pathname + location.hash;
    if (sameLink) return showRoom(identity, secret);
    giveUpSeat(identity, sessionStorage, secret);
  } catch (error) {
    app.replaceChildren(sentencePage(error instanceof Error ? error.message : String(error), () => location.reload()));
    return;
  }
  showJoin("");
}

window.addEventListener("hashchange", () => location.reload());
void start();
