import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useOrder } from "@/app/ask";
import { OPERATE } from "@/app/host";
import { useMe } from "@/app/me";
import { useWindowed } from "@/app/windowed";
import { Button } from "@/parts/Button";
import { Columns } from "@/parts/Columns";
import { useNow } from "@/parts/clock";
import { Danger } from "@/parts/Danger";
import { type Column, DataGrid } from "@/parts/DataGrid";
import { Chip, Filter } from "@/parts/Filter";
import { Id } from "@/parts/Id";
import { Empty, Failure, Freshness, Loading } from "@/parts/Listing";
import { Head } from "@/parts/Panel";
import { State } from "@/parts/State";
import { Age, Countdown } from "@/parts/Time";
import { bytes, count } from "@/parts/units";
import type { Kind, LinkChips, LinkLine } from "@/platform/needs";
import { linkKind } from "./kinds";

const route = getRouteApi("/links");
type Show = "live" | "expiring" | "partial" | "expired" | "consumed";
const shows: [Show, Kind | undefined][] = [
  ["live", "run"],
  ["expiring", "warn"],
  ["partial", undefined],
  ["expired", "bad"],
  ["consumed", "ok"],
];
const filters: Record<Show, object> = {
  live: { state: "active" },
  expiring: { expiring: true },
  partial: { state: "active" },
  expired: { state: "expired" },
  consumed: { state: "consumed" },
};

