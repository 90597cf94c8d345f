import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { OPERATE } from "@/app/host";
import { useMe } from "@/app/me";
import { usePaged } from "@/app/paged";
import type { LinkRow } from "@/generated/LinkRow";
import { Button } from "@/parts/Button";
import { Columns } from "@/parts/Columns";
import { serverNow, useNow } from "@/parts/clock";
import { Danger } from "@/parts/Danger";
import { type Column, DataGrid } from "@/parts/DataGrid";
import { Chip, Filter } from "@/parts/Filter";
import { Id } from "@/parts/Id";
import { Empty, Failure, Freshness, Loading } from "@/parts/Listing";
import { Head } from "@/parts/Panel";
import { State } from "@/parts/State";
import { Countdown } from "@/parts/Time";
import { bytes, count } from "@/parts/units";
import type { Kind } from "@/platform/needs";
import { linkKind } from "./kinds";

const route = getRouteApi("/links");
type Show = "issued" | "active" | "expiring";
const shows: [Show, Kind][] = [
  ["issued", "idle"],
  ["active", "run"],
  ["expiring", "warn"],
];

/** In ten minutes by the backend's clock, in whole minutes: a list of its own each minute, not each second. */
const soon = (): string => new Date(Math.floor(serverNow() / 60_000 + 10) * 60_000).toISOString().replace(".000", "");

/** C6: every open link, its countdown on the backend's clock and the bytes it served; and what became of those before. */
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
  const who = useAsk("device.list", { filter: { serial_prefix: search.q }, page: { limit: 1 } }, !!search.q);
  const device = who.data?.rows[0]?.id;
  const unknown = !!search.q && who.data?.rows.length === 0;
  const list = usePaged(
    "link.list",
    {
      device,
      state: show === "expiring" ? undefined : show,
      expires_before: show === "expiring" ? soon() : undefined,
    },
    !search.q || !!device,
  );
  const links = useAsk("fleet.overview", {}).data?.links;
  const hidden = search.cols?.split(",") ?? [];
  const columns = useMemo<Column<LinkRow>[]>(
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
        cell: (row) => <Countdown issued={row.issued_at} expires={row.expires_at} absolute />,
      },
      { id: "served", head: t("col.downloaded"), width: "1fr", cell: (row) => <Served link={row} /> },
      {
        id: "tries",
        head: t("col.tries"),
        width: 32,
        right: true,
        cell: (row) => <span className={row.issue > 2 ? "c-warn" : "t2"}>{row.issue}</span>,
      },
    ],
    [t],
  );
  const each = async (order: typeof drop) => {
    for (const link of selected) await order.mutateAsync({ link });
    select(new Set());
  };
  return (
    <>
      <Head
        title={t("place.links")}
        meta={[t("links.about"), t("links.clock")]}
        acts={list.ready && <Freshness at={list.updatedAt} reload={list.refetch} />}
      />
      <div className="body">
        <section className="panel grow">
          <div className="ph">
            <Filter value={search.q ?? ""} set={setText} label={t("links.filter")} />
            <div className="chips">
              <Chip on={!show} set={() => set({ show: undefined })} name={t("list.all")} n={links?.open} />
              {shows.map(([one, kind]) => (
                <Chip key={one} on={show === one} set={() => set({ show: one })} kind={kind} name={t(`links.${one}`)} />
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
          {!list.ready && !unknown ? (
            !list.error && <Loading rows={16} />
          ) : list.empty || unknown ? (
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
              open={!list.ended}
              rowAt={list.rowAt}
              idOf={(row) => row.id}
              onRange={list.onRange}
              onOpen={(row) => go({ to: "/devices/$id", params: { id: row.device } })}
              selected={selected}
              onSelect={select}
              busy={list.busy}
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
              <span>
                {links
                  ? t("links.since", {
                      made: count(links.issued),
                      consumed: count(links.consumed),
                      expired: count(links.expired),
                      revoked: count(links.revoked),
                      reissued: count(links.reissued),
                    })
                  : t("links.neverextended")}
              </span>
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

function LinkState({ link }: { link: LinkRow }) {
  const { t } = useTranslation();
  const { kind, word } = linkKind(link, useNow(5000));
  return <State kind={kind}>{t(`link.${word}`)}</State>;
}

function Served({ link }: { link: LinkRow }) {
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
