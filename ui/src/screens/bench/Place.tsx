import { useHotkeys } from "@mantine/hooks";
import { IconDownload, IconFileText, IconPlayerStop } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import type { VisitReport } from "@/generated/VisitReport";
import { Button } from "@/parts/Button";
import { serverNow } from "@/parts/clock";
import { Failure } from "@/parts/Listing";
import { Facts } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { bytes, duration, instant } from "@/parts/units";
import { CallError } from "@/platform";
import type { Kind } from "@/platform/needs";
import { useWord } from "../causes";
import { Drawing } from "./Drawing";
import { type Slot, useUpdate, wanted } from "./live";
import { Steps } from "./Steps";
import { save } from "./save";

/** What a place is called at a glance. */
export function usePlaceState(): (slot: Slot) => { kind: Kind; word: string } {
  const { t } = useTranslation();
  return (slot) => {
    if (slot.visit) return slot.visit.waiting ? { kind: "warn", word: t("bench.unplugged") } : { kind: "run", word: t("bench.updating") };
    if (slot.waits) return { kind: "warn", word: t("sign.inwindow") };
    if (slot.last) return passed(slot) ? { kind: "ok", word: t("bench.pass") } : { kind: "bad", word: t("bench.fail") };
    if (slot.state === "looking") return { kind: "run", word: t("bench.looking") };
    if (slot.state === "silent") return { kind: "warn", word: t("bench.silent") };
    if (slot.inventory?.mode === "recovery") return { kind: "warn", word: t("bench.recovery") };
    if (slot.ready) return { kind: "ok", word: t("bench.recognised", { text: `${((slot.recognized_ms ?? 0) / 1000).toFixed(1)} s` }) };
    if (slot.offer?.up_to_date) return { kind: "ok", word: t("bench.uptodate") };
    return { kind: "idle", word: t("bench.stranger") };
  };
}

export const passed = (slot: Slot): boolean => slot.last?.report?.passed ?? false;
/** The number of the device: proven, said, or none. */
export const number = (slot: Slot): string | undefined =>
  slot.visit?.serial ?? slot.last?.report?.serial ?? slot.inventory?.hardware_id ?? slot.offer?.ticket.serial;
/** What it is. */
export const model = (slot: Slot): string | undefined => slot.inventory?.model ?? slot.offer?.ticket.model ?? slot.last?.report?.model;

