/** Beds with their patients, name cards, and monitors whose screens are painted by monitor/draw. Owns how they look only. */

import { type BufferGeometry, CanvasTexture, Color, Group, LinearFilter, type Material, Mesh, MeshBasicMaterial, PlaneGeometry, SRGBColorSpace, Vector3 } from "three";
import { drawMonitor, type Shown } from "../monitor/draw";
import { disposeLabel, makeSign } from "./labels";
import { ahead, BED_HEIGHT_M, BED_LENGTH_M, BED_WIDTH_M, type BedPlace, type Layout, monitorPlace, radians } from "./layout";
import { Mesher } from "./mesher";
import { lit, type Quality } from "./surfaces";

const SCREEN_M = [0.86, 0.54] as const;
const SCREEN_PX = { low: [512, 320], high: [768, 480] } as const;
const NEAR_M = 5;
const NEAR_EVERY_S = { low: 0.1, high: 0.05 } as const;
const FAR_EVERY_S = 1;
const SHEET = 0xf4f7f7;

/** One bed as it stands in the room. */
interface Placed {
  place: BedPlace;
  chest: Mesh | null;
  screen: Mesh;
  canvas: CanvasRenderingContext2D;
  texture: CanvasTexture;
  dueS: number;
}

/** All beds of a room; `bed` in calls is the row in the room file. */
export class Beds {
  readonly group = new Group();
  readonly screens: Mesh[] = []; // for picking, by row
  private readonly placed: Placed[];
  private readonly owned: { dispose(): void }[] = [];

  constructor(
    layout: Layout,
    private readonly quality: Quality,
  ) {
    this.placed = layout.bed.map((place) => this.makeBed(place, layout));
  }

  /** Paints the monitors that are due and lets the patients breathe. `shown` gives the picture of a row. */
  update(dt: number, seconds: number, eye: { x: number; z: number }, shown: (row: number) => Shown): void {
    this.placed.forEach((each, row) => {
      each.dueS -= dt;
      const picture = shown(row);
      this.breathe(each, picture.vitals?.rr ?? null, seconds);
      if (each.dueS > 0) return;
      const distance = Math.hypot(each.screen.parent!.position.x - eye.x, each.screen.parent!.position.z - eye.z);
      each.dueS = distance < NEAR_M ? NEAR_EVERY_S[this.quality] : FAR_EVERY_S;
      drawMonitor(each.canvas, picture);
      each.texture.needsUpdate = true;
    });
  }

  /** Where the beds stand, by row. */
  centres(): Vector3[] {
    return this.placed.map(({ place }) => new Vector3(place.at[0], BED_HEIGHT_M, place.at[1]));
  }

  /** Frees everything. */
  dispose(): void {
    this.group.removeFromParent();
    this.owned.forEach((each) => each.dispose());
  }

  private breathe(bed: Placed, rate: number | null, seconds: number): void {
    if (bed.chest === null) return;
    const swell = rate === null || rate <= 0 ? 0 : Math.sin((seconds * 2 * Math.PI * rate) / 60);
    bed.chest.scale.set(1, 1 + 0.035 * swell, 1);
  }

  private makeBed(place: BedPlace, layout: Layout): Placed {
    const yaw = radians(place.facing_deg);
    const mesher = new Mesher().at(0, 0, 0);
    frame(mesher);
    this.mesh(mesher, place.at, yaw);
    this.mesh(patientBody(place), place.at, yaw);
    const chest = this.mesh(blanket(place), place.at, yaw);
    this.nameCard(place, yaw);
    const screen = this.monitor(place, layout);
    const [width, height] = SCREEN_PX[this.quality];
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const texture = new CanvasTexture(canvas);
    texture.colorSpace = SRGBColorSpace;
    texture.minFilter = LinearFilter;
    texture.generateMipmaps = false;
    (screen.material as MeshBasicMaterial).map = texture;
    this.owned.push(texture);
    return { place, chest, screen, canvas: canvas.getContext("2d")!, texture, dueS: 0 };
  }

