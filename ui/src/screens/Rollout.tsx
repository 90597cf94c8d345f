import { Menu } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { OPERATE } from "@/app/host";
import { useMe } from "@/app/me";
import type { Counts } from "@/generated/Counts";
import type { ProgressPoint } from "@/generated/ProgressPoint";
import type { RolloutDetail } from "@/generated/RolloutDetail";
import { Button } from "@/parts/Button";
import { useNow } from "@/parts/clock";
import { Danger } from "@/parts/Danger";
import { Id } from "@/parts/Id";
import { Empty, Failure, Freshness, Listing, Loading } from "@/parts/Listing";
import { Head, Panel } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { StateBar } from "@/parts/StateBar";
import { Age } from "@/parts/Time";
import { TimeSeries, TwinSwitch, useTwin } from "@/parts/TimeSeries";
import { count, duration, instant, share } from "@/parts/units";
import { platform } from "@/platform";
import { useWord } from "./causes";
import { Deployments } from "./Deployments";
import { gate, gather, rolloutKind, said, sum, open as unended } from "./kinds";

const route = getRouteApi("/rollouts/$id");

/** What was offered and is not being installed: a hold reaches it. */
const fetching = ({ offered = 0, downloading = 0, downloaded = 0 }: Counts) => offered + downloading + downloaded;

/** C5: a rollout as it runs. Pause keeps its place in every state. */
export function Rollout() {
  const { t } = useTranslation();
  const { id } = route.useParams();
  const me = useMe();
  const answer = useAsk("rollout.show", { rollout: id });
  const pause = useOrder("rollout.pause");
  const resume = useOrder("rollout.resume");
  const [aborting, abort] = useState(false);
  const [signing, sign] = useState<"renew" | "hold">();
  if (!answer.data)
    return (
      <div className="body">{answer.error ? <Failure error={answer.error} retry={() => answer.refetch()} /> : <Loading rows={10} />}</div>
    );
  const detail = answer.data;
  const { row, pause_cause: cause } = detail;
  const open = detail.phases.findLastIndex((phase) => phase.opened_at !== undefined);
  const ended = row.state === "finished" || row.state === "aborted";
  const word =
    row.state === "running"
      ? t("rollout.runningphase", { n: open + 1, total: detail.phases.length })
      : t(cause ? "rollout.paused_itself" : `rollout.${row.state}`);
  return (
    <>
      <Head
        title={said(row.target)}
        state={
          <State kind={rolloutKind(row.state, !!cause)} pill>
            {word}
          </State>
        }
        meta={[
          <Id key="id" id={row.id} copy />,
          t("rollout.fixed", { n: count(sum(row.counts)) }),
          <span key="at">
            {row.created_at.slice(11, 16)} UTC, <Age at={row.created_at} />
          </span>,
          <Freshness key="f" at={answer.dataUpdatedAt} reload={() => answer.refetch()} />,
        ]}
        acts={
          <>
            <Menu position="bottom-end" width={220} transitionProps={{ duration: 0 }}>
              <Menu.Target>
                <Button size="lg" disabled={ended} denied={me.denied(OPERATE)}>
                  {t("rollout.tickets")}
                </Button>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Item onClick={() => sign("renew")}>{t("rollout.renew")}</Menu.Item>
                <Menu.Item onClick={() => sign("hold")}>{t("rollout.hold")}</Menu.Item>
              </Menu.Dropdown>
            </Menu>
            <Button size="lg" look="danger" disabled={ended} denied={me.denied(OPERATE)} onClick={() => abort(true)}>
              {t("rollout.abort")}
            </Button>
            {row.state === "paused" ? (
              <Button
                size="lg"
                look="strong"
                className="pausebtn"
                icon={<IconPlayerPlay className="i" />}
                denied={me.denied(OPERATE)}
                onClick={() => resume.mutate({ rollout: id })}
              >
                {t("rollout.resume")}
              </Button>
            ) : (
              <Button
                size="lg"
                look="strong"
                className="pausebtn"
                icon={<IconPlayerPause className="i" />}
                disabled={row.state !== "running"}
                denied={me.denied(OPERATE)}
                onClick={() => pause.mutate({ rollout: id })}
              >
                {t("rollout.pause")}
              </Button>
            )}
          </>
        }
      />
      <div className="body scroll">
        {(pause.error ?? resume.error) && <Failure error={(pause.error ?? resume.error) as Error} />}
        {cause && (
          <div className="note warn fixed" role="status">
            <Glyph kind="warn" />
            <span className="t grow">
              <b>{t("rollout.pauseditself")}</b>{" "}
              {cause.rule === "failures"
                ? t("rollout.causefailures", {
                    share: share(cause.failed, cause.ended),
                    failed: cause.failed,
                    ended: cause.ended,
                    limit: cause.threshold.share,
                    phase: cause.phase + 1,
                  })
                : t("rollout.causereach", {
                    confirmed: cause.confirmed,
                    judged: cause.judged,
                    success: cause.success,
                    phase: cause.phase + 1,
                  })}
            </span>
          </div>
        )}
        <Phases detail={detail} />
        <div className="two-col wide">
          <Progress detail={detail} />
          <Failures detail={detail} />
        </div>
        <Deployments detail={detail} />
      </div>
      <Danger
        open={!!signing}
        calm={signing === "renew"}
        consent
        close={() => sign(undefined)}
        title={t(`rollout.${signing ?? "renew"}title`, { name: said(row.target) })}
        act={t(`rollout.${signing ?? "renew"}act`)}
        preview={async () => ({
          summary: t(`rollout.${signing ?? "renew"}summary`),
          effects: [{ effect: t("rollout.ticketeffect"), count: signing === "hold" ? fetching(row.counts) : unended(row.counts) }],
          token: "",
        })}
        commit={() =>
          platform()
            .call(signing === "hold" ? "rollout.hold" : "rollout.renew", { rollout: id })
            .then(() => answer.refetch())
        }
      />
      <Danger
        open={aborting}
        close={() => abort(false)}
        title={t("rollout.aborttitle", { name: said(row.target) })}
        act={t("rollout.abortact", { name: said(row.target) })}
        preview={() => platform().call("rollout.abort_preview", { rollout: id })}
        commit={(token) =>
          platform()
            .call("rollout.abort", { request: { rollout: id }, token })
            .then(() => answer.refetch())
        }
      />
    </>
  );
}

