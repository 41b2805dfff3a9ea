/** Marks in the scene where somebody points or touches: a halo and, for pointing, a card. Owns how they look only. */

import { DoubleSide, Group, Mesh, MeshBasicMaterial, RingGeometry, type Sprite } from "three";
import type { Mark } from "../marks";
import { disposeLabel, makeSprite } from "./labels";

const CARD_M = 0.17;
const COLORS = { pointed: 0x37e0bd, touched: 0xffd27a } as const;

interface Shown {
  halo: Mesh<RingGeometry, MeshBasicMaterial>;
  card: Sprite | null;
}

/** See the module's head. */
export class MarkScene {
  readonly group = new Group();
  private readonly shape = new RingGeometry(0.16, 0.2, 32);
  private readonly shown = new Map<string, Shown>();

  /** Shows these marks and no others, turned to the eye; `calm` people get no movement. */
  draw(marks: readonly Mark[], eye: { x: number; y: number; z: number }, calm: boolean): void {
    const keys = new Set(marks.map((mark) => mark.key));
    for (const key of [...this.shown.keys()]) if (!keys.has(key)) this.drop(key);
    for (const mark of marks) {
      const { halo, card } = this.shown.get(mark.key) ?? this.make(mark);
      const grown = mark.kind === "touched" && !calm ? 0.5 + mark.age : 1;
      halo.position.set(mark.x, mark.y, mark.z);
      halo.lookAt(eye.x, eye.y, eye.z);
      halo.scale.setScalar(grown);
      halo.material.opacity = 0.9 * Math.min(1, 3 * (1 - mark.age));
      card?.position.set(mark.x, mark.y + 0.34, mark.z);
    }
  }

  /** Frees everything. */
  dispose(): void {
    for (const key of [...this.shown.keys()]) this.drop(key);
    this.shape.dispose();
    this.group.removeFromParent();
  }

  private make(mark: Mark): Shown {
    const halo = new Mesh(this.shape, new MeshBasicMaterial({ color: COLORS[mark.kind], side: DoubleSide, transparent: true, depthWrite: false, toneMapped: false }));
    const card = mark.kind === "pointed" ? makeSprite({ title: mark.title, line: mark.line, color: "#37e0bd" }, CARD_M) : null;
    this.group.add(halo);
    if (card !== null) this.group.add(card);
    const shown = { halo, card };
    this.shown.set(mark.key, shown);
    return shown;
  }

  private drop(key: string): void {
    const { halo, card } = this.shown.get(key)!;
    halo.material.dispose();
    halo.removeFromParent();
    if (card !== null) disposeLabel(card);
    this.shown.delete(key);
  }
}