/** C6: every link, its countdown on the backend's clock, the bytes it served, and what became of it. */
export function Links() {
  const { t } = useTranslation();
  const me = useMe();
  const go = useNavigate();
  const search = route.useSearch();
  const [selected, select] = useState<Set<string>>(new Set());
  const [revoking, revoke] = useState(false);
  const [reissuing, setReissuing] = useState(false);
  const drop = useOrder("link.revoke");
  const again = useOrder("link.reissue");
  const set = useCallback(
    (change: typeof search) => void go({ to: "/links", search: { ...search, ...change }, replace: true }),
    [go, search],
  );
  const setText = useCallback((q: string) => set({ q: q || undefined }), [set]);
  const show = search.show as Show | undefined;
  const list = useWindowed<LinkLine, { counts: LinkChips }>("view.links", { text: search.q, ...(show ? filters[show] : {}) });
  const hidden = search.cols?.split(",") ?? [];
  const columns = useMemo<Column<LinkLine>[]>(
    () => [
      { id: "state", head: t("col.state"), width: 84, cell: (row) => <LinkState link={row} /> },
      { id: "link", head: t("col.link"), width: 76, cell: (row) => <Id id={row.id} short /> },
      { id: "device", head: t("col.device"), width: 100, cell: (row) => <span className="mono">{row.serial}</span> },
      {
        id: "issued",
        head: t("col.issued"),
        width: 64,
        right: true,
        cell: (row) => <span className="t2">{row.issued_at.slice(11, 19)}</span>,
      },
      {
        id: "expires",
        head: t("col.expires"),
        width: 172,
        cell: (row) =>
          row.ended_at ? (
            <span className="t2 ended">
              {t(row.state === "revoked" ? "links.revokedat" : "links.removedat", { at: row.ended_at.slice(11, 19) })}
            </span>
          ) : (
            <Countdown issued={row.issued_at} expires={row.expires_at} absolute />
          ),
      },
      { id: "served", head: t("col.downloaded"), width: 164, cell: (row) => <Served link={row} /> },
      {
        id: "tries",
        head: t("col.tries"),
        width: 32,
        right: true,
        cell: (row) => <span className={(row.attempts ?? 0) > 2 ? "c-warn" : "t2"}>{row.attempts ?? row.issue}</span>,
      },
      { id: "from", head: t("col.from"), width: "1fr", cell: (row) => <span className="t2">{row.last_from ?? t("links.notseen")}</span> },
      {
        id: "seen",
        head: t("col.seen"),
        width: 68,
        right: true,
        cell: (row) => <span className="t2">{row.last_seen_at ? <Age at={row.last_seen_at} bare /> : "–"}</span>,
      },
    ],
    [t],
  );
  const each = async (order: typeof drop) => {
    for (const link of selected) await order.mutateAsync({ link });
    select(new Set());
  };
  const counts = list.first?.counts;
  return (
    <>
      <Head
        title={t("place.links")}
        meta={[t("links.about"), t("links.clock")]}
        acts={list.first && <Freshness at={list.updatedAt} reload={list.refetch} />}
      />
      <div className="body">
        <section className="panel grow">
          <div className="ph">
            <Filter value={search.q ?? ""} set={setText} label={t("links.filter")} />
            <div className="chips">
              <Chip on={!show} set={() => set({ show: undefined })} name={t("list.all")} n={counts?.all} />
              {shows
                .filter(([one]) => !counts || counts[one] !== undefined)
                .map(([one, kind]) => (
                  <Chip key={one} on={show === one} set={() => set({ show: one })} kind={kind} name={t(`links.${one}`)} n={counts?.[one]} />
                ))}
            </div>
            <span className="grow" />
            <Columns columns={columns} hidden={hidden} set={(cols) => set({ cols: cols.join(",") || undefined })} />
          </div>
          {(list.error ?? drop.error ?? again.error) && (
            <div className="pb">
              <Failure error={(list.error ?? drop.error ?? again.error) as Error} retry={list.refetch} />
            </div>
          )}
          {!list.first ? (
            !list.error && <Loading rows={16} />
          ) : list.total === 0 ? (
            <Empty
              act={search.q || show ? <Button onClick={() => set({ q: undefined, show: undefined })}>{t("list.clear")}</Button> : undefined}
            >
              {search.q || show ? t("links.nomatch") : t("links.none")}
            </Empty>
          ) : (
            <DataGrid
              label={t("place.links")}
              columns={columns}
              hidden={hidden}
              total={list.total}
              rowAt={list.rowAt}
              idOf={(row) => row.id}
              onRange={list.onRange}
              onOpen={(row) => go({ to: "/devices/$id", params: { id: row.device } })}
              selected={selected}
              onSelect={select}
              busy={list.busy}
              dim={(row) => row.state === "consumed" || row.state === "revoked"}
            />
          )}
          <div className="foot tall">
            {selected.size > 0 ? (
              <>
                <b className="tx1">{t("grid.selected", { n: count(selected.size) })}</b>
                <span>{t("links.neverextended")}</span>
                <span className="grow" />
                <Button size="sm" denied={me.denied(OPERATE)} onClick={() => setReissuing(true)}>
                  {t("links.reissue")}
                </Button>
                <Button size="sm" look="danger" denied={me.denied(OPERATE)} onClick={() => revoke(true)}>
                  {t("links.revoke")}
                </Button>
                <Button size="sm" look="quiet" onClick={() => select(new Set())}>
                  {t("grid.clear")} <kbd>Esc</kbd>
                </Button>
              </>
            ) : (
              <span>{t("links.neverextended")}</span>
            )}
          </div>
        </section>
      </div>
      <Danger
        open={revoking}
        close={() => revoke(false)}
        title={t("links.revoketitle")}
        act={t("links.revokeact", { count: selected.size })}
        preview={async () => ({
          summary: t("links.revokesummary"),
          effects: [{ effect: t("links.revokeeffect"), count: selected.size }],
          token: "",
        })}
        commit={() => each(drop)}
      />
      <Danger
        open={reissuing}
        calm
        close={() => setReissuing(false)}
        title={t("links.reissuetitle")}
        act={t("links.reissueact", { count: selected.size })}
        preview={async () => ({
          summary: t("links.reissuesummary"),
          effects: [{ effect: t("links.reissueeffect"), count: selected.size }],
          token: "",
        })}
        commit={() => each(again)}
      />
    </>
  );
}

function LinkState({ link }: { link: LinkLine }) {
  const { t } = useTranslation();
  const { kind, word } = linkKind(link, useNow(5000));
  return <State kind={kind}>{t(`link.${word}`)}</State>;
}

function Served({ link }: { link: LinkLine }) {
  const { t } = useTranslation();
  const { kind } = linkKind(link, useNow(5000));
  const part = link.total_bytes ? Math.round((link.served_bytes / link.total_bytes) * 100) : 0;
  const fill = kind === "run" || kind === "warn" ? kind : "v2";
  return (
    <span className="servedcell" title={t("device.bytes", { part: count(link.served_bytes), whole: count(link.total_bytes) })}>
      <span className="bar thin">
        <i className={fill} style={{ width: `${part}%`, minWidth: part ? 2 : 0 }} />
      </span>
      <span className="pct">{part} %</span>
      <span className="t3">{link.served_bytes > 0 && bytes(link.served_bytes)}</span>
    </span>
  );
}
