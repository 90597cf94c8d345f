import { Menu } from "@mantine/core";
import { IconAdjustmentsHorizontal, IconPlus } from "@tabler/icons-react";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { useMe } from "@/app/me";
import { usePaged } from "@/app/paged";
import type { DeviceRow } from "@/generated/DeviceRow";
import type { DeviceSort } from "@/generated/DeviceSort";
import type { DeviceState } from "@/generated/DeviceState";
import type { FleetOverview } from "@/generated/FleetOverview";
import { Button } from "@/parts/Button";
import { Columns } from "@/parts/Columns";
import { type Column, DataGrid } from "@/parts/DataGrid";
import { Chip, Filter } from "@/parts/Filter";
import { Empty, Failure, Freshness, Loading } from "@/parts/Listing";
import { Head } from "@/parts/Panel";
import { State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { count } from "@/parts/units";
import { Views } from "@/parts/Views";
import { Enrol } from "./Enrol";
import { deviceKind, deviceStanding, open as engagedIn } from "./kinds";
import { Models } from "./Models";

const route = getRouteApi("/devices");
const states: DeviceState[] = ["active", "cloned", "revoked", "retired", "replaced"];
/** Those that ask for a look; the others stand in the menu. */
const chips: DeviceState[] = ["cloned", "revoked"];
const none = { q: undefined, model: undefined, version: undefined, state: undefined, engaged: undefined };

/** `-model` as what the list is sorted by; by serial number where nothing is said, or where one is looked for. */
function order(sort: string | undefined, looked: boolean): { by: DeviceSort; descending: boolean } {
  const descending = sort?.startsWith("-") ?? false;
  const by = sort?.replace("-", "");
  return { by: !looked && (by === "model" || by === "enrolled") ? by : "serial", descending };
}

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
  const sort = order(search.sort, !!search.q);
  const list = usePaged("device.list", {
    filter: {
      model: search.model,
      version: search.version,
      state: search.state,
      serial_prefix: search.q,
      engaged: search.engaged,
      sort: sort.by,
      descending: sort.descending,
    },
  });
  const narrowed = !!(search.q || search.model || search.version || search.state || search.engaged);
  const every = counts && states.reduce((sum, state) => sum + counts[state], 0);
  const engaged = overview.data?.rollouts.reduce((sum, row) => sum + engagedIn(row.counts), 0);
  const counted =
    search.q || search.model || search.version ? undefined : search.engaged ? engaged : search.state ? counts?.[search.state] : every;
  const total = list.ended ? list.total : counted;
  const hidden = search.cols?.split(",") ?? [];

  const columns = useMemo<Column<DeviceRow>[]>(
    () => [
      {
        id: "state",
        head: t("col.state"),
        width: 116,
        cell: (row) => {
          const { kind, word } = deviceStanding(row);
          return <State kind={kind}>{t(word)}</State>;
        },
      },
      { id: "serial", head: t("col.device"), width: 120, sort: "serial", cell: (row) => <span className="mono">{row.serial}</span> },
      { id: "model", head: t("col.model"), width: 148, sort: "model", cell: (row) => row.model },
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
        id: "enrolled",
        head: t("col.enrolled"),
        width: 88,
        sort: "enrolled",
        cell: (row) => <span className="t2">{row.enrolled_at?.slice(0, 10)}</span>,
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
              <Chip
                on={!search.state && !search.engaged}
                set={() => set({ state: undefined, engaged: undefined })}
                name={t("list.all")}
                n={every}
              />
              <Chip
                on={!!search.engaged}
                set={() => set({ state: undefined, engaged: true })}
                kind="run"
                name={t("devices.engaged")}
                n={engaged}
              />
              {states
                .filter((state) => chips.includes(state) || search.state === state)
                .map((state) => (
                  <Chip
                    key={state}
                    on={search.state === state}
                    set={() => set({ state, engaged: undefined })}
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
            <Narrow overview={overview.data} set={set} />
            <Views
              list="devices"
              search={{ ...search, cols: undefined }}
              name={[
                search.q,
                search.model,
                search.version,
                search.state && t(`device.${search.state}`),
                search.engaged && t("devices.engaged"),
              ]
                .filter(Boolean)
                .join(" ")}
              set={(view) => set({ ...none, sort: undefined, ...view })}
            />
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
            <Empty act={narrowed ? <Button onClick={() => set(none)}>{t("list.clear")}</Button> : undefined}>
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
              onSort={(by, descending) => set({ sort: `${descending ? "-" : ""}${by}` })}
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

/** The rest of what devices can be told apart by, with how many there are of each. */
function Narrow({ overview, set }: { overview?: FleetOverview; set: (change: Partial<Record<string, string>>) => void }) {
  const { t } = useTranslation();
  if (!overview) return null;
  const models = new Map<string, number>();
  for (const { model, count } of overview.models) models.set(model, (models.get(model) ?? 0) + count);
  const entry = (key: string, name: React.ReactNode, n: number, change: Partial<Record<string, string>>) => (
    <Menu.Item key={key} onClick={() => set(change)} rightSection={<span className="t3 s12">{count(n)}</span>}>
      {name}
    </Menu.Item>
  );
  return (
    <Menu position="bottom-end" width={260} transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <Button look="quiet" size="sm" icon={<IconAdjustmentsHorizontal className="i i-14" />}>
          {t("devices.narrow")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown className="tallmenu">
        <Menu.Label>{t("col.state")}</Menu.Label>
        {states
          .filter((state) => !chips.includes(state))
          .map((state) => entry(state, t(`device.${state}`), overview.devices[state], { state, engaged: undefined }))}
        <Menu.Label>{t("col.model")}</Menu.Label>
        {[...models].map(([model, n]) => entry(`m ${model}`, model, n, { model }))}
        <Menu.Label>{t("col.version")}</Menu.Label>
        {overview.versions.map(({ component, version, count }) =>
          entry(
            `v ${component} ${version}`,
            <>
              <span className="t2">{component}</span> <span className="mono">{version}</span>
            </>,
            count,
            { version },
          ),
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
