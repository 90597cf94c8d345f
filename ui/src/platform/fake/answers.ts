import type { Ceremony } from "@/generated/Ceremony";
import type { Counts } from "@/generated/Counts";
import type { DeploymentRow } from "@/generated/DeploymentRow";
import type { DeploymentState } from "@/generated/DeploymentState";
import type { FoundingStatus } from "@/generated/FoundingStatus";
import type { JobRow } from "@/generated/JobRow";
import type { Page } from "@/generated/Page";
import type { PageRequest } from "@/generated/PageRequest";
import type { ProgressPoint } from "@/generated/ProgressPoint";
import type { RolloutDetail } from "@/generated/RolloutDetail";
import type { RolloutRow } from "@/generated/RolloutRow";
import type { VaultStatus } from "@/generated/VaultStatus";
import type { Why } from "@/generated/Why";
import type { WorkspaceKind } from "@/generated/WorkspaceKind";
import type { WorkspaceRow } from "@/generated/WorkspaceRow";
import type { HostStatus, Kind } from "../needs";
import { CallError, type Name, type Request, type Response } from "../platform";
import { benchAnswers } from "./bench";
import { ago, ahead, byId, type DeviceLine, deployments, devices, endedLinks, ids, links, models, served, someHex } from "./fleet";
import { keys, releaseDetail, releases, request, statement, trusted, words } from "./papers";

export type Answers = { [N in Name]?: (request: Request<N>) => Response<N> };

const H = 3600;
const D = 24 * H;

const vault = (holder: string, unlocked: boolean): VaultStatus => ({
  holder,
  unlocked,
  generation: 214,
  backup_proven_at: ago(94 * D),
  backup_tested_at: ago(94 * D),
  backup_lacks: [],
  slots: [
    { id: "7c1e90b2d44f40bd", kind: "passphrase", label: "passphrase", detail: "0.8 s, 256 MiB", created_at: ago(530 * D), counts: true },
    { id: "19a0c3e77b5d2f64", kind: "shares", label: "safe deposit", detail: "3 of 5 shares", created_at: ago(170 * D), counts: true },
  ],
  keys,
});

const running: JobRow = {
  id: "job_01KB1",
  command: "rollout.start",
  workspace: "northworks",
  state: "running",
  what: "Sign tickets of hx220 2.4.1",
  done: 3120,
  total: 4820,
  started_at: ago(41),
};
const jobs: JobRow[] = [
  running,
  {
    id: "job_01KB2",
    command: "release.seal",
    workspace: "northworks",
    state: "running",
    what: "Upload sealed vt12 0.18.3",
    done: 81,
    total: 100,
    started_at: ago(12),
  },
  {
    id: "job_01KB3",
    command: "vault.backup",
    workspace: "northworks",
    state: "succeeded",
    what: "Back up the vault",
    done: 1,
    total: 1,
    started_at: ago(4000),
    ended_at: ago(3998),
  },
];

export const workspaceRow = (kind: WorkspaceKind): WorkspaceRow => ({
  name: kind === "training" ? "training-alice" : "northworks",
  kind,
  current: true,
  folder: "/home/lena/.local/share/fleetseal/northworks",
  fleet: "flt_01KB",
  holder: "Lena Brandt",
  vault: true,
});

const founding: FoundingStatus = {
  fleet: "flt_01KB",
  signed_by: ["Ines Okafor", "Tomas Lindqvist"],
  threshold: 2,
  complete: true,
  no_separation_of_duties: false,
  digest: "d3079b514ea8601fc27d950e38b4f16a2ce98347105dbb76a09f24c86e13d542",
};

