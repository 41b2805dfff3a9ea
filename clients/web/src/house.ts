/**
 * The room: everything between Enter and Leave. Makes the parts and joins them: what the server says goes to the model, the
 * timeline and the panels; what one does goes to the session. Knows every part of the room; none knows it.
 */

import type { Bytes } from "./bytes";
import { Placing } from "./care/placing";
import { Deeds } from "./deeds";
import { Gestures } from "./gestures";
import { type HookState, hookState } from "./hook";
import { type Action, Controls } from "./input/controls";
import { Marks, targetName } from "./marks";
import { Model, slotOf } from "./model";
import { type Sample, Timeline } from "./motion/interpolate";
import { Walker } from "./motion/walker";
import { type Chance, chanceAt, chanceText } from "./nearby";
import { type Loss, lossText } from "./net/backoff";
import { readFrame } from "./net/frame";
import type { Identity } from "./net/identity";
import type { Body, Of, ServerMessage } from "./net/protocol";
import { forget, type Kept, Session, SOCKET_URL, type State } from "./net/session";
import { FrameDecoder } from "./net/snapshot";
import { decodeWave, WAVE_KIND } from "./net/wave";
import { headerState, titleOf } from "./quality";
import { canDraw, Stage } from "./scene/stage";
import { BedPanel, shownOf } from "./ui/bedpanel";
import { ChatPanel } from "./ui/chat";
import { NetworkPanel, type NetworkState } from "./ui/network";
import { OrderPanel } from "./ui/orderpanel";
import { PeoplePanel } from "./ui/people";
import { PlacesPanel } from "./ui/places";
import { Shell } from "./ui/shell";

const PANELS_EVERY_MS = 150;
const SPEAK_MS = 2_500; // the ring of somebody who has just written
const STEP_MAX_S = 0.5;
const TICK_MS = 1000 / 30; // until Welcome says
const RELAX_AFTER = 90; // frames, then a slow machine is spared shadows
const RELAX_FPS = 20;

const quality = new URLSearchParams(location.search).get("quality") === "low" ? "low" : "high";
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** See the module's head. `root` is where the page is; `over` is told the reason when there is no way back. */
export class House {
  private readonly model = new Model();
  private readonly decoder = new FrameDecoder();
  private readonly session: Session;
  private readonly placing: Placing;
  private readonly deeds: Deeds;
  private readonly gestures: Gestures;
  private readonly marks = new Marks();
  private readonly shell: Shell;
  private readonly chat: ChatPanel;
  private readonly people: PeoplePanel;
  private readonly bed: BedPanel;
  private readonly orders: OrderPanel;
  private readonly places: PlacesPanel;
  private readonly network = new NetworkPanel();
  private readonly controls: Controls;
  private readonly stage: Stage | null;
  private readonly ends = new AbortController();
  private timeline = new Timeline(TICK_MS);
  private walker: Walker;
  private samples: ReadonlyMap<number, Sample> = new Map();
  private chance: Chance | null = null;
  private behind = false;
  private removal = ""; // why one was sent away
  private frames = 0;
  private timer = 0;
  private lastMs = performance.now();
  private panelsMs = 0;
  private peopleVersion = -1;
  private fps = 30;
  private frameCount = 0;

  constructor(
    root: HTMLElement,
    identity: Identity,
    private readonly over: (reason: string) => void,
  ) {
    this.session = new Session(SOCKET_URL, identity, sessionStorage, {
      message: (message) => this.message(message),
      frame: (frame) => this.frame(frame),
      state: (state, loss) => this.connection(state, loss),
      over: (_code, text) => this.end(this.removal || text),
    });
    this.placing = this.makePlacing(identity);
    this.deeds = this.makeDeeds();
    this.gestures = new Gestures({ model: this.model, timeline: () => this.timeline, send: (body) => this.session.send(body) });
    this.chat = new ChatPanel(this.model, (text) => this.say(text));
    this.people = new PeoplePanel(this.model, (body) => this.send(body), (slot) => this.deeds.goToPerson(slot));
    this.bed = new BedPanel(this.model, (bed, alarm) => this.send({ tag: "ack-alarm", bed, alarm }), (bed) => this.chooseBed(bed));
    this.orders = new OrderPanel(this.model, this.placing.placements, (bed, kind, values) => void this.placing.place(bed.index, bed.place.patient.name, kind, values));
    this.places = this.makePlaces();
    const drawable = canDraw();
    const panels = { people: this.people.root, bed: this.bed.root, orders: this.orders.root, places: this.places.root, network: this.network.root };
    this.shell = new Shell(panels, this.chat.root, { leave: () => this.leave(), act: (action) => this.act(action), flat: () => this.stage?.resize() }, !drawable);
    root.replaceChildren(this.shell.root);
    this.stage = drawable ? new Stage(this.shell.canvas, quality) : null;
    this.controls = new Controls(this.shell.canvas, this.shell.pad, { action: (action) => this.act(action), click: (x, y) => this.click(x, y) });
    this.walker = this.makeWalker(TICK_MS, 50);
    this.shell.setFlat(!drawable);
    this.listen();
  }