  private mesh(mesher: Mesher, [x, z]: readonly [number, number], yaw: number): Mesh | null {
    const geometry: BufferGeometry | null = mesher.build();
    if (geometry === null) return null;
    const material: Material = lit(this.quality, { vertexColors: true, roughness: 0.85 });
    const mesh = new Mesh(geometry, material);
    mesh.castShadow = mesh.receiveShadow = this.quality === "high";
    mesh.position.set(x, 0, z);
    mesh.rotation.y = yaw;
    this.owned.push(geometry, material);
    this.group.add(mesh);
    return mesh;
  }

  /** Who lies here, on the foot board. */
  private nameCard(place: BedPlace, yaw: number): void {
    const { patient } = place;
    const card = makeSign({ title: patient.name, line: `${patient.sex}, ${patient.age_y} y \u00b7 simulated patient`, icon: "\u2665", color: "#d98a3d", background: "#12343a" }, 0.19);
    const [fx, fz] = ahead(yaw);
    const out = BED_LENGTH_M / 2 + 0.02;
    card.position.set(place.at[0] + fx * out, BED_HEIGHT_M - 0.08, place.at[1] + fz * out);
    card.rotation.y = yaw + Math.PI;
    this.group.add(card);
    this.owned.push({ dispose: () => disposeLabel(card) });
  }

  /** A monitor on its pole, its screen turned to those who stand at the bed's foot, a little to the bed. */
  private monitor(place: BedPlace, layout: Layout): Mesh {
    const [x, z] = monitorPlace(place, layout);
    const yaw = radians(place.facing_deg);
    const mesher = new Mesher().at(0, 0, 0);
    mesher.tube(0x9aa7ac, [0, 0.72, -0.06], 0.022, 0.022, 1.44).tube(0x39454b, [0, 0.03, -0.06], 0.24, 0.2, 0.05);
    mesher.soft(0x1d262b, [0, 1.62, -0.02], [SCREEN_M[0] + 0.06, SCREEN_M[1] + 0.07, 0.06], 0.02);
    mesher.soft(0xdfe6e8, [0, 1.34, -0.01], [SCREEN_M[0] * 0.8, 0.05, 0.05], 0.015);
    const stand = new Group();
    stand.position.set(x, 0, z);
    stand.rotation.y = yaw + Math.PI;
    const [geometry, material] = [mesher.build()!, lit(this.quality, { vertexColors: true, roughness: 0.5 })];
    const body = new Mesh(geometry, material);
    body.castShadow = this.quality === "high";
    const screen = new Mesh(new PlaneGeometry(...SCREEN_M), new MeshBasicMaterial({ color: new Color(0xffffff), toneMapped: false }));
    screen.position.set(0, 1.62, 0.012);
    stand.add(body, screen);
    this.group.add(stand);
    this.screens.push(screen);
    this.owned.push(geometry, material, screen.geometry, screen.material);
    return screen;
  }
}

/** Frame, rails, mattress, pillow; head end at +z, feet towards -z. */
function frame(m: Mesher): void {
  const [w, l, h] = [BED_WIDTH_M, BED_LENGTH_M, BED_HEIGHT_M];
  m.soft(0x8b999e, [0, 0.36, 0], [w - 0.1, 0.1, l - 0.1], 0.03).soft(0xc9d3d6, [0, h - 0.26, 0], [w - 0.04, 0.06, l - 0.04], 0.02);
  m.soft(SHEET, [0, h - 0.13, 0], [w - 0.1, 0.2, l - 0.14], 0.07);
  m.soft(0xffffff, [0, h + 0.02, l / 2 - 0.3], [0.62, 0.13, 0.38], 0.06, [0.12, 0, 0]);
  for (const end of [-1, 1]) m.soft(0x6b8f96, [0, h - 0.05, (end * l) / 2 - end * 0.03], [w - 0.02, end > 0 ? 0.75 : 0.5, 0.045], 0.02);
  for (const side of [-1, 1]) {
    m.tube(0xd8dfe1, [side * (w / 2 - 0.02), h + 0.16, 0.3], 0.016, 0.016, 0.95, [Math.PI / 2, 0, 0]);
    for (const z of [-0.15, 0.75]) m.tube(0xd8dfe1, [side * (w / 2 - 0.02), h - 0.04, z], 0.014, 0.014, 0.4);
    for (const z of [-0.8, 0.8]) {
      m.box(0x75848a, [side * (w / 2 - 0.1), 0.2, z], [0.05, 0.3, 0.05]);
      m.ball(0x2b353c, [side * (w / 2 - 0.1), 0.055, z], [0.05, 0.055, 0.055]);
    }
  }
  m.tube(0xc4ced2, [w / 2 + 0.12, 0.98, l / 2 - 0.12], 0.013, 0.013, 1.9).soft(0xe3f1f5, [w / 2 + 0.12, 1.78, l / 2 - 0.12], [0.1, 0.2, 0.035], 0.016);
}

