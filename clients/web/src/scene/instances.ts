/** One solid drawn many times: rows of place, turn, size and colour, written anew in each frame. Never knows whose they are. */

import { type BufferGeometry, type Color, DynamicDrawUsage, InstancedMesh, type Material, type Matrix4 } from "three";

/** See the module's head. `begin`, any number of `put`s, `end`. */
export class Instances {
  readonly mesh: InstancedMesh;
  private count = 0;

  constructor(geometry: BufferGeometry, material: Material, readonly max: number, color: Color) {
    this.mesh = new InstancedMesh(geometry, material, max);
    this.mesh.instanceMatrix.setUsage(DynamicDrawUsage);
    this.mesh.frustumCulled = false;
    this.mesh.setColorAt(0, color);
    this.mesh.instanceColor!.setUsage(DynamicDrawUsage);
    this.begin();
    this.end();
  }

  /** Takes away all rows. */
  begin(): void {
    this.count = 0;
  }

  /** Adds a row; what is over the maximum is left out. */
  put(matrix: Matrix4, color: Color): void {
    if (this.count >= this.max) return;
    this.mesh.instanceMatrix.array.set(matrix.elements, 16 * this.count);
    this.paint(color);
  }

  /** Adds a row that stands upright, turned by an angle of this sine and cosine, `height` times as high as made. */
  putUpright(x: number, y: number, z: number, sine: number, cosine: number, height: number, color: Color): void {
    if (this.count >= this.max) return;
    const m = this.mesh.instanceMatrix.array;
    const i = 16 * this.count;
    [m[i], m[i + 1], m[i + 2], m[i + 3]] = [cosine, 0, -sine, 0];
    [m[i + 4], m[i + 5], m[i + 6], m[i + 7]] = [0, height, 0, 0];
    [m[i + 8], m[i + 9], m[i + 10], m[i + 11]] = [sine, 0, cosine, 0];
    [m[i + 12], m[i + 13], m[i + 14], m[i + 15]] = [x, y, z, 1];
    this.paint(color);
  }

  /** Shows the rows; only they go to the graphics card. */
  end(): void {
    const { mesh, count } = this;
    [mesh.count, mesh.visible] = [count, count > 0];
    if (count === 0) return;
    for (const [attribute, width] of [[mesh.instanceMatrix, 16], [mesh.instanceColor!, 3]] as const) {
      attribute.clearUpdateRanges();
      attribute.addUpdateRange(0, width * count);
      attribute.needsUpdate = true;
    }
  }

  /** Frees everything. */
  dispose(): void {
    this.mesh.geometry.dispose();
    this.mesh.dispose();
    this.mesh.removeFromParent();
  }

  private paint(color: Color): void {
    const c = this.mesh.instanceColor!.array;
    const i = 3 * this.count;
    [c[i], c[i + 1], c[i + 2]] = [color.r, color.g, color.b];
    this.count += 1;
  }
}
