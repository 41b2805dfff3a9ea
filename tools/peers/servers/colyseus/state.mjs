// The state of a room as Colyseus users declare it: a map of players, each with its number and 21 floats.
import { MapSchema, StateView, schema, t } from "@colyseus/schema";

export const VALUES = ["head", "left", "right"].flatMap((part) =>
  ["x", "y", "z", "qx", "qy", "qz", "qw"].map((axis) => part + axis),
);

const floats = Object.fromEntries(VALUES.map((name) => [name, t.float32()]));

export const Player = schema({ number: t.uint16(), seq: t.uint32(), ...floats }, "Player");
export const Ward = schema({ players: t.map(Player) }, "Ward");
export const Hall = schema({ players: t.map(Player).view() }, "Hall"); // who is seen is decided for each viewer
export { MapSchema, StateView };
