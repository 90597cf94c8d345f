import { IconFileExport } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useOrder } from "@/app/ask";
import { AUDIT } from "@/app/host";
import { useMe } from "@/app/me";
import type { AuditRow } from "@/generated/AuditRow";
import { Button } from "@/parts/Button";
import { type Column, DataGrid } from "@/parts/DataGrid";
import { Filter } from "@/parts/Filter";
import { Empty, Failure, Loading, NoPermission } from "@/parts/Listing";
import { Head } from "@/parts/Panel";
import { State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { count, cutId } from "@/parts/units";
import { platform } from "@/platform";

const route = getRouteApi("/audit");

/** E2: who did what to what, when and why; the chain behind it verified. */
export function Audit() {
  const { t } = useTranslation();
  const me = useMe();
  const { q: text = "" } = route.useSearch();
  const go = useNavigate();
  const setText = useCallback((q: string) => void go({ to: "/audit", search: { q: q || undefined }, replace: true }), [go]);
  const denied = me.status && me.denied(AUDIT);
  const write = useOrder("audit.export");
  const verify = useOrder("audit.verify");
  const pages = useInfiniteQuery({
    queryKey: ["audit.list"],
    enabled: !denied,
    queryFn: ({ pageParam }) => platform().call("audit.list", { after: pageParam, limit: 200 }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next,
  });
  const all = useMemo(() => pages.data?.pages.flatMap((page) => page.rows) ?? [], [pages.data]);
  const wanted = text.toLowerCase();
  const rows = useMemo(
    () => all.filter((row) => `${row.actor} ${row.action} ${row.subject} ${row.reason}`.toLowerCase().includes(wanted)),
    [all, wanted],
  );
  const columns = useMemo<Column<AuditRow>[]>(
    () => [
      { id: "number", head: t("audit.entry"), width: 72, right: true, cell: (row) => <span className="t2">{count(row.number)}</span> },
      { id: "at", head: t("audit.at"), width: 148, cell: (row) => <span className="t2">{row.at.slice(0, 19).replace("T", " ")}</span> },
      { id: "actor", head: t("audit.actor"), width: 140, cell: (row) => row.actor },
      { id: "action", head: t("audit.action"), width: 140, cell: (row) => <span className="mono">{row.action}</span> },
      {
        id: "subject",
        head: t("audit.subject"),
        width: 150,
        cell: (row) => (
          <span className="mono t2" title={row.subject}>
            {cutId(row.subject)}
          </span>
        ),
      },
      { id: "reason", head: t("audit.reason"), width: "1fr", cell: (row) => <span className="t2">{row.reason}</span> },
      {
        id: "age",
        head: "",
        name: t("col.age"),
        width: 96,
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
  const save = async () => {
    const file = await platform().pickFile("fleetseal.audit");
    if (!file) return;
    await write.mutateAsync({ file });
    await platform().handOver?.(file);
    await verify.mutateAsync({ file });
  };
  return (
    <>
      <Head
        title={t("place.audit")}
        state={
          verify.data && (
            <State kind={verify.data.logs.every((log) => log.key_trusted) ? "ok" : "warn"} pill>
              {t("audit.verified", { n: count(Math.max(0, ...verify.data.logs.map((log) => log.size))) })}
            </State>
          )
        }
        meta={[t("audit.about")]}
        acts={
          <Button
            size="lg"
            icon={<IconFileExport className="i" />}
            denied={denied}
            disabled={write.isPending || verify.isPending}
            onClick={() => void save().catch(() => undefined)}
          >
            {t("audit.export")}
          </Button>
        }
      />
      <div className="body">
        {denied ? (
          <NoPermission />
        ) : (
          <section className="panel grow">
            <div className="ph">
              <Filter value={text} set={setText} label={t("audit.filter")} />
              <span className="grow" />
              <span className="t3 s12">{t("audit.loaded", { n: count(all.length) })}</span>
            </div>
            {(write.error ?? verify.error) && (
              <div className="pb">
                <Failure error={(write.error ?? verify.error) as Error} />
              </div>
            )}
            {pages.error && (
              <div className="pb">
                <Failure error={pages.error} retry={() => pages.refetch()} />
              </div>
            )}
            {!pages.data && !pages.error && <Loading />}
            {pages.data && rows.length === 0 && (
              <Empty act={text ? <Button onClick={() => setText("")}>{t("list.clear")}</Button> : undefined}>
                {text ? t("list.nomatch") : t("audit.none")}
              </Empty>
            )}
            {rows.length > 0 && (
              <DataGrid
                label={t("place.audit")}
                columns={columns}
                total={rows.length}
                rowAt={(index) => rows[index]}
                idOf={(row) => String(row.number)}
                busy={pages.isFetching}
                onRange={(_, last) => {
                  if (last >= rows.length - 1 && pages.hasNextPage && !pages.isFetchingNextPage) void pages.fetchNextPage();
                }}
              />
            )}
          </section>
        )}
      </div>
    </>
  );
}
