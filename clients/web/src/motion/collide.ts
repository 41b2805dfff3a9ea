/**
 * Moves a standing disc among boxes within a room: the client's copy of the walk in server/sim/motion.py, in fractions of mm.
 * Pure. Lengths in mm, velocities in mm/s. The server decides; this only predicts it.
 */

/** Box edges on the floor: x low, z low, x high, z high. */
export type Block = readonly [number, number, number, number];

/** Where one may be: the room's edges, and what stands in it. */
export interface Floor {
  bounds: Block;
  radius: number;
  blocks: readonly Block[];
}

type Place = [number, number];

const HAIR_MM = 0.01; // fractions, unlike the server's whole mm, may touch by a hair
const ROUNDING = 2 * 220 * HAIR_MM; // the same in mm2

/** How far a disc gets from `along` to `target` on one axis (0 x, 1 z), standing at `across` on the other. */
export function sweep(floor: Floor, axis: 0 | 1, along: number, across: number, target: number): number {
  const { bounds, radius } = floor;
  let reached = Math.min(Math.max(target, bounds[axis] + radius), bounds[axis + 2]! - radius);
  for (const block of floor.blocks) {
    const beside = Math.max(block[1 - axis]! - across, across - block[3 - axis]!, 0);
    if (beside >= radius) continue;
    const gap = Math.sqrt(radius * radius - beside * beside);
    const [near, far] = [block[axis]! - gap, block[axis + 2]! + gap];
    if (along <= near + HAIR_MM && near < reached) reached = near;
    else if (along >= far - HAIR_MM && far > reached) reached = far;
  }
  return reached;
}

/** One step of `dt` seconds by a velocity cut to `speedMax`: along x, then along z. */
export function step([x, z]: Place, velocity: Place, dt: number, speedMax: number, floor: Floor): Place {
  const speed = Math.hypot(...velocity);
  const scale = (speed > speedMax ? speedMax / speed : 1) * dt;
  const nx = velocity[0] === 0 ? x : sweep(floor, 0, x, z, x + velocity[0] * scale);
  const nz = velocity[1] === 0 ? z : sweep(floor, 1, z, nx, z + velocity[1] * scale);
  return [nx, nz];
}

/** Whether a disc here is inside the bounds and touches nothing. */
export function free([x, z]: Place, floor: Floor): boolean {
  const { bounds, radius } = floor;
  if (x < bounds[0] + radius || x > bounds[2] - radius || z < bounds[1] + radius || z > bounds[3] - radius) return false;
  return floor.blocks.every((block) => {
    const [dx, dz] = [Math.max(block[0] - x, x - block[2], 0), Math.max(block[1] - z, z - block[3], 0)];
    return dx * dx + dz * dz >= radius * radius - ROUNDING;
  });
}

/** The push of other people's bubbles (mm/s): nothing at `space`, the speed limit at the middle. */
export function pushOf([x, z]: Place, others: Iterable<Place>, space: number, speedMax: number): Place {
  const push: Place = [0, 0];
  for (const [ox, oz] of others) {
    const [dx, dz] = [ox - x, oz - z];
    const distance = Math.hypot(dx, dz);
    if (distance >= space || distance === 0) continue;
    const strength = (speedMax * (space - distance)) / space;
    push[0] -= (dx / distance) * strength;
    push[1] -= (dz / distance) * strength;
  }
  return push;
}
