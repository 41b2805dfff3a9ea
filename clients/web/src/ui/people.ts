/** Who is here: roles and states as a table, who waits, and what a moderator may do. */

import { type Model, slotOf } from "../model";
import { RAISED, SPEAKING } from "../net/pose";
import type { Body, InviteMade, Person, Role, Waiting } from "../net/protocol";
import { ROLES } from "../scene/roles";
import { button, h, rebuild, setText } from "./dom";

type Send = (body: Body) => void;

const INVITE_S = 24 * 3600;
const LISTED_MAX = 60;
const SEARCH_FROM = 12; // people, from which on looking through the list takes longer than typing

/** Who is listed: whose name or role has what is sought for; oneself, then the `noted` slots, then by name; at most `max`. */
export function listed(people: Iterable<Person>, sought: string, own: number, noted: ReadonlySet<number>, max: number): { shown: Person[]; found: number } {
  const words = sought.trim().toLocaleLowerCase();
  const found = [...people].filter((person) => words === "" || person.name.toLocaleLowerCase().includes(words) || person.role.includes(words));
  const rank = (person: Person): number => (person.avatar === own ? 0 : noted.has(slotOf(person.avatar)) ? 1 : 2);
  found.sort((a, b) => rank(a) - rank(b) || ORDER.compare(a.name, b.name) || a.avatar - b.avatar);
  return { shown: found.slice(0, max), found: found.length };
}

const ORDER = new Intl.Collator();

/** See the module's head. */
export class PeoplePanel {
  readonly root: HTMLElement;
  private readonly head = h("p", { class: "about", role: "status" });
  private readonly search = h("input", { type: "search", "aria-label": "Find a person by name or role", placeholder: "Find a person", autocomplete: "off" });
  private readonly waiting = h("div", { class: "waiting" });
  private readonly table = h("div", { class: "people" });
  private readonly tools = h("div", { class: "tools" });

  constructor(
    private readonly model: Model,
    private readonly send: Send,
    private readonly walkTo: (slot: number) => void,
  ) {
    this.root = h("section", { class: "panel", "aria-label": "People" }, h("h2", {}, "People"), this.head, this.search, this.waiting, this.table, this.tools);
  }

  /** Shows the state as it is; `flags` are those of a slot's newest pose. Nothing is done while the panel is hidden. */
  render(flags: (slot: number) => number): void {
    if (this.root.hidden) return;
    const { people, room } = this.model;
    const noted = new Set([...people.keys()].filter((slot) => (flags(slot) & (SPEAKING | RAISED)) !== 0));
    const { shown, found } = listed(people.values(), this.search.value, room?.avatar ?? -1, noted, LISTED_MAX);
    this.search.hidden = people.size <= SEARCH_FROM;
    setText(this.head, headOf(people.size, found, shown.length));
    const rows = shown.map((person) => ({ person, state: stateOf(person, flags(slotOf(person.avatar)), room?.avatar === person.avatar) }));
    const moderate = this.model.may("moderate");
    rebuild(this.table, JSON.stringify([moderate, rows.map(({ person, state }) => [person.avatar, person.name, person.role, person.muted, state])]), () => [
      h("table", {}, h("thead", {}, h("tr", {}, ...["Name", "Role", "State", "Actions"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, ...rows.map(({ person, state }) => this.row(person, state, moderate)))),
    ]);
    rebuild(this.waiting, JSON.stringify(this.model.waiting), () => (this.model.waiting.length === 0 ? [] : [h("h3", {}, "Waiting to come in"), ...this.model.waiting.map((each) => this.waits(each))]));
    rebuild(this.tools, JSON.stringify([moderate, this.model.locked, this.model.invites, room?.room]), () => (moderate ? this.moderation() : []));
  }

  private row(person: Person, state: string, moderate: boolean): HTMLElement {
    const look = ROLES[person.role];
    const own = person.avatar === this.model.room?.avatar;
    const act = (act: "mute" | "unmute" | "remove" | "ban", label: string): HTMLElement =>
      button(label, () => this.send({ tag: "moderate", who: person.avatar, act, reason: "" }), { "data-key": `${act}${person.avatar}`, "aria-label": `${label} ${person.name}` });
    const acts = own ? [] : [button("Go to", () => this.walkTo(slotOf(person.avatar)), { "data-key": `go${person.avatar}`, "aria-label": `Go to ${person.name}` })];
    if (moderate && !own) acts.push(person.muted ? act("unmute", "Unmute") as HTMLButtonElement : (act("mute", "Mute") as HTMLButtonElement), act("remove", "Remove") as HTMLButtonElement, act("ban", "Ban") as HTMLButtonElement);
    return h("tr", {}, h("th", { scope: "row" }, person.name), h("td", {}, h("span", { class: `chip role-${person.role}` }, `${look.icon} ${look.word}`)), h("td", {}, state), h("td", { class: "acts" }, ...acts));
  }

  private waits({ avatar, name, role }: Waiting): HTMLElement {
    const answer = (allow: boolean, label: string): HTMLElement => button(label, () => this.send({ tag: "admit", who: avatar, allow }), { class: allow ? "primary" : "", "aria-label": `${label} ${name}`, "data-key": `${label}${avatar}` });
    return h("p", { class: "waits" }, `${ROLES[role].icon} ${name} (${role}) `, answer(true, "Admit"), answer(false, "Refuse"));
  }

  private moderation(): HTMLElement[] {
    const { locked, room } = this.model;
    const lock = button(locked ? "Unlock the room" : "Lock the room", () => this.send({ tag: "lock", on: !locked }), { "data-key": "lock" });
    const role = h("select", { "aria-label": "Role of the invited" }, ...Object.entries(ROLES).map(([value, look]) => h("option", { value }, look.word)));
    const make = button("Make an invite link", () => room !== null && this.send({ tag: "make-invite", room: room.room, role: role.value as Role, uses: 10, valid_s: INVITE_S }), { "data-key": "invite" });
    return [h("h3", {}, "Moderation"), h("p", { class: "row" }, lock), h("p", { class: "row" }, role, make), ...this.model.invites.slice(0, 5).map(inviteLine)];
  }
}

function inviteLine(invite: InviteMade): HTMLElement {
  const link = `${location.origin}/r/${invite.room}#${invite.code}`;
  const field = h("input", { readonly: true, "aria-label": `Invite link for a ${invite.role}`, value: link });
  field.addEventListener("focus", () => field.select());
  return h("p", { class: "row" }, field, h("small", {}, `${invite.role}, ${invite.uses} uses, ${Math.round(invite.valid_s / 3600)} h`));
}

/** "312 people here", and how many of them the list shows. */
function headOf(all: number, found: number, shown: number): string {
  const people = all === 1 ? "1 person here" : `${all} people here`;
  if (found === all && shown === all) return people;
  return `${people}, ${found === all ? "" : `${found} found, `}${shown} listed`;
}

function stateOf(person: Person, flags: number, own: boolean): string {
  const muted = person.muted;
  return [own && "you", person.away && "away", muted && "muted", !muted && (flags & SPEAKING) !== 0 && "speaking", (flags & RAISED) !== 0 && "hand raised"].filter(Boolean).join(", ");
}
