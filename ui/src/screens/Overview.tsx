import { IconPlus } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { OPERATE } from "@/app/host";
import { useMe } from "@/app/me";
import { Button } from "@/parts/Button";
import { serverNow, useNow } from "@/parts/clock";
import { FleetField } from "@/parts/FleetField";
import { Empty, Listing } from "@/parts/Listing";
import { Panel } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { TimeSeries, TwinSwitch, useTwin } from "@/parts/TimeSeries";
import { bytes, clockTime, count, duration, instant, share } from "@/parts/units";
import type { Kind, Overview as Numbers } from "@/platform/needs";
import { useWord } from "./causes";
import { RolloutTable } from "./Rollouts";

/** C1: the fleet at a glance; every number leads to its list. */
export function Overview() {
  const { t } = useTranslation();
  const answer = useAsk("view.overview", {});
  return (
    <div className="body scroll">
      <h1 className="sr">{t("place.overview")}</h1>
      <section className="panel fixed">
        <Listing answer={answer} rows={5}>
          {(numbers) => <Readout numbers={numbers} />}
        </Listing>
      </section>
      <div className="two-col">
        <div className="stack">
          <OpenRollouts />
          {answer.data && <Versions numbers={answer.data} />}
          <NeedsYou />
        </div>
        <div className="stack">
          {answer.data && <Failing numbers={answer.data} />}
          {answer.data && <Expiring numbers={answer.data} />}
          {answer.data && <Rate numbers={answer.data} />}
        </div>
      </div>
    </div>
  );
}

function Readout({ numbers }: { numbers: Numbers }) {
  const { t } = useTranslation();
  const now = useNow(1000);
  const { states } = numbers;
  const total = Object.values(states).reduce((sum, n) => sum + n, 0);
  const tiles: { kind: Kind; name: string; note: string }[] = [
    { kind: "ok", name: t("kind.ok"), note: share(states.ok, total) },
    { kind: "run", name: t("kind.run"), note: "" },
    { kind: "idle", name: t("kind.idle"), note: t("overview.wait") },
    { kind: "warn", name: t("kind.warn"), note: t("overview.offline", { n: count(numbers.offline_over_30_d) }) },
    { kind: "bad", name: t("kind.bad"), note: t("overview.more", { n: count(numbers.failed_last_hour) }) },
  ];
  if (total === 0)
    return (
      <Empty
        act={
          <Link className="btn" to="/devices">
            {t("devices.enrol")}
          </Link>
        }
      >
        {t("overview.empty")}
      </Empty>
    );
  return (
    <>
      <div className="readout">
        {tiles.map((tile) => (
          <Link key={tile.kind} to="/devices" search={{ kind: tile.kind }}>
            <State kind={tile.kind}>{tile.name}</State>
            <div className="row base">
              <span className="big">{count(states[tile.kind])}</span>
              <span className="t3 s12 cut">{tile.note}</span>
            </div>
          </Link>
        ))}
      </div>
      <FleetField models={numbers.models} age={t("time.ago", { text: duration((now - instant(numbers.at)) / 1000) })} />
    </>
  );
}

function OpenRollouts() {
  const { t } = useTranslation();
  const go = useNavigate();
  const me = useMe();
  const list = useAsk("rollout.list", {});
  return (
    <Panel
      title={t("place.rollouts")}
      tail={
        <Button size="sm" icon={<IconPlus className="i i-14" />} denied={me.denied(OPERATE)} onClick={() => go({ to: "/rollouts/new" })}>
          {t("rollouts.new")}
        </Button>
      }
    >
      <Listing
        answer={list}
        rows={4}
        isEmpty={(page) => page.rows.every((row) => ["finished", "aborted"].includes(row.state))}
        empty={<Empty>{t("rollouts.none")}</Empty>}
      >
        {(page) => <RolloutTable rows={page.rows.filter((row) => !["finished", "aborted"].includes(row.state)).slice(0, 4)} />}
      </Listing>
    </Panel>
  );
}

function Versions({ numbers }: { numbers: Numbers }) {
  const { t } = useTranslation();
  if (numbers.versions.length === 0) return null;
  return (
    <Panel
      title={t("overview.versions")}
      tail={
        <span className="t3 s12">
          {t("overview.reported")} <Age at={numbers.at} />
        </span>
      }
    >
      {numbers.versions.map((model) => {
        const total = model.rows.reduce((sum, row) => sum + row.count, 0);
        const shade = (index: number, below: boolean) => (below ? "v4" : `v${Math.min(3, index + 1)}`);
        return (
          <div key={model.model} className="item">
            <span className="vname">{model.model}</span>
            <div className="bar vbar" role="img" aria-label={model.rows.map((row) => `${row.version}: ${row.count}`).join(", ")}>
              {model.rows.map((row, i) => (
                <i
                  key={row.version}
                  className={shade(i, row.below_minimum)}
                  style={{ width: `${(row.count / Math.max(1, total)) * 100}%` }}
                />
              ))}
            </div>
            <span className="row gap12 cut">
              {model.rows.map((row, i) => (
                <Link key={row.version} to="/devices" search={{ model: model.model, version: row.version }} className="row gap4 s12">
                  <i className={`swatch ${shade(i, row.below_minimum)}`} />
                  <span className={row.below_minimum ? "mono c-warn" : "mono"}>{row.version}</span>
                  <span className="t3">{count(row.count)}</span>
                </Link>
              ))}
            </span>
          </div>
        );
      })}
    </Panel>
  );
}

