/**
 * Moves a standing disc among boxes within a room: the client's copy of the server's motion rule (server/sim/motion.py).
 * Pure. Lengths in mm, velocities in mm/s. The server decides; this only predicts it.
 */

/** What the disc cannot enter: an upright box, turned by `yaw` about y (cos, sin). */
export interface Block {
  x: number;
  z: number;
  halfX: number;
  halfZ: number;
  cos: number;
  sin: number;
}

/** Where one may be: the room's half sizes, and what stands in it. */
export interface Floor {
  halfX: number;
  halfZ: number;
  radius: number;
  blocks: readonly Block[];
}

const PASSES = 3;

/** One step of `dt` seconds by a wish velocity. Returns the new x and z. */
export function step(x: number, z: number, wishX: number, wishZ: number, dt: number, speedMax: number, floor: Floor): [number, number] {
  const speed = Math.hypot(wishX, wishZ);
  const scale = speed > speedMax ? speedMax / speed : 1;
  return settle(x + wishX * scale * dt, z + wishZ * scale * dt, floor);
}

/** Pushes a disc out of what it stands in, and back into the room. */
export function settle(x: number, z: number, floor: Floor): [number, number] {
  let place: [number, number] = [x, z];
  for (let pass = 0; pass < PASSES; pass++) {
    for (const block of floor.blocks) place = pushOut(place, block, floor.radius);
    place = inside(place, floor);
  }
  return place;
}

/** Whether a disc at this place touches nothing. */
export function free(x: number, z: number, floor: Floor): boolean {
  const [sx, sz] = settle(x, z, floor);
  return Math.hypot(sx - x, sz - z) < 1;
}

function inside([x, z]: [number, number], floor: Floor): [number, number] {
  const [maxX, maxZ] = [floor.halfX - floor.radius, floor.halfZ - floor.radius];
  return [Math.max(-maxX, Math.min(maxX, x)), Math.max(-maxZ, Math.min(maxZ, z))];
}

function pushOut([x, z]: [number, number], block: Block, radius: number): [number, number] {
  const [dx, dz] = [x - block.x, z - block.z];
  const u = dx * block.cos - dz * block.sin;
  const w = dx * block.sin + dz * block.cos;
  const [nearU, nearW] = [Math.max(-block.halfX, Math.min(block.halfX, u)), Math.max(-block.halfZ, Math.min(block.halfZ, w))];
  let [outU, outW] = [u - nearU, w - nearW];
  const gap = Math.hypot(outU, outW);
  if (gap >= radius) return [x, z];
  if (gap > 0) [outU, outW] = [nearU + (outU / gap) * radius, nearW + (outW / gap) * radius];
  else [outU, outW] = nearestSide(u, w, block, radius);
  return [block.x + outU * block.cos + outW * block.sin, block.z - outU * block.sin + outW * block.cos];
}

/** Out of a box one stands right inside of, by the nearest side. */
function nearestSide(u: number, w: number, block: Block, radius: number): [number, number] {
  const [depthU, depthW] = [block.halfX - Math.abs(u), block.halfZ - Math.abs(w)];
  if (depthU < depthW) return [(u < 0 ? -1 : 1) * (block.halfX + radius), w];
  return [u, (w < 0 ? -1 : 1) * (block.halfZ + radius)];
}
