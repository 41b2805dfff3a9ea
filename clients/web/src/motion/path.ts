/** Finds a way over free floor by A* on a grid. Pure; for "go to" buttons, where a straight walk would get stuck. */

import { free, type Floor } from "./collide";

const CELL_MM = 200;
const VISITED_MAX = 40_000;
const AROUND = [[1, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1], [1, 1, 1.42], [1, -1, 1.42], [-1, 1, 1.42], [-1, -1, 1.42]] as const;

type Point = [number, number];
interface Node {
  key: number;
  i: number;
  j: number;
  cost: number;
  total: number;
  from: Node | null;
}

/** Points (mm) from one place to another, the target's nearest reachable place last. */
export function findPath(from: Point, to: Point, floor: Floor): Point[] {
  const [left, top] = floor.bounds;
  const width = Math.ceil((floor.bounds[2] - left) / CELL_MM) + 1;
  const cell = (value: number, low: number): number => Math.round((value - low) / CELL_MM);
  const place = (i: number, j: number): Point => [left + i * CELL_MM, top + j * CELL_MM];
  const goal: Point = [cell(to[0], left), cell(to[1], top)];
  const far = (i: number, j: number): number => Math.hypot(i - goal[0], j - goal[1]);
  const node = (i: number, j: number, cost: number, previous: Node | null): Node => ({ key: j * width + i, i, j, cost, total: cost + far(i, j), from: previous });
  const open = new Heap();
  const done = new Set<number>();
  const start = node(cell(from[0], left), cell(from[1], top), 0, null);
  let best = start;
  open.push(start);
  for (let next = open.pop(); next !== undefined && done.size < VISITED_MAX; next = open.pop()) {
    if (done.has(next.key)) continue;
    done.add(next.key);
    if (far(next.i, next.j) < far(best.i, best.j)) best = next;
    if (far(next.i, next.j) < 0.5) break;
    for (const [di, dj, length] of AROUND) {
      const [i, j] = [next.i + di, next.j + dj];
      if (i < 0 || i >= width || done.has(j * width + i) || !free(place(i, j), floor)) continue;
      open.push(node(i, j, next.cost + length, next));
    }
  }
  return straighten([from, ...trace(best).map((each) => place(each.i, each.j))], floor);
}

function trace(end: Node): Node[] {
  const nodes: Node[] = [];
  for (let each: Node | null = end; each !== null; each = each.from) nodes.unshift(each);
  return nodes;
}

/** Leaves out points that a straight walk can skip. */
function straighten(points: Point[], floor: Floor): Point[] {
  const out: Point[] = [];
  let at = 0;
  while (at < points.length - 1) {
    let next = at + 1;
    for (let k = Math.min(points.length - 1, at + 40); k > next; k--) {
      if (clear(points[at]!, points[k]!, floor)) next = k;
    }
    out.push(points[next]!);
    at = next;
  }
  return out;
}

function clear(a: Point, b: Point, floor: Floor): boolean {
  const steps = Math.ceil(Math.hypot(b[0] - a[0], b[1] - a[1]) / 80);
  for (let k = 1; k <= steps; k++) {
    if (!free([a[0] + ((b[0] - a[0]) * k) / steps, a[1] + ((b[1] - a[1]) * k) / steps], floor)) return false;
  }
  return true;
}

/** A binary heap by `total`. */
class Heap {
  private rows: Node[] = [];

  push(node: Node): void {
    this.rows.push(node);
    let i = this.rows.length - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (this.rows[up]!.total <= node.total) break;
      this.rows[i] = this.rows[up]!;
      i = up;
    }
    this.rows[i] = node;
  }

  pop(): Node | undefined {
    const top = this.rows[0];
    const last = this.rows.pop();
    if (top === undefined || last === undefined || this.rows.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= this.rows.length) break;
      if (child + 1 < this.rows.length && this.rows[child + 1]!.total < this.rows[child]!.total) child += 1;
      if (this.rows[child]!.total >= last.total) break;
      this.rows[i] = this.rows[child]!;
      i = child;
    }
    this.rows[i] = last;
    return top;
  }
}