  /** Comes in by a join token, or back by the secret kept in this tab. */
  enter(by: { token: string; room: string } | Kept): void {
    if ("token" in by) this.session.join(by.token, by.room);
    else this.session.comeBack(by);
    this.timer = window.setInterval(() => this.work(), 50);
    this.stageLoop();
  }

  /** What the test hook shows. */
  state(): HookState {
    return hookState({
      session: this.session.state,
      model: this.model,
      view: this.timeline.newest(),
      samples: this.samples,
      crowd: this.timeline.far(),
      placements: this.placing.placements,
      seated: this.walker.seated,
      position: this.walker.position,
      yaw: this.controls.yaw,
      health: this.timeline.health(performance.now()),
      drawn: { fps: this.fps, ...(this.stage?.stats() ?? { calls: 0, triangles: 0 }), roundTripMs: this.session.roundTripMs, correctionMm: this.walker.correctionMm },
      network: this.networkState(),
      marks: this.marks.live(this.model, this.timeline, performance.now()),
    });
  }

  /** Walks to a place, metres; whether it got there. */
  walkTo(x: number, z: number): Promise<boolean> {
    return new Promise((resolve) => this.walker.go({ to: [x * 1000, z * 1000], within: 150, then: () => resolve(true), fail: () => resolve(false) }));
  }

  /** Does what a key or button asks for. */
  act(action: Action): void {
    const acts: Readonly<Record<Action, () => void>> = {
      interact: () => void (this.chance === null ? this.shell.toast("There is nothing within reach.") : this.deeds.use(this.chance)),
      offer: () => this.deeds.offer(),
      point: () => this.shell.toggled("point", (this.walker.pointing = !this.walker.pointing)),
      raise: () => this.shell.toggled("raise", (this.walker.raised = !this.walker.raised)),
      view: () => (this.behind = !this.behind),
      chat: () => this.chat.focus(),
      people: () => this.shell.show(this.shell.tab === "people" ? null : "people"),
      orders: () => this.shell.show(this.shell.tab === "orders" ? null : "orders"),
      menu: () => this.shell.toggleMenu(),
    };
    acts[action]();
  }

  private makePlacing(identity: Identity): Placing {
    return new Placing({
      identity,
      send: (body) => this.session.send(body),
      nowMs: () => Date.now(),
      tick: () => this.timeline.newest()?.tick ?? 0,
      patient: (bed) => this.model.bed(bed)?.patient ?? null,
      logVkey: () => this.model.welcome?.log_vkey ?? "",
      publishedVkey: async () => (await fetch("/log/vkey", { cache: "no-store" })).text(),
      changed: () => (this.panelsMs = 0),
    });
  }

  private makeDeeds(): Deeds {
    return new Deeds({
      model: this.model,
      walker: () => this.walker,
      timeline: () => this.timeline,
      send: (body) => this.send(body),
      note: (text) => this.shell.toast(text),
      openBed: (index) => this.chooseBed(index),
    });
  }

  private makePlaces(): PlacesPanel {
    const hooks = {
      goThrough: (room: string) => this.deeds.goThrough(room),
      goToBed: (row: number) => this.deeds.goToBed(row),
      sit: (seat: number) => this.deeds.sit(seat),
      stand: () => this.send({ tag: "stand" }),
      take: (slot: number) => this.deeds.take(slot),
      letGo: (hand: 0 | 1) => this.send({ tag: "release", hand }),
      offer: (hand: 0 | 1) => this.deeds.offer(hand),
    };
    return new PlacesPanel(this.model, hooks, titleOf);
  }

  private makeWalker(tickMs: number, inputMs: number): Walker {
    return new Walker(tickMs, inputMs, this.timeline, this.controls, {
      nextSeq: () => this.session.next(),
      send: (frame) => this.session.sendPose(frame),
      goThrough: (room) => this.send({ tag: "go", room }),
    });
  }

  private listen(): void {
    const { signal } = this.ends;
    window.addEventListener("resize", () => this.stage?.resize(), { signal });
    document.addEventListener("visibilitychange", () => !document.hidden && this.timeline.jumpToNewest(), { signal });
  }

