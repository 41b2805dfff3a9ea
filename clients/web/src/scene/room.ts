/** The room itself: floor, walls, doors with signs, windows, lamps and furniture. Static: built once at entering. */

import { type BufferGeometry, Group, Mesh, MeshBasicMaterial, PlaneGeometry, type Material } from "three";
import { furnish, placeDevice } from "./furniture";
import { makeSign } from "./labels";
import { type Box, type Door, type Layout, radians, wallBox } from "./layout";
import { Mesher } from "./mesher";
import { floorTexture, glowing, lit, PALETTES, type Palette, type Quality, screenTexture, windowTexture } from "./surfaces";

const DOOR_HEIGHT = 2.1;
const WALL_DEPTH = 0.12;

/** Everything of a room that does not move. */
export class RoomScene {
  readonly group = new Group();
  private readonly palette: Palette;
  private readonly solid = new Mesher();
  private readonly bright = new Mesher();
  private readonly owned: { dispose(): void }[] = [];

  constructor(
    private readonly layout: Layout,
    private readonly quality: Quality,
    titleOf: (room: string) => string,
  ) {
    this.palette = PALETTES[layout.kind];
    this.makeFloor();
    this.makeWalls();
    if (this.palette.windows) this.makeWindows();
    this.makeLamps();
    layout.door.forEach((door) => this.makeDoor(door, titleOf(door.to)));
    layout.box.forEach((box) => furnish(this.solid, this.bright, box, this.palette));
    layout.box.filter((box) => box.kind === "screen").forEach((box) => this.makePicture(box));
    layout.device.filter((device) => device.kind !== "monitor").forEach((device) => placeDevice(this.solid, this.bright, device, this.palette));
    this.flush();
  }

  /** Frees what the room took. */
  dispose(): void {
    this.group.removeFromParent();
    this.owned.forEach((each) => each.dispose());
  }

  private add(geometry: BufferGeometry | null, material: Material, shadow: "cast" | "receive" | "none" = "receive"): Mesh | null {
    if (geometry === null) return null;
    const mesh = new Mesh(geometry, material);
    mesh.castShadow = shadow === "cast" && this.quality === "high";
    mesh.receiveShadow = shadow !== "none" && this.quality === "high";
    this.owned.push(geometry, material);
    this.group.add(mesh);
    return mesh;
  }

  private flush(): void {
    this.add(this.solid.build(), lit(this.quality, { vertexColors: true, roughness: 0.75 }), "cast");
    this.add(this.bright.build(), glowing({ vertexColors: true }), "none");
  }

  private makeFloor(): void {
    const [x, height, z] = this.layout.size_m;
    const map = floorTexture(this.palette, x, z);
    this.owned.push(map);
    this.add(new PlaneGeometry(x, z), lit(this.quality, { map, roughness: 0.55 }))!.rotation.x = -Math.PI / 2;
    const ceiling = this.add(new PlaneGeometry(x, z), glowing({ color: this.palette.ceiling }), "none")!;
    ceiling.rotation.x = Math.PI / 2;
    ceiling.position.y = height;
  }

  private makeWalls(): void {
    const [x, height, z] = this.layout.size_m;
    const [hx, hz] = [x / 2 + WALL_DEPTH / 2, z / 2 + WALL_DEPTH / 2];
    for (const side of [-1, 1]) {
      this.outerWall(0, side * hz, x + 2 * WALL_DEPTH, WALL_DEPTH, height, 0, -side);
      this.outerWall(side * hx, 0, WALL_DEPTH, z, height, -side, 0);
    }
    for (const wall of this.layout.wall) {
      const { x: cx, z: cz, sizeX, sizeZ } = wallBox(wall);
      this.solid.at(cx, cz).box(this.palette.wall, [0, height / 2, 0], [sizeX, height, sizeZ]);
      this.solid.box(this.palette.dado, [0, 0.5, 0], [sizeX + 0.012, 1.0, sizeZ + 0.012]).box(this.palette.trim, [0, 1.02, 0], [sizeX + 0.03, 0.05, sizeZ + 0.03]);
      this.solid.box(this.palette.trim, [0, 0.05, 0], [sizeX + 0.03, 0.1, sizeZ + 0.03]);
    }
  }

  /** An outer wall; (inX, inZ) points into the room, where dado, rail and skirting are. */
  private outerWall(x: number, z: number, sizeX: number, sizeZ: number, height: number, inX: number, inZ: number): void {
    const band = (color: number, y: number, tall: number, deep: number): void => {
      const shift = WALL_DEPTH / 2 + deep / 2;
      this.solid.box(color, [inX * shift, y, inZ * shift], [inX === 0 ? sizeX : deep, tall, inZ === 0 ? sizeZ : deep]);
    };
    this.solid.at(x, z).box(this.palette.wall, [0, height / 2, 0], [sizeX, height, sizeZ]);
    band(this.palette.dado, 0.5, 1.0, 0.006);
    band(this.palette.trim, 1.02, 0.06, 0.025);
    band(this.palette.trim, 0.06, 0.12, 0.02);
    band(this.palette.trim, height - 0.04, 0.08, 0.03);
  }

