import { IconPlus } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { OPERATE } from "@/app/host";
import { useMe } from "@/app/me";
import type { RolloutRow } from "@/generated/RolloutRow";
import { Button } from "@/parts/Button";
import { useNow } from "@/parts/clock";
import { Empty, Listing } from "@/parts/Listing";
import { Head, Panel } from "@/parts/Panel";
import { State } from "@/parts/State";
import { StateBar } from "@/parts/StateBar";
import { Age } from "@/parts/Time";
import { count, duration, share } from "@/parts/units";
import { gate, gather, rolloutKind, said, sum } from "./kinds";

/** Every rollout: open ones first, then those that ended. */
export function Rollouts() {
  const { t } = useTranslation();
  const go = useNavigate();
  const me = useMe();
  const list = useAsk("rollout.list", {});
  const ended = (row: RolloutRow) => row.state === "finished" || row.state === "aborted";
  return (
    <>
      <Head
        title={t("place.rollouts")}
        meta={[t("rollouts.about")]}
        acts={
          <Button
            look="primary"
            size="lg"
            icon={<IconPlus className="i" />}
            denied={me.denied(OPERATE)}
            onClick={() => go({ to: "/rollouts/new" })}
          >
            {t("rollouts.new")}
          </Button>
        }
      />
      <div className="body scroll">
        <Listing
          answer={list}
          isEmpty={(page) => page.rows.length === 0}
          empty={
            <Panel>
              <Empty>{t("rollouts.none")}</Empty>
            </Panel>
          }
        >
          {(page) => (
            <>
              <Panel title={t("rollouts.open")} note={page.rows.filter((row) => !ended(row)).length}>
                <RolloutTable rows={page.rows.filter((row) => !ended(row))} full />
              </Panel>
              <Panel title={t("rollouts.ended")} note={page.rows.filter(ended).length}>
                <RolloutTable rows={page.rows.filter(ended)} full />
              </Panel>
            </>
          )}
        </Listing>
      </div>
    </>
  );
}

/** Rollouts as a table, each with the sentence that matters. */
export function RolloutTable({ rows, full }: { rows: RolloutRow[]; full?: boolean }) {
  const { t } = useTranslation();
  if (rows.length === 0) return <Empty>{t("rollouts.nonehere")}</Empty>;
  return (
    <table className="lg">
      <colgroup>
        <col style={{ width: 120 }} />
        <col style={{ width: full ? 220 : 150 }} />
        <col style={{ width: 70 }} />
        <col style={{ width: 72 }} />
        <col style={{ width: full ? 180 : 80 }} />
        <col />
        {full && <col style={{ width: 120 }} />}
      </colgroup>
      <thead>
        <tr>
          <th>{t("col.state")}</th>
          <th>{t("col.rollout")}</th>
          <th>{t("col.phase")}</th>
          <th className="r">{t("col.devices")}</th>
          <th>{t("col.progress")}</th>
          <th>{t("col.gate")}</th>
          {full && <th className="r">{t("col.planned")}</th>}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Row key={row.id} row={row} full={full} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ row, full }: { row: RolloutRow; full?: boolean }) {
  const { t } = useTranslation();
  const now = useNow(5000);
  const detail = useAsk("rollout.show", { rollout: row.id });
  const cause = detail.data?.pause_cause;
  const at = detail.data && gate(detail.data, now);
  const kind = rolloutKind(row.state, !!cause);
  const next = () => {
    if (row.state === "finished" || row.state === "aborted") return t("rollout.endedwith", { n: count(gather(row.counts).ok) });
    if (row.state === "planned") return t("rollout.notstarted");
    if (cause?.rule === "failures")
      return t("rollout.failedlimit", { share: share(cause.failed, cause.ended), limit: cause.threshold.share });
    if (cause) return t("rollout.outofreach", { success: cause.success });
    if (row.state === "paused") return t("rollout.waits");
    if (!at) return "";
    if (at.needed > 0)
      return t("rollout.gatesuccess", { now: share(at.counts.ok, at.devices), need: at.policy.success, phase: at.open + 1 });
    if (at.soaked > 0) return t("rollout.gatesoak", { soak: duration(at.policy.soak), left: duration(at.soaked) });
    return at.last ? t("rollout.lastphase") : t("rollout.waits");
  };
  return (
    <tr>
      <td>
        <State kind={kind}>{t(cause ? "rollout.paused_itself" : `rollout.${row.state}`)}</State>
      </td>
      <td>
        <Link to="/rollouts/$id" params={{ id: row.id }} className="rowlink">
          {said(row.target)}
        </Link>
      </td>
      <td className="t2">{detail.data && t("rollout.phaseof", { n: at ? at.open + 1 : 0, total: detail.data.phases.length })}</td>
      <td className="r">{count(sum(row.counts))}</td>
      <td>
        <StateBar counts={gather(row.counts)} label={t("col.progress")} />
      </td>
      <td className={cause ? "c-warn" : "t2"}>{next()}</td>
      {full && (
        <td className="r t3">
          <Age at={row.created_at} />
        </td>
      )}
    </tr>
  );
}