  private message(message: ServerMessage): void {
    const before = this.model.room?.room ?? "";
    this.model.apply(message);
    this.placing.apply(message);
    if (message.kind === "welcome") this.welcome(message);
    if (message.kind === "room") this.roomEntered(before);
    if (message.kind === "refused" && message.code !== "chain-moved" && !this.gestures.owns(message.seq)) this.shell.toast(message.text, true);
    if (message.kind === "offered") this.shell.toast(`${this.model.nameOf(message.by)} holds out the ${this.model.thingName(message.thing)} to you: press E to take it.`);
    if (message.kind === "pointed" || message.kind === "touched") this.gesture(message);
    if (message.kind === "removed") this.removal = `You were ${message.act === "ban" ? "banned from this house" : "removed from the room"}${message.reason === "" ? "." : `: ${message.reason}`}`;
  }

  private gesture(message: Of<"pointed"> | Of<"touched">): void {
    this.marks.take(message, performance.now());
    if (message.by === this.model.room?.avatar || message.what === "nothing") return;
    const mine = message.what === "person" && message.target === this.model.room?.avatar;
    const deed = message.kind === "pointed" ? "points at" : "touches";
    if (mine) this.shell.toast(`${this.model.nameOf(message.by)} ${deed} you.`);
    else if (this.shell.isFlat) this.model.note(`${this.model.nameOf(message.by)} ${deed} ${targetName(message, this.model)}`);
  }

  private welcome(message: Of<"welcome">): void {
    this.timeline = new Timeline(1000 / message.tick_hz);
    this.walker = this.makeWalker(1000 / message.tick_hz, 1000 / message.input_hz);
    if (message.resumed) this.shell.toast("You are back, in the same place.");
  }

  private roomEntered(before: string): void {
    const { room, layout } = this.model;
    if (room === null || layout === null) return;
    this.decoder.reset();
    this.timeline.reset();
    this.marks.reset();
    this.walker.enter(layout, slotOf(room.avatar), before);
    this.session.moved(room.room);
    if (before !== room.room) this.stage?.enter(layout, titleOf);
    if (before !== "" && before !== room.room && this.model.beds.length === 0 && (this.shell.tab === "bed" || this.shell.tab === "orders")) this.shell.show(null);
    this.peopleVersion = -1;
    document.title = `${layout.title} \u2013 Asclepion`;
  }

  private frame(frame: Bytes): void {
    const nowMs = performance.now();
    if (frame[0] === WAVE_KIND) return this.model.wave(decodeWave(frame), nowMs);
    const view = this.decoder.decode(frame);
    const decodeMs = performance.now() - nowMs;
    const { blocks } = readFrame(frame);
    this.session.meter.snapshot(blocks.length, blocks.filter((block) => block.body.length === 0).length, decodeMs, nowMs);
    if (view === null || view.room !== this.model.room?.room_index) return;
    this.timeline.push(view, nowMs);
    const { avatars, held } = view;
    const row = held.has(this.deeds.slot) ? -1 : avatars.slot.subarray(0, avatars.count).indexOf(this.deeds.slot);
    if (row >= 0) this.walker.seen([avatars.head[3 * row]!, avatars.head[3 * row + 2]!], avatars.ack[row]!, view.tick, (avatars.yaw[row]! / 512) * Math.PI, avatars.flags[row]!);
  }

  private connection(state: State, loss: Loss): void {
    if (state === "waiting") this.placing.lost();
    this.shell.say(state === "waiting" ? lossText(loss, this.session.inside) : state === "connecting" ? "Connecting\u2026" : "");
  }

  private send(body: Body): void {
    if (this.session.send(body) < 0) this.shell.toast("There is no connection just now: nothing was sent.", true);
  }

  private say(text: string): void {
    this.send({ tag: "say", text });
    this.walker.speakingUntilMs = performance.now() + SPEAK_MS;
  }

  private leave(): void {
    this.session.leave();
    this.end("You have left the room.");
  }

  private end(reason: string): void {
    this.ends.abort();
    window.clearInterval(this.timer);
    window.cancelAnimationFrame(this.frames);
    this.session.dispose();
    forget(sessionStorage);
    this.controls.dispose();
    this.stage?.dispose();
    this.shell.dispose();
    this.over(reason);
  }

  private chooseBed(index: number): void {
    this.bed.bedIndex = index;
    if (this.shell.tab !== "orders") this.shell.show("bed");
    this.panelsMs = 0;
  }

