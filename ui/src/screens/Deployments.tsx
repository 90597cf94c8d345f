import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { DeploymentRow } from "@/generated/DeploymentRow";
import type { DeploymentState } from "@/generated/DeploymentState";
import type { RolloutDetail } from "@/generated/RolloutDetail";
import { type Column, DataGrid } from "@/parts/DataGrid";
import { Chip } from "@/parts/Filter";
import { Empty, Failure, Loading } from "@/parts/Listing";
import { State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { served } from "@/parts/units";
import { platform } from "@/platform";
import { useWord } from "./causes";
import { deploymentKind, sum } from "./kinds";

const route = getRouteApi("/rollouts/$id");
const first: DeploymentState[] = [
  "failed",
  "rolled_back",
  "rejected",
  "timed_out",
  "downloading",
  "installing",
  "confirming",
  "queued",
  "succeeded",
];

/** The devices of a rollout and where each stands, in pages. */
export function Deployments({ detail }: { detail: RolloutDetail }) {
  const { t } = useTranslation();
  const go = useNavigate();
  const cause = useWord();
  const { id } = route.useParams();
  const search = route.useSearch();
  const present = first.filter((state) => detail.row.counts[state]);
  const wanted =
    search.state === "bad"
      ? (present.find((state) => deploymentKind[state] === "bad") ?? undefined)
      : (search.state as DeploymentState | undefined);
  const set = (state?: DeploymentState) => go({ to: "/rollouts/$id", params: { id }, search: { state }, replace: true });
  const pages = useInfiniteQuery({
    queryKey: ["rollout.deployments", id, wanted],
    queryFn: ({ pageParam }) =>
      platform().call("rollout.deployments", { rollout: id, state: wanted, page: { after: pageParam, limit: 200 } }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next,
  });
  const rows = useMemo(() => pages.data?.pages.flatMap((page) => page.rows) ?? [], [pages.data]);
  const total = wanted ? (detail.row.counts[wanted] ?? 0) : sum(detail.row.counts);
  const columns = useMemo<Column<DeploymentRow>[]>(
    () => [
      {
        id: "state",
        head: t("col.state"),
        width: 140,
        cell: (row) => <State kind={deploymentKind[row.state]}>{t(`deployment.${row.state}`)}</State>,
      },
      { id: "device", head: t("col.device"), width: 132, cell: (row) => <span className="mono">{row.serial}</span> },
      { id: "phase", head: t("col.phase"), width: 56, right: true, cell: (row) => <span className="t2">{row.phase + 1}</span> },
      { id: "tries", head: t("col.tries"), width: 56, right: true, cell: (row) => <span className="t2">{row.attempts}</span> },
      {
        id: "served",
        head: t("col.downloaded"),
        width: 136,
        right: true,
        cell: (row) => <span className="t2">{row.served_bytes > 0 ? served(row.served_bytes, row.total_bytes, t("unit.of")) : "–"}</span>,
      },
      { id: "detail", head: t("col.detail"), width: "1fr", cell: (row) => <span className="t2">{row.code && cause(row.code)}</span> },
      {
        id: "changed",
        head: t("col.changed"),
        width: 84,
        right: true,
        cell: (row) => <span className="t2">{row.changed_at.slice(11, 19)}</span>,
      },
      {
        id: "age",
        head: "",
        name: t("col.age"),
        width: 100,
        right: true,
        cell: (row) => (
          <span className="t3">
            <Age at={row.changed_at} />
          </span>
        ),
      },
    ],
    [t, cause],
  );
  return (
    <section className="panel grow deps">
      <div className="ph">
        <div className="chips">
          <Chip on={!wanted} set={() => set()} name={t("list.all")} n={sum(detail.row.counts)} />
          {present.map((state) => (
            <Chip
              key={state}
              on={wanted === state}
              set={() => set(state)}
              kind={deploymentKind[state]}
              name={t(`deployment.${state}`)}
              n={detail.row.counts[state]}
            />
          ))}
        </div>
      </div>
      {pages.error && (
        <div className="pb">
          <Failure error={pages.error} retry={() => pages.refetch()} />
        </div>
      )}
      {!pages.data && !pages.error && <Loading rows={5} />}
      {pages.data && rows.length === 0 && <Empty>{t("list.nomatch")}</Empty>}
      {rows.length > 0 && (
        <DataGrid
          label={t("rollout.devices")}
          columns={columns}
          total={Math.min(total, rows.length + (pages.hasNextPage ? 200 : 0))}
          rowAt={(index) => rows[index]}
          idOf={(row) => row.id}
          onRange={(_, last) => {
            if (last >= rows.length && pages.hasNextPage && !pages.isFetchingNextPage) void pages.fetchNextPage();
          }}
          onOpen={(row) => go({ to: "/devices/$id", params: { id: row.device } })}
          busy={pages.isFetching}
        />
      )}
    </section>
  );
}