const SKIN = [0xf0cfb8, 0xe0b08b, 0xc58b62, 0x9a6642];

/** Head, hair, neck, arms over the blanket: by sex, age and build. */
function patientBody({ patient, at }: BedPlace): Mesher {
  const skin = SKIN[Math.abs(Math.round(at[0] * 7 + at[1] * 3 + patient.age_y)) % SKIN.length]!;
  const hair = patient.age_y > 62 ? 0xb9b9bb : patient.age_y > 45 ? 0x5d5048 : 0x33271f;
  const wide = 0.2 * Math.sqrt(patient.weight_kg / 70);
  const [y, headZ] = [BED_HEIGHT_M + 0.14, BED_LENGTH_M / 2 - 0.32];
  const m = new Mesher().at(0, 0, 0);
  m.ball(skin, [0, y + 0.05, headZ], [0.088, 0.11, 0.118]).tube(skin, [0, y - 0.01, headZ - 0.14], 0.05, 0.055, 0.14, [Math.PI / 2, 0, 0]);
  m.ball(hair, [0, y + 0.045, headZ + 0.035], [0.1, 0.118, 0.11]);
  if (patient.sex === "female") m.ball(hair, [0, y - 0.03, headZ + 0.06], [0.16, 0.05, 0.11]);
  m.ball(skin, [0, y + 0.15, headZ - 0.03], [0.016, 0.02, 0.026]);
  for (const side of [-1, 1]) {
    m.ball(0x2a2523, [side * 0.036, y + 0.143, headZ + 0.015], [0.016, 0.005, 0.007]);
    m.tube(0xa9d4dc, [side * (wide + 0.045), y - 0.02, headZ - 0.36], 0.055, 0.05, 0.32, [Math.PI / 2, 0, 0]);
    m.tube(skin, [side * (wide + 0.06), y - 0.025, headZ - 0.64], 0.038, 0.045, 0.3, [Math.PI / 2, 0, 0]);
    m.ball(skin, [side * (wide + 0.065), y - 0.025, headZ - 0.83], [0.042, 0.025, 0.065]);
  }
  m.ball(0xa9d4dc, [0, y - 0.05, headZ - 0.32], [wide + 0.02, 0.12, 0.22]);
  return m;
}

/** What rises with the breath: the blanket over chest, belly and legs. */
function blanket({ patient }: BedPlace): Mesher {
  const wide = 0.2 * Math.sqrt(patient.weight_kg / 70);
  const long = Math.min(1.5, (patient.height_cm / 100) * 0.82);
  const start = BED_LENGTH_M / 2 - 0.32 - 0.34;
  const y = BED_HEIGHT_M;
  const m = new Mesher().at(0, 0, 0);
  m.ball(0x7fb0bb, [0, y + 0.03, start - 0.22], [wide + 0.06, 0.16, 0.36]);
  m.soft(0x7fb0bb, [0, y + 0.005, start - long / 2], [BED_WIDTH_M - 0.12, 0.09, long], 0.045);
  for (const side of [-1, 1]) {
    m.ball(0x7fb0bb, [side * 0.11, y + 0.04, start - long * 0.62], [0.11, 0.1, long * 0.36]);
    m.ball(0x7fb0bb, [side * 0.11, y + 0.08, start - long + 0.08], [0.06, 0.1, 0.09]);
  }
  m.soft(0xeef4f4, [0, y + 0.03, start + 0.02], [BED_WIDTH_M - 0.1, 0.075, 0.2], 0.035);
  return m;
}
