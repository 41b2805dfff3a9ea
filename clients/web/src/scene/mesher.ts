/** Collects many coloured solids into one geometry, so that a whole room's furniture is one draw call. */

import { BoxGeometry, BufferAttribute, BufferGeometry, Color, CylinderGeometry, Euler, IcosahedronGeometry, Matrix4, Quaternion, SphereGeometry, Vector3 } from "three";
import { mergeGeometries } from "three/examples/jsm/utils/BufferGeometryUtils.js";
import { RoundedBoxGeometry } from "three/examples/jsm/geometries/RoundedBoxGeometry.js";

type Triple = readonly [number, number, number];

/** See the module's head. Everything is placed in the frame set by `at`. */
export class Mesher {
  private parts: BufferGeometry[] = [];
  private frame = new Matrix4();

  /** What follows stands at (x, z), turned by `yaw`. */
  at(x: number, z: number, yaw = 0, y = 0): this {
    this.frame.makeRotationY(yaw).setPosition(x, y, z);
    return this;
  }

  /** A box by its centre and size. */
  box(color: number, centre: Triple, size: Triple, turn: Triple = [0, 0, 0]): this {
    return this.add(new BoxGeometry(...size), color, centre, turn);
  }

  /** A box with soft edges. */
  soft(color: number, centre: Triple, size: Triple, radius = 0.03, turn: Triple = [0, 0, 0]): this {
    const limit = Math.min(...size) / 2;
    return this.add(new RoundedBoxGeometry(size[0], size[1], size[2], 2, Math.min(radius, limit)), color, centre, turn);
  }

  /** An upright tube or cone by its centre, radii and height. */
  tube(color: number, centre: Triple, bottom: number, top: number, height: number, turn: Triple = [0, 0, 0], sides = 14): this {
    return this.add(new CylinderGeometry(top, bottom, height, sides), color, centre, turn);
  }

  /** An ellipsoid. */
  ball(color: number, centre: Triple, radii: Triple, turn: Triple = [0, 0, 0]): this {
    return this.add(new SphereGeometry(1, 16, 12).scale(...radii), color, centre, turn);
  }

  /** A rough clump, as of leaves. */
  clump(color: number, centre: Triple, radius: number): this {
    return this.add(new IcosahedronGeometry(radius, 1), color, centre, [radius * 7, radius * 13, 0]);
  }

  /** Everything so far as one geometry with vertex colours; null when there is nothing. */
  build(): BufferGeometry | null {
    if (this.parts.length === 0) return null;
    const merged = mergeGeometries(this.parts);
    this.parts.forEach((part) => part.dispose());
    this.parts = [];
    return merged;
  }

  private add(made: BufferGeometry, color: number, centre: Triple, turn: Triple): this {
    const geometry = made.index === null ? made : made.toNonIndexed();
    if (geometry !== made) made.dispose();
    geometry.deleteAttribute("uv");
    const local = new Matrix4().compose(new Vector3(...centre), new Quaternion().setFromEuler(new Euler(...turn)), new Vector3(1, 1, 1));
    geometry.applyMatrix4(local.premultiply(this.frame));
    paint(geometry, color);
    this.parts.push(geometry);
    return this;
  }
}

function paint(geometry: BufferGeometry, color: number): void {
  const tint = new Color(color);
  const count = geometry.getAttribute("position").count;
  const colors = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) colors.set([tint.r, tint.g, tint.b], 3 * i);
  geometry.setAttribute("color", new BufferAttribute(colors, 3));
}
