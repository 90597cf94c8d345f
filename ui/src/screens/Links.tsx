import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { OPERATE } from "@/app/host";
import { useMe } from "@/app/me";
import { usePaged } from "@/app/paged";
import type { LinkFate } from "@/generated/LinkFate";
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
import { Rates } from "@/parts/rates";
import { State } from "@/parts/State";
import { Countdown } from "@/parts/Time";
import { bytes, count } from "@/parts/units";
import { Views } from "@/parts/Views";
import type { Kind } from "@/platform/needs";
import { EndedLinks } from "./EndedLinks";
import { linkKind } from "./kinds";

const route = getRouteApi("/links");
export type Show = "issued" | "active" | "expiring" | "ended" | LinkFate;
const shows = { issued: "idle", active: "run", expiring: "warn" } satisfies Partial<Record<Show, Kind>>;
const ended: Show[] = ["ended", "consumed", "expired", "revoked", "reissued"];

/** In ten minutes by the backend's clock, in whole minutes: a list of its own each minute, not each second. */
const soon = (): string => new Date(Math.floor(serverNow() / 60_000 + 10) * 60_000).toISOString().replace(".000", "");

/** C6: every open link, its countdown on the backend's clock and the bytes it served; and what became of those before. */
export function Links() {
  const { t } = useTranslation();
  const go = useNavigate();
  const search = route.useSearch();
  const overview = useAsk("fleet.overview", {});
  const set = useCallback(
    (change: typeof search) => void go({ to: "/links", search: { ...search, ...change }, replace: true }),
    [go, search],
  );
  const show = search.show as Show | undefined;
  const past = !!show && ended.includes(show);
  const links = overview.data?.links;
  const lately = overview.data?.served.at(-1);
  const speed = lately && serverNow() - Date.parse(lately.at) < 120_000 ? lately.bytes / 60 : 0;
  return (
    <>
      <Head
        title={t("place.links")}
        meta={[t("links.about"), t("links.clock"), ...(speed > 0 ? [t("links.speed", { speed: bytes(Math.round(speed)) })] : [])]}
        acts={
          <fieldset className="seg" aria-label={t("links.which")}>
            <button type="button" aria-pressed={!past} onClick={() => set({ show: undefined })}>
              {t("links.open")} <span className="t3">{links && count(links.open)}</span>
            </button>
            <button type="button" aria-pressed={past} onClick={() => set({ show: "ended" })}>
              {t("links.ended")} <span className="t3">{links && count(links.consumed + links.expired + links.revoked)}</span>
            </button>
          </fieldset>
        }
      />
      <div className="body">{past ? <EndedLinks show={show} set={set} overview={overview.data} /> : <OpenLinks set={set} />}</div>
    </>
  );
}

