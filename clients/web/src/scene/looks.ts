/** What people look like, from who they are: the same in every browser. Owns the colours; draws nothing. */

import { Color } from "three";
import { AWAY, MUTED, SPEAKING } from "../net/pose";
import type { Person } from "../net/protocol";
import { ROLES } from "./roles";

const shades = (...colors: number[]): readonly Color[] => colors.map((color) => new Color(color));
const SKIN = shades(0xf2d3bd, 0xe3b48f, 0xc68c63, 0x9a6642, 0x6d452c);
const HAIR = shades(0x2b211c, 0x4a3426, 0x7a5a3a, 0xb08a56, 0x8d8d92, 0x5c2e22);
const COATS = new Map(Object.entries(ROLES).map(([role, look]) => [role, new Color(look.color)]));

const PALE = 0.6;
export const GREY = new Color(0x9aa3a8);
export const WHITE = new Color(0xffffff);
export const DARK = new Color(0x1d2426);
export const RAY = new Color(0x37e0bd);
export const SPEAK = new Color(0x2fd6a8);

/** Colours of one person. */
export interface Look {
  readonly person: Person;
  readonly coat: Color;
  readonly skin: Color;
  readonly hair: Color;
}

/** The look of a person. */
export function lookOf(person: Person): Look {
  const [a = 0, b = 0] = person.person;
  return { person, coat: COATS.get(person.role) ?? GREY, skin: SKIN[a % SKIN.length]!, hair: HAIR[b % HAIR.length]! };
}

const pale = { coat: new Color(), skin: new Color(), hair: new Color() };

/** The colours to draw somebody in now: grey while their connection is lost, pale while nothing is heard of them. Reused. */
export function shadesOf(look: Look, flags: number, quiet: boolean): Pick<Look, "coat" | "skin" | "hair"> {
  const grey = look.person.away || (flags & AWAY) !== 0 ? 1 : quiet ? PALE : 0;
  if (grey === 0) return look;
  for (const part of ["coat", "skin", "hair"] as const) pale[part].lerpColors(look[part], GREY, grey);
  return pale;
}

/** Whether somebody is to be heard: they speak, and nobody has muted them. */
export const speaks = (look: Look, flags: number): boolean => (flags & (SPEAKING | MUTED)) === SPEAKING && !look.person.muted;