  private click(x: number, y: number): void {
    const met = this.stage?.pick(x, y) ?? null;
    if (met?.what === "bed") this.chooseBed(this.model.beds[met.row]!.index);
    if (met?.what === "floor") void this.walkTo(met.x, met.z);
  }

  /** Twenty times a second, picture or not: walk on, send the pose, show what is due. */
  private work(): void {
    if (this.ends.signal.aborted) return;
    const nowMs = performance.now();
    if (document.hidden || this.stage === null || this.shell.isFlat) this.step(nowMs);
    this.walker.post(nowMs, this.deeds.holds());
    this.gestures.update(this.deeds.slot, this.walker.reach(nowMs, this.deeds.holds()), nowMs);
    if (nowMs - this.panelsMs < PANELS_EVERY_MS) return;
    this.panelsMs = nowMs;
    this.panels(nowMs);
  }

  private stageLoop(): void {
    this.frames = window.requestAnimationFrame(() => {
      if (this.ends.signal.aborted) return;
      this.stageLoop();
      const nowMs = performance.now();
      this.bed.paint(nowMs);
      if (this.stage === null || this.shell.isFlat) return;
      const dt = this.step(nowMs);
      this.fps += 0.05 * (1 / Math.max(dt, 0.001) - this.fps);
      this.frameCount += 1;
      if (this.frameCount === RELAX_AFTER && this.fps < RELAX_FPS) this.stage.relax();
      this.draw(dt, nowMs);
    });
  }

  /** Walks and interpolates up to now; gives the seconds that passed. */
  private step(nowMs: number): number {
    const dt = Math.min(STEP_MAX_S, (nowMs - this.lastMs) / 1000);
    this.lastMs = nowMs;
    this.walker.update(dt, nowMs, this.controls.update(dt));
    const samples = new Map(this.timeline.sample(nowMs));
    const own = samples.get(this.deeds.slot);
    if (own !== undefined) samples.set(this.deeds.slot, this.walker.sample(own, nowMs, this.deeds.holds()));
    this.samples = samples;
    this.model.beds.forEach((bed) => bed.sweep.update(dt));
    return dt;
  }

  private draw(dt: number, nowMs: number): void {
    const stage = this.stage!;
    if (this.peopleVersion !== this.model.version) {
      stage.people(this.model);
      this.peopleVersion = this.model.version;
    }
    const [x, z] = this.walker.position;
    const y = this.samples.get(this.deeds.slot)?.head[1] ?? 1650;
    const { yaw, pitch } = this.controls;
    stage.draw({
      dt,
      seconds: nowMs / 1000,
      eye: { x: x / 1000, y: y / 1000, z: z / 1000, yaw, pitch, behind: this.behind },
      own: this.deeds.slot,
      samples: this.samples,
      crowd: this.timeline.far(),
      things: this.timeline.things(),
      marks: this.marks.live(this.model, this.timeline, nowMs),
      monitor: (row) => shownOf(this.model.beds[row]!, nowMs),
      calm: calm.matches,
    });
  }

  private panels(nowMs: number): void {
    const { model } = this;
    const things = this.timeline.things();
    this.chance = chanceAt(model, things, this.walker.position, this.controls.yaw, this.walker.seated);
    this.shell.offer(this.chance === null ? "" : chanceText(this.chance, model));
    const shown = this.chance?.act === "grab" ? this.chance.slot : -1;
    this.stage?.highlight(shown, model.things.get(shown)?.name ?? "");
    this.chat.render();
    this.people.render((slot) => this.timeline.flagsOf(slot));
    this.bed.render();
    this.orders.render(this.bed.bed());
    this.places.render(things, this.walker.seated);
    this.network.render(() => this.networkState());
    this.header(nowMs);
  }

  private networkState(): NetworkState {
    const nowMs = performance.now();
    const { session, timeline } = this;
    const crowd = timeline.far();
    const quiet = [...this.samples.values()].filter((each) => each.quiet).length + crowd.quiet.subarray(0, crowd.count).reduce((sum, one) => sum + one, 0);
    return { near: this.samples.size, far: crowd.count, quiet, traffic: session.meter.traffic(nowMs), roundTripMs: session.roundTripMs, health: timeline.health(nowMs), correctionMm: this.walker.correctionMm, fps: this.fps };
  }

  private header(nowMs: number): void {
    const { model, session } = this;
    if (session.state === "active") this.shell.say(model.waitingFor === null ? "" : `You wait to be let into ${titleOf(model.waitingFor.room)}. ${model.waitingFor.text}`);
    this.shell.header(headerState(model, session, this.timeline.health(nowMs)));
  }
}
