import { IconFileCertificate, IconFolderOpen, IconStethoscope } from "@tabler/icons-react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import type { BundleRow } from "@/generated/BundleRow";
import { Button } from "@/parts/Button";
import { serverNow } from "@/parts/clock";
import { Failure, Listing } from "@/parts/Listing";
import { Head, Panel } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { clockTime, duration, instant, served } from "@/parts/units";
import { useKeep } from "./Bundles";
import { Drawing } from "./bench/Drawing";
import { Gang } from "./bench/Gang";
import { type Slot, useBench, useUpdate, wanted } from "./bench/live";
import { lasts, model, number, Place, passed, usePlaceState } from "./bench/Place";
import { Progress } from "./bench/Steps";
import { Findings } from "./Doctor";

/** So many places are still shown one beside the other; more are a gang. */
const few = 4;

/** D1 to D4: what is plugged in, the one thing to do about each, how it goes and how it went. */
export function Bench() {
  const { t } = useTranslation();
  const go = useNavigate();
  const search = useSearch({ from: "/bench" });
  const { answer, slots } = useBench();
  const { update, error } = useUpdate();
  const keep = useKeep();
  const ready = slots.filter((slot) => slot.ready && !slot.last);
  const chosen = slots.find((slot) => slot.device.place === search.place);
  const gang = slots.length > few && !chosen;
  const main = chosen ?? ready[0] ?? slots.find((slot) => slot.visit) ?? slots.find((slot) => slot.last) ?? slots[0];
  const ended = slots.filter((slot) => slot.last && !slot.visit);
  const choose = (place?: string) => go({ to: "/bench", search: { place } });
  return (
    <>
      <Head
        title={t("place.bench")}
        state={<span className="t2">{t("bench.about", { n: slots.length })}</span>}
        acts={
          <>
            {gang && ended.length > 0 && (
              <span className="t2" role="status">
                {t("bench.passed", { n: ended.filter(passed).length, all: ended.length })}
              </span>
            )}
            {ready.length > 1 && (
              <Button size="lg" look={gang ? "primary" : undefined} onClick={() => update(ready.slice(0, 16).flatMap(wanted))}>
                {t("bench.updateall", { n: Math.min(16, ready.length) })}
              </Button>
            )}
            <Link className="btn lg" to="/doctor">
              <IconStethoscope className="i" aria-hidden="true" />
              {t("bench.doctor")}
            </Link>
            <Button size="lg" icon={<IconFolderOpen className="i" aria-hidden="true" />} disabled={keep.isPending} onClick={keep.open}>
              {t("bundles.keep")}
            </Button>
          </>
        }
      />
      <div className="body scroll">
        <Strip slots={slots} />
        {keep.error && <Failure error={keep.error} />}
        {error && <Failure error={error} />}
        <Listing answer={answer} isEmpty={() => slots.length === 0} empty={<Nobody />} rows={8}>
          {() =>
            gang ? (
              <Gang slots={slots} open={choose} />
            ) : (
              <div className="benchbody">
                <div className="stack">
                  {main && <Place slot={main} />}
                  <DoneHere />
                </div>
                <div className="stack">
                  {slots.length > few && (
                    <Button size="lg" onClick={() => choose()}>
                      {t("bench.atonce")}
                    </Button>
                  )}
                  {slots
                    .filter((slot) => slot !== main)
                    .slice(0, few)
                    .map((slot) => (
                      <Beside key={slot.device.place} slot={slot} open={() => choose(slot.device.place)} />
                    ))}
                </div>
              </div>
            )
          }
        </Listing>
      </div>
    </>
  );
}

/** The bundle at work, at a glance. */
function Strip({ slots }: { slots: Slot[] }) {
  const { t } = useTranslation();
  const library = useAsk("bench.bundles", {});
  const rows = library.data?.rows ?? [];
  const used = slots.find((slot) => slot.offer)?.offer?.bundle;
  const row: BundleRow | undefined = rows.find((one) => one.file === used) ?? rows[0];
  if (!library.data) return null;
  if (!row?.summary)
    return (
      <div className="note fixed">
        <IconFileCertificate className="i t2" aria-hidden="true" />
        <span className="t2">{t("bench.nobundle")}</span>
      </div>
    );
  const { summary } = row;
  const brings = [...new Set(summary.devices.map((ticket) => `${ticket.model} ${ticket.version}`))];
  const left = lasts(summary.expires);
  const soon = left === undefined || left < 7 * 86_400;
  return (
    <div className="note fixed strip">
      <IconFileCertificate className="i t2" aria-hidden="true" />
      <Link to="/bundles" className="rowlink">
        <b>{row.name}</b>
      </Link>
      <span className="dot" />
      <State kind="ok">{t("bench.signed", { n: summary.signed_by.length, all: summary.threshold })}</State>
      <span className="dot" />
      <span className="t2 cut">{brings.slice(0, 3).join(", ")}</span>
      {summary.revoked_at && (
        <>
          <span className="dot" />
          <span className="t2 nw">{t("bench.revoked", { text: duration((serverNow() - instant(summary.revoked_at)) / 1000) })}</span>
        </>
      )}
      <span className="grow" />
      <State kind={left === undefined ? "bad" : soon ? "warn" : "idle"}>
        {left === undefined ? t("time.expired") : `${t("bench.ends")} ${duration(left)}`}
      </State>
      <span className="t3 s12 nw">{t("bench.made", { who: summary.made_by })}</span>
    </div>
  );
}