function OpenLinks({ set }: { set: (change: { q?: string; show?: string; sort?: string; cols?: string }) => void }) {
  const { t } = useTranslation();
  const me = useMe();
  const go = useNavigate();
  const search = route.useSearch();
  const [selected, select] = useState<Set<string>>(new Set());
  const [revoking, revoke] = useState(false);
  const [reissuing, setReissuing] = useState(false);
  const [rates] = useState(() => new Rates());
  const drop = useOrder("link.revoke");
  const again = useOrder("link.reissue");
  const setText = useCallback((q: string) => set({ q: q || undefined }), [set]);
  const show = search.show as keyof typeof shows | undefined;
  const who = useAsk("device.list", { filter: { serial_prefix: search.q }, page: { limit: 1 } }, !!search.q);
  const device = who.data?.rows[0]?.id;
  const unknown = !!search.q && who.data?.rows.length === 0;
  const descending = search.sort === "-expires";
  const list = usePaged(
    "link.list",
    {
      device,
      state: show === "expiring" ? undefined : show,
      expires_before: show === "expiring" ? soon() : undefined,
      descending: descending || undefined,
    },
    !search.q || !!device,
  );
  const overview = useAsk("fleet.overview", {}).data;
  const counts = overview && {
    issued: overview.links.open - overview.links.active,
    active: overview.links.active,
    expiring: overview.links_ending,
  };
  const hidden = search.cols?.split(",") ?? [];
  const at = list.updatedAt;
  const columns = useMemo<Column<LinkRow>[]>(
    () => [
      { id: "state", head: t("col.state"), width: 92, cell: (row) => <LinkState link={row} /> },
      { id: "link", head: t("col.link"), width: 76, cell: (row) => <Id id={row.id} short /> },
      { id: "device", head: t("col.device"), width: 120, cell: (row) => <span className="mono">{row.serial}</span> },
      {
        id: "issued",
        head: t("col.issued"),
        width: 72,
        right: true,
        cell: (row) => <span className="t2">{row.issued_at.slice(11, 19)}</span>,
      },
      {
        id: "expires",
        head: t("col.expires"),
        width: 180,
        sort: "expires",
        cell: (row) => <Countdown issued={row.issued_at} expires={row.expires_at} absolute />,
      },
      { id: "served", head: t("col.downloaded"), width: "1fr", cell: (row) => <Served link={row} /> },
      {
        id: "rate",
        head: t("col.rate"),
        width: 84,
        right: true,
        cell: (row) => {
          const rate = rates.observe(row.id, row.served_bytes, at);
          return <span className="t2">{rate === undefined ? "–" : t("unit.persecond", { size: bytes(Math.round(rate)) })}</span>;
        },
      },
      {
        id: "tries",
        head: t("col.tries"),
        width: 40,
        right: true,
        cell: (row) => <span className={row.issue > 2 ? "c-warn" : "t2"}>{row.issue}</span>,
      },
    ],
    [t, rates, at],
  );
  const each = async (order: typeof drop) => {
    for (const link of selected) await order.mutateAsync({ link });
    select(new Set());
  };
  const chosen = list.rows.filter((row) => selected.has(row.id));
  const loading = chosen.filter((row) => row.state === "active");
  const kept = chosen.reduce((sum, row) => sum + row.served_bytes, 0);
  const failed = list.error ?? drop.error ?? again.error;
  const narrowed = !!(search.q || show);
  return (
    <>
      <section className="panel grow">
        <div className="ph">
          <Filter value={search.q ?? ""} set={setText} label={t("links.filter")} />
          <div className="chips">
            <Chip on={!show} set={() => set({ show: undefined })} name={t("list.all")} n={overview?.links.open} />
            {Object.entries(shows).map(([one, kind]) => (
              <Chip
                key={one}
                on={show === one}
                set={() => set({ show: one })}
                kind={kind}
                name={t(`links.${one as keyof typeof shows}`)}
                n={counts?.[one as keyof typeof shows]}
              />
            ))}
          </div>
          <span className="grow" />
          <Freshness at={list.updatedAt} reload={list.refetch} />
          <Views
            list="links"
            search={{ q: search.q, show: search.show, sort: search.sort }}
            name={[search.q, show && t(`links.${show}`)].filter(Boolean).join(" ")}
            set={(view) => set({ q: undefined, show: undefined, sort: undefined, ...view })}
          />
          <Columns columns={columns} hidden={hidden} set={(cols) => set({ cols: cols.join(",") || undefined })} />
        </div>
        {failed && (
          <div className="pb">
            <Failure error={failed} retry={list.refetch} />
          </div>
        )}
        {!list.ready && !unknown ? (
          !list.error && <Loading rows={16} />
        ) : list.empty || unknown ? (
          <Empty act={narrowed ? <Button onClick={() => set({ q: undefined, show: undefined })}>{t("list.clear")}</Button> : undefined}>
            {narrowed ? t("links.nomatch") : t("links.none")}
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
            sort={{ by: "expires", descending }}
            onSort={(_, down) => set({ sort: down ? "-expires" : undefined })}
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
            <span>{t("links.neverextended")}</span>
          )}
        </div>
      </section>
      <Danger
        open={revoking}
        close={() => revoke(false)}
        title={t("links.revoketitle")}
        act={t("links.revokeact", { count: selected.size })}
        preview={async () => ({
          summary: t("links.revokesummary"),
          effects: [
            { effect: t("links.revokeeffect"), count: selected.size },
            { effect: t("links.revokestop"), count: loading.length },
          ],
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
          effects: [
            { effect: t("links.reissueeffect"), count: selected.size },
            { effect: t("links.reissuekept", { size: bytes(kept) }), count: loading.length },
          ],
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
