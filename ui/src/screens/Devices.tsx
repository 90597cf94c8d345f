import { Menu } from "@mantine/core";
import { IconBookmark, IconPlus } from "@tabler/icons-react";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { useMe } from "@/app/me";
import { useWindowed } from "@/app/windowed";
import { Button } from "@/parts/Button";
import { Columns } from "@/parts/Columns";
import { type Column, DataGrid } from "@/parts/DataGrid";
import { Chip, Filter } from "@/parts/Filter";
import { Empty, Failure, Freshness, Loading } from "@/parts/Listing";
import { Head } from "@/parts/Panel";
import { State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { count } from "@/parts/units";
import type { DeviceLine, Kind } from "@/platform/needs";
import { Enrol } from "./Enrol";
import { Models } from "./Models";

const route = getRouteApi("/devices");
const kinds: Kind[] = ["ok", "run", "idle", "warn", "bad"];

/** C2: every device, a window at a time; filter, order and columns stand in the address. */
export function Devices() {
  const { t } = useTranslation();
  const me = useMe();
  const search = route.useSearch();
  const go = useNavigate();
  const [selected, select] = useState<Set<string>>(new Set());
  const [enrolling, enrol] = useState(false);
  const [models, showModels] = useState(false);
  const overview = useAsk("view.overview", {});
  const set = useCallback(
    (change: typeof search) => void go({ to: "/devices", search: { ...search, ...change }, replace: true }),
    [go, search],
  );
  const setText = useCallback((q: string) => set({ q: q || undefined }), [set]);
  const sort = { by: search.sort ?? "serial", descending: !!search.desc } as const;
  const filter = {
    text: search.q,
    model: search.model,
    version: search.version,
    state: search.state,
    kind: search.kind,
    sort: sort.by,
    descending: sort.descending,
  };
  const list = useWindowed<DeviceLine, object>("view.devices", filter);
  const narrowed = !!(search.q || search.model || search.version || search.state || search.kind);
  const hidden = search.cols?.split(",") ?? [];

  const columns = useMemo<Column<DeviceLine>[]>(
    () => [
      {
        id: "state",
        head: t("col.state"),
        width: 116,
        cell: (row) => (
          <State kind={row.state === "active" ? row.kind : "bad"}>
            {row.state !== "active" ? t(`device.${row.state}`) : row.deployment ? t(`deployment.${row.deployment}`) : t(`kind.${row.kind}`)}
          </State>
        ),
      },
      { id: "serial", head: t("col.device"), width: 120, sort: "serial", cell: (row) => <span className="mono">{row.serial}</span> },
      { id: "model", head: t("col.model"), width: 104, sort: "model", cell: (row) => row.model },
      {
        id: "hardware",
        head: t("col.hw"),
        name: t("col.hardware"),
        width: 32,
        cell: (row) => <span className="t2">{row.hardware_revision}</span>,
      },
      {
        id: "version",
        head: t("col.version"),
        width: 124,
        sort: "version",
        cell: (row) => (
          <span className="mono">
            {row.components[0]?.version}
            {row.wanted && row.wanted !== row.components[0]?.version && <span className="t3"> → {row.wanted}</span>}
          </span>
        ),
      },
      {
        id: "reached",
        head: t("col.reached"),
        width: "1fr",
        cell: (row) => <span className="t2">{t(`connectivity.${row.connectivity}`)}</span>,
      },
      {
        id: "seen",
        head: t("col.seen"),
        width: 80,
        right: true,
        sort: "last_seen",
        cell: (row) => <span className="t2">{row.last_seen_at ? <Age at={row.last_seen_at} bare /> : "–"}</span>,
      },
      {
        id: "certificate",
        head: t("col.certificate"),
        width: 104,
        right: true,
        cell: (row) => <span className="t2">{row.certificate_expires_at?.slice(0, 10)}</span>,
      },
    ],
    [t],
  );

  return (
    <>
      <Head
        title={t("place.devices")}
        meta={
          list.first && [t("devices.matching", { n: count(list.total) }), <Freshness key="f" at={list.updatedAt} reload={list.refetch} />]
        }
        acts={
          <>
            <Button size="lg" onClick={() => showModels(true)}>
              {t("models.title")}
            </Button>
            <Button size="lg" icon={<IconPlus className="i" />} denied={me.denied(["admin", "station"])} onClick={() => enrol(true)}>
              {t("devices.enrol")}
            </Button>
          </>
        }
      />
      <div className="body">
        <section className="panel grow">
          <div className="ph">
            <Filter value={search.q ?? ""} set={setText} label={t("devices.filter")} />
            <div className="chips">
              <Chip
                on={!search.kind}
                set={() => set({ kind: undefined })}
                name={t("list.all")}
                n={overview.data && kinds.reduce((sum, kind) => sum + (overview.data?.states[kind] ?? 0), 0)}
              />
              {kinds.map((kind) => (
                <Chip
                  key={kind}
                  on={search.kind === kind}
                  set={() => set({ kind })}
                  kind={kind}
                  name={t(`kind.${kind}`)}
                  n={overview.data?.states[kind]}
                />
              ))}
              {(["model", "version"] as const).map(
                (name) =>
                  search[name] && (
                    <button
                      key={name}
                      type="button"
                      className="chip on"
                      aria-label={t("list.without", { what: `${name} ${search[name]}` })}
                      onClick={() => set({ [name]: undefined })}
                    >
                      {search[name]} ✕
                    </button>
                  ),
              )}
            </div>
            <span className="grow" />
            <Views search={search} set={set} />
            <Columns columns={columns} hidden={hidden} set={(cols) => set({ cols: cols.join(",") || undefined })} />
          </div>
          {list.error && (
            <div className="pb">
              <Failure error={list.error} retry={list.refetch} />
            </div>
          )}
          {!list.first ? (
            !list.error && <Loading rows={16} />
          ) : list.total === 0 ? (
            <Empty
              act={
                narrowed ? (
                  <Button onClick={() => set({ q: undefined, model: undefined, version: undefined, state: undefined, kind: undefined })}>
                    {t("list.clear")}
                  </Button>
                ) : undefined
              }
            >
              {narrowed ? t("devices.nomatch") : t("overview.empty")}
            </Empty>
          ) : (
            <DataGrid
              label={t("place.devices")}
              columns={columns}
              hidden={hidden}
              total={list.total}
              rowAt={list.rowAt}
              idOf={(row) => row.id}
              onRange={list.onRange}
              onOpen={(row) => go({ to: "/devices/$id", params: { id: row.id } })}
              selected={selected}
              onSelect={select}
              sort={sort}
              onSort={(by, descending) => set({ sort: by as typeof sort.by, desc: descending || undefined })}
              busy={list.busy}
              dim={(row) => row.state !== "active"}
            />
          )}
          <div className="foot tall">
            {selected.size > 0 ? (
              <>
                <b className="tx1">{t("grid.selected", { n: count(selected.size) })}</b>
                <span className="grow" />
                <Button
                  size="sm"
                  denied={me.denied(["admin", "operator"])}
                  onClick={() => {
                    sessionStorage.setItem("fleetseal-targets", JSON.stringify([...selected]));
                    void go({ to: "/rollouts/new" });
                  }}
                >
                  {t("devices.plan")}
                </Button>
                <Button size="sm" onClick={() => navigator.clipboard?.writeText([...selected].join("\n"))}>
                  {t("devices.copyids")}
                </Button>
                <Button size="sm" look="quiet" onClick={() => select(new Set())}>
                  {t("grid.clear")} <kbd>Esc</kbd>
                </Button>
              </>
            ) : (
              <span>{t("grid.hint")}</span>
            )}
          </div>
        </section>
      </div>
      <Enrol open={enrolling} close={() => enrol(false)} />
      <Models open={models} close={() => showModels(false)} />
    </>
  );
}

type Saved = { name: string; search: Record<string, unknown> }[];

/** Filters with a name, on this computer. */
function Views({ search, set }: { search: Record<string, unknown>; set: (change: Record<string, undefined>) => void }) {
  const { t } = useTranslation();
  const [views, setViews] = useState<Saved>(() => JSON.parse(localStorage.getItem("fleetseal-views") ?? "[]"));
  const store = (next: Saved) => {
    localStorage.setItem("fleetseal-views", JSON.stringify(next));
    setViews(next);
  };
  const none = { q: undefined, model: undefined, version: undefined, state: undefined, kind: undefined, sort: undefined, desc: undefined };
  const name = [search.q, search.model, search.version, search.kind && t(`kind.${search.kind as Kind}`)].filter(Boolean).join(" ");
  return (
    <Menu position="bottom-end" width={240} transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <Button look="quiet" size="sm" icon={<IconBookmark className="i i-14" />}>
          {t("devices.views")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {views.map((view) => (
          <Menu.Item key={view.name} onClick={() => set({ ...none, ...view.search } as Record<string, undefined>)}>
            {view.name}
          </Menu.Item>
        ))}
        <Menu.Item disabled={!name} onClick={() => store([...views.filter((view) => view.name !== name), { name, search }])}>
          {name ? t("devices.saveview", { name }) : t("devices.noview")}
        </Menu.Item>
        {views.length > 0 && <Menu.Item onClick={() => store([])}>{t("devices.forgetviews")}</Menu.Item>}
      </Menu.Dropdown>
    </Menu>
  );
}