/** D1 to D4 at one place: who it is, the one thing to do, how it goes, how it went. */
export function Place({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const state = usePlaceState()(slot);
  const title = model(slot) ?? t(slot.state === "silent" ? "bench.silent" : "bench.device");
  return (
    <section className="panel selp fixed" aria-label={`${slot.device.place}: ${title}`}>
      <div className="ph">
        <span className="tag">{slot.device.place}</span>
        <h2>{title}</h2>
        <span className="grow" />
        <State kind={state.kind}>{state.word}</State>
      </div>
      {slot.last && !slot.visit && <Verdict slot={slot} />}
      {slot.visit?.do_not_unplug && (
        <div className="band warn" role="alert">
          <Glyph kind="warn" />
          <b>{t("bench.donotunplug")}</b>
          <span className="t2">{t("bench.overwrites")}</span>
        </div>
      )}
      {slot.visit?.waiting && (
        <div className="band warn" role="alert">
          <Glyph kind="warn" />
          <span className="t">{t("bench.gone")}</span>
        </div>
      )}
      {slot.state === "silent" ? <Silent slot={slot} /> : <Known slot={slot} />}
    </section>
  );
}

function Known({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const before = slot.visit?.do_not_unplug ? undefined : (slot.last?.report?.before ?? slot.runs);
  return (
    <>
      <div className="benchfacts">
        <Drawing label={model(slot) ?? t("bench.device")} />
        <Facts
          rows={[
            [t("col.serial"), <Serial key="s" slot={slot} />],
            [t("bench.version"), <Runs key="v" slot={slot} />],
            [t("bench.identity"), <Identity key="i" slot={slot} />],
            [t("bench.mode"), <Mode key="m" slot={slot} />],
            [t("bench.health"), <Health key="h" slot={slot} />],
          ]}
        />
      </div>
      {slot.visit ? <Going slot={slot} /> : <Act slot={slot} />}
      {(slot.visit || (slot.ready && !slot.last)) && <Steps visit={slot.visit} before={before} />}
    </>
  );
}

function Serial({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  return <span className="mono">{number(slot) ?? t("bench.notold")}</span>;
}

function Runs({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const active = slot.inventory?.slots.find((one) => one.active);
  if (!active) return <span className="t3">{t("bench.notold")}</span>;
  return (
    <>
      <span className="mono">{active.version}</span>
      <span className="t3">{active.confirmed ? t("bench.confirmed") : t("bench.boots")}</span>
    </>
  );
}

function Identity({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const done = slot.last?.report;
  const proof = done ? (done.identity_proven ? "proven" : "not_proven") : slot.identity;
  return (
    <>
      <State kind={proof === "proven" ? "ok" : proof === "not_proven" ? "warn" : "idle"}>{t(`bench.identity.${proof}`)}</State>
      <span className="t3 cut">{t(`bench.identitywhy.${proof}`)}</span>
    </>
  );
}

function Mode({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const mode = slot.last?.report?.mode ?? (slot.offer ? (slot.offer.ticket.deputy ? "deputy" : "sealed") : undefined);
  if (mode === undefined) return <span className="t3">{t("bench.nothing")}</span>;
  return (
    <>
      <span>{t(mode === "deputy" ? "bench.deputy" : "bench.sealed")}</span>
      <span className="t3 cut">{t(mode === "deputy" ? "bench.deputywhy" : "bench.sealedwhy")}</span>
    </>
  );
}

function Health({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const { inventory } = slot;
  if (inventory?.mode === "recovery") return <State kind="warn">{t("bench.recovery")}</State>;
  const good = inventory?.slots.some((one) => one.active && one.confirmed);
  return (
    <>
      <State kind={good ? "ok" : "idle"}>{t(good ? "bench.good" : "bench.notold")}</State>
      {inventory?.slot_bytes !== undefined && <span className="t3">{t("bench.slot", { bytes: bytes(inventory.slot_bytes) })}</span>}
    </>
  );
}

/** D2: the one thing to do. */
function Act({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const go = useNavigate();
  const { update, error } = useUpdate();
  const { offer } = slot;
  const failed = slot.job?.state === "failed" && !slot.last ? slot.job.error : undefined;
  const again = slot.last !== undefined && !passed(slot);
  const begin = () => {
    update(wanted(slot));
    // It stays in view, whatever else is ready.
    void go({ to: "/bench", search: { place: slot.device.place } });
  };
  // Enter begins wherever nothing else has the focus.
  const unfocused = () => (document.activeElement ?? document.body) === document.body;
  // What has the focus takes its Enter itself.
  useHotkeys([["Enter", () => slot.ready && unfocused() && begin(), { preventDefault: false }]]);
  if (slot.last && passed(slot)) return null;
  if (slot.inventory && !slot.inventory.hardware_id) return <ByLabel slot={slot} />;
  return (
    <div className="benchact">
      {slot.waits ? (
        <Asked slot={slot} />
      ) : offer === undefined ? (
        slot.state === "recognized" && <p className="t2">{t("bench.nooffer")}</p>
      ) : offer.up_to_date ? (
        <p className="row">
          <State kind="ok">{t("bench.uptodate")}</State>
          <span className="t2">{t("bench.uptodatewhy", { version: slot.runs ?? "" })}</span>
        </p>
      ) : !offer.ours ? (
        <p className="row">
          <Glyph kind="warn" />
          <span className="t2">{t(offer.ticket.deputy ? "bench.another" : "bench.sealedwhy")}</span>
        </p>
      ) : slot.ready ? (
        <>
          <button type="button" className="btn primary xl wide" onClick={begin}>
            <span className="row">
              <IconDownload className="i i-20" aria-hidden="true" />
              {again ? t("bench.retry") : t("bench.enter", { version: offer.ticket.version })}
            </span>
            <kbd className="on">Enter</kbd>
          </button>
          <p className="s12 t2">{t("bench.differs", { version: offer.ticket.version })}</p>
        </>
      ) : (
        <State kind="bad">{t("bench.lapsed")}</State>
      )}
      {failed && <Failure error={new CallError(failed.code, failed.message, failed.hint)} />}
      {error && <Failure error={error} />}
    </div>
  );
}

function Asked({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const cancel = useOrder("job.cancel");
  return (
    <div className="row">
      <Glyph kind="warn" />
      <span className="grow">{t("bench.ask")}</span>
      <Button size="lg" onClick={() => slot.job && cancel.mutate({ job: slot.job.id })}>
        {t("act.cancel")}
      </Button>
    </div>
  );
}

/** A device that does not say who it is: its label does. */
function ByLabel({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const id = useId();
  const { update, error } = useUpdate();
  const library = useAsk("bench.bundles", {});
  const [serial, set] = useState("");
  const found = library.data?.rows.find((row) => row.summary?.devices.some((ticket) => ticket.serial === serial));
  if (slot.waits)
    return (
      <div className="benchact">
        <Asked slot={slot} />
      </div>
    );
  return (
    <form
      className="benchact"
      onSubmit={(event) => {
        event.preventDefault();
        if (found) update([{ line: { port: slot.device.port, raw: false }, bundle: found.file, serial }]);
      }}
    >
      <p className="t2">{t("bench.recoverywhy")}</p>
      <label htmlFor={id} className="s12 t2">
        {t("bench.label")}
      </label>
      <div className="row">
        <input id={id} className="field lg grow mono" value={serial} onChange={(event) => set(event.target.value.trim())} />
        <Button type="submit" size="lg" look="primary" disabled={!found}>
          {t("bench.retry")}
        </Button>
      </div>
      {serial !== "" && !found && <p className="s12 t3">{t("bench.nooffer")}</p>}
      {error && <Failure error={error} />}
    </form>
  );
}

/** D3: what may be done meanwhile. */
function Going({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const stop = useOrder("bench.stop");
  const { visit } = slot;
  if (!visit) return null;
  return (
    <div className="benchgoing">
      <span className="mono">{slot.runs ?? slot.last?.report?.before ?? t("bench.notold")}</span>
      <span className="t3" aria-hidden="true">
        →
      </span>
      <span className="mono">{visit.version ?? ""}</span>
      <span className="grow t3 s12">{visit.do_not_unplug ? "" : t("bench.stopnote")}</span>
      <Button
        size="lg"
        icon={<IconPlayerStop className="i" aria-hidden="true" />}
        disabled={stop.isPending}
        onClick={() => stop.mutate({ port: visit.port })}
      >
        {t("bench.cancel")}
      </Button>
    </div>
  );
}

/** D4: PASS or FAIL, readable from across the room. */
function Verdict({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const ok = passed(slot);
  const report = slot.last?.report;
  const error = slot.last?.error;
  const why = useWhy();
  return (
    <>
      <div className={`verdict ${ok ? "pass" : "fail"}`} role={ok ? "status" : "alert"}>
        <Mark ok={ok} />
        <strong>{t(ok ? "bench.pass" : "bench.fail")}</strong>
        <span className="grow">
          {ok && report ? t("bench.done", { version: report.version }) : report ? why(report) : error?.message}
          <small>{ok ? t("bench.next") : (error?.hint ?? t("bench.failedwhy"))}</small>
        </span>
      </div>
      {report && <After report={report} />}
    </>
  );
}

function After({ report }: { report: VisitReport }) {
  const { t } = useTranslation();
  const write = useOrder("bench.report");
  const reports = useAsk("bench.reports", {});
  // Where the receipt is by now.
  const receipt = reports.data?.rows.find((row) => row.id === report.id)?.receipt ?? report.receipt;
  const took = duration((instant(report.ended_at) - instant(report.began_at)) / 1000);
  return (
    <div className="benchgoing">
      <span className="mono">{report.before ?? t("bench.notold")}</span>
      <span className="t3" aria-hidden="true">
        →
      </span>
      <span className="mono">{report.version}</span>
      <span className="t3 s12">{took}</span>
      <span className="grow" />
      <State kind={receipt === "handed_in" ? "ok" : receipt === "queued" ? "idle" : "bad"}>
        {t("reports.receipt")}: {t(`receipt.${receipt}`)}
      </State>
      <Button size="lg" icon={<IconFileText className="i" aria-hidden="true" />} onClick={() => save(write, report, "pdf")}>
        {t("bench.report.pdf")}
      </Button>
    </div>
  );
}

/** Circle against octagon: the shape says it, too. */
export const Mark = ({ ok }: { ok: boolean }) => (
  <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
    {ok ? (
      <>
        <circle cx="16" cy="16" r="13" />
        <path d="M9.5 16.5l4.5 4.5 8.5-9.5" />
      </>
    ) : (
      <>
        <path d="M10.6 3h10.8L29 10.6v10.8L21.4 29H10.6L3 21.4V10.6z" />
        <path d="M11 11l10 10M21 11L11 21" />
      </>
    )}
  </svg>
);

/** Why a visit failed, in words. */
export function useWhy(): (report: VisitReport) => string {
  const word = useWord("visit");
  return (report) => (report.code ? word(report.code) : (report.why ?? ""));
}

/** Somebody is plugged in and says nothing: the causes, looked at again and again. */
function Silent({ slot }: { slot: Slot }) {
  const { t } = useTranslation();
  const doctor = useAsk("bench.doctor", { ports: [slot.device.port] });
  const bad = doctor.data?.rows.filter((row) => row.severity !== "fine") ?? [];
  const busy = bad.find((row) => row.topic === "busy" || row.topic === "permission");
  return (
    <>
      <ol className="steps tight">
        <li>
          <Glyph kind="ok" />
          <span>{t("bench.cable")}</span>
        </li>
        <li>
          <Glyph kind={busy ? "bad" : "ok"} />
          <span>{t("bench.driver")}</span>
          {busy && (
            <span className="sub">
              {busy.what} {busy.next}
            </span>
          )}
        </li>
        {!busy && (
          <li>
            <Glyph kind="warn" />
            <span>{t("bench.noanswer")}</span>
            <span className="sub">{t("bench.reset")}</span>
            {slot.error?.hint && <span className="sub">{slot.error.hint}</span>}
          </li>
        )}
      </ol>
      <div className="foot">
        <span className="mono cut">{slot.device.port}</span>
        <span className="grow" />
        <State kind="run">{t("bench.checking")}</State>
      </div>
    </>
  );
}

/** How long a bundle counts still; undefined once it does not. */
export const lasts = (until: string): number | undefined => {
  const left = (instant(until) - serverNow()) / 1000;
  return left > 0 ? left : undefined;
};