const ceremony: Ceremony = {
  id: 7,
  command: "request.sign",
  title: "Sign targets 43: vt12 with hardware B or C may install 0.18.3.",
  lines: [
    { label: "artifact", value: "vt12/app/0.18.3.bin, 412,160 bytes" },
    { label: "sha256", value: "9c41e07d5a1fb2386ef0247ad91c83b5f7520e6c4bd8a3190f6d2e57c8b1744a" },
    { label: "security_counter", value: "9" },
    { label: "expires", value: ahead(90 * D).slice(0, 10) },
    { label: "reason", value: request.reason },
    { label: "signatures", value: "1 of 2" },
  ],
  digest: request.digest,
  words,
  workspace: "northworks",
  training: false,
  asked_at: ago(8),
};

const tally = (phase?: number): Counts => {
  const counts: Counts = {};
  for (const row of deployments) if (phase === undefined || row.phase === phase) counts[row.state] = (counts[row.state] ?? 0) + 1;
  return counts;
};

const rollouts: RolloutRow[] = [
  {
    id: ids.rollouts.hx220,
    release: ids.releases.hx220,
    target: "hx220/app/2.4.1.bin",
    component: "app",
    state: "running",
    counts: tally(),
    created_at: ago(6.5 * H),
  },
  {
    id: ids.rollouts.vt12,
    release: ids.releases.vt12,
    target: "vt12/app/0.18.2.bin",
    component: "app",
    state: "paused",
    counts: { succeeded: 47, failed: 3, queued: 350 },
    created_at: ago(26 * H),
  },
  {
    id: ids.rollouts.hx410,
    release: ids.releases.hx410,
    target: "hx410/os/5.1.0.raucb",
    component: "os",
    state: "running",
    counts: { succeeded: 402, downloading: 34, failed: 5, queued: 799 },
    created_at: ago(9 * H),
  },
  {
    id: ids.rollouts.gw8,
    release: ids.releases.gw8,
    target: "gw8/os/1.9.3.swu",
    component: "os",
    state: "planned",
    counts: { queued: 312 },
    created_at: ago(2 * H),
  },
  {
    id: ids.rollouts.old,
    release: ids.releases.vt12old,
    target: "vt12/app/0.18.1.bin",
    component: "app",
    state: "finished",
    counts: { succeeded: 2590, failed: 6, skipped: 12 },
    created_at: ago(21 * D),
  },
];

/** The deployments of a rollout: by hand where the pictures look, else as many as its counts say. */
function deploymentsOf(id: string): DeploymentRow[] {
  if (id === ids.rollouts.hx220) return deployments;
  const row = rollouts.find((one) => one.id === id);
  const states = Object.entries(row?.counts ?? {}).flatMap(([state, n]) => Array<DeploymentState>(n ?? 0).fill(state as DeploymentState));
  const fleet = devices.filter((device) => row?.target.startsWith(`${device.model}/`));
  return states.flatMap((state, i) => {
    const device = fleet[i];
    if (!device) return [];
    const failed = state === "failed";
    return [
      {
        id: `dep_${id}_${i}`,
        rollout: id,
        device: device.id,
        serial: device.serial,
        phase: state === "queued" ? 1 : 0,
        state,
        attempts: state === "queued" ? 0 : 1,
        code: failed ? "trial_boot_unconfirmed" : undefined,
        served_bytes: state === "queued" ? 0 : 412_976,
        total_bytes: 412_976,
        changed_at: ago(1600 + i * 60),
      },
    ];
  });
}

/** What ended in each minute, from what had ended by then. */
const perMinute = (sums: ProgressPoint[]): ProgressPoint[] =>
  sums.map(({ at, succeeded, failed }, i) => ({
    at,
    succeeded: succeeded - (sums[i - 1]?.succeeded ?? 0),
    failed: failed - (sums[i - 1]?.failed ?? 0),
  }));

/** A short series for the rollouts that the pictures only pass. */
const small = (id: string) => {
  const counts = rollouts.find((row) => row.id === id)?.counts ?? {};
  const done = counts.succeeded ?? 0;
  const failed = counts.failed ?? 0;
  if (done === 0) return [];
  return Array.from({ length: 40 }, (_, i) => ({
    at: ago((39 - i) * 300 + 1600),
    succeeded: Math.round((done * i) / 39),
    failed: Math.round(failed * Math.max(0, (i - 12) / 27)),
  }));
};

