import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { OPERATE, PROVISION } from "@/app/host";
import { useMe } from "@/app/me";
import { bringVault } from "@/app/vault";
import { Button } from "@/parts/Button";
import { Danger } from "@/parts/Danger";
import { Empty, Failure, Freshness, Listing } from "@/parts/Listing";
import { Head, Panel } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { platform } from "@/platform";
import type { InboxRow } from "@/platform/needs";

/** C8: what waits for a person, oldest need last; and the alarms. */
export function Inbox() {
  const { t } = useTranslation();
  const go = useNavigate();
  const inbox = useAsk("view.inbox", {});
  const alarms = useAsk("fleet.alarms", {});
  const me = useMe();
  const approve = useOrder("device.approve");
  const acknowledge = useOrder("fleet.acknowledge_alarm");
  const [gate, decide] = useState<InboxRow>();
  const check = () => {
    approve.mutate({});
    bringVault();
  };
  const open = (row: InboxRow) => {
    if (row.request) return go({ to: "/requests/$id", params: { id: row.request } });
    if (row.release) return go({ to: "/releases/$id", params: { id: row.release } });
    if (row.rollout) return go({ to: "/rollouts/$id", params: { id: row.rollout } });
    if (row.device) return go({ to: "/devices/$id", params: { id: row.device } });
    return go({ to: row.kind === "expiry" ? "/keys" : "/vault" });
  };
  return (
    <>
      <Head
        title={t("place.inbox")}
        meta={[t("inbox.about"), <Freshness key="f" at={inbox.dataUpdatedAt} reload={() => inbox.refetch()} />]}
      />
      <div className="body scroll">
        {(approve.error ?? acknowledge.error) && <Failure error={(approve.error ?? acknowledge.error) as Error} />}
        {approve.isPending && <State kind="warn">{t("sign.inwindow")}</State>}
        {approve.data && (
          <div className="note" role="status">
            <Glyph kind={approve.data.refused.length > 0 ? "warn" : "ok"} />
            <span className="grow">
              {t("inbox.approved", {
                issued: approve.data.issued.length,
                proven: approve.data.proven.length,
                refused: approve.data.refused.length,
              })}
              {approve.data.refused.map(([serial, why]) => (
                <span key={serial} className="block t2 s12">
                  {serial}: {why}
                </span>
              ))}
            </span>
          </div>
        )}
        <Panel title={t("inbox.waiting")} note={inbox.data?.rows.length}>
          <Listing answer={inbox} rows={3} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("inbox.none")}</Empty>}>
            {(page) =>
              page.rows.map((row) => (
                <div key={row.id} className="item two">
                  <Glyph kind={row.state} />
                  <div className="grow">
                    <div>{row.kind === "enrolments" ? t("inbox.enrolments", { n: row.title }) : row.title}</div>
                    <div className="t3 s12">{row.kind === "enrolments" ? t("inbox.checkwhy") : row.detail}</div>
                  </div>
                  <span className="t3 s12">
                    <Age at={row.at} />
                  </span>
                  {row.kind === "gate" && (
                    <Button size="sm" denied={me.denied(OPERATE)} onClick={() => decide(row)}>
                      {t("gate.open", { n: (row.phase ?? 0) + 1 })}
                    </Button>
                  )}
                  <Button
                    size="sm"
                    className="even"
                    disabled={row.kind === "enrolments" && approve.isPending}
                    denied={row.kind === "enrolments" ? me.denied(PROVISION) : undefined}
                    onClick={() => (row.kind === "enrolments" ? check() : open(row))}
                  >
                    {t(`inbox.act.${row.kind}`)}
                  </Button>
                </div>
              ))
            }
          </Listing>
        </Panel>
        <Danger
          open={!!gate}
          calm
          close={() => decide(undefined)}
          title={gate?.title ?? ""}
          act={t("gate.open", { n: (gate?.phase ?? 0) + 1 })}
          preview={async () => ({ summary: t("inbox.gatesummary"), effects: [], token: "" })}
          commit={() =>
            platform()
              .call("rollout.open_after", { rollout: gate?.rollout ?? "", phase: (gate?.phase ?? 1) - 1 })
              .then(() => inbox.refetch())
          }
        />
        <Panel title={t("inbox.alarms")} note={alarms.data?.rows.filter((row) => !row.acknowledged).length}>
          <Listing answer={alarms} rows={2} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("inbox.noalarms")}</Empty>}>
            {(page) =>
              page.rows.map((row) => (
                <div key={row.number} className="item two">
                  <Glyph kind={row.acknowledged ? "idle" : "bad"} />
                  <div className="grow">
                    <div>{t(`alarm.${row.kind}`)}</div>
                    <div className="t3 s12">
                      {row.detail}
                      {row.count > 1 && `, ${t("inbox.times", { n: row.count })}`}
                    </div>
                  </div>
                  <span className="t3 s12">
                    <Age at={row.at} />
                  </span>
                  {row.device && (
                    <Button size="sm" onClick={() => go({ to: "/devices/$id", params: { id: row.device ?? "" } })}>
                      {t("inbox.act.alarm")}
                    </Button>
                  )}
                  {!row.acknowledged && (
                    <Button
                      size="sm"
                      denied={me.denied(OPERATE)}
                      disabled={acknowledge.isPending}
                      onClick={() => acknowledge.mutate({ number: row.number })}
                    >
                      {t("inbox.acknowledge")}
                    </Button>
                  )}
                </div>
              ))
            }
          </Listing>
        </Panel>
      </div>
    </>
  );
}