function Phases({ detail }: { detail: RolloutDetail }) {
  const { t } = useTranslation();
  const now = useNow(1000);
  const me = useMe();
  const openNext = useOrder("rollout.open_after");
  const at = gate(detail, now);
  const total = detail.policy.phases.reduce((n, phase) => n + phase.devices, 0);
  let done = 0;
  const template = detail.phases.map((_, i) => (i === (at?.open ?? 0) ? "minmax(360px, 1fr)" : "minmax(112px, 144px)")).join(" ");
  return (
    <section className="panel fixed">
      <div className="phases" style={{ gridTemplateColumns: template }}>
        {detail.phases.map((phase, i) => {
          const policy = detail.policy.phases[i];
          const devices = policy?.devices ?? 0;
          done += devices;
          const counts = gather(phase.counts);
          const current = i === at?.open;
          const opened = phase.opened_at !== undefined;
          const limit = detail.policy.failure.share;
          return (
            <div key={phase.not_before + String(i)} className={`phase ${current ? "now" : ""}`}>
              <div className="cap">
                <b>{t("rollout.phase", { n: i + 1 })}</b>
                <span className="cut">
                  {done / Math.max(1, total) < 0.01
                    ? t("rollout.todevices", { n: count(done) })
                    : t("rollout.to", { n: Math.round((done / Math.max(1, total)) * 100) })}
                </span>
                {current && (
                  <span className="grow r">
                    {t("rollout.opened", {
                      n: count(devices),
                      at: phase.opened_at?.slice(11, 16) ?? "",
                      text: duration((now - instant(phase.opened_at ?? "")) / 1000),
                    })}
                  </span>
                )}
              </div>
              <div className="gauge">
                <StateBar counts={counts} size="big" label={t("rollout.phase", { n: i + 1 })} />
                {current && policy && policy.success > 0 && (
                  <i
                    className={`tick ${policy.success < 40 ? "right" : ""}`}
                    data-l={
                      at?.last ? t("rollout.succeedsat", { n: policy.success }) : t("rollout.opensat", { phase: i + 2, n: policy.success })
                    }
                    style={{ left: `${policy.success}%` }}
                  />
                )}
                {current && (
                  <i
                    className={`tick lo ${limit > 60 ? "right" : ""}`}
                    data-l={t("rollout.pausesat", { n: limit })}
                    style={{ left: `${100 - limit}%` }}
                  />
                )}
              </div>
              <div className="sum">
                {current ? (
                  <>
                    <State kind="ok">{t("rollout.nsucceeded", { n: count(counts.ok) })}</State>
                    <State kind="run">{t("rollout.nprogress", { n: count(counts.run) })}</State>
                    <State kind="idle">{t("rollout.nqueued", { n: count(counts.idle) })}</State>
                    <State kind="bad">{t("rollout.nfailed", { n: count(counts.bad) })}</State>
                  </>
                ) : opened ? (
                  <State kind={counts.ok + counts.bad >= devices ? "ok" : "run"}>
                    {t("rollout.of", { n: count(counts.ok), total: count(devices) })}
                  </State>
                ) : (
                  <State kind="idle">{t("rollout.nwait", { n: count(devices) })}</State>
                )}
              </div>
            </div>
          );
        })}
      </div>
      {at && detail.row.state === "running" && (
        <div className="gate">
          <Glyph kind={(at.last ? at.devices > at.ended : at.needed > 0 || at.soaked > 0) ? "run" : "ok"} />
          <span className="grow gatetext">
            {at.last ? (
              <Trans
                i18nKey="gate.last"
                values={{ now: share(at.counts.ok, at.devices), left: count(at.devices - at.ended) }}
                components={{ b: <b /> }}
              />
            ) : (
              <Trans
                i18nKey={at.soaked > 0 ? "gate.both" : "gate.success"}
                values={{
                  phase: at.open + 2,
                  need: at.policy.success,
                  soak: duration(at.policy.soak),
                  now: share(at.counts.ok, at.devices),
                  more: count(at.needed),
                  left: duration(at.soaked),
                }}
                components={{ b: <b /> }}
              />
            )}
          </span>
          {!at.last && <span className="t3">{t(at.policy.gate === "continue" ? "gate.continues" : "gate.waits")}</span>}
          {!at.last && at.policy.gate === "wait_for_me" && (
            <Button
              size="sm"
              denied={me.denied(OPERATE)}
              disabled={at.needed > 0 || at.soaked > 0}
              onClick={() => openNext.mutate({ rollout: detail.row.id, phase: at.open })}
            >
              {t("gate.open", { n: at.open + 2 })}
            </Button>
          )}
        </div>
      )}
      {openNext.error && <Failure error={openNext.error} />}
    </section>
  );
}