const phase = (n: number, success: number, soak: number, gate: "continue" | "wait_for_me" = "continue") => ({
  devices: n,
  success,
  soak,
  gate,
});

function rollout(id: string): RolloutDetail {
  const row = rollouts.find((one) => one.id === id);
  if (!row) throw new CallError("not_found", "There is no such rollout.");
  if (id === ids.rollouts.hx220)
    return {
      row,
      artifact: "art_01",
      policy: {
        phases: [
          phase(10, 90, H),
          phase(231, 95, 2 * H),
          phase(964, 95, 6 * H),
          phase(1205, 95, 6 * H),
          phase(2410, 95, 6 * H, "wait_for_me"),
        ],
        failure: { share: 3, minimum_sample: 50 },
        device_timeout: 4 * H,
        retries: 1,
        rate: { offers: 200, per: 60 },
        link_life: H,
      },
      phases: [
        { counts: tally(0), not_before: ago(6.5 * H), opened_at: ago(6.5 * H) },
        { counts: tally(1), not_before: ago(5.5 * H), opened_at: ago(5.4 * H) },
        { counts: tally(2), not_before: ago(2.9 * H), opened_at: ago(2.833 * H) },
        { counts: tally(3), not_before: ahead(3.16 * H) },
        { counts: tally(4), not_before: ahead(9.2 * H) },
      ],
      server_time: ago(0),
    };
  const devicesIn = Object.values(row.counts).reduce<number>((sum, n) => sum + (n ?? 0), 0);
  const paused = row.state === "paused";
  const first = Math.round(devicesIn / 8);
  const counts: Counts[] = [{ ...row.counts, queued: 0 }, { queued: row.counts.queued ?? 0 }];
  return {
    row,
    artifact: "art_02",
    policy: {
      phases: [phase(first, 95, 2 * H), phase(devicesIn - first, 95, 6 * H)],
      failure: { share: 5, minimum_sample: 50 },
      device_timeout: 4 * H,
      retries: 1,
      link_life: H,
    },
    phases: counts.map((one, i) => ({
      counts: one,
      not_before: i ? ahead(4 * H) : ago(26 * H),
      opened_at: i || row.state === "planned" ? undefined : ago(26 * H),
    })),
    pause_cause: paused ? { rule: "failures", phase: 0, failed: 3, ended: 50, threshold: { share: 5, minimum_sample: 50 } } : undefined,
    server_time: ago(0),
  };
}

/** A page of a list: the cursor is the place where it goes on. */
function page<Row>(rows: Row[], { after, limit = 100 }: PageRequest = {}): Page<Row> {
  const from = Number(after ?? 0);
  return { rows: rows.slice(from, from + limit), next: from + limit < rows.length ? String(from + limit) : undefined };
}

const standings: Record<Kind, Why> = {
  run: { standing: "working", reasons: [{ code: "at_work", deployment: "downloading", rollout: ids.rollouts.hx220, detail: "" }] },
  idle: {
    standing: "waiting",
    reasons: [{ code: "phase_not_open", deployment: "queued", rollout: ids.rollouts.hx220, detail: "", until: ahead(3.16 * H) }],
  },
  warn: { standing: "blocked", reasons: [{ code: "offline", deployment: "offered", rollout: ids.rollouts.hx220, detail: "" }] },
  bad: { standing: "blocked", reasons: [{ code: "failed", deployment: "rolled_back", detail: "trial_boot_unconfirmed" }] },
  ok: { standing: "settled", reasons: [{ code: "no_rollout", detail: "" }] },
};

