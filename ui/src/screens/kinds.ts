import type { Counts } from "@/generated/Counts";
import type { DeploymentState } from "@/generated/DeploymentState";
import type { DeviceRow } from "@/generated/DeviceRow";
import type { DeviceState } from "@/generated/DeviceState";
import type { LinkFate } from "@/generated/LinkFate";
import type { LinkRow } from "@/generated/LinkRow";
import type { ReleaseState } from "@/generated/ReleaseState";
import type { RolloutDetail } from "@/generated/RolloutDetail";
import type { RolloutState } from "@/generated/RolloutState";
import { remaining } from "@/parts/Time";
import type { Kind } from "@/platform/needs";

/** Which of the five states each state of a thing is drawn in. */
export const deploymentKind: Record<DeploymentState, Kind> = {
  queued: "idle",
  offered: "idle",
  skipped: "idle",
  canceled: "idle",
  downloading: "run",
  downloaded: "run",
  installing: "run",
  rebooting: "run",
  confirming: "run",
  succeeded: "ok",
  failed: "bad",
  timed_out: "bad",
  rejected: "bad",
  rolled_back: "bad",
};

export const rolloutKind = (state: RolloutState, itself: boolean): Kind =>
  state === "running" ? "run" : state === "finished" ? "ok" : state === "paused" && itself ? "warn" : "idle";

export const releaseKind: Record<ReleaseState, Kind> = {
  draft: "idle",
  proposed: "run",
  approved: "warn",
  signed: "ok",
  published: "ok",
  withdrawn: "idle",
};
export const deviceKind: Record<DeviceState, Kind> = { active: "ok", revoked: "bad", retired: "idle", replaced: "idle", cloned: "bad" };

/** A link's state, as it must be seen now: what ends within ten minutes asks for attention. */
export function linkKind(link: LinkRow, now: number): { kind: Kind; word: "expiring" | "reissued" | LinkRow["state"] } {
  if (link.state === "consumed") return { kind: "ok", word: "consumed" };
  if (link.state === "revoked") return { kind: "idle", word: "revoked" };
  const { left } = remaining(link.expires_at, now);
  if (link.state === "expired" || left <= 0) return { kind: "bad", word: "expired" };
  if (left <= 600) return { kind: "warn", word: "expiring" };
  if (link.state === "active") return { kind: "run", word: "active" };
  return { kind: "idle", word: link.issue > 1 ? "reissued" : "issued" };
}

/** How a device stands: as one of the fleet, and in the rollout that wants something of it or wanted last. */
export function deviceStanding(row: DeviceRow): { kind: Kind; word: `device.${DeviceState}` | `deployment.${DeploymentState}` } {
  if (row.state !== "active" || !row.deployment || ["succeeded", "canceled", "skipped"].includes(row.deployment))
    return { kind: deviceKind[row.state], word: `device.${row.state}` };
  return { kind: deploymentKind[row.deployment], word: `deployment.${row.deployment}` };
}

/** What became of a link, and the one of the five that it is drawn in. */
export const fateKind: Record<LinkFate, Kind> = { consumed: "ok", expired: "bad", revoked: "idle", reissued: "idle" };

/** How many deployments have not ended. */
export const open = (counts: Counts): number => {
  const { idle, run } = gather(counts);
  return idle + run - (counts.skipped ?? 0) - (counts.canceled ?? 0);
};

/** Counts by deployment state, gathered into the five. */
export const gather = (counts: Counts): Record<Kind, number> => {
  const sums: Record<Kind, number> = { ok: 0, run: 0, idle: 0, warn: 0, bad: 0 };
  for (const [state, n] of Object.entries(counts)) sums[deploymentKind[state as DeploymentState]] += n ?? 0;
  return sums;
};
export const sum = (counts: Counts): number => Object.values(counts).reduce<number>((total, n) => total + (n ?? 0), 0);

/** Where the rollout's gate stands: the open phase, what confirmed, what failed, how long it still soaks. */
export function gate(detail: RolloutDetail, now: number) {
  const open = detail.phases.findLastIndex((phase) => phase.opened_at !== undefined);
  const row = detail.phases[open];
  const policy = detail.policy.phases[open];
  if (!row || !policy) return undefined;
  const counts = gather(row.counts);
  const devices = policy.devices;
  const ended = counts.ok + counts.bad;
  const needed = Math.max(0, Math.ceil((devices * policy.success) / 100) - counts.ok);
  const soaked = Math.max(0, policy.soak - (now - Date.parse(row.opened_at ?? "")) / 1000);
  return { open, row, policy, counts, devices, ended, needed, soaked, last: open === detail.phases.length - 1 };
}

/** `hx220/app/2.4.1.bin` and a version as people say it: `hx220 2.4.1`. */
export const said = (target: string): string => {
  const [model = target, , file = ""] = target.split("/");
  return `${model} ${file.replace(/\.[a-z]+$/, "")}`;
};
