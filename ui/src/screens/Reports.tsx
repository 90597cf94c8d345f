import { IconFileText, IconRefresh } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { Button } from "@/parts/Button";
import { Empty, Failure, Freshness, Listing } from "@/parts/Listing";
import { Head, Panel } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { save } from "./bench/save";

/** What was done at this bench, and which receipts wait for the network. */
export function Reports() {
  const { t } = useTranslation();
  const answer = useAsk("bench.reports", {});
  const queue = useAsk("bench.receipts", {});
  const sync = useOrder("bench.sync");
  const write = useOrder("bench.report");
  const waiting = queue.data?.waiting ?? 0;
  return (
    <>
      <Head
        title={t("place.reports")}
        meta={[t("reports.about"), <Freshness key="f" at={answer.dataUpdatedAt} reload={() => answer.refetch()} />]}
        acts={
          <Button
            size="lg"
            look={waiting > 0 ? "primary" : undefined}
            icon={<IconRefresh className="i" aria-hidden="true" />}
            disabled={sync.isPending}
            onClick={() => sync.mutate({})}
          >
            {t("reports.sync")}
          </Button>
        }
      />
      <div className="body scroll">
        {waiting > 0 && (
          <div className="note fixed">
            <Glyph kind="idle" />
            <span className="grow">{t("reports.waiting", { count: waiting })}</span>
          </div>
        )}
        {sync.data && sync.data.handed_in > 0 && (
          <div className="note fixed" role="status">
            <Glyph kind="ok" />
            <span className="grow">{t("reports.synced", { n: sync.data.handed_in })}</span>
          </div>
        )}
        {(sync.error ?? write.error) && <Failure error={(sync.error ?? write.error) as Error} />}
        <Panel>
          <Listing answer={answer} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("reports.none")}</Empty>}>
            {(page) => (
              <table className="lg" aria-label={t("place.reports")}>
                <colgroup>
                  <col style={{ width: 100 }} />
                  <col style={{ width: 144 }} />
                  <col />
                  <col style={{ width: 130 }} />
                  <col style={{ width: 120 }} />
                  <col style={{ width: 160 }} />
                  <col style={{ width: 110 }} />
                  <col style={{ width: 150 }} />
                </colgroup>
                <thead>
                  <tr>
                    <th>{t("col.state")}</th>
                    <th>{t("col.serial")}</th>
                    <th>{t("bench.version")}</th>
                    <th>{t("bench.identity")}</th>
                    <th>{t("reports.technician")}</th>
                    <th>{t("reports.when")}</th>
                    <th>{t("reports.receipt")}</th>
                    <th>
                      <span className="sr">{t("place.reports")}</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {page.rows.map((report) => (
                    <tr key={report.id}>
                      <td>
                        <State kind={report.passed ? "ok" : "bad"}>{t(report.passed ? "bench.pass" : "bench.fail")}</State>
                      </td>
                      <td className="mono">{report.serial}</td>
                      <td className="mono t2">
                        {report.before ?? "?"} → {report.version}
                      </td>
                      <td>
                        <State kind={report.identity_proven ? "ok" : "warn"}>
                          {t(report.identity_proven ? "bench.identity.proven" : "bench.identity.not_proven")}
                        </State>
                      </td>
                      <td className="t2">{report.technician}</td>
                      <td className="t2">{report.ended_at.slice(0, 16).replace("T", " ")}</td>
                      <td>
                        <State kind={report.receipt === "handed_in" ? "ok" : report.receipt === "queued" ? "idle" : "bad"}>
                          {t(`receipt.${report.receipt}`)}
                        </State>
                      </td>
                      <td className="r">
                        <span className="row gap4 endrow">
                          {(["pdf", "json"] as const).map((kind) => (
                            <Button
                              key={kind}
                              size="sm"
                              aria-label={`${t(`bench.report.${kind}`)} ${report.serial}`}
                              icon={<IconFileText className="i i-14" aria-hidden="true" />}
                              onClick={() => save(write, report, kind)}
                            >
                              {kind.toUpperCase()}
                            </Button>
                          ))}
                        </span>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
          </Listing>
        </Panel>
      </div>
    </>
  );
}
