/** The frame of the room's page: header, canvas, drawer with panels, action bar, banner, toasts, menu. Owns their layout. */

import { button, h, rebuild, setText } from "./dom";

/** Panels of the drawer. */
export type Tab = "people" | "bed" | "orders" | "places" | "network";

/** What its buttons ask for. */
export interface ShellHooks {
  leave(): void;
  act(action: "interact" | "point" | "raise" | "view"): void;
  flat(on: boolean): void;
}

/** What the header says. */
export interface HeaderState {
  title: string;
  locked: boolean;
  connection: "good" | "fair" | "poor" | "lost";
  roundTripMs: number;
  ledger: "up" | "down" | "unknown";
  ledgerText: string;
}

const TABS: Readonly<Record<Tab, string>> = { people: "People", bed: "Bedside", orders: "Orders", places: "Places", network: "Network" };
const TOAST_MS = 6_000;
const TOASTS_MAX = 4;

/** See the module's head. */
export class Shell {
  readonly root: HTMLElement;
  readonly canvas = h("canvas", { id: "world", tabindex: 0, "aria-label": "The room in 3D. Walk with W A S D or the arrow keys. The Places panel does the same with buttons." });
  readonly pad = h("div", { class: "pad", "aria-hidden": true }, h("div", { class: "knob" }));
  private readonly title = h("h1", {});
  private readonly connection = h("span", { class: "quality" });
  private readonly ledger = h("span", { class: "ledger" });
  private readonly banner = h("p", { class: "banner", role: "status", hidden: true });
  private readonly toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
  private readonly prompt = h("p", { class: "prompt", hidden: true });
  private readonly drawer: HTMLElement;
  private readonly tabs: Record<Tab, HTMLButtonElement>;
  private readonly toggles: Record<"point" | "raise", HTMLButtonElement>;
  private readonly flatButton: HTMLButtonElement;
  private readonly menu: HTMLDialogElement;
  private open: Tab | null = null;
  private flat = false;

  constructor(
    private readonly panels: Readonly<Record<Tab, HTMLElement>>,
    chat: HTMLElement,
    private readonly hooks: ShellHooks,
    canFlatOnly: boolean,
  ) {
    this.tabs = Object.fromEntries(Object.entries(TABS).map(([tab, label]) => [tab, button(label, () => this.show(this.open === tab ? null : (tab as Tab)), { "aria-pressed": false })])) as Record<Tab, HTMLButtonElement>;
    this.flatButton = button("2D view", () => this.setFlat(!this.flat), { "aria-pressed": false });
    this.flatButton.hidden = canFlatOnly;
    this.toggles = { point: button("Point (F)", () => hooks.act("point"), { "aria-pressed": false }), raise: button("Raise hand (R)", () => hooks.act("raise"), { "aria-pressed": false }) };
    const header = h("header", {}, h("span", { class: "mark", "aria-hidden": true }), this.title, this.connection, this.ledger, h("nav", { "aria-label": "Panels" }, ...Object.values(this.tabs)), this.flatButton, button("Menu", () => this.toggleMenu()), button("Leave", hooks.leave, { class: "leave" }));
    this.drawer = h("aside", { class: "drawer", "aria-label": "Panels" }, ...Object.values(panels));
    const bar = h("div", { class: "bar", role: "toolbar", "aria-label": "Actions" }, button("Use (E)", () => hooks.act("interact")), this.toggles.point, this.toggles.raise, button("View (V)", () => hooks.act("view")));
    this.menu = this.makeMenu();
    this.root = h("div", { class: "shell" }, header, this.banner, h("main", {}, this.canvas, this.prompt, this.pad, bar, chat, this.drawer), this.toasts, this.menu);
    this.show(null);
  }

  /** Opens a panel, or none. */
  show(tab: Tab | null): void {
    this.open = tab;
    for (const [name, panel] of Object.entries(this.panels)) panel.hidden = !this.flat && name !== tab;
    for (const [name, each] of Object.entries(this.tabs)) each.setAttribute("aria-pressed", String(name === tab));
    this.drawer.hidden = !this.flat && tab === null;
    this.root.classList.toggle("with-drawer", !this.drawer.hidden);
    window.dispatchEvent(new Event("resize"));
  }

