import { Menu } from "@mantine/core";
import { IconBookmark, IconPlus } from "@tabler/icons-react";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { useMe } from "@/app/me";
import { usePaged } from "@/app/paged";
import type { DeviceRow } from "@/generated/DeviceRow";
import type { DeviceState } from "@/generated/DeviceState";
import { Button } from "@/parts/Button";
import { Columns } from "@/parts/Columns";
import { type Column, DataGrid } from "@/parts/DataGrid";
import { Chip, Filter } from "@/parts/Filter";
import { Empty, Failure, Freshness, Loading } from "@/parts/Listing";
import { Head } from "@/parts/Panel";
import { State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { count } from "@/parts/units";
import { Enrol } from "./Enrol";
import { deviceKind } from "./kinds";
import { Models } from "./Models";

const route = getRouteApi("/devices");
const states: DeviceState[] = ["active", "cloned", "revoked", "retired", "replaced"];

/** C2: every device, a window at a time; filter, order and columns stand in the address. */
export function Devices() {
  const { t } = useTranslation();
  const me = useMe();
  const search = route.useSearch();
  const go = useNavigate();
  const [selected, select] = useState<Set<string>>(new Set());
  const [enrolling, enrol] = useState(false);
  const [models, showModels] = useState(false);
  const overview = useAsk("fleet.overview", {});
  const counts = overview.data?.devices;
  const set = useCallback(
    (change: typeof search) => void go({ to: "/devices", search: { ...search, ...change }, replace: true }),
    [go, search],
  );
  const setText = useCallback((q: string) => set({ q: q || undefined }), [set]);
  const sort = { by: search.sort ?? "serial", descending: false } as const;
  const list = usePaged("device.list", {
    filter: {
      model: search.model,
      version: search.version,
      state: search.state,
      // By serial number, even if any will do; else the newest first.
      serial_prefix: search.q ?? (sort.by === "serial" ? "" : undefined),
    },
  });
  const narrowed = !!(search.q || search.model || search.version || search.state);
  const every = counts && states.reduce((sum, state) => sum + counts[state], 0);
  const counted = search.q || search.model || search.version ? undefined : search.state ? counts?.[search.state] : every;
  const total = list.ended ? list.total : counted;
  const hidden = search.cols?.split(",") ?? [];

  const columns = useMemo<Column<DeviceRow>[]>(
    () => [
      {
        id: "state",
        head: t("col.state"),
        width: 116,
        cell: (row) => <State kind={deviceKind[row.state]}>{t(`device.${row.state}`)}</State>,
      },
      { id: "serial", head: t("col.device"), width: 120, sort: "serial", cell: (row) => <span className="mono">{row.serial}</span> },
      { id: "model", head: t("col.model"), width: 148, cell: (row) => row.model },
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
        cell: (row) => <span className="mono cut">{row.components.map((one) => one.version).join(", ")}</span>,
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
        cell: (row) => <span className="t2">{row.last_seen_at ? <Age at={row.last_seen_at} bare /> : "–"}</span>,
      },
    ],
    [t],
  );

  return (
    <>
      <Head
        title={t("place.devices")}
        meta={
          list.ready
            ? [
                total !== undefined ? t("devices.matching", { n: count(total) }) : t("devices.more", { n: count(list.total - 200) }),
                <Freshness key="f" at={list.updatedAt} reload={list.refetch} />,
              ]
            : undefined
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
              <Chip on={!search.state} set={() => set({ state: undefined })} name={t("list.all")} n={every} />
              {states.map((state) => (
                <Chip
                  key={state}
                  on={search.state === state}
                  set={() => set({ state })}
                  kind={deviceKind[state]}
                  name={t(`device.${state}`)}
                  n={counts?.[state]}
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
          {!list.ready ? (
            !list.error && <Loading rows={16} />
          ) : list.empty ? (
            <Empty
              act={
                narrowed ? (
                  <Button onClick={() => set({ q: undefined, model: undefined, version: undefined, state: undefined })}>
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
              open={!list.ended}
              rowAt={list.rowAt}
              idOf={(row) => row.id}
              onRange={list.onRange}
              onOpen={(row) => go({ to: "/devices/$id", params: { id: row.id } })}
              selected={selected}
              onSelect={select}
              sort={sort}
              onSort={() => set({ sort: sort.by === "serial" ? "newest" : undefined })}
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
  const none = { q: undefined, model: undefined, version: undefined, state: undefined, sort: undefined };
  const name = [search.q, search.model, search.version, search.state && t(`device.${search.state as DeviceState}`)]
    .filter(Boolean)
    .join(" ");
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
