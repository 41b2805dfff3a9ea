// A room server on Colyseus: its own state sync ("sync") or its broadcast ("broadcast"). Run: server.mjs PORT HZ WAY.
// In: bytes of type "p": u32 seq and 21 float32. The room's name is an option of joining, as is the client's number.
import { createServer } from "node:http";
import { Room, Server } from "@colyseus/core";
import { WebSocketTransport } from "@colyseus/ws-transport";
import { MapSchema, Player, VALUES, Ward } from "./state.mjs";

const [port, hz, way] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];
const STATE = 88;

function open(room) {
  room.maxClients = Infinity;
  room.seatReservationTimeout = 300;
  room.patchRate = 1000 / hz;
}

class SyncRoom extends Room {
  onCreate() {
    open(this);
    this.state = new Ward();
    this.state.players ??= new MapSchema();
    this.onMessageBytes("p", (client, bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const player = client.userData;
      player.seq = view.getUint32(0, true);
      for (let i = 0; i < VALUES.length; i++) player[VALUES[i]] = view.getFloat32(4 + 4 * i, true);
    });
  }

  onJoin(client, options) {
    const player = new Player();
    player.number = options.number;
    player.seq = 0;
    for (const name of VALUES) player[name] = 0;
    client.userData = player;
    this.state.players.set(client.sessionId, player);
  }

  onLeave(client) {
    this.state.players.delete(client.sessionId);
  }
}

// Rows by hand, Colyseus only carries them: u8 1, u8 0, u16 n, n x (u16 id, u32 seq, 84 bytes).
class BroadcastRoom extends Room {
  onCreate() {
    open(this);
    this.patchRate = null;
    this.rows = new Map();
    this.onMessageBytes("p", (client, bytes) => client.userData.set(bytes, 2));
    this.setSimulationInterval(() => this.show(), 1000 / hz);
  }

  onJoin(client, options) {
    client.userData = new Uint8Array(2 + STATE);
    new DataView(client.userData.buffer).setUint16(0, options.number, true);
    this.rows.set(client.sessionId, client.userData);
  }

  onLeave(client) {
    this.rows.delete(client.sessionId);
  }

  show() {
    const out = new Uint8Array(4 + this.rows.size * (2 + STATE));
    out[0] = 1;
    new DataView(out.buffer).setUint16(2, this.rows.size, true);
    let at = 4;
    for (const row of this.rows.values()) {
      out.set(row, at);
      at += row.length;
    }
    this.broadcastBytes("v", out);
  }
}

const server = new Server({ transport: new WebSocketTransport({ server: createServer() }), greet: false });
server.define("ward", way === "sync" ? SyncRoom : BroadcastRoom).filterBy(["room"]);
await server.listen(port, "127.0.0.1");
console.log("ready");