/** What the simulated host answers. */
export function answers(scene: string, status: HostStatus): Answers {
  const empty = scene === "empty";
  const listed = empty ? [] : devices;
  const paused = new Set<string>();
  const open = empty ? [] : links.filter((link) => link.state === "active" || link.state === "issued");
  const active = open.filter((link) => link.state === "active").length;
  const preview = (summary: string, effects: [number, string][]) => ({
    summary,
    effects: effects.map(([count, effect]) => ({ count, effect })),
    token: "t",
  });

  return {
    "host.show": () => ({ version: "0.1.0", home: "/home/lena/.local/share/fleetseal", current: status.workspace, problems: [] }),
    "view.status": () => status,
    ...benchAnswers(scene),
    "workspace.list": () => ({ rows: status.workspace ? [status.workspace, { ...workspaceRow("training"), current: false }] : [] }),
    "workspace.create": ({ kind }) => {
      const row = { ...workspaceRow(kind), vault: false };
      if (kind === "training") status.workspace = row;
      status.vault = "locked";
      return row;
    },
    "workspace.switch": () => workspaceRow("training"),
    "backend.found": () => founding,
    "fleet.join": () => founding,
    "vault.card": () => ({
      holder: status.person,
      root: "",
      targets: "",
      ticket: "",
      seal: "",
      grant: "",
      audit: "",
      kem: "",
      identity: "",
    }),
    "ceremony.list": () => ({ rows: scene === "manager" ? [ceremony] : [] }),
    "ceremony.give": () => ({}),
    "ceremony.refuse": () => ({}),
    "fleet.show": () => ({
      fleet: "flt_01KB",
      server_time: ago(0),
      roles: status.roles,
      devices: { active: listed.length, revoked: 2, retired: 14, replaced: 3, cloned: 0, online: Math.round(listed.length * 0.78) },
      links: {
        issued: empty ? 0 : 1198,
        reissued: 2,
        open: empty ? 0 : open.length,
        active: empty ? 0 : active,
        consumed: 1150,
        expired: 2,
        revoked: 1,
      },
      open_rollouts: empty ? 0 : 4,
      open_alarms: 0,
      root_version: 3,
      targets_version: 42,
      no_separation_of_duties: false,
      targets_expire_at: ahead(89 * D),
      root_expires_at: ahead(196 * D),
    }),
    "fleet.overview": () => ({
      server_time: ago(2),
      devices: {
        active: listed.length,
        revoked: 2,
        retired: 14,
        replaced: 3,
        cloned: empty ? 0 : 1,
        online: Math.round(listed.length * 0.78),
      },
      models: empty ? [] : models.map((one) => ({ model: one.model, state: "active" as const, count: one.total })),
      versions: empty
        ? []
        : [
            { component: "app", version: "2.4.1", count: 5214 },
            { component: "app", version: "2.4.0", count: 3077 },
            { component: "app", version: "2.2.9", count: 96 },
            { component: "os", version: "5.1.0", count: 402 },
            { component: "os", version: "5.0.2", count: 838 },
          ],
      rollouts: empty ? [] : rollouts.filter((row) => row.state === "running" || row.state === "paused"),
      failures: empty
        ? []
        : [
            { code: "trial_boot_unconfirmed", count: 13 },
            { code: "link_expired", count: 5 },
            { code: "slot_too_small", count: 4 },
            { code: "digest_mismatch", count: 3 },
            { code: "wrong_hardware", count: 2 },
          ],
      links: {
        issued: empty ? 0 : 1198,
        reissued: 2,
        open: open.length,
        active,
        consumed: empty ? 0 : 1150,
        expired: empty ? 0 : 2,
        revoked: empty ? 0 : 1,
      },
      links_expiring: open.length,
      links_ending: open.filter((link) => link.expires_at < ahead(600)).length,
      served: empty ? [] : served,
      certificates_expiring: empty ? [] : [{ person: "Mei Tanaka", not_after: ahead(12 * D) }],
      open_alarms: 0,
    }),
    "fleet.expiries": () => ({
      rows: [
        { what: "the revocation list", expires_at: ahead(5 * D), urgency: "urgent", remedy: "draft a change that renews it" },
        { what: "the certificate of Mei Tanaka", expires_at: ahead(12 * D), urgency: "soon", remedy: "renew the certificate" },
        { what: "the targets metadata", expires_at: ahead(89 * D), urgency: "later", remedy: "sign a release, or ask to renew it" },
        { what: "the root metadata", expires_at: ahead(196 * D), urgency: "later", remedy: "rotate the root" },
      ],
    }),
    "model.list": () => ({
      rows: empty
        ? []
        : models.map((one) => ({ model: one.model, hardware_revisions: ["B", "C"], slots: [{ component: "app", bytes: 1_572_864 }] })),
    }),
    "device.list": ({ filter, page: asked }) => {
      const start = filter.serial_prefix ?? "";
      const found = listed.filter(
        (device) =>
          (!filter.model || device.model === filter.model) &&
          (!filter.state || device.state === filter.state) &&
          (!filter.engaged || !!device.wanted) &&
          (!filter.version || device.components.some((one) => one.version === filter.version)) &&
          device.serial.startsWith(start),
      );
      const key = (device: DeviceLine) =>
        filter.sort === "enrolled" ? (device.enrolled_at ?? "") : filter.sort === "model" ? device.model : device.serial;
      const way = filter.descending ? -1 : 1;
      return page(
        found.toSorted((a, b) => (key(a) < key(b) ? -way : key(a) > key(b) ? way : 0)),
        asked,
      );
    },
    "device.show": ({ device }) => {
      const row = byId.get(device);
      if (!row) throw new CallError("not_found", "There is no such device.");
      return {
        row,
        station: "st-02",
        spki: someHex(32),
        enrolled_at: ago(250 * D),
        deployments: row.wanted ? [[ids.rollouts.hx220, "dep_01KB"]] : [],
        opened: [],
      };
    },
    "device.timeline": ({ device }) => ({ rows: timeline(byId.get(device)) }),
    "device.why": ({ device }) => standings[byId.get(device)?.kind ?? "ok"],
    "device.revoke_preview": ({ device }) =>
      preview(`${byId.get(device)?.serial} is refused from its next request on. It cannot be taken back.`, [
        [1, "certificate on the revocation list"],
        [1, "open link revoked"],
        [1, "deployment canceled"],
      ]),
    "device.revoke": () => ({ exposed: [] }),
    "device.retire_preview": ({ device }) =>
      preview(`retire ${byId.get(device)?.serial}: it is out of service`, [[1, "certificate is revoked"]]),
    "device.retire": () => ({ exposed: [] }),
    "device.replace_preview": ({ device }) =>
      preview(`let a unit with new keys take the place of ${byId.get(device)?.serial}`, [
        [1, "one-time token is made, for a unit with this serial number and new keys"],
        [1, "record is refused for good, as soon as that unit joins"],
      ]),
    "device.replace": () => ({ token: "fse1.sample" }),
    "release.list": () => ({ rows: empty ? [] : releases }),
    "release.show": ({ release }) => releaseDetail(release),
    "release.review": ({ release }) => releaseDetail(release),
    "release.propose": () => releaseDetail(ids.releases.vt12next),
    "request.list": () => ({ rows: empty ? [] : [request] }),
    "request.show": () => statement(status.person),
    "request.sign": () => ({ ...request, signatures: 2 }),
    "request.export": () => statement(status.person),
    "request.add_signature": () => ({ ...request, signatures: 2 }),
    "release.publish_preview": () =>
      preview("vt12 0.18.3 becomes visible to 2,795 devices. It installs on none until a rollout starts.", [
        [2795, "devices see new metadata"],
        [0, "devices install it now"],
        [43, "targets version"],
        [312, "snapshot version"],
      ]),
    "release.publish": ({ request }) => releaseDetail(request.release),
    "release.withdraw_preview": () =>
      preview("The release leaves the metadata. Devices that run it keep it.", [
        [47, "devices run it"],
        [1, "open rollout stops offering it"],
      ]),
    "release.withdraw": ({ request }) => releaseDetail(request.release),
    "rollout.list": () => ({ rows: empty ? [] : rollouts.map((row) => (paused.has(row.id) ? { ...row, state: "paused" } : row)) }),
    "rollout.show": ({ rollout: id }) => {
      const found = rollout(id);
      return paused.has(id) ? { ...found, row: { ...found.row, state: "paused" } } : found;
    },
    "rollout.deployments": ({ rollout: id, state, page }) => {
      const rows = deploymentsOf(id).filter((row) => !state || row.state === state);
      const from = Number(page.after ?? 0);
      const limit = page.limit ?? 100;
      return { rows: rows.slice(from, from + limit), next: from + limit < rows.length ? String(from + limit) : undefined };
    },
    "rollout.progress": ({ rollout: id }) => ({
      progress: {
        points: perMinute(
          id !== ids.rollouts.hx220
            ? small(id)
            : Array.from({ length: 79 }, (_, i) => {
                const hours = (i / 78) * 6.5;
                const grow = (from: number, n: number, k: number) => (hours < from ? 0 : n * (1 - Math.exp(-((hours - from) ** 2) * k)));
                return {
                  at: ago((6.5 - hours) * H),
                  succeeded: Math.round(grow(0, 10, 3) + grow(1.1, 229, 0.9) + grow(3.67, 1010, 0.25)),
                  failed: Math.round(grow(1.8, 2, 4) + grow(3.9, 19, 0.5)),
                };
              }),
        ),
        failures:
          id === ids.rollouts.hx220
            ? [
                { code: "trial_boot_unconfirmed", count: 9 },
                { code: "link_expired", count: 5 },
                { code: "slot_too_small", count: 4 },
                { code: "digest_mismatch", count: 2 },
                { code: "wrong_hardware", count: 1 },
              ]
            : [{ code: "trial_boot_unconfirmed", count: 3 }],
      },
    }),
    "rollout.pause": ({ rollout: id }) => {
      paused.add(id);
      const found = rollout(id);
      return { ...found, row: { ...found.row, state: "paused" } };
    },
    "rollout.resume": ({ rollout: id }) => {
      paused.delete(id);
      return rollout(id);
    },
    "rollout.open_after": ({ rollout: id }) => rollout(id),
    "rollout.abort_preview": () =>
      preview("Nothing more is offered. What already runs on a device stays there.", [
        [3629, "queued devices are canceled"],
        [18, "downloads stop; their links are revoked"],
        [34, "devices finish: they already hold the update"],
        [1118, "devices keep what they confirmed"],
      ]),
    "rollout.abort": ({ request }) => rollout(request.rollout),
    "rollout.preview": (plan) => {
      const eligible = 2514;
      let rest = eligible;
      const sizes = plan.phases.map(({ size }) => {
        const n = size === "rest" ? rest : "devices" in size ? size.devices : Math.round((eligible * size.percent) / 100);
        const part = Math.min(rest, Math.max(1, n));
        rest -= part;
        return part;
      });
      let at = 0;
      const starts = plan.phases.map((one) => {
        const start = ahead(at);
        at += one.soak;
        return start;
      });
      return {
        target: "vt12/app/0.18.2.bin",
        component: "app",
        version: "0.18.2",
        policy: {
          phases: plan.phases.map((one, i) => phase(sizes[i] ?? 1, one.success, one.soak, one.gate)),
          failure: plan.failure,
          device_timeout: plan.device_timeout,
          retries: plan.retries,
          link_life: plan.link_life,
        },
        not_before: starts,
        devices: eligible - rest,
        excluded: [
          { reason: "up_to_date", count: 47, examples: devices.slice(-3).map((one) => one.id) },
          { reason: "in_other_rollout", count: 168, examples: [] },
          { reason: "incompatible", count: 61, examples: [] },
          { reason: "not_proven", count: 5, examples: [] },
        ],
        traffic_bytes: eligible * 412_160,
        token: "plan",
      };
    },
    "rollout.start": () => rollout(ids.rollouts.hx220),
    "link.events": ({ fate, page: asked }) => page(empty ? [] : endedLinks.filter((one) => !fate || one.fate === fate), asked),
    "link.list": ({ state, device, expires_before, descending, page: asked }) =>
      page(
        open
          .filter(
            (link) =>
              (!state || link.state === state) &&
              (!device || link.device === device) &&
              (!expires_before || link.expires_at < expires_before),
          )
          .sort((a, b) => (a.expires_at < b.expires_at === !descending ? -1 : 1)),
        asked,
      ),
    "link.revoke": () => ({}),
    "link.reissue": () => ({}),
    "view.inbox": () => ({
      rows: empty
        ? []
        : [
            {
              id: "1",
              kind: "paused",
              title: "vt12 0.18.2 paused itself",
              detail: "6.0 % failed of 50, limit 5 %",
              at: ago(27 * 60),
              state: "warn",
              rollout: ids.rollouts.vt12,
            },
            {
              id: "2",
              kind: "signature",
              title: "vt12 0.18.3 waits for 1 more signature",
              detail: "1 of 2, asked 34 m ago, request ends in 22 h 48 m",
              at: ago(34 * 60),
              state: "warn",
              release: ids.releases.vt12next,
            },
            {
              id: "3",
              kind: "tickets",
              title: "38 devices joined, tickets wait for your vault",
              detail: "they enter the last open phase of hx220 2.4.1",
              at: ago(3.2 * H),
              state: "warn",
              rollout: ids.rollouts.hx220,
            },
          ],
    }),
    "fleet.alarms": () => ({ rows: [] }),
    "fleet.people": () => ({
      rows: [
        { spki: someHex(32), name: "Ines Okafor", roles: ["release_manager", "admin"] },
        { spki: someHex(32), name: "Lena Brandt", roles: ["operator", "admin"] },
        { spki: someHex(32), name: "Mei Tanaka", roles: ["release_manager"] },
        { spki: someHex(32), name: "Tomas Lindqvist", roles: ["release_manager"] },
        { spki: someHex(32), name: "st-02", roles: ["station"] },
      ],
    }),
    "fleet.keys": () => trusted,
    "fleet.draft_change_preview": () =>
      preview("ask the key holders to sign the next root: until then nothing changes", [
        [1, "keys may sign the root from then on"],
        [1, "keys may sign releases from then on"],
      ]),
    "fleet.draft_change": () => ({ requests: [request], root_follows: false }),
    "fleet.remove_person_preview": () =>
      preview("end the membership of Mei Tanaka: they are refused from their next request on", [
        [3, "keys are proposed to be taken off the list"],
        [2, "keys of root and targets are proposed to be taken away"],
      ]),
    "audit.list": () => ({ rows: audit }),
    "vault.show": () => {
      if (status.vault === "none") throw new CallError("not_found", "There is no vault in this workspace.");
      return vault(status.person, status.vault === "unlocked");
    },
    "vault.lock": () => {
      status.vault = "locked";
      status.vault_locks_at = undefined;
      return vault(status.person, false);
    },
    "vault.unlock": ({ passphrase }) => {
      if (passphrase.length < 4) throw new CallError("wrong_passphrase", "This does not open the vault.");
      status.vault = "unlocked";
      return vault(status.person, true);
    },
    "vault.create": ({ holder }) => {
      status.vault = "unlocked";
      return vault(holder, true);
    },
    "vault.backup": () => vault(status.person, true),
    "vault.test_restore": () => vault(status.person, true),
    "job.list": () => ({ rows: empty ? [] : jobs }),
    "job.cancel": () => ({ ...running, state: "canceled" }),
  };
}

