import { IconPlus } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { OPERATE } from "@/app/host";
import { useMe } from "@/app/me";
import type { FleetOverview as Numbers } from "@/generated/FleetOverview";
import { Button } from "@/parts/Button";
import { serverNow, useNow } from "@/parts/clock";
import { FleetField } from "@/parts/FleetField";
import { Empty, Listing } from "@/parts/Listing";
import { Panel } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { TwinSwitch, useTwin } from "@/parts/TimeSeries";
import { clockTime, count, duration, instant, share } from "@/parts/units";
import type { Kind } from "@/platform/needs";
import { useWord } from "./causes";
import { glance } from "./glance";
import { RolloutTable } from "./Rollouts";

/** C1: the fleet at a glance; every number leads to its list. */
export function Overview() {
  const { t } = useTranslation();
  const answer = useAsk("fleet.overview", {});
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
        </div>
      </div>
    </div>
  );
}

function Readout({ numbers }: { numbers: Numbers }) {
  const { t } = useTranslation();
  const now = useNow(1000);
  const { states, models } = glance(numbers);
  const total = Object.values(states).reduce((sum, n) => sum + n, 0);
  const tiles: [Kind, string, { to: string; search?: { state: "cloned" } }][] = [
    ["ok", share(states.ok, total), { to: "/devices" }],
    ["run", t("overview.online", { n: count(numbers.devices.online) }), { to: "/rollouts" }],
    ["idle", t("overview.wait"), { to: "/rollouts" }],
    ["warn", t("device.cloned"), { to: "/devices", search: { state: "cloned" } }],
    ["bad", "", { to: "/rollouts" }],
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
        {tiles.map(([kind, note, list]) => (
          <Link key={kind} {...list}>
            <State kind={kind}>{t(`kind.${kind}`)}</State>
            <div className="row base">
              <span className="big">{count(states[kind])}</span>
              <span className="t3 s12 cut">{note}</span>
            </div>
          </Link>
        ))}
      </div>
      <FleetField models={models} age={t("time.ago", { text: duration((now - instant(numbers.server_time)) / 1000) })} />
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
  const [table, setTable] = useTwin();
  const { versions } = glance(numbers);
  if (versions.length === 0) return null;
  return (
    <Panel
      title={t("overview.versions")}
      tail={
        <>
          <span className="t3 s12">
            {t("overview.reported")} <Age at={numbers.server_time} />
          </span>
          <TwinSwitch table={table} set={setTable} />
        </>
      }
    >
      {table && (
        <table>
          <thead>
            <tr>
              <th>{t("col.component")}</th>
              <th>{t("col.version")}</th>
              <th className="r">{t("col.devices")}</th>
              <th className="r">{t("chart.share")}</th>
            </tr>
          </thead>
          <tbody>
            {versions.flatMap((part) =>
              part.rows.map((row) => (
                <tr key={`${part.component} ${row.version}`}>
                  <td>{part.component}</td>
                  <td className="mono">{row.version}</td>
                  <td className="r">{count(row.count)}</td>
                  <td className="r">
                    {share(
                      row.count,
                      part.rows.reduce((sum, one) => sum + one.count, 0),
                    )}
                  </td>
                </tr>
              )),
            )}
          </tbody>
        </table>
      )}
      {(table ? [] : versions).map((part) => {
        const total = part.rows.reduce((sum, row) => sum + row.count, 0);
        const shade = (index: number) => `v${Math.min(3, index + 1)}`;
        return (
          <div key={part.component} className="item">
            <span className="vname">{part.component}</span>
            <div className="bar vbar" role="img" aria-label={part.rows.map((row) => `${row.version}: ${row.count}`).join(", ")}>
              {part.rows.map((row, i) => (
                <i key={row.version} className={shade(i)} style={{ width: `${(row.count / Math.max(1, total)) * 100}%` }} />
              ))}
            </div>
            <span className="row gap12 cut">
              {part.rows.map((row, i) => (
                <Link key={row.version} to="/devices" search={{ version: row.version }} className="row gap4 s12">
                  <i className={`swatch ${shade(i)}`} />
                  <span className="mono">{row.version}</span>
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
        <Link to="/rollouts" className="link s12">
          {t("place.rollouts")}
        </Link>
      }
    >
      {numbers.failures.length === 0 && <Empty>{t("overview.nofailures")}</Empty>}
      {numbers.failures.slice(0, 4).map((row) => (
        <div key={row.code} className="item">
          <b className="num">{row.count}</b>
          <span className="grow cut">{word(row.code)}</span>
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
        <b className="num wide">{count(numbers.links_expiring)}</b>
      </Link>
      <Link to="/keys" className="item">
        <span className="grow cut">{t("overview.certs30")}</span>
        <b className="num wide">{count(numbers.certificates_expiring.length)}</b>
      </Link>
      {summary.data && (
        <div className="item">
          <span className="grow cut">{t("overview.targets")}</span>
          <span className="t3 s12">{t("overview.version", { n: summary.data.targets_version })}</span>
          <b className="num wide">{until(summary.data.targets_expire_at)}</b>
        </div>
      )}
      <div className="item">
        <span className="grow cut">{t("overview.linksmade")}</span>
        <b className="num wide">{count(numbers.links.issued)}</b>
      </div>
    </Panel>
  );
}