/** Minutes summed up: how many had ended by then. A device that is tried again ends twice. */
function running(minutes: ProgressPoint[]): ProgressPoint[] {
  const sum = { succeeded: 0, failed: 0 };
  return minutes.map(({ at, succeeded, failed }) => {
    sum.succeeded += succeeded;
    sum.failed += failed;
    return { at, ...sum };
  });
}

function Progress({ detail }: { detail: RolloutDetail }) {
  const { t } = useTranslation();
  const [table, setTable] = useTwin();
  const answer = useAsk("rollout.progress", { rollout: detail.row.id });
  const points = useMemo(() => running(answer.data?.progress.points ?? []), [answer.data]);
  const drawn = useMemo(() => {
    const rows = points;
    return {
      times: rows.map((point) => instant(point.at)),
      counts: [{ name: t("deployment.succeeded"), token: "ok-fg", values: rows.map((point) => point.succeeded) }],
      shares: [
        {
          name: t("rollout.failedshare"),
          token: "bad-fg",
          values: rows.map((point) =>
            point.succeeded + point.failed < 5 ? null : (point.failed / (point.succeeded + point.failed)) * 100,
          ),
        },
      ],
    };
  }, [points, t]);
  const events = useMemo(
    () =>
      detail.phases.flatMap((phase, i) =>
        phase.opened_at ? [{ at: instant(phase.opened_at), name: t("rollout.phase", { n: i + 1 }) }] : [],
      ),
    [detail.phases, t],
  );
  const limit = detail.policy.failure.share;
  const threshold = useMemo(() => ({ value: limit, name: t("rollout.pauseslimit", { n: limit }) }), [limit, t]);
  const last = points.at(-1);
  return (
    <Panel
      title={t("rollout.series")}
      tail={
        <>
          {last && (
            <span className="s12 t2 row gap12">
              <span className="key ok">{t("rollout.nsucceeded", { n: count(last.succeeded) })}</span>
              <span className="key bad">{t("rollout.sharefailed", { n: share(last.failed, last.succeeded + last.failed) })}</span>
            </span>
          )}
          <TwinSwitch table={table} set={setTable} />
        </>
      }
    >
      <Listing answer={answer} isEmpty={() => points.length < 2} empty={<Empty>{t("rollout.noseries")}</Empty>}>
        {() => (
          <div className="chartbox">
            <TimeSeries
              label={t("rollout.series")}
              times={drawn.times}
              series={drawn.counts}
              height={124}
              value={count}
              events={events}
              table={table}
              axis={false}
            />
            <TimeSeries
              label={t("rollout.failedshare")}
              times={drawn.times}
              series={drawn.shares}
              height={72}
              value={(n) => `${Math.round(n * 10) / 10} %`}
              threshold={threshold}
              table={table}
            />
          </div>
        )}
      </Listing>
    </Panel>
  );
}

function Failures({ detail }: { detail: RolloutDetail }) {
  const { t } = useTranslation();
  const word = useWord();
  const go = useNavigate();
  const answer = useAsk("rollout.progress", { rollout: detail.row.id });
  const counts = gather(detail.row.counts);
  const { failure } = detail.policy;
  return (
    <section className="panel">
      <div className="ph">
        <h2>{t("rollout.bycause", { n: count(counts.bad) })}</h2>
      </div>
      <Listing answer={answer} isEmpty={(said) => said.progress.failures.length === 0} empty={<Empty>{t("rollout.nofailures")}</Empty>}>
        {(said) =>
          said.progress.failures.slice(0, 5).map((row) => (
            <div key={row.code} className="item">
              <b className="num">{count(row.count)}</b>
              <span className="grow cut">{word(row.code)}</span>
              <button
                type="button"
                className="link plain"
                onClick={() => go({ to: "/rollouts/$id", params: { id: detail.row.id }, search: { state: "bad" } })}
              >
                {t("rollout.show", { n: row.count })}
              </button>
            </div>
          ))
        }
      </Listing>
      <div className="foot">
        {t("rollout.rule", {
          limit: failure.share,
          sample: failure.minimum_sample,
          now: share(counts.bad, counts.ok + counts.bad),
          ended: count(counts.ok + counts.bad),
        })}
      </div>
    </section>
  );
}
