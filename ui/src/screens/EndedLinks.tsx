import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { usePaged } from "@/app/paged";
import type { FleetOverview } from "@/generated/FleetOverview";
import type { LinkEvent } from "@/generated/LinkEvent";
import type { LinkFate } from "@/generated/LinkFate";
import type { ServedMinute } from "@/generated/ServedMinute";
import { serverNow } from "@/parts/clock";
import { type Column, DataGrid } from "@/parts/DataGrid";
import { Chip } from "@/parts/Filter";
import { Histogram } from "@/parts/Histogram";
import { Id } from "@/parts/Id";
import { Empty, Failure, Freshness, Listing, Loading } from "@/parts/Listing";
import { Panel } from "@/parts/Panel";
import { State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { TimeSeries, TwinSwitch, useTwin } from "@/parts/TimeSeries";
import { bytes, count, duration, instant } from "@/parts/units";
import { fateKind } from "./kinds";
import type { Show } from "./Links";

const fates: LinkFate[] = ["consumed", "expired", "revoked", "reissued"];
const minute = 60_000;

/** What became of links that are gone, from what their ends left in the timeline, newest first. */
export function EndedLinks({ show, set, overview }: { show?: Show; set: (change: { show?: string }) => void; overview?: FleetOverview }) {
  const { t } = useTranslation();
  const go = useNavigate();
  const fate = fates.find((one) => one === show);
  const list = usePaged("link.events", { fate });
  const columns = useMemo<Column<LinkEvent>[]>(
    () => [
      { id: "state", head: t("col.state"), width: 104, cell: (row) => <State kind={fateKind[row.fate]}>{t(`link.${row.fate}`)}</State> },
      {
        id: "device",
        head: t("col.device"),
        width: 148,
        cell: (row) =>
          row.serial ? <span className="mono">{row.serial}</span> : <span className="t2">{t("links.unused", { count: row.count })}</span>,
      },
      {
        id: "rollout",
        head: t("col.rollout"),
        width: 88,
        cell: (row) => (
          <Link to="/rollouts/$id" params={{ id: row.rollout }} className="rowlink" tabIndex={-1}>
            <Id id={row.rollout} short />
          </Link>
        ),
      },
      {
        id: "issued",
        head: t("col.issued"),
        width: 76,
        right: true,
        cell: (row) => <span className="t2">{row.issued_at?.slice(11, 19)}</span>,
      },
      { id: "ended", head: t("col.ended"), width: 148, cell: (row) => <span className="t2">{row.at.slice(0, 19).replace("T", " ")}</span> },
      {
        id: "lived",
        head: t("col.lived"),
        width: 84,
        right: true,
        cell: (row) => (row.issued_at ? duration((instant(row.at) - instant(row.issued_at)) / 1000) : "–"),
      },
      {
        id: "served",
        head: t("col.served"),
        width: "1fr",
        right: true,
        cell: (row) => <span className="t2">{row.fate === "consumed" && row.total_bytes ? bytes(row.total_bytes) : "–"}</span>,
      },
      {
        id: "age",
        head: "",
        name: t("col.age"),
        width: 108,
        right: true,
        cell: (row) => (
          <span className="t3">
            <Age at={row.at} />
          </span>
        ),
      },
    ],
    [t],
  );
  const links = overview?.links;
  const sums = links && { consumed: links.consumed, expired: links.expired, revoked: links.revoked, reissued: links.reissued };
  return (
    <>
      <div className="two-col even">
        <Lifetimes />
        <Throughput served={overview?.served} />
      </div>
      <section className="panel grow">
        <div className="ph">
          <div className="chips">
            <Chip
              on={!fate}
              set={() => set({ show: "ended" })}
              name={t("list.all")}
              n={sums && sums.consumed + sums.expired + sums.revoked}
            />
            {fates.map((one) => (
              <Chip
                key={one}
                on={fate === one}
                set={() => set({ show: one })}
                kind={fateKind[one]}
                name={t(`link.${one}`)}
                n={sums?.[one]}
              />
            ))}
          </div>
          <span className="grow" />
          <Freshness at={list.updatedAt} reload={list.refetch} />
        </div>
        {list.error && (
          <div className="pb">
            <Failure error={list.error} retry={list.refetch} />
          </div>
        )}
        {!list.ready ? (
          !list.error && <Loading rows={8} />
        ) : list.empty ? (
          <Empty>{t(fate ? "links.nomatch" : "links.noneended")}</Empty>
        ) : (
          <DataGrid
            label={t("links.ended")}
            columns={columns}
            total={list.total}
            open={!list.ended}
            rowAt={list.rowAt}
            idOf={(row) => `${row.fate} ${row.at} ${row.device ?? row.rollout}`}
            onRange={list.onRange}
            onOpen={(row) => row.device && go({ to: "/devices/$id", params: { id: row.device } })}
            busy={list.busy}
          />
        )}
        <div className="foot">{t("links.noid")}</div>
      </section>
    </>
  );
}

const steps: [string, number][] = [
  ["< 10 s", 10],
  ["< 30 s", 30],
  ["< 1 m", 60],
  ["< 5 m", 300],
  ["< 15 m", 900],
  ["< 1 h", 3600],
  ["≥ 1 h", Number.POSITIVE_INFINITY],
];

/** How long links lived that were used up, of the newest. */
function Lifetimes() {
  const { t } = useTranslation();
  const [table, setTable] = useTwin();
  const answer = useAsk("link.events", { fate: "consumed", page: { limit: 500 } });
  const lived = (answer.data?.rows ?? []).flatMap((row) => (row.issued_at ? [(instant(row.at) - instant(row.issued_at)) / 1000] : []));
  const rows = steps.map(([name, most], i): [string, number] => [
    name,
    lived.filter((secs) => secs < most && secs >= (steps[i - 1]?.[1] ?? 0)).length,
  ]);
  return (
    <Panel
      title={t("links.lifetimes")}
      tail={
        <>
          <span className="t3 s12">{t("links.newest", { n: count(lived.length) })}</span>
          <TwinSwitch table={table} set={setTable} />
        </>
      }
    >
      <Listing answer={answer} rows={4} isEmpty={() => lived.length === 0} empty={<Empty>{t("links.nonelived")}</Empty>}>
        {() => (
          <div className="chartbox">
            <Histogram label={t("links.lifetimes")} rows={rows} height={132} table={table} />
          </div>
        )}
      </Listing>
    </Panel>
  );
}

/** What the backend served in each minute of the last hour. */
function Throughput({ served }: { served?: ServedMinute[] }) {
  const { t } = useTranslation();
  const [table, setTable] = useTwin();
  const drawn = useMemo(() => {
    if (!served || served.length === 0) return undefined;
    const by = new Map(served.map((one) => [instant(one.at), one.bytes]));
    const last = Math.floor(serverNow() / minute) * minute - minute;
    const times = Array.from({ length: 60 }, (_, i) => last - (59 - i) * minute);
    return { times, values: times.map((at) => (by.get(at) ?? 0) / 60) };
  }, [served]);
  const say = (n: number) => t("unit.persecond", { size: bytes(Math.round(n)) });
  return (
    <Panel
      title={t("links.throughput")}
      tail={
        <>
          <span className="t3 s12">{t("links.lasthour")}</span>
          <TwinSwitch table={table} set={setTable} />
        </>
      }
    >
      {served === undefined ? (
        <Loading rows={4} />
      ) : drawn === undefined ? (
        <Empty>{t("links.nothingserved")}</Empty>
      ) : (
        <div className="chartbox">
          <TimeSeries
            label={t("links.throughput")}
            times={drawn.times}
            series={[{ name: t("links.throughput"), token: "ac-fg", values: drawn.values }]}
            height={132}
            value={say}
            wide
            table={table}
          />
        </div>
      )}
    </Panel>
  );
}