function NeedsYou() {
  const { t } = useTranslation();
  const inbox = useAsk("view.inbox", {});
  return (
    <Panel
      title={t("overview.needs")}
      note={inbox.data?.rows.length}
      tail={
        <Link to="/inbox" className="link">
          {t("overview.inbox")}
        </Link>
      }
    >
      <Listing answer={inbox} rows={3} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("inbox.none")}</Empty>}>
        {(page) =>
          page.rows.slice(0, 3).map((row) => (
            <Link key={row.id} to="/inbox" className="item">
              <Glyph kind={row.state} />
              <span className="grow cut">{row.title}</span>
              <span className="t3 s12">
                {clockTime(instant(row.at)).slice(0, 5)}, <Age at={row.at} />
              </span>
            </Link>
          ))
        }
      </Listing>
    </Panel>
  );
}

function Failing({ numbers }: { numbers: Numbers }) {
  const { t } = useTranslation();
  const word = useWord();
  return (
    <Panel
      title={t("overview.failing")}
      note={count(numbers.failures.reduce((sum, row) => sum + row.count, 0))}
      tail={
        <Link to="/devices" search={{ kind: "bad" }} className="link s12">
          {t("act.showdevices")}
        </Link>
      }
    >
      {numbers.failures.length === 0 && <Empty>{t("overview.nofailures")}</Empty>}
      {numbers.failures.slice(0, 4).map((row) => (
        <div key={row.code} className="item">
          <b className="num">{row.count}</b>
          <span className="grow cut">{word(row.code)}</span>
          <span className="t3 s12 cut">{row.common}</span>
        </div>
      ))}
    </Panel>
  );
}

function Expiring({ numbers }: { numbers: Numbers }) {
  const { t } = useTranslation();
  const summary = useAsk("fleet.show", {});
  const until = (at: string) => duration((instant(at) - serverNow()) / 1000);
  return (
    <Panel title={t("overview.expiring")}>
      <Link to="/links" className="item">
        <span className="grow cut">{t("overview.links24")}</span>
        {numbers.links.within_10_min > 0 && <span className="c-warn s12">{t("overview.in10", { n: numbers.links.within_10_min })}</span>}
        <b className="num wide">{count(numbers.links.within_24_h)}</b>
      </Link>
      <Link to="/devices" className="item">
        <span className="grow cut">{t("overview.certs30")}</span>
        {numbers.certificates.within_7_d > 0 && (
          <span className="c-warn s12">{t("overview.in7", { n: numbers.certificates.within_7_d })}</span>
        )}
        <b className="num wide">{count(numbers.certificates.within_30_d)}</b>
      </Link>
      {summary.data && (
        <div className="item">
          <span className="grow cut">{t("overview.targets")}</span>
          <span className="t3 s12">{t("overview.version", { n: summary.data.targets_version })}</span>
          <b className="num wide">{until(summary.data.targets_expire_at)}</b>
        </div>
      )}
      {numbers.revocation_list_renew_by && (
        <div className="item">
          <span className="grow cut">{t("overview.revocations")}</span>
          <b className="num wide">{until(numbers.revocation_list_renew_by)}</b>
        </div>
      )}
    </Panel>
  );
}

function Rate({ numbers }: { numbers: Numbers }) {
  const { t } = useTranslation();
  const [table, setTable] = useTwin();
  const points = numbers.download_rate;
  const times = useMemo(() => points.map((point) => instant(point.at)), [points]);
  const series = useMemo(
    () => [{ name: t("overview.rate"), token: "run-fg", values: points.map((point) => point.bytes_per_second) }],
    [points, t],
  );
  const last = points.at(-1);
  return (
    <Panel
      grow
      title={t("overview.rate")}
      tail={
        <>
          <span className="t3 s12">{t("overview.day")}</span>
          {last && <span className="s12">{bytes(last.bytes_per_second)}/s</span>}
          <TwinSwitch table={table} set={setTable} />
        </>
      }
    >
      <div className="chartbox">
        {points.length === 0 ? (
          <Empty>{t("overview.norate")}</Empty>
        ) : (
          <TimeSeries
            label={t("overview.ratelabel")}
            times={times}
            series={series}
            height={112}
            value={(n) => (n >= 1e5 || n === 0 ? `${n / 1e6}` : bytes(n))}
            table={table}
          />
        )}
      </div>
    </Panel>
  );
}
