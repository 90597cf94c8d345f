import type { DeploymentRow } from "@/generated/DeploymentRow";
import type { DeviceRow } from "@/generated/DeviceRow";
import type { HostEvent } from "@/generated/HostEvent";
import type { LinkRow } from "@/generated/LinkRow";
import type { Page } from "@/generated/Page";
import type { PageRequest } from "@/generated/PageRequest";
import type { DeviceLine, HostStatus, InboxRow, Kind, LinkLine, Needs } from "./needs";
import { CallError, type Name, type Platform, type Request, type Response } from "./platform";

/** How many rows of a list a view looks at. Beyond it, numbers say so by their total. */
const cap = 10_000;
const fresh = 4000;

type Call = Platform["call"];
type View<N extends keyof Needs> = (request: Needs[N]["request"]) => Promise<Needs[N]["response"]>;

/** A table's `call`, and the views over it. What is looked at is kept for a few seconds, so that views share it. */
export function views(call: Call, events: (listener: (batch: HostEvent[]) => void) => () => void): Call {
  const kept = new Map<string, { at: number; answer: Promise<unknown>; busy: boolean }>();
  const keep = <T>(key: string, make: () => Promise<T>): Promise<T> => {
    const before = kept.get(key);
    if (before && (before.busy || Date.now() - before.at < fresh)) return before.answer as Promise<T>;
    const answer = make();
    const row = { at: Date.now(), answer, busy: true };
    kept.set(key, row);
    answer.then(
      () => {
        row.busy = false;
      },
      () => kept.delete(key),
    );
    return answer;
  };
  /** What is still being asked is shared until it is there, then asked anew. */
  const forget = () => {
    for (const [key, row] of kept)
      if (row.busy) row.at = 0;
      else kept.delete(key);
  };
  const pages = async <Row>(ask: (page: PageRequest) => Promise<Page<Row>>): Promise<Row[]> => {
    const rows: Row[] = [];
    for (let after: string | undefined; rows.length < cap; ) {
      const page = await ask({ after, limit: 500 });
      rows.push(...page.rows);
      if (!page.next) break;
      after = page.next;
    }
    return rows;
  };

  const seen = {
    state: "connecting" as HostStatus["connection"],
    since: new Date().toISOString(),
    offset: 0,
    vault: "locked" as HostStatus["vault"],
    locks: undefined as string | undefined,
  };
  events((batch) => {
    for (const event of batch) {
      if (event.event === "connection") {
        seen.state = event.state === "online" ? "connected" : event.state === "offline" ? "offline" : "connecting";
        seen.since = event.since;
        seen.offset = event.server_offset;
      } else if (event.event === "vault") {
        seen.vault = event.state;
        seen.locks = event.locks_at;
      } else if (event.event === "changed" || event.event === "workspace") forget();
    }
  });

  const devices = () => keep("devices", () => pages<DeviceRow>((page) => call("device.list", { filter: {}, page })));
  const links = () => keep("links", () => pages<LinkRow>((page) => call("link.list", { page })));
  const rollouts = () => keep("rollouts", () => call("rollout.list", { limit: 500 }));
  const progress = (rollout: string) => keep(`progress ${rollout}`, () => call("rollout.progress", { rollout }));
  const deployments = (rollout: string) =>
    keep(`deployments ${rollout}`, () => pages<DeploymentRow>((page) => call("rollout.deployments", { rollout, page })));

  /** The open deployment of each device, and what it brings. */
  const wanted = () =>
    keep("wanted", async () => {
      const found = new Map<string, { row: DeploymentRow; version: string }>();
      for (const rollout of (await rollouts()).rows) {
        if (rollout.state !== "running" && rollout.state !== "paused") continue;
        const version =
          rollout.target
            .split("/")
            .at(-1)
            ?.replace(/\.[a-z]+$/, "") ?? "";
        for (const row of await deployments(rollout.id)) found.set(row.device, { row, version });
      }
      return found;
    });

  const lines = () =>
    keep("lines", async (): Promise<DeviceLine[]> => {
      const open = await wanted();
      return (await devices()).map((row) => {
        const found = open.get(row.id);
        return {
          ...row,
          kind: kindOf(row, found?.row),
          deployment: found?.row.state,
          wanted: found && isOpen(found.row) ? found.version : undefined,
        };
      });
    });

  const all: { [N in keyof Needs]: View<N> } = {
    async "view.status"() {
      const host = await call("host.show", {});
      const row = host.current;
      const now = new Date(Date.now() + seen.offset * 1000).toISOString();
      const summary = row?.fleet ? await keep("summary", () => call("fleet.show", {})).catch(() => undefined) : undefined;
      return {
        workspace: row,
        backend: row?.origin?.replace(/^https:\/\//, "") ?? row?.name ?? "",
        // What just answered is connected, even before it sends its first event.
        connection: seen.state === "connecting" && summary ? "connected" : seen.state,
        since: seen.since,
        server_time: summary?.server_time && seen.offset === 0 ? now : now,
        person: row?.holder ?? "",
        roles: summary?.roles ?? [],
        vault: row?.vault === false ? "none" : seen.vault,
        vault_locks_at: seen.locks,
      };
    },

    async "view.overview"() {
      const [summary, glance, rows, open] = await Promise.all([call("fleet.show", {}), call("fleet.overview", {}), lines(), links()]);
      const ends = (days: number) =>
        glance.certificates_expiring.filter((one) => Date.parse(one.not_after) - Date.parse(glance.server_time) < days * 86_400_000).length;
      const states: Record<Kind, number> = { ok: 0, run: 0, idle: 0, warn: 0, bad: 0 };
      const models = new Map<string, Record<Kind, number>>();
      const versions = new Map<string, Map<string, number>>();
      for (const row of rows) {
        if (row.state !== "active" && row.state !== "cloned") continue;
        states[row.kind]++;
        const model = models.get(row.model) ?? { ok: 0, run: 0, idle: 0, warn: 0, bad: 0 };
        model[row.kind]++;
        models.set(row.model, model);
        const version = row.components[0]?.version;
        if (!version) continue;
        const counts = versions.get(row.model) ?? new Map<string, number>();
        counts.set(version, (counts.get(version) ?? 0) + 1);
        versions.set(row.model, counts);
      }
      const now = Date.parse(summary.server_time);
      const left = (link: LinkRow) => (Date.parse(link.expires_at) - now) / 1000;
      const live = open.filter((link) => (link.state === "issued" || link.state === "active") && left(link) > 0);
      const failed = [...(await wanted()).values()].map((one) => one.row).filter((row) => failures.has(row.state));
      return {
        at: summary.server_time,
        states,
        offline_over_30_d: rows.filter((row) => now - Date.parse(row.last_seen_at ?? "") > 30 * 86_400_000).length,
        failed_last_hour: failed.filter((row) => now - Date.parse(row.changed_at) < 3_600_000).length,
        models: [...models].map(([model, counts]) => ({ model, states: counts })),
        versions: [...versions].map(([model, counts]) => ({
          model,
          rows: [...counts]
            .sort(([a], [b]) => b.localeCompare(a, "en", { numeric: true }))
            .map(([version, count]) => ({ version, count, below_minimum: false })),
        })),
        failures: glance.failures,
        links: {
          within_24_h: live.filter((link) => left(link) < 86_400).length,
          within_10_min: live.filter((link) => left(link) <= 600).length,
        },
        certificates: { within_30_d: ends(30), within_7_d: ends(7) },
        download_rate: [],
      };
    },

    async "view.devices"(request) {
      const text = request.text?.toLowerCase();
      const key = (row: DeviceLine) =>
        request.sort === "serial"
          ? row.serial
          : request.sort === "model"
            ? row.model
            : request.sort === "version"
              ? (row.components[0]?.version ?? "")
              : (row.last_seen_at ?? "");
      const rows = (await lines())
        .filter(
          (row) =>
            (!request.model || row.model === request.model) &&
            (!request.state || row.state === request.state) &&
            (!request.kind || row.kind === request.kind) &&
            (!request.version || row.components.some((one) => one.version === request.version)) &&
            (!text || row.serial.toLowerCase().startsWith(text) || row.id.toLowerCase() === text),
        )
        .sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }) * (request.descending ? -1 : 1));
      return { total: rows.length, revision: 0, rows: rows.slice(request.offset, request.offset + request.limit) };
    },

    async "view.why"({ device }) {
      const { standing, reasons } = await call("device.why", { device });
      const kind = verdicts[standing][1];
      return {
        verdict: verdicts[standing][0],
        rows: reasons.map((reason) => ({ code: reason.code, detail: reason.detail, kind, until: reason.until })),
      };
    },

    async "view.links"(request) {
      const rows = await links();
      const now = Date.now() + seen.offset * 1000;
      const left = (link: LinkRow) => (Date.parse(link.expires_at) - now) / 1000;
      const live = (link: LinkRow) => (link.state === "issued" || link.state === "active") && left(link) > 0;
      const soon = (link: LinkRow) => live(link) && left(link) <= 600;
      const text = request.text?.toLowerCase();
      const rank = (link: LinkRow) => (soon(link) ? 0 : link.state === "active" ? 1 : live(link) ? 2 : 3);
      const shown: LinkLine[] = rows
        .filter(
          (link) =>
            (!request.state || link.state === request.state) &&
            (!request.expiring || soon(link)) &&
            (!text || link.serial.toLowerCase().startsWith(text) || link.id.toLowerCase().includes(text)),
        )
        .sort((a, b) => rank(a) - rank(b) || a.expires_at.localeCompare(b.expires_at))
        .map((link) => ({ ...link }));
      const count = (wanted: (link: LinkRow) => boolean) => rows.filter(wanted).length;
      return {
        total: shown.length,
        revision: 0,
        rows: shown.slice(request.offset, request.offset + request.limit),
        counts: {
          all: rows.length,
          live: count(live),
          expiring: count(soon),
          partial: count((link) => live(link) && link.served_bytes > 0),
        },
      };
    },

    "view.series": async ({ rollout }) => (await progress(rollout)).progress,
    "view.failures": async ({ rollout }) => ({ rows: (await progress(rollout)).progress.failures }),

    async "view.calendar"() {
      const summary = await call("fleet.show", {});
      return {
        rows: [
          { what: "targets" as const, name: `targets ${summary.targets_version}`, expires_at: summary.targets_expire_at },
          { what: "root" as const, name: `root ${summary.root_version}`, expires_at: summary.root_expires_at },
        ].sort((a, b) => a.expires_at.localeCompare(b.expires_at)),
      };
    },

    async "view.inbox"() {
      const [requests, open, alarms] = await Promise.all([call("request.list", {}), rollouts(), call("fleet.alarms", {})]);
      const waiting = await call("device.enrolments", {}).catch(() => ({ rows: [] }));
      const rows: InboxRow[] = requests.rows
        .filter((row) => row.state === "open")
        .map((row) => ({
          id: row.id,
          kind: "signature",
          title: row.reason || `${row.role} ${row.version}`,
          detail: `${row.signatures} / ${row.threshold}, ${row.author}`,
          at: row.made_at,
          state: "warn",
          request: row.id,
        }));
      for (const row of open.rows)
        if (row.state === "paused")
          rows.push({ id: row.id, kind: "paused", title: row.target, detail: "", at: row.created_at, state: "warn", rollout: row.id });
      for (const row of alarms.rows)
        if (!row.acknowledged)
          rows.push({
            id: `alarm ${row.number}`,
            kind: "alarm",
            title: row.detail,
            detail: "",
            at: row.at,
            state: "bad",
            device: row.device,
          });
      // A request, or the proof that follows the certificate.
      const pending = waiting.rows.filter((row) => row.state === "pending" || (row.state === "issued" && row.proof)).length;
      if (pending > 0)
        rows.push({
          id: "enrolments",
          kind: "enrolments",
          title: String(pending),
          detail: "",
          at: new Date().toISOString(),
          state: "warn",
        });
      return { rows };
    },

    "view.checks": () => unknown("view.checks"),
    "view.chain": () => unknown("view.chain"),
  };
  return <N extends Name>(name: N, request: Request<N>): Promise<Response<N>> =>
    (name in all ? (all[name as keyof Needs] as (request: unknown) => Promise<unknown>)(request) : call(name, request)) as Promise<
      Response<N>
    >;
}

const unknown = (name: string): Promise<never> =>
  Promise.reject(new CallError("unknown_command", "This host does not report that yet.", name));
/** How a standing is said, and in which state it is drawn. */
const verdicts = {
  settled: ["up_to_date", "ok"],
  working: ["working", "run"],
  waiting: ["waiting", "idle"],
  blocked: ["blocked", "warn"],
} as const;
const failures = new Set(["failed", "timed_out", "rejected", "rolled_back"]);
const ended = new Set([...failures, "succeeded", "canceled", "skipped"]);
const isOpen = (row: DeploymentRow) => !ended.has(row.state);

function kindOf(device: DeviceRow, open?: DeploymentRow): Kind {
  if (device.state !== "active") return "bad";
  if (open && failures.has(open.state)) return "bad";
  if (open && isOpen(open)) return open.state === "queued" || open.state === "offered" ? "idle" : "run";
  return Date.now() - Date.parse(device.last_seen_at ?? "") > 30 * 86_400_000 ? "warn" : "ok";
}
