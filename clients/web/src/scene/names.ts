/**
 * Name cards over heads: of the nearest few and of those who speak, made a few at a time. Owns the cards; never decides
 * who is where.
 */

import { Group, type Sprite } from "three";
import { disposeLabel, makeSprite } from "./labels";

export const NAMES_MAX = 20;
export const SPEAKERS_MAX = 8;
const KEPT_MAX = 48;
const MADE_PER_FRAME = 3; // a card takes a canvas and a texture: a crowd's come over some frames
const LABEL_M = 0.21;
const NEAR_M = 4;
const RAISED_M = 0.31; // over the eyes
const HALF_RATIO = 1.3; // of a card's width to its height, for most names
export const NAMED_WITHIN_M = 14;

/** Somebody who may get a card. Metres. */
export interface Named {
  slot: number;
  x: number;
  y: number;
  z: number;
  metres: number; // from the eye
  flags: number; // of the pose
  speaks: boolean;
}

/** What is on a card. */
export interface NameCard {
  title: string;
  line: string;
  icon: string;
  color: string;
}

/**
 * Who gets a card, seen from `eye`: those near who speak, wherever they stand, and the nearest of the others whose card no
 * nearer one hides. Reorders what it is given.
 */
export function chosen(people: Named[], eye: { x: number; y: number; z: number }): Named[] {
  people.sort((a, b) => a.metres - b.metres);
  const out = people.filter((each) => each.speaks).slice(0, SPEAKERS_MAX);
  const room = NAMES_MAX + out.length;
  const taken = out.map((each) => boxOf(each, eye));
  for (const each of people) {
    if (out.length >= room || each.metres > NAMED_WITHIN_M) break;
    const box = boxOf(each, eye);
    if (each.speaks || taken.some((other) => overlap(box, other))) continue;
    out.push(each);
    taken.push(box);
  }
  return out;
}

type Angles = [bearing: number, up: number, halfWidth: number, halfHeight: number];

/** The angles a card takes of what one sees, radians. */
function boxOf({ x, y, z, metres }: Named, eye: { x: number; y: number; z: number }): Angles {
  const height = heightOf(metres) / Math.max(0.3, metres);
  return [Math.atan2(x - eye.x, z - eye.z), Math.atan2(y + RAISED_M - eye.y, Math.max(0.3, metres)), height * HALF_RATIO, height / 2];
}

function overlap(a: Angles, b: Angles): boolean {
  const beside = Math.abs(Math.atan2(Math.sin(a[0] - b[0]), Math.cos(a[0] - b[0])));
  return beside < a[2] + b[2] && Math.abs(a[1] - b[1]) < a[3] + b[3];
}

/** Cards keep a readable size on the screen: smaller by so much as one is nearer, a little larger from afar. Metres. */
function heightOf(metres: number): number {
  return LABEL_M * Math.max(0.28, metres < NEAR_M ? metres / NEAR_M : Math.min(2, 1 + (metres - NEAR_M) / 12));
}

/** See the module's head. */
export class Names {
  readonly group = new Group();
  private readonly cards = new Map<number, { sprite: Sprite; title: string; words: string }>(); // by slot, the longest unused first

  /** Shows the cards of these people, and no others; `cardOf` says what is on them. */
  show(people: readonly Named[], cardOf: (of: Named) => NameCard): void {
    for (const { sprite } of this.cards.values()) sprite.visible = false;
    let left = MADE_PER_FRAME;
    for (const each of people) {
      const words = cardOf(each);
      const key = `${words.title}\n${words.line}\n${words.icon}`;
      const known = this.cards.get(each.slot);
      if (known !== undefined && known.title !== words.title) this.drop(each.slot); // somebody else's place now
      if (known?.words !== key && left > 0) {
        left -= 1;
        this.make(each.slot, words, key);
      }
      this.place(each);
    }
    for (const slot of [...this.cards.keys()].slice(0, Math.max(0, this.cards.size - KEPT_MAX))) this.drop(slot);
  }

  /** Frees everything. */
  dispose(): void {
    for (const slot of [...this.cards.keys()]) this.drop(slot);
    this.group.removeFromParent();
  }

  private make(slot: number, words: NameCard, key: string): void {
    this.drop(slot);
    const sprite = makeSprite(words, LABEL_M);
    this.cards.set(slot, { sprite, title: words.title, words: key });
    this.group.add(sprite);
  }

  private place({ slot, x, y, z, metres }: Named): void {
    const card = this.cards.get(slot);
    if (card === undefined) return;
    this.cards.delete(slot);
    this.cards.set(slot, card);
    const { sprite } = card;
    sprite.visible = true;
    sprite.position.set(x, y + RAISED_M, z);
    const height = heightOf(metres);
    sprite.scale.set((sprite.scale.x / sprite.scale.y) * height, height, 1);
  }

  private drop(slot: number): void {
    const card = this.cards.get(slot);
    if (card === undefined) return;
    disposeLabel(card.sprite);
    this.cards.delete(slot);
  }
}
