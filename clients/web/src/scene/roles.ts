/** Roles as they look: a colour, an icon and a word, never a colour alone. */

import type { Role } from "../net/protocol";

/** Colour (CSS and number), one-character icon, word. */
export interface RoleLook {
  color: number;
  css: string;
  icon: string;
  word: string;
}

export const ROLES: Readonly<Record<Role, RoleLook>> = {
  patient: { color: 0xd98a3d, css: "#d98a3d", icon: "\u2665", word: "patient" },
  clinician: { color: 0x1f9d8b, css: "#1f9d8b", icon: "\u271a", word: "clinician" },
  carer: { color: 0xb05c9e, css: "#b05c9e", icon: "\u2740", word: "carer" },
  student: { color: 0x4a7fd1, css: "#4a7fd1", icon: "\u25b2", word: "student" },
  observer: { color: 0x75808a, css: "#75808a", icon: "\u25c9", word: "observer" },
  operator: { color: 0xb8483f, css: "#b8483f", icon: "\u2699", word: "operator" },
};
