/** Decodes frames of a viewer in a full hall, again and again: processor milliseconds of each frame. Reads hex lines, prints JSON. */

import { readFileSync } from "node:fs";
import { fromHex } from "../src/bytes";
import { FrameDecoder } from "../src/net/snapshot";

const ROUNDS = 40;
const WARM_ROUNDS = 10;

const frames = readFileSync(0, "utf8").trim().split("\n").map(fromHex);
const spent: number[] = [];
let [near, far] = [0, 0];
for (let round = 0; round < ROUNDS; round++) {
  const decoder = new FrameDecoder();
  for (const frame of frames) {
    const began = process.cpuUsage();
    const view = decoder.decode(frame);
    const { user, system } = process.cpuUsage(began);
    if (round >= WARM_ROUNDS) spent.push((user + system) / 1000);
    near = Math.max(near, view?.avatars.count ?? 0);
    far = Math.max(far, view?.far.count ?? 0);
  }
}
console.log(JSON.stringify({ near, far, spent }));
