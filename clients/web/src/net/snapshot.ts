/** Snapshot frames to what is in view: keeps each block's newest rows and keyframes; never interprets what it reads. */

import { decodeBlock, type BlockRows } from "./block";
import { FarTier } from "./far";
import { FAR, HERO_CELL, readFrame, type Block } from "./frame";
import { copyRow, makeFar, makeRows, type AvatarRows, type FarRows, type ThingRow } from "./rows";

export { makeFar, makeRows, type AvatarRows, type FarRows, type ThingRow } from "./rows";

const BASELINES_MAX = 4; // of a block
const SLOTS = 4096;

/**
 * One tick of what is in view of one room. Rows of a block that was held back, or that cannot be decoded until its next
 * keyframe, are those of an earlier tick: `held` names their slots. Who is in `avatars` is not in `far`.
 */
export interface View {
  room: number;
  tick: number;
  home: number; // the viewer's cell
  avatars: AvatarRows;
  things: ReadonlyMap<number, ThingRow>;
  held: ReadonlySet<number>;
  far: FarRows;
}

/** What is known of one block: its newest rows, and its newest keyframes first. */
interface Known {
  shown: BlockRows | undefined;
  keyframes: readonly BlockRows[];
}

/** Follows one session's frames in order of arrival; any may be missing. */
export class FrameDecoder {
  private room = -1;
  private known = new Map<number, Known>();
  private far = new FarTier();
  private readonly from = new Uint16Array(SLOTS); // of a slot: the block it is shown from, + 1
  private readonly row = new Uint16Array(SLOTS); // and the row there

  /** What is in view with this frame, or null if nothing in it is news. Throws SnapshotError on anything malformed. */
  decode(bytes: Uint8Array): View | null {
    const { room, tick, home, blocks } = readFrame(bytes);
    if (room !== this.room) this.reset();
    this.room = room;
    const known = new Map<number, Known>();
    let news = blocks.length === 0;
    for (const block of blocks) {
      if (block.cell === FAR) news = this.takeFar(block, tick) || news;
      else news = this.take(block, tick, known) || news;
    }
    if (blocks.at(-1)?.cell !== FAR) this.far.clear();
    const dropped = [...this.known].some(([cell, { shown }]) => shown !== undefined && !known.has(cell));
    this.known = known;
    if (!news && !dropped) return null;
    return { room, tick, home, ...this.union(tick) };
  }

  /** Forgets everything, as after a room change or a reconnect. */
  reset(): void {
    this.known.clear();
    this.far.clear();
  }

  private takeFar({ body }: Block, tick: number): boolean {
    if (body.length > 0) this.far.take(body, tick);
    return body.length > 0;
  }

  /** Carries a listed block over into `known`, with what is new of it; whether anything is. */
  private take({ cell, body }: Block, tick: number, known: Map<number, Known>): boolean {
    const { shown, keyframes } = this.known.get(cell) ?? { shown: undefined, keyframes: [] };
    const fresh = body.length === 0 ? null : decodeBlock(body, tick, keyframes);
    if (fresh === null) known.set(cell, { shown, keyframes });
    else known.set(cell, { shown: fresh, keyframes: body[0] === 0 ? [fresh, ...keyframes].slice(0, BASELINES_MAX) : keyframes });
    return fresh !== null;
  }

  /** All blocks as one: the hero block's rows first, then the newest; slots ascending. */
  private union(tick: number): Pick<View, "avatars" | "things" | "held" | "far"> {
    const cells = [...this.known].filter(([, { shown }]) => shown !== undefined).map(([cell, { shown }]) => ({ hero: cell === HERO_CELL, rows: shown! }));
    cells.sort((a, b) => Number(b.hero) - Number(a.hero) || b.rows.tick - a.rows.tick);
    const held = new Set<number>();
    const [things, from, row] = [new Map<number, ThingRow>(), this.from.fill(0), this.row];
    let count = 0;
    cells.forEach(({ rows }, number) => {
      for (const thing of rows.things.values()) if (!things.has(thing.slot)) things.set(thing.slot, thing);
      for (let i = 0; i < rows.avatars.count; i++) {
        const slot = rows.avatars.slot[i]!;
        if (from[slot] !== 0) continue;
        from[slot] = number + 1;
        row[slot] = i;
        count++;
        if (rows.tick !== tick) held.add(slot);
      }
    });
    const avatars = makeRows(count);
    for (let slot = 0; avatars.count < count; slot++) if (from[slot] !== 0) copyRow(cells[from[slot]! - 1]!.rows.avatars, row[slot]!, avatars);
    return { avatars, things, held, far: this.far.empty ? makeFar(0) : this.far.beyond(avatars) };
  }
}
