// Messages of sampled clients, as the load generator kept them, decoded by Colyseus' own decoder.
// Run: decode.mjs SEEN OUT. In: u32 client, u64 ns, u32 size, bytes. Out: rows of u32 client, u64 ns, u16 id, u32 seq
// and 21 float32, one for each player of the room after each message that changed the state.
import { readFileSync, openSync, writeSync, closeSync } from "node:fs";
import { Decoder, Reflection } from "@colyseus/schema";
import { decode } from "@colyseus/schema";
import { VALUES } from "./state.mjs";

const [JOIN, STATE, PATCH] = [10, 14, 15];
const ROW = 4 + 8 + 2 + 4 + 4 * VALUES.length;
const input = readFileSync(process.argv[2]);
const out = openSync(process.argv[3], "w");
const decoders = new Map();

function join(bytes) {
  const it = { offset: 1 };
  it.offset += 1 + bytes[it.offset];
  it.offset += 1 + bytes[it.offset];
  const size = decode.number(bytes, it);
  return Reflection.decode(bytes.subarray(0, it.offset + size), it);
}

function write(client, ns, players) {
  const rows = Buffer.alloc(ROW * players.size);
  let at = 0;
  for (const player of players.values()) {
    rows.writeUInt32LE(client, at);
    rows.writeBigUInt64LE(ns, at + 4);
    rows.writeUInt16LE(player.number ?? 0, at + 12);
    rows.writeUInt32LE(player.seq ?? 0, at + 14);
    VALUES.forEach((name, i) => rows.writeFloatLE(player[name] ?? 0, at + 18 + 4 * i));
    at += ROW;
  }
  writeSync(out, rows);
}

for (let at = 0; at < input.length; ) {
  const [client, ns, size] = [input.readUInt32LE(at), input.readBigUInt64LE(at + 4), input.readUInt32LE(at + 12)];
  const bytes = new Uint8Array(input.buffer, input.byteOffset + at + 16, size);
  at += 16 + size;
  if (bytes[0] === JOIN) decoders.set(client, join(bytes));
  if (bytes[0] !== STATE && bytes[0] !== PATCH) continue;
  const decoder = decoders.get(client);
  decoder.decode(bytes, { offset: 1 });
  write(client, ns, decoder.state.players);
}
closeSync(out);
