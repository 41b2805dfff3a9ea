/** The page before the room: its title, who is inside, one's name, the role of the link, Enter. Errors are sentences. */

import { askWho, type Inside, JoinError, type JoinLink } from "../net/join";
import type { Role } from "../net/protocol";
import { ROLES } from "../scene/roles";
import { button, h, rebuild, setText } from "./dom";

const NAME_AT = "asclepion.name";
const NAME_MAX = 40;
const ASK_EVERY_MS = 5_000;

/** See the module's head. `enter` throws JoinError when it does not lead into the room. */
export class JoinPage {
  readonly root: HTMLElement;
  private readonly title = h("h1", {}, "\u2026");
  private readonly about = h("p", { class: "about" });
  private readonly inside = h("div", { class: "inside", "aria-live": "polite" });
  private readonly name = h("input", { id: "name", name: "name", autocomplete: "name", maxlength: NAME_MAX, required: true, placeholder: "What others will call you" });
  private readonly role = h("p", { class: "role" });
  private readonly fault = h("p", { class: "fault", role: "alert", hidden: true });
  private readonly enterButton = h("button", { type: "submit", class: "primary" }, "Enter");
  private readonly timer: number;

  constructor(
    private readonly link: JoinLink,
    reason: string,
    private readonly enter: (name: string, role: Role) => Promise<void>,
  ) {
    this.name.value = localStorage.getItem(NAME_AT) ?? "";
    const form = h("form", { novalidate: true, onsubmit: (event) => void this.submit(event) }, h("label", { for: "name" }, "Your name"), this.name, this.role, this.fault, this.enterButton);
    const brand = h("div", { class: "brand" }, h("span", { class: "mark", "aria-hidden": true }), "Asclepion");
    this.root = h("main", { class: "join" }, h("section", { class: "card" }, brand, this.title, this.about, this.inside, form, notes()));
    if (reason !== "") this.say(reason);
    if (link.invite === "") this.noInvite();
    else void this.ask();
    this.timer = window.setInterval(() => link.invite !== "" && void this.ask(), ASK_EVERY_MS);
  }

  /** Takes the page away. */
  dispose(): void {
    window.clearInterval(this.timer);
    this.root.remove();
  }

  private noInvite(): void {
    setText(this.title, "An invitation is needed");
    this.about.textContent = "Rooms are entered by a link that somebody gave you. It looks like this page\u2019s address, with a code after a # sign.";
    this.enterButton.disabled = true;
  }

  private async ask(): Promise<void> {
    try {
      this.show(await askWho(this.link));
    } catch (error) {
      if (!(error instanceof JoinError)) throw error;
      if (this.title.textContent === "\u2026") setText(this.title, "This room cannot be entered now");
      this.say(error.message, "ask");
    }
  }

  private show(inside: Inside): void {
    setText(this.title, inside.title);
    document.title = `${inside.title} \u2013 Asclepion`;
    const look = ROLES[inside.role];
    rebuild(this.role, inside.role, () => ["You come in as ", h("strong", { class: `chip role-${inside.role}` }, `${look.icon} ${look.word}`)]);
    setText(this.about, inside.people.length === 0 ? "Nobody is inside yet." : `${inside.people.length} of at most ${inside.capacity} people are inside:`);
    const chips = inside.people.slice(0, 24).map((person) => h("span", { class: `chip role-${person.role}` }, `${ROLES[person.role].icon} ${person.name}`));
    if (inside.people.length > 24) chips.push(h("span", { class: "chip" }, `and ${inside.people.length - 24} more`));
    rebuild(this.inside, JSON.stringify(inside.people), () => chips);
    if (this.fault.dataset["from"] === "ask") this.fault.hidden = true;
  }

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    const name = this.name.value.trim();
    if (name === "") {
      this.say("Please give a name: others see it over your avatar.");
      return this.name.focus();
    }
    localStorage.setItem(NAME_AT, name);
    this.enterButton.disabled = true;
    setText(this.enterButton, "Entering\u2026");
    try {
      await this.enter(name, (await askWho(this.link)).role);
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
      this.enterButton.disabled = false;
      setText(this.enterButton, "Enter");
    }
  }

  /** `from` "ask" goes away by itself once the house answers again. */
  private say(text: string, from = ""): void {
    setText(this.fault, text);
    this.fault.dataset["from"] = from;
    this.fault.hidden = false;
  }
}

function notes(): HTMLElement {
  return h(
    "ul",
    { class: "notes" },
    h("li", {}, "Everything here is simulated, not for diagnosis."),
    h("li", {}, "Orders are signed with a key that stays in this browser, and recorded in a ledger you can check."),
    h("li", {}, "Walk with WASD or the arrow keys, drag to look, E to use things. A 2D view is always there."),
  );
}

/** A page with one sentence and perhaps one button, when there is nothing else to show. */
export function sentencePage(text: string, again: (() => void) | null): HTMLElement {
  const card = h("section", { class: "card" }, h("div", { class: "brand" }, h("span", { class: "mark", "aria-hidden": true }), "Asclepion"), h("p", { role: "alert" }, text));
  if (again !== null) card.append(button("Try again", again, { class: "primary" }));
  return h("main", { class: "join" }, card);
}