  /** The open panel. */
  get tab(): Tab | null {
    return this.open;
  }

  /** Whether the 2D view is on. */
  get isFlat(): boolean {
    return this.flat;
  }

  /** The 2D view: all panels beside each other, no picture. */
  setFlat(on: boolean): void {
    this.flat = on;
    this.root.classList.toggle("flat", on);
    this.flatButton.setAttribute("aria-pressed", String(on));
    setText(this.flatButton, on ? "3D view" : "2D view");
    this.show(on ? this.open : null);
    this.hooks.flat(on);
  }

  /** Shows or hides the sentence over the room, "" for none. */
  say(text: string): void {
    this.banner.hidden = text === "";
    setText(this.banner, text);
  }

  /** What E would do now, "" for nothing. */
  offer(text: string): void {
    this.prompt.hidden = text === "";
    setText(this.prompt, text);
  }

  /** A passing note; `fault` looks like one. What is still to be read is not said twice. */
  toast(text: string, fault = false): void {
    if (Array.from(this.toasts.children).some((note) => note.textContent === text)) return;
    const note = h("p", { class: fault ? "toast fault" : "toast" }, text);
    this.toasts.append(note);
    while (this.toasts.childElementCount > TOASTS_MAX) this.toasts.firstElementChild!.remove();
    window.setTimeout(() => note.remove(), TOAST_MS);
  }

  /** Shows what toggles are on. */
  toggled(name: "point" | "raise", on: boolean): void {
    this.toggles[name].setAttribute("aria-pressed", String(on));
  }

  /** Shows the header's state. */
  header(state: HeaderState): void {
    setText(this.title, `${state.title}${state.locked ? " (locked)" : ""}`);
    const bars = { good: "\u25ae\u25ae\u25ae", fair: "\u25ae\u25ae\u25af", poor: "\u25ae\u25af\u25af", lost: "\u25af\u25af\u25af" }[state.connection];
    const time = state.connection === "lost" ? "" : ` ${Math.max(1, Math.round(state.roundTripMs / 5) * 5)} ms`;
    rebuild(this.connection, `${state.connection}${time}`, () => [h("span", { "aria-hidden": true }, bars), ` ${state.connection}${time}`]);
    this.connection.className = `quality ${state.connection}`;
    const words = { up: "\u25cf ledger recording", down: "\u25a0 ledger down", unknown: "\u25cb ledger\u2026" }[state.ledger];
    setText(this.ledger, words);
    this.ledger.title = state.ledgerText;
    this.ledger.className = `ledger ${state.ledger}`;
  }

  /** Opens or closes the menu. */
  toggleMenu(): void {
    if (this.menu.open) this.menu.close();
    else this.menu.showModal();
  }

  /** Takes it away. */
  dispose(): void {
    this.root.remove();
  }

  private makeMenu(): HTMLDialogElement {
    const keys: [string, string][] = [
      ["W A S D, arrows", "walk; arrows left and right turn; Shift is faster"],
      ["drag", "look around"],
      ["click", "walk there; on a bed: open its monitor"],
      ["E", "use: take, put down, sit, stand, go through a door, bedside"],
      ["G", "offer what you hold to who is nearest"],
      ["F, R", "point, raise your hand"],
      ["T or Enter", "chat"],
      ["L, O", "people, orders"],
      ["V", "see yourself from behind"],
      ["Esc", "this menu"],
    ];
    const close = (run?: () => void) => (): void => {
      this.menu.close();
      run?.();
    };
    return h(
      "dialog",
      { "aria-label": "Menu" },
      h("h2", {}, "Menu"),
      h("dl", { class: "keys" }, ...keys.flatMap(([key, text]) => [h("dt", {}, key), h("dd", {}, text)])),
      h("p", { class: "row" }, button("Back to the room", close(), { class: "primary" }), button("Leave", close(() => this.hooks.leave()), { class: "leave" })),
    );
  }
}
