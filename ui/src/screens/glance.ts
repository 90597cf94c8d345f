import type { FleetOverview } from "@/generated/FleetOverview";
import type { Kind } from "@/platform/needs";
import { gather, said } from "./kinds";

type States = Record<Kind, number>;

export interface Glance {
  states: States;
  models: { model: string; states: States }[];
  versions: { component: string; rows: { version: string; count: number }[] }[];
}

/** The overview's counters in the five states: what rollouts at work say of their devices, and the rest up to date. */
export function glance(fleet: FleetOverview): Glance {
  const models = new Map<string, States>();
  for (const { model, state, count } of fleet.models)
    if (state === "active") models.set(model, { ok: count, run: 0, idle: 0, warn: 0, bad: 0 });
  for (const rollout of fleet.rollouts) {
    const states = models.get(said(rollout.target).split(" ")[0] ?? "");
    if (!states) continue;
    const counts = gather(rollout.counts);
    for (const kind of ["run", "idle", "bad"] as const) {
      const n = Math.min(counts[kind], states.ok);
      states[kind] += n;
      states.ok -= n;
    }
  }
  const states: States = { ok: 0, run: 0, idle: 0, warn: fleet.devices.cloned, bad: 0 };
  for (const one of models.values()) for (const kind of ["ok", "run", "idle", "bad"] as const) states[kind] += one[kind];
  states.ok = Math.max(0, states.ok - states.warn);
  const versions = new Map<string, { version: string; count: number }[]>();
  for (const { component, version, count } of fleet.versions)
    versions.set(component, [...(versions.get(component) ?? []), { version, count }]);
  const newest = (a: { version: string }, b: { version: string }) => b.version.localeCompare(a.version, "en", { numeric: true });
  return {
    states,
    models: [...models].map(([model, states]) => ({ model, states })),
    versions: [...versions].map(([component, rows]) => ({ component, rows: rows.sort(newest) })),
  };
}