  private makeWindows(): void {
    const [x, height, z] = this.layout.size_m;
    const long = x >= z;
    const [run, other] = long ? [x, z] : [z, x];
    const map = windowTexture();
    const material = new MeshBasicMaterial({ map, toneMapped: false });
    this.owned.push(map);
    const count = Math.max(1, Math.floor(run / 3.2));
    for (let i = 0; i < count; i++) {
      const along = -run / 2 + ((i + 0.5) * run) / count;
      const place: [number, number] = long ? [along, -other / 2] : [-other / 2, along];
      if (this.nearDoor(place, 1.4)) continue;
      this.window(place, long ? 0 : Math.PI / 2, height, material);
    }
  }

  private window([x, z]: [number, number], yaw: number, height: number, material: Material): void {
    const [wide, tall, y] = [1.9, Math.min(1.35, height - 1.4), Math.min(1.78, height - 0.95)];
    const pane = this.add(new PlaneGeometry(wide, tall), material, "none")!;
    pane.position.set(x + Math.sin(yaw) * 0.02, y, z + Math.cos(yaw) * 0.02);
    pane.rotation.y = yaw;
    this.solid.at(x, z, yaw, y);
    for (const side of [-1, 1]) {
      this.solid.box(0xffffff, [(side * wide) / 2, 0, 0.03], [0.07, tall + 0.07, 0.08]);
      this.solid.box(0xffffff, [0, (side * tall) / 2, 0.03], [wide + 0.07, 0.07, 0.08]);
    }
    this.solid.box(0xffffff, [0, 0, 0.03], [0.05, tall, 0.05]).soft(this.palette.trim, [0, -tall / 2 - 0.05, 0.1], [wide + 0.25, 0.04, 0.24], 0.015);
  }

  /** What a screen shows, on both its sides. */
  private makePicture({ at, size_m: [sizeX, height, sizeZ] }: Box): void {
    const along = sizeX >= sizeZ;
    const [wide, deep] = along ? [sizeX, sizeZ] : [sizeZ, sizeX];
    const map = screenTexture(this.layout.title, wide / height);
    const material = new MeshBasicMaterial({ map, toneMapped: false });
    this.owned.push(map);
    for (const side of [0, 1]) {
      const yaw = (along ? 0 : Math.PI / 2) + side * Math.PI;
      const mesh = this.add(new PlaneGeometry(wide - 0.08, height - 0.1), material, "none")!;
      const out = deep / 2 + 0.007;
      mesh.position.set(at[0] + Math.sin(yaw) * out, height / 2, at[1] + Math.cos(yaw) * out);
      mesh.rotation.y = yaw;
    }
  }

  private nearDoor([x, z]: [number, number], within: number): boolean {
    return this.layout.door.some((door) => Math.hypot(door.at[0] - x, door.at[1] - z) < within + door.width_m / 2);
  }

  private makeLamps(): void {
    const [x, height, z] = this.layout.size_m;
    const [columns, rows] = [Math.max(1, Math.round(x / 3.5)), Math.max(1, Math.round(z / 3.5))];
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < rows; j++) {
        const [px, pz] = [-x / 2 + ((i + 0.5) * x) / columns, -z / 2 + ((j + 0.5) * z) / rows];
        this.bright.at(px, pz).box(0xb9c2c4, [0, height - 0.02, 0], [1.3, 0.05, 0.42]).box(0xffffff, [0, height - 0.05, 0], [1.2, 0.02, 0.32]);
      }
    }
  }

  /** A door stands where it is, looking into the room; its sign says where it leads. */
  private makeDoor(door: Door, title: string): void {
    const yaw = radians(door.facing_deg);
    const [wide, tall] = [door.width_m, DOOR_HEIGHT];
    const wood = 0xa9784c;
    this.solid.at(door.at[0], door.at[1], yaw);
    for (const side of [-1, 1]) this.solid.box(this.palette.trim, [side * (wide / 2 + 0.05), tall / 2, 0], [0.1, tall, 0.2]);
    this.solid.box(this.palette.trim, [0, tall + 0.05, 0], [wide + 0.2, 0.1, 0.2]);
    this.solid.box(0x3a2a1c, [0, tall / 2, 0], [wide, tall, 0.02]);
    const leaves = wide > 1.5 ? [-1, 1] : [0];
    for (const leaf of leaves) {
      const width = leaf === 0 ? wide - 0.02 : wide / 2 - 0.02;
      this.solid.soft(wood, [(leaf * wide) / 4, tall / 2, -0.02], [width, tall - 0.02, 0.06], 0.01);
      this.solid.box(0xd8e8ea, [(leaf * wide) / 4, tall * 0.7, -0.05], [Math.min(0.3, width * 0.4), 0.55, 0.01]);
      const handle = leaf === 0 ? width / 2 - 0.09 : -leaf * (width / 2 - 0.09) + (leaf * wide) / 4;
      this.solid.box(0xd9dfe2, [handle, 1.02, -0.07], [0.035, 0.18, 0.05]);
    }
    this.bright.at(door.at[0], door.at[1], yaw).box(this.palette.accent, [0, tall + 0.13, -0.02], [wide, 0.025, 0.02]);
    const sign = makeSign({ title: `${title} \u2192`, color: "#ffffff", background: "#12444a" }, 0.2);
    const holder = new Group();
    sign.position.set(0, tall + 0.3, -0.14);
    sign.rotation.y = Math.PI;
    holder.add(sign);
    holder.position.set(door.at[0], 0, door.at[1]);
    holder.rotation.y = yaw;
    this.group.add(holder);
    this.owned.push({ dispose: () => sign.geometry.dispose() }, sign.material as Material, (sign.material as MeshBasicMaterial).map!);
  }
}

