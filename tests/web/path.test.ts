import { free, type Floor } from "@/motion/collide";
import { findPath } from "@/motion/path";

const floor: Floor = {
  bounds: [-4000, -4000, 4000, 4000],
  radius: 220,
  blocks: [[-100, -3000, 100, 4000]],
};

it("finds the way round a wall over free floor only", () => {
  const path = findPath([-2000, 2000], [2000, 2000], floor);
  const [x, z] = path.at(-1)!;
  expect(Math.hypot(x - 2000, z - 2000)).toBeLessThan(150);
  expect(Math.min(...path.map((point) => point[1]))).toBeLessThan(-3000);
  for (const point of path) expect(free(point, floor)).toBe(true);
});

it("goes as near as it can to a place in a wall", () => {
  const [x] = findPath([-2000, 0], [0, 0], floor).at(-1)!;
  expect(x).toBeLessThan(-319);
  expect(x).toBeGreaterThan(-600);
});