function timeline(device: DeviceLine | undefined) {
  const at = (seconds: number, kind: string, detail: string, deployment?: string) => ({ at: ago(seconds), kind, detail, deployment });
  const old = [
    at(14 * D, "gateway_changed", "hall-1 to hall-3, same certificate"),
    at(48 * D, "certificate_renewed", "same key, next renewal 2027-09-01"),
    at(90 * D, "succeeded", "2.4.0, trial boot 51 s, security counter 16", "dep_0"),
    at(90 * D + 60, "installing", "2.4.0, 46 s, slot 1 to slot 0", "dep_0"),
    at(166 * D, "rolled_back", "2.3.9, trial boot not confirmed in 10 m, kept 2.3.6", "dep_1"),
    at(209 * D, "succeeded", "2.3.6, trial boot 48 s, security counter 15", "dep_2"),
    at(251 * D, "enrolled", "station st-02, lot L-2603-04, work order WO-21190"),
  ];
  if (device?.kind !== "run") return [at(40, "checked_in", "reported 2.4.0, security counter 16"), ...old];
  return [
    at(2, "downloading", "0.96 of 1.48 MB, 47 kB/s, 11 s left", "dep_3"),
    at(10, "download_resumed", "at 0.61 MB, range request, from 10.20.3.17", "dep_3"),
    at(1086, "link_issued", "second link, pushed, ends in 41 m 54 s", "dep_3"),
    at(1087, "link_expired", "0.61 of 1.48 MB served in 1 h", "dep_3"),
    at(3041, "connection_lost", "gateway hall-3 reported, 32 m 34 s until expiry", "dep_3"),
    at(4158, "downloading", "sealed payload, 1,483,152 bytes in 2 segments", "dep_3"),
    at(4687, "link_issued", "bound to this certificate", "dep_3"),
    at(4688, "offered", "ticket 7, rollout hx220 2.4.1, phase 3", "dep_3"),
    ...old,
  ];
}