/** Nothing is plugged in: how to, and what stands in the way. */
function Nobody() {
  const { t } = useTranslation();
  return (
    <div className="benchbody">
      <Panel>
        <div className="plugin">
          <Drawing label={t("bench.connect")} />
          <div>
            <h2 className="lead">{t("bench.connect")}</h2>
            <p className="t2">{t("bench.connectwhy")}</p>
          </div>
        </div>
      </Panel>
      <Panel title={t("bench.doctor")}>
        <Findings short />
      </Panel>
    </div>
  );
}

/** Another place, in short; it opens where the first one stands. */
function Beside({ slot, open }: { slot: Slot; open: () => void }) {
  const { t } = useTranslation();
  const state = usePlaceState()(slot);
  const { visit, last } = slot;
  return (
    <button type="button" className="panel beside" onClick={open}>
      <span className="ph">
        <span className="tag">{slot.device.place}</span>
        <b>{model(slot) ?? t(slot.state === "silent" ? "bench.silent" : "bench.device")}</b>
        <span className="grow" />
        <span className={`st ${state.kind}`}>
          <Glyph kind={state.kind} />
          {state.word}
        </span>
      </span>
      <span className="row pad">
        <span className="mono">{number(slot) ?? slot.device.port}</span>
        <span className="grow" />
        <span className="mono t2">{last?.report?.before ?? slot.runs ?? ""}</span>
        {(visit?.version ?? slot.offer) && (
          <>
            <span className="t3" aria-hidden="true">
              →
            </span>
            <span className="mono">{visit?.version ?? slot.offer?.ticket.version}</span>
          </>
        )}
      </span>
      {visit && (
        <span className="pad up">
          <span className="row s12 t2">
            {t(`bench.step.${visit.step}`)}
            <span className="grow" />
            {visit.total_bytes > 0 && served(visit.done_bytes, visit.total_bytes, t("unit.of"))}
            {visit.seconds_left !== undefined && <span className="t3">{t("bench.left", { text: duration(visit.seconds_left) })}</span>}
          </span>
          <Progress visit={visit} />
        </span>
      )}
      {slot.state === "silent" && <span className="pad up s12 t3">{t("bench.noanswer")}</span>}
      {visit?.do_not_unplug && (
        <span className="band warn">
          <Glyph kind="warn" />
          <b>{t("bench.donotunplug")}</b>
        </span>
      )}
    </button>
  );
}

/** What was done here, the newest first. */
function DoneHere() {
  const { t } = useTranslation();
  const reports = useAsk("bench.reports", {});
  const queue = useAsk("bench.receipts", {});
  const rows = reports.data?.rows ?? [];
  if (rows.length === 0) return null;
  return (
    <Panel
      title={t("bench.donetoday")}
      note={rows.length}
      tail={
        <Link to="/reports" className="link s12">
          {queue.data && queue.data.waiting > 0 ? t("reports.waiting", { count: queue.data.waiting }) : t("place.reports")}
        </Link>
      }
    >
      <table>
        <colgroup>
          <col style={{ width: 150 }} />
          <col />
          <col style={{ width: 110 }} />
          <col style={{ width: 120 }} />
        </colgroup>
        <thead className="sr">
          <tr>
            <th>{t("col.serial")}</th>
            <th>{t("bench.version")}</th>
            <th>{t("col.state")}</th>
            <th>{t("reports.when")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, 4).map((report) => (
            <tr key={report.id}>
              <td className="mono">{report.serial}</td>
              <td className="mono t2">
                {report.before ?? "?"} → {report.version}
              </td>
              <td>
                <State kind={report.passed ? "ok" : "bad"}>{t(report.passed ? "bench.pass" : "bench.fail")}</State>
              </td>
              <td className="r t3">{clockTime(instant(report.ended_at)).slice(0, 5)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}
