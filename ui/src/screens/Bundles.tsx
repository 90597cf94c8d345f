import { IconFolderOpen, IconTrash } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import type { BundleRow } from "@/generated/BundleRow";
import type { BundleSummary } from "@/generated/BundleSummary";
import { Button } from "@/parts/Button";
import { useNow } from "@/parts/clock";
import { Empty, Failure, Listing } from "@/parts/Listing";
import { Facts, Head, Panel } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { Age, Countdown } from "@/parts/Time";
import { bytes, duration, instant } from "@/parts/units";
import { CallError, platform } from "@/platform";

/** Lets a person choose a bundle, verifies it, and keeps a copy. */
export function useKeep() {
  const keep = useOrder("bench.keep");
  return {
    error: keep.error,
    isPending: keep.isPending,
    kept: keep.data,
    async open() {
      const file = await platform().pickFile();
      if (file) keep.mutate({ file });
    },
  };
}

/** D5: the bundles that are kept here, what each brings, and until when. */
export function Bundles() {
  const { t } = useTranslation();
  const answer = useAsk("bench.bundles", {});
  const keep = useKeep();
  return (
    <>
      <Head
        title={t("place.bundles")}
        meta={[t("bundles.about"), answer.data ? t("bundles.free", { text: bytes(answer.data.free_bytes) }) : ""]}
        acts={
          <Button
            size="lg"
            look="primary"
            icon={<IconFolderOpen className="i" aria-hidden="true" />}
            disabled={keep.isPending}
            onClick={keep.open}
          >
            {t("bundles.keep")}
          </Button>
        }
      />
      <div className="body scroll">
        {keep.error && <Failure error={keep.error} />}
        {keep.kept && (
          <div className="note fixed" role="status">
            <Glyph kind="ok" />
            <span className="grow">
              <b>{keep.kept.name}</b> <span className="t2">{t("bundles.copied")}</span>
            </span>
          </div>
        )}
        <Listing
          answer={answer}
          isEmpty={(library) => library.rows.length === 0}
          empty={
            <Panel>
              <Empty>{t("bundles.none")}</Empty>
            </Panel>
          }
        >
          {(library) => library.rows.map((row) => <Bundle key={row.file} row={row} />)}
        </Listing>
      </div>
    </>
  );
}

function Bundle({ row }: { row: BundleRow }) {
  const { t } = useTranslation();
  const drop = useOrder("bench.drop");
  const now = useNow(60_000);
  const { summary } = row;
  const lapsed = summary && instant(summary.expires) <= now;
  return (
    <Panel
      title={row.name}
      note={bytes(row.bytes)}
      tail={
        <>
          {summary && !lapsed ? (
            <State kind="ok">{t("bench.signed", { n: summary.signed_by.length, all: summary.threshold })}</State>
          ) : (
            <State kind="bad">{t("bundles.bad")}</State>
          )}
          <Button size="sm" icon={<IconTrash className="i i-14" aria-hidden="true" />} onClick={() => drop.mutate({ file: row.file })}>
            {t("bundles.remove")}
            <span className="sr"> {row.name}</span>
          </Button>
        </>
      }
    >
      {row.error && (
        <div className="pb">
          <Failure error={new CallError(row.error.code, row.error.message, row.error.hint)} />
        </div>
      )}
      {lapsed && (
        <div className="band bad">
          <Glyph kind="bad" />
          {t("bundles.lapsed", { who: summary.made_by })}
        </div>
      )}
      {summary && <Content summary={summary} now={now} />}
    </Panel>
  );
}

function Content({ summary, now }: { summary: BundleSummary; now: number }) {
  const { t } = useTranslation();
  const old = summary.revoked_at && duration((now - instant(summary.revoked_at)) / 1000);
  const rows = summary.devices;
  return (
    <div className="bundlebody">
      <div className="pb">
        <Facts
          wide={144}
          rows={[
            [t("bundles.until"), <Countdown key="u" issued={summary.issued_at} expires={summary.expires} />],
            [t("bundles.metadata"), summary.targets_expire.slice(0, 10)],
            [t("bundles.revocation"), old ? t("time.ago", { text: old }) : t("bundles.norevoked")],
            [t("bundles.holders"), summary.signed_by.join(", ")],
            [
              t("bundles.madeby"),
              <span key="m">
                {summary.made_by}{" "}
                <span className="t3">
                  <Age at={summary.issued_at} />
                </span>
              </span>,
            ],
          ]}
        />
      </div>
      <table className="lg" aria-label={t("bundles.tickets")}>
        <colgroup>
          <col />
          <col style={{ width: 170 }} />
          <col style={{ width: 110 }} />
          <col style={{ width: 150 }} />
        </colgroup>
        <thead>
          <tr>
            <th>{t("col.serial")}</th>
            <th>{t("bundles.brings")}</th>
            <th>{t("bench.mode")}</th>
            <th>{t("bench.identity")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, 8).map((ticket) => (
            <tr key={ticket.device}>
              <td className="mono">{ticket.serial}</td>
              <td>
                {ticket.model} <span className="mono">{ticket.version}</span>
              </td>
              <td className="t2">{t(ticket.deputy ? "bench.deputy" : "bench.sealed")}</td>
              <td>
                {ticket.must_prove ? (
                  <span className="t2">{t("bundles.asks")}</span>
                ) : (
                  <State kind="warn">{t("bench.identity.not_proven")}</State>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > 8 && <div className="foot">{t("bundles.devices", { n: rows.length })}</div>}
    </div>
  );
}