const audit = [
  {
    number: 88_402,
    at: ago(180),
    actor: "planner",
    action: "phase.open",
    subject: ids.rollouts.hx220,
    reason: "95.1 % of phase 2 confirmed, 2 h passed",
  },
  {
    number: 88_401,
    at: ago(27 * 60),
    actor: "planner",
    action: "rollout.pause",
    subject: ids.rollouts.vt12,
    reason: "6.0 % failed of 50, limit 5 %",
  },
  { number: 88_400, at: ago(34 * 60), actor: "Ines Okafor", action: "release.sign", subject: ids.releases.vt12next, reason: "" },
  {
    number: 88_399,
    at: ago(41 * 60),
    actor: "Ines Okafor",
    action: "release.review",
    subject: ids.releases.vt12next,
    reason: "Trial boots on hardware B pass on three units",
  },
  { number: 88_398, at: ago(72 * 60), actor: "Ravi Menon", action: "release.propose", subject: ids.releases.vt12next, reason: "" },
  {
    number: 88_397,
    at: ago(2 * H),
    actor: "Lena Brandt",
    action: "link.revoke",
    subject: links.at(-1)?.id ?? "",
    reason: "unit goes to repair",
  },
  { number: 88_396, at: ago(6.5 * H), actor: "Lena Brandt", action: "rollout.start", subject: ids.rollouts.hx220, reason: "" },
  { number: 88_395, at: ago(7 * H), actor: "Lena Brandt", action: "rollout.preview", subject: ids.rollouts.hx220, reason: "" },
  { number: 88_394, at: ago(26 * H), actor: "Mei Tanaka", action: "release.publish", subject: ids.releases.vt12, reason: "" },
];
