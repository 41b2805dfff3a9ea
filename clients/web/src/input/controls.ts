/**
 * Keys, mouse and touch to wishes: which way to walk and look, which action was asked for. Owns the listeners.
 * Never moves anybody and knows no server; keys typed into fields are not taken.
 */

/** What can be asked for beside walking. */
export type Action = "interact" | "point" | "raise" | "chat" | "people" | "menu" | "view" | "orders" | "offer";

/** What the controls tell. */
export interface ControlHooks {
  action(action: Action): void;
  click(x: number, y: number): void; // 0..1 of the canvas
}

const WALK_MM_S = 1_500;
const RUN_MM_S = 2_150;
const TURN_RAD_S = 1.9;
const LOOK_RAD_PX = 0.0045;
const PITCH_MAX = 1.2;
const CLICK_PX = 5;
const STICK_PX = 56;

const MOVES: Readonly<Record<string, [number, number, number]>> = {
  KeyW: [0, -1, 0], ArrowUp: [0, -1, 0], KeyS: [0, 1, 0], ArrowDown: [0, 1, 0], KeyA: [-1, 0, 0], KeyD: [1, 0, 0], ArrowLeft: [0, 0, 1], ArrowRight: [0, 0, -1], KeyQ: [0, 0, 1],
};
const ACTIONS: Readonly<Record<string, Action>> = {
  KeyE: "interact", KeyF: "point", KeyR: "raise", KeyT: "chat", Enter: "chat", KeyL: "people", Escape: "menu", KeyV: "view", KeyO: "orders", KeyG: "offer",
};

/** Whether a key belongs to the field or button that has the focus. */
function taken(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  if (target === null || event.ctrlKey || event.metaKey || event.altKey) return true;
  if (target.closest("input, textarea, select, [contenteditable], dialog")) return event.code !== "Escape";
  return (event.code === "Enter" || event.code === "Space") && target.closest("button, a, summary") !== null;
}

/** Wish in one's own axes (right, back) to the world's, by yaw. */
export function toWorld(right: number, back: number, yaw: number): [number, number] {
  const [s, c] = [Math.sin(yaw), Math.cos(yaw)];
  return [right * c + back * s, -right * s + back * c];
}

/** See the module's head. */
export class Controls {
  yaw = 0;
  pitch = 0;
  private readonly held = new Set<string>();
  private readonly listening = new AbortController();
  private drag: { id: number; x: number; y: number; moved: number } | null = null;
  private stickId: number | null = null;
  private stick: [number, number] = [0, 0];

  constructor(
    private readonly canvas: HTMLElement,
    private readonly pad: HTMLElement,
    private readonly hooks: ControlHooks,
  ) {
    const { signal } = this.listening;
    window.addEventListener("keydown", (event) => this.keyDown(event), { signal });
    window.addEventListener("keyup", (event) => this.held.delete(event.code), { signal });
    window.addEventListener("blur", () => this.held.clear(), { signal });
    canvas.addEventListener("pointerdown", (event) => this.down(event), { signal });
    canvas.addEventListener("pointermove", (event) => this.move(event), { signal });
    for (const name of ["pointerup", "pointercancel"] as const) canvas.addEventListener(name, (event) => this.up(event), { signal });
    pad.addEventListener("pointerdown", (event) => this.stickDown(event), { signal });
    pad.addEventListener("pointermove", (event) => this.stickMove(event), { signal });
    for (const name of ["pointerup", "pointercancel"] as const) pad.addEventListener(name, () => this.stickUp(), { signal });
  }

  /** Turns by the held keys and gives the wish velocity in world axes, mm/s. */
  update(dt: number): [number, number] {
    let [right, back, turn] = [this.stick[0], this.stick[1], 0];
    for (const code of this.held) {
      const [r, b, t] = MOVES[code] ?? [0, 0, 0];
      [right, back, turn] = [right + r, back + b, turn + t];
    }
    this.yaw += turn * TURN_RAD_S * dt;
    const length = Math.hypot(right, back);
    if (length === 0) return [0, 0];
    const running = this.held.has("ShiftLeft") || this.held.has("ShiftRight");
    const scale = ((running ? RUN_MM_S : WALK_MM_S) * Math.min(1, length)) / length;
    return toWorld(right * scale, back * scale, this.yaw);
  }

  /** Takes the listeners away. */
  dispose(): void {
    this.listening.abort();
    this.held.clear();
  }

  private keyDown(event: KeyboardEvent): void {
    if (taken(event)) return;
    const action = ACTIONS[event.code];
    if (event.code in MOVES || event.code.startsWith("Shift")) {
      this.held.add(event.code);
      if (event.code.startsWith("Arrow")) event.preventDefault();
    } else if (action !== undefined && !event.repeat) {
      event.preventDefault();
      this.hooks.action(action);
    }
  }

  private down(event: PointerEvent): void {
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    this.drag = { id: event.pointerId, x: event.clientX, y: event.clientY, moved: 0 };
  }

  private move(event: PointerEvent): void {
    if (this.drag === null || this.drag.id !== event.pointerId) return;
    const [dx, dy] = [event.clientX - this.drag.x, event.clientY - this.drag.y];
    this.drag = { id: this.drag.id, x: event.clientX, y: event.clientY, moved: this.drag.moved + Math.abs(dx) + Math.abs(dy) };
    this.yaw += dx * LOOK_RAD_PX;
    this.pitch = Math.max(-PITCH_MAX, Math.min(PITCH_MAX, this.pitch + dy * LOOK_RAD_PX));
  }

  private up(event: PointerEvent): void {
    const box = this.canvas.getBoundingClientRect();
    const still = this.drag !== null && this.drag.moved < CLICK_PX && event.type === "pointerup";
    this.drag = null;
    if (still) this.hooks.click((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  private stickDown(event: PointerEvent): void {
    this.pad.setPointerCapture(event.pointerId);
    this.stickId = event.pointerId;
    this.stickMove(event);
  }

  private stickMove(event: PointerEvent): void {
    if (this.stickId !== event.pointerId) return;
    const box = this.pad.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left - box.width / 2) / STICK_PX, (event.clientY - box.top - box.height / 2) / STICK_PX];
    const length = Math.max(1, Math.hypot(x, y));
    this.stick = [x / length, y / length];
    this.knob();
  }

  private stickUp(): void {
    [this.stickId, this.stick] = [null, [0, 0]];
    this.knob();
  }

  private knob(): void {
    const knob = this.pad.firstElementChild as HTMLElement | null;
    if (knob !== null) knob.style.transform = `translate(${this.stick[0] * 34}px, ${this.stick[1] * 34}px)`;
  }
}
