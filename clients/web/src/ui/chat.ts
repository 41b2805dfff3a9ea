/** The chat: lines of people and of the house, and a field to say something. */

import type { Model } from "../model";
import { h } from "./dom";

/** See the module's head. */
export class ChatPanel {
  readonly root: HTMLElement;
  private readonly list = h("div", { class: "lines", role: "log", "aria-live": "polite", "aria-label": "Chat", tabindex: 0 });
  private readonly field = h("input", { "aria-label": "Say something to the room", placeholder: "Say something (T)", maxlength: 500, autocomplete: "off" });
  private newest = 0;

  constructor(
    private readonly model: Model,
    say: (text: string) => void,
  ) {
    const send = (event: Event): void => {
      event.preventDefault();
      const text = this.field.value.trim();
      if (text !== "") say(text);
      this.field.value = "";
    };
    this.field.addEventListener("keydown", (event) => event.code === "Escape" && this.field.blur());
    this.root = h("section", { class: "panel chat", "aria-label": "Chat" }, this.list, h("form", { onsubmit: send }, this.field, h("button", { type: "submit" }, "Send")));
  }

  /** Puts the caret into the field. */
  focus(): void {
    this.field.focus();
  }

  /** Shows new lines. */
  render(): void {
    const fresh = this.model.lines.filter((line) => line.id > this.newest);
    if (fresh.length === 0) return;
    this.newest = fresh.at(-1)!.id;
    for (const line of fresh) {
      const words = line.who === "" ? [h("em", {}, line.text)] : [h("b", {}, `${line.who}: `), line.text];
      this.list.append(h("p", { class: line.who === "" ? "house" : line.own ? "own" : "" }, ...words));
    }
    while (this.list.childElementCount > 200) this.list.firstElementChild!.remove();
    this.list.scrollTop = this.list.scrollHeight;
  }
}
