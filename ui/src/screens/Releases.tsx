import { IconPlus } from "@tabler/icons-react";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { RELEASE } from "@/app/host";
import { useMe } from "@/app/me";
import type { ReleaseRow } from "@/generated/ReleaseRow";
import type { ReleaseState } from "@/generated/ReleaseState";
import { Button } from "@/parts/Button";
import { type Column, DataGrid } from "@/parts/DataGrid";
import { Chip, Filter } from "@/parts/Filter";
import { Id } from "@/parts/Id";
import { Empty, Failure, Freshness, Loading } from "@/parts/Listing";
import { Head } from "@/parts/Panel";
import { Seal } from "@/parts/Seal";
import { State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { Views } from "@/parts/Views";
import { releaseKind } from "./kinds";

const route = getRouteApi("/releases");
const states: ReleaseState[] = ["draft", "proposed", "approved", "signed", "published", "withdrawn"];

/** B1: every release, its state and its signatures. */
export function Releases() {
  const { t } = useTranslation();
  const me = useMe();
  const go = useNavigate();
  const search = route.useSearch();
  const { state, q = "" } = search;
  const list = useAsk("release.list", { limit: 500 });
  const rollouts = useAsk("rollout.list", { limit: 500 });
  const all = list.data?.rows ?? [];
  const wanted = q.toLowerCase();
  const rows = all.filter((row) => (!state || row.state === state) && `${row.version} ${row.author}`.toLowerCase().includes(wanted));
  const used = useMemo(() => {
    const counts = new Map<string, number>();
    for (const row of rollouts.data?.rows ?? []) counts.set(row.release, (counts.get(row.release) ?? 0) + 1);
    return counts;
  }, [rollouts.data]);
  const columns = useMemo<Column<ReleaseRow>[]>(
    () => [
      {
        id: "state",
        head: t("col.state"),
        width: 176,
        cell: (row) => (
          <State kind={releaseKind[row.state]}>
            {row.state === "approved" ? t("release.missing", { count: row.threshold - row.signatures }) : t(`release.${row.state}`)}
          </State>
        ),
      },
      { id: "version", head: t("col.version"), width: 96, cell: (row) => <span className="mono strong">{row.version}</span> },
      { id: "name", head: t("col.release"), width: "1fr", cell: (row) => <Subject id={row.id} /> },
      { id: "author", head: t("col.author"), width: 116, cell: (row) => <span className="t2">{row.author}</span> },
      { id: "signatures", head: t("col.signatures"), width: 84, cell: (row) => <Signatures row={row} /> },
      {
        id: "rollouts",
        head: t("col.rollouts"),
        width: 72,
        right: true,
        cell: (row) => <span className="t2">{used.get(row.id) ?? 0}</span>,
      },
      {
        id: "changed",
        head: t("col.changed"),
        width: 104,
        right: true,
        cell: (row) => (
          <span className="t3">
            <Age at={row.changed_at} />
          </span>
        ),
      },
    ],
    [t, used],
  );
  const look = useCallback(
    (change: typeof search) => void go({ to: "/releases", search: { ...search, ...change }, replace: true }),
    [go, search],
  );
  const set = (next?: ReleaseState) => look({ state: next });
  const setText = useCallback((text: string) => look({ q: text || undefined }), [look]);
  return (
    <>
      <Head
        title={t("place.releases")}
        meta={[t("releases.about"), <Freshness key="f" at={list.dataUpdatedAt} reload={() => list.refetch()} />]}
        acts={
          <Button
            look="primary"
            size="lg"
            icon={<IconPlus className="i" />}
            denied={me.denied(RELEASE)}
            onClick={() => go({ to: "/releases/new" })}
          >
            {t("releases.new")}
          </Button>
        }
      />
      <div className="body">
        <section className="panel grow">
          <div className="ph">
            <Filter value={q} set={setText} label={t("releases.filter")} />
            <div className="chips">
              <Chip on={!state} set={() => set()} name={t("list.all")} n={all.length} />
              {states
                .filter((one) => all.some((row) => row.state === one))
                .map((one) => (
                  <Chip
                    key={one}
                    on={state === one}
                    set={() => set(one)}
                    kind={releaseKind[one]}
                    name={t(`release.${one}`)}
                    n={all.filter((row) => row.state === one).length}
                  />
                ))}
            </div>
            <span className="grow" />
            <Views
              list="releases"
              search={search}
              name={[q, state && t(`release.${state as ReleaseState}`)].filter(Boolean).join(" ")}
              set={(view) => look({ q: undefined, state: undefined, ...view })}
            />
          </div>
          {list.error && (
            <div className="pb">
              <Failure error={list.error} retry={() => list.refetch()} />
            </div>
          )}
          {!list.data && !list.error && <Loading />}
          {list.data && rows.length === 0 && (
            <Empty
              act={state || q ? <Button onClick={() => look({ q: undefined, state: undefined })}>{t("list.clear")}</Button> : undefined}
            >
              {state || q ? t("list.nomatch") : t("releases.none")}
            </Empty>
          )}
          {rows.length > 0 && (
            <DataGrid
              label={t("place.releases")}
              columns={columns}
              total={rows.length}
              rowAt={(index) => rows[index]}
              idOf={(row) => row.id}
              onOpen={(row) => go({ to: "/releases/$id", params: { id: row.id } })}
              dim={(row) => row.state === "withdrawn"}
            />
          )}
        </section>
      </div>
    </>
  );
}

function Subject({ id }: { id: string }) {
  const detail = useAsk("release.show", { release: id });
  const artifact = detail.data?.artifacts[0];
  return (
    <span className="row">
      {artifact && <span>{artifact.model}</span>}
      <span className="t3 cut">{detail.data?.notes}</span>
      <span className="t3">
        <Id id={id} short />
      </span>
    </span>
  );
}

/** Signatures as a small seal and in numbers. */
export function Signatures({ row }: { row: { signatures: number; threshold: number } }) {
  const { t } = useTranslation();
  return (
    <span className="row gap4">
      <Seal
        parts={Array.from({ length: row.threshold }, (_, i) => (i < row.signatures ? "on" : "off"))}
        met={row.signatures >= row.threshold}
        size={18}
        label=""
      />
      {t("release.of", { n: Math.min(row.signatures, row.threshold), total: row.threshold })}
    </span>
  );
}
