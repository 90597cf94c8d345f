import type { HostEvent } from "@/generated/HostEvent";
import type { RolloutRow } from "@/generated/RolloutRow";
import { said } from "@/screens/kinds";
import { i18next } from "@/words";
import type { HostStatus, InboxRow, Needs } from "./needs";
import type { Name, Platform, Request, Response } from "./platform";

const fresh = 4000;
/** So many running rollouts are asked for their gates. */
const most = 10;

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

  /** Rollouts whose next phase opens only when a person says so, once that may be. */
  const gates = async (running: RolloutRow[]): Promise<InboxRow[]> => {
    const found = await Promise.all(
      running.map(async (row): Promise<InboxRow[]> => {
        const { gate } = await keep(`gate ${row.id}`, () => call("rollout.progress", { rollout: row.id }));
        const met = gate && gate.confirmed * 100 >= gate.judged * gate.success && gate.judged > 0;
        const due = gate?.not_before && Date.parse(gate.not_before) <= Date.now() + seen.offset * 1000;
        if (gate?.gate !== "wait_for_me" || !met || !due) return [];
        return [
          {
            id: `gate ${row.id}`,
            kind: "gate",
            title: i18next.t("inbox.gate", { name: said(row.target), phase: gate.phase + 1 }),
            detail: i18next.t("inbox.gatewhy", { n: gate.confirmed, total: gate.judged }),
            at: gate.not_before ?? row.created_at,
            state: "warn",
            rollout: row.id,
            phase: gate.phase,
          },
        ];
      }),
    );
    return found.flat();
  };

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

    async "view.inbox"() {
      const [requests, glance, alarms] = await Promise.all([
        call("request.list", {}),
        keep("overview", () => call("fleet.overview", {})),
        call("fleet.alarms", {}),
      ]);
      const waiting = await call("device.enrolments", {}).catch(() => ({ rows: [] }));
      const rows: InboxRow[] = requests.rows
        .filter((row) => row.state === "open")
        .map((row) => ({
          id: row.id,
          kind: "signature",
          title: [i18next.t(`request.${row.purpose}`), row.reason].filter(Boolean).join(": "),
          detail: i18next.t("inbox.signatures", { n: row.signatures, total: row.threshold, who: row.author }),
          at: row.made_at,
          state: "warn",
          request: row.id,
        }));
      for (const row of glance.rollouts)
        if (row.state === "paused")
          rows.push({
            id: row.id,
            kind: "paused",
            title: i18next.t("inbox.paused", { name: said(row.target) }),
            detail: i18next.t("inbox.pausedwhy"),
            at: row.created_at,
            state: "warn",
            rollout: row.id,
          });
      rows.push(...(await gates(glance.rollouts.filter((row) => row.state === "running").slice(0, most))));
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
  };
  return <N extends Name>(name: N, request: Request<N>): Promise<Response<N>> =>
    (name in all ? (all[name as keyof Needs] as (request: unknown) => Promise<unknown>)(request) : call(name, request)) as Promise<
      Response<N>
    >;
}
