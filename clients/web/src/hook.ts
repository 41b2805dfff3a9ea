/**
 * `window.asclepion`: a read-only view of the client's state for tests and the curious, with the same acts the buttons have.
 * It gives no power that the page's own controls do not give.
 */

import type { Placement } from "./care/placing";
import type { Mark } from "./marks";
import type { Model } from "./model";
import type { Crowd, Health, Sample } from "./motion/interpolate";
import type { View } from "./net/snapshot";
import type { NetworkState } from "./ui/network";

type Metres = [number, number, number];

/** The hook's shape. Lengths in metres. */
export interface Hook {
  readonly state: () => HookState;
  /** Walks to a place of the room; true when it got there. */
  readonly walkTo: (x: number, z: number) => Promise<boolean>;
  /** Does what a key does, by its name: "interact", "offer", "point", "raise", ... */
  readonly act: (action: string) => void;
}

/** What the state is made of. */
export interface HookParts {
  session: string;
  model: Model;
  view: View | undefined;
  samples: ReadonlyMap<number, Sample>;
  crowd: Crowd;
  placements: readonly Placement[];
  seated: boolean;
  position: readonly [number, number]; // mm
  yaw: number;
  health: Health;
  drawn: { fps: number; calls: number; triangles: number; roundTripMs: number; correctionMm: number };
  network: NetworkState;
  marks: readonly Mark[];
}

export type HookState = ReturnType<typeof hookState>;

declare global {
  interface Window {
    asclepion?: Hook;
  }
}

const metres = (place: readonly number[]): Metres => [place[0]! / 1000, place[1]! / 1000, place[2]! / 1000];

/** Everything there is to see, as plain values. */
export function hookState({ session, model, view, samples, crowd, placements, seated, position, yaw, health, drawn, network, marks }: HookParts) {
  return {
    session,
    tick: view?.tick ?? -1,
    room: model.room?.room ?? "",
    name: model.welcome?.name ?? "",
    role: model.room?.role ?? "",
    rights: model.room?.rights ?? [],
    resumed: model.welcome?.resumed ?? false,
    seated,
    yaw,
    position: [position[0] / 1000, position[1] / 1000] as [number, number],
    people: peopleOf(model, samples, crowd),
    waiting: model.waiting.map(({ name }) => name),
    things: [...(view?.things.values() ?? [])].map((row) => ({ slot: row.slot, name: model.things.get(row.slot)?.name ?? "", owner: row.owner, hand: row.hand, position: metres(row.position) })),
    offers: model.offers.length,
    beds: bedsOf(model),
    receipts: placements.map(({ text, stage, index, detail }) => ({ text, stage, index, detail })),
    lines: model.lines.map(({ who, text }) => ({ who, text })),
    view: { ...drawn, ...health },
    network,
    marks: marks.map(({ kind, title, line }) => ({ kind, title, line })),
  };
}

function peopleOf(model: Model, samples: ReadonlyMap<number, Sample>, crowd: Crowd) {
  const rows = new Map(Array.from(crowd.slot.subarray(0, crowd.count), (slot, i) => [slot, i]));
  return [...model.people].map(([slot, { name, role, away, muted }]) => {
    const [sample, i] = [samples.get(slot), rows.get(slot)];
    const head = sample?.head ?? (i === undefined ? [0, 0, 0] : crowd.head.subarray(3 * i, 3 * i + 3));
    const flags = sample?.flags ?? (i === undefined ? 0 : crowd.flags[i]!);
    const hands = sample === undefined ? null : { left: metres(sample.left), right: metres(sample.right) };
    return { slot, name, role, away, muted, flags, shown: sample !== undefined || i !== undefined, near: sample !== undefined, quiet: sample?.quiet ?? (i !== undefined && crowd.quiet[i] !== 0), hands, position: metres([...head]) };
  });
}

function bedsOf(model: Model) {
  return model.beds.map(({ index, place, patient, accessIndex, mayOrder, vitals, sweep }) => ({
    index,
    id: place.id,
    open: patient !== null,
    access: accessIndex,
    orders: mayOrder,
    source: vitals?.source ?? "",
    hr: vitals?.hr ?? null,
    sap: vitals?.sap ?? null,
    dap: vitals?.dap ?? null,
    running: vitals?.running ?? [],
    alarms: (vitals?.alarms ?? []).map((alarm) => `${alarm.priority} ${alarm.code}${alarm.acked_by === "" ? "" : " acked"}`),
    newestSample: Math.max(-1, ...[...sweep.traces.values()].map((trace) => trace.newest)),
    channels: [...sweep.traces.keys()].sort((a, b) => a - b),
  }));
}
