// What interest costs Colyseus: one StateView for each client, or one for each cell of the floor, shared by who is in it.
// Run: interest.mjs FILE. In: u32 n, u32 ticks, then for each tick n x (u16 cell, 21 float32) and n x n u8: who sees whom.
// Out: a line of JSON with processor milliseconds of each tick, bytes of a client and tick, and rows that were checked.
import { readFileSync } from "node:fs";
import { Decoder, Encoder } from "@colyseus/schema";
import { Hall, MapSchema, Player, StateView, VALUES } from "./state.mjs";

Encoder.BUFFER_SIZE = 4 << 20;
const WARM = 5;
const CHECKED = 3; // viewers whose views are decoded and compared
const input = readFileSync(process.argv[2]);
const [n, ticks] = [input.readUInt32LE(0), input.readUInt32LE(4)];
const ROW = 2 + 4 * VALUES.length;
const TICK = n * ROW + n * n;

const cellOf = (tick, i) => input.readUInt16LE(8 + tick * TICK + i * ROW);
const valueOf = (tick, i, k) => input.readFloatLE(8 + tick * TICK + i * ROW + 2 + 4 * k);
const sees = (tick, i, j) => input[8 + tick * TICK + n * ROW + i * n + j] === 1;

function move(players, tick) {
  for (let i = 0; i < n; i++) {
    players[i].seq = tick + 1;
    for (let k = 0; k < VALUES.length; k++) players[i][VALUES[k]] = valueOf(tick, i, k);
  }
}

// Who came into sight is added to a view, who left it removed. `seen` (by view) remembers who is in it.
function look(view, seen, players, tick, viewer) {
  for (let j = 0; j < n; j++) {
    const now = sees(tick, viewer, j);
    if (now === seen[j]) continue;
    if (now) view.add(players[j]);
    else view.remove(players[j]);
    seen[j] = now;
  }
}

function check(decoders, frames, players, tick, viewers, seen) {
  let rows = 0;
  for (const v of viewers) {
    decoders.get(v).decode(frames.get(v));
    const shown = [...(decoders.get(v).state.players?.values() ?? [])].filter((p) => p.seq !== undefined);
    const fresh = shown.filter((p) => p.seq === tick + 1);
    if (fresh.length !== seen(v).filter(Boolean).length) throw new Error(`viewer ${v} sees ${fresh.length}`);
    for (const p of fresh) {
      if (VALUES.some((name) => p[name] !== players[p.number][name])) throw new Error(`viewer ${v}: wrong values`);
      rows++;
    }
  }
  return rows;
}

function run(shared) {
  const state = new Hall();
  state.players ??= new MapSchema();
  const players = Array.from({ length: n }, (_, i) => Object.assign(new Player(), { number: i, seq: 0 }));
  players.forEach((player, i) => state.players.set(String(i), player));
  move(players, 0);
  const encoder = new Encoder(state);
  const views = new Map(); // by client, or by cell
  const keyOf = (tick, i) => (shared ? cellOf(tick, i) : i);
  const [costs, times] = [[], Array.from({ length: CHECKED }, (_, i) => i)];
  const decoders = new Map(times.map((v) => [v, new Decoder(new Hall())]));
  let [bytes, rows] = [0, 0];
  encoder.encodeAll({ offset: 0 });
  encoder.discardChanges();
  for (let tick = 0; tick < ticks; tick++) {
    const start = process.cpuUsage();
    move(players, tick);
    for (let i = 0; i < n; i++) {
      const key = keyOf(tick, i);
      if (!views.has(key)) views.set(key, { view: new StateView(), seen: new Array(n).fill(false), tick: -1 });
      const mine = views.get(key);
      if (mine.tick !== tick) look(mine.view, mine.seen, players, tick, i);
      mine.tick = tick;
    }
    const it = { offset: 0 };
    encoder.encode(it);
    const end = it.offset;
    const made = new Map();
    const frames = new Map();
    for (let i = 0; i < n; i++) {
      const key = keyOf(tick, i);
      if (!made.has(key)) made.set(key, encoder.encodeView(views.get(key).view, end, it).slice());
      frames.set(i, made.get(key));
      bytes += made.get(key).length;
    }
    encoder.discardChanges();
    const spent = process.cpuUsage(start);
    if (tick >= WARM) costs.push((spent.user + spent.system) / 1000);
    // A view that is shared changes hands when somebody changes cell; only views of one's own are followed here.
    if (!shared) rows += check(decoders, frames, players, tick, times, (v) => views.get(v).seen);
  }
  return { ms: costs, bytes: bytes / (n * ticks), rows };
}

console.log(JSON.stringify({ client: run(false), cell: run(true) }));
