import type { DeploymentRow } from "@/generated/DeploymentRow";
import type { DeploymentState } from "@/generated/DeploymentState";
import type { DeviceRow } from "@/generated/DeviceRow";
import type { LinkEvent } from "@/generated/LinkEvent";
import type { LinkRow } from "@/generated/LinkRow";
import type { LinkState } from "@/generated/LinkState";
import type { ServedMinute } from "@/generated/ServedMinute";
import type { Kind } from "../needs";
import { chance, hex, id } from "./chance";

/** When this page was opened: the fleet's "now". */
export const opened = Date.now();
export const ago = (seconds: number): string => new Date(opened - seconds * 1000).toISOString().replace(/\.\d+Z$/, "Z");
export const ahead = (seconds: number): string => ago(-seconds);
const H = 3600;
const D = 24 * H;

const random = chance(20260211);
const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;

/** Model, devices, and how many of them stand in each state; the rest is up to date. */
const models = [
  {
    model: "hx220",
    prefix: "HX220-0",
    from: 446_000,
    states: { run: 66, idle: 3685, warn: 148, bad: 19 },
    total: 5206,
    versions: ["2.4.1", "2.4.0", "2.3.6", "2.2.9"],
    wanted: "2.4.1",
  },
  {
    model: "hx410",
    prefix: "HX410-0",
    from: 120_000,
    states: { run: 34, idle: 803, warn: 96, bad: 5 },
    total: 4118,
    versions: ["5.1.0", "5.0.3", "4.9.8"],
    wanted: "5.1.0",
  },
  {
    model: "gw8",
    prefix: "GW8-00",
    from: 3000,
    states: { run: 0, idle: 0, warn: 9, bad: 0 },
    total: 312,
    versions: ["1.9.2", "1.9.0"],
    wanted: "1.9.3",
  },
  {
    model: "vt12",
    prefix: "VT12-0",
    from: 700_000,
    states: { run: 0, idle: 278, warn: 65, bad: 3 },
    total: 2795,
    versions: ["0.18.2", "0.18.1", "0.17.4"],
    wanted: "0.18.2",
  },
] as const;

export const ids = {
  releases: {
    hx220: id("rel", random),
    hx410: id("rel", random),
    gw8: id("rel", random),
    vt12: id("rel", random),
    vt12next: id("rel", random),
    vt12old: id("rel", random),
  },
  rollouts: { hx220: id("rol", random), vt12: id("rol", random), hx410: id("rol", random), gw8: id("rol", random), old: id("rol", random) },
};

function makeDevices(): DeviceLine[] {
  const made: DeviceLine[] = [];
  for (const one of models) {
    const kinds: Kind[] = [
      ...Array<Kind>(one.states.run).fill("run"),
      ...Array<Kind>(one.states.bad).fill("bad"),
      ...Array<Kind>(one.states.warn).fill("warn"),
      ...Array<Kind>(one.states.idle).fill("idle"),
    ];
    for (let i = 0; i < one.total; i++) {
      const kind = kinds[(i * 7919) % one.total] ?? "ok";
      const newest = kind === "ok" && random() < 0.3;
      const version = newest ? one.versions[0] : pick(one.versions.slice(1, random() < 0.82 ? 2 : undefined));
      const offline = kind === "warn" ? 30 * D + random() * 60 * D : kind === "ok" && random() < 0.06 ? random() * 20 * D : undefined;
      made.push({
        id: id("dev", random),
        serial: `${one.prefix}${one.from + i}`,
        model: one.model,
        hardware_revision: pick(["B", "C", "C"]),
        state: kind === "bad" && random() < 0.1 ? "revoked" : "active",
        connectivity: offline ? "offline" : random() < 0.8 ? "online" : "polling",
        components: [{ component: "app", version, security_counter: 16, seq: 6 }],
        last_seen_at: ago(offline ?? random() * 55),
        enrolled_at: ago(40 * D + ((i * 2654435761) % (600 * D))),
        deployment: kind === "run" ? "downloading" : kind === "idle" ? "queued" : kind === "bad" ? "rolled_back" : "succeeded",
        certificate: "",
        kind,
        wanted: kind === "run" || kind === "idle" ? one.wanted : undefined,
      });
    }
  }
  return made;
}

export const devices = makeDevices();
export const byId = new Map(devices.map((device) => [device.id, device]));

const total = 1_483_152;
const hx220 = devices.filter((device) => device.model === "hx220");
const of = (kind: Kind) => hx220.filter((device) => device.kind === kind);

/** What the sample knows of a device beyond the list. */
export interface DeviceLine extends DeviceRow {
  kind: Kind;
  wanted?: string;
}

/** The deployments of the rollout that the pictures show: 4,820 devices, phase 3 of 5 open. */
function makeDeployments(): DeploymentRow[] {
  const plan: [DeploymentState, number, number, string?][] = [
    ["succeeded", 10, 0],
    ["succeeded", 229, 1],
    ["rolled_back", 2, 1, "trial_boot_unconfirmed"],
    ["downloading", 18, 2],
    ["installing", 12, 2],
    ["rebooting", 6, 2],
    ["confirming", 16, 2],
    ["rolled_back", 7, 2, "trial_boot_unconfirmed"],
    ["failed", 5, 2, "link_expired"],
    ["failed", 4, 2, "slot_too_small"],
    ["failed", 2, 2, "digest_mismatch"],
    ["rejected", 1, 2, "wrong_hardware"],
    ["succeeded", 879, 2],
    ["queued", 14, 2],
    ["queued", 1205, 3],
    ["queued", 2410, 4],
  ];
  const running = of("run");
  const rest = hx220.filter((device) => device.kind !== "run");
  const rows: DeploymentRow[] = [];
  let next = 0;
  let busy = 0;
  for (const [state, many, phase, code] of plan) {
    for (let i = 0; i < many; i++) {
      const active = ["downloading", "installing", "rebooting", "confirming"].includes(state);
      const device = active ? (running[busy++] ?? running[0]) : rest[next++];
      if (!device) continue;
      rows.push({
        id: id("dep", random),
        rollout: ids.rollouts.hx220,
        device: device.id,
        serial: device.serial,
        phase,
        state,
        attempts: state === "queued" ? 0 : 1 + (random() < 0.1 ? 1 : 0),
        code,
        served_bytes:
          state === "queued"
            ? 0
            : state === "downloading"
              ? Math.floor(total * (0.1 + random() * 0.8))
              : code === "link_expired"
                ? 684_000
                : total,
        total_bytes: total,
        changed_at: ago(state === "succeeded" ? 30 + random() * 9000 : state === "queued" ? 6 * H : 2 + random() * 600),
      });
    }
  }
  const rank = (row: DeploymentRow) => (row.state === "queued" ? 1e6 : 0) - Date.parse(row.changed_at) / 1e9;
  return rows.sort((a, b) => rank(a) - rank(b));
}

export const deployments = makeDeployments();

type Spec = [state: LinkState, issued: number, life: number, part: number];
/** Links by hand where the pictures look, the rest in bulk: state, issued ago, life, share served. */
const shown: Spec[] = [
  ["active", 3408, 3600, 0.21],
  ["active", 3244, 3600, 0.81],
  ["issued", 3018, 3600, 0],
  ["issued", 83, 3600, 0.46],
  ["issued", 175, 3600, 0],
  ["active", 1086, 3600, 0.65],
  ["active", 937, 3600, 0.82],
  ["active", 937, 3600, 0.8],
  ["active", 839, 3600, 0.5],
  ["active", 839, 3600, 0.09],
  ["issued", 218, 3600, 0],
  ["issued", 218, 3600, 0],
];

function makeLinks(): LinkRow[] {
  const queue = [...of("run"), ...of("bad"), ...of("idle"), ...of("ok")];
  const specs: Spec[] = [
    ...shown,
    ...Array.from({ length: 27 }, (): Spec => ["active", 300 + Math.floor(random() * 2400), 3600, 0.05 + random() * 0.9]),
  ];
  return specs.map(([state, issued, life, part], i) => {
    const device = queue[i];
    return {
      id: id("lnk", random),
      device: device?.id ?? "",
      serial: device?.serial ?? "",
      deployment: id("dep", random),
      state,
      issued_at: ago(issued),
      expires_at: ahead(life - issued),
      issue: part > 0.6 ? 2 : 1,
      served_bytes: Math.round(total * part),
      total_bytes: total,
    };
  });
}

export const links = makeLinks();

/** What became of links: most were used up within minutes, some were not used in time. */
export const endedLinks: LinkEvent[] = Array.from({ length: 420 }, (_, i): LinkEvent => {
  const device = hx220[(i * 13) % hx220.length];
  const at = 24 + i * 31;
  const sweep = i % 97 === 5;
  const fate = sweep ? "expired" : i % 61 === 7 ? "reissued" : i === 40 ? "revoked" : "consumed";
  const lived = 8 + 900 * random() ** 4 + (i % 29 === 0 ? 2400 * random() : 0);
  return {
    fate,
    at: ago(at),
    count: sweep ? 2 : 1,
    rollout: ids.rollouts.hx220,
    ...(!sweep && { device: device?.id, serial: device?.serial, total_bytes: total }),
    ...(fate === "consumed" && { issued_at: ago(at + lived), expires_at: ago(at + lived - 3600) }),
  };
});

/** Bytes by minute, in waves as the rate limit lets devices in. */
export const served: ServedMinute[] = Array.from({ length: 59 }, (_, i) => ({
  at: `${ago((59 - i) * 60).slice(0, 16)}:00Z`,
  bytes: Math.round(total * (22 + 14 * Math.sin(i / 7) + 8 * random())),
}));
export const someHex = (bytes: number) => hex(bytes, random);
export { models };
