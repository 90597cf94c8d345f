import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import type { Urgency } from "@/generated/Urgency";
import { serverNow } from "@/parts/clock";
import { Empty, Freshness, Listing } from "@/parts/Listing";
import { Facts, Head, Panel } from "@/parts/Panel";
import { State } from "@/parts/State";
import { duration, instant } from "@/parts/units";
import type { Kind } from "@/platform/needs";
import { People } from "./People";
import { Signatures } from "./Releases";
import { TrustedKeys } from "./TrustedKeys";

const kinds: Record<Urgency, Kind> = { lapsed: "bad", urgent: "bad", soon: "warn", later: "ok" };

/** B7: what ends when, the metadata in force, and the people whose keys it names. */
export function Keys() {
  const { t } = useTranslation();
  const calendar = useAsk("fleet.expiries", {});
  const summary = useAsk("fleet.show", {});
  const requests = useAsk("request.list", {});
  const left = (at: string) => (instant(at) - serverNow()) / 1000;
  return (
    <>
      <Head
        title={t("place.keys")}
        meta={[t("keys.about"), <Freshness key="f" at={calendar.dataUpdatedAt} reload={() => calendar.refetch()} />]}
      />
      <div className="body scroll">
        <Panel title={t("keys.calendar")} tail={<span className="t3 s12">{t("keys.year")}</span>}>
          <Listing answer={calendar} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("keys.nothing")}</Empty>}>
            {(page) => (
              <table className="lg">
                <colgroup>
                  <col style={{ width: 240 }} />
                  <col />
                  <col style={{ width: 128 }} />
                  <col style={{ width: 300 }} />
                </colgroup>
                <thead>
                  <tr>
                    <th>{t("keys.what")}</th>
                    <th>{t("keys.remedy")}</th>
                    <th>{t("col.ends")}</th>
                    <th>{t("keys.left")}</th>
                  </tr>
                </thead>
                <tbody>
                  {page.rows.map((row) => {
                    const rest = left(row.expires_at);
                    const kind = kinds[row.urgency];
                    return (
                      <tr key={row.what + row.expires_at}>
                        <td>{row.what}</td>
                        <td className="t2 cut" title={row.remedy}>
                          {row.remedy}
                        </td>
                        <td>
                          <State kind={kind}>{row.expires_at.slice(0, 10)}</State>
                        </td>
                        <td>
                          <span className="lifebar">
                            <span className="bar thin">
                              <i
                                className={kind === "ok" ? "v2" : kind}
                                style={{ width: `${Math.max(0.5, Math.min(100, (rest / (365 * 86_400)) * 100))}%` }}
                              />
                            </span>
                            <span className="t2 r">{rest > 0 ? duration(rest) : t("time.expired")}</span>
                          </span>
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            )}
          </Listing>
        </Panel>
        <Panel title={t("keys.requests")} note={requests.data?.rows.filter((row) => row.state === "open").length}>
          <Listing
            answer={requests}
            rows={2}
            isEmpty={(page) => page.rows.every((row) => row.state !== "open")}
            empty={<Empty>{t("keys.norequests")}</Empty>}
          >
            {(page) =>
              page.rows
                .filter((row) => row.state === "open")
                .map((row) => (
                  <Link key={row.id} to="/requests/$id" params={{ id: row.id }} className="item">
                    <Signatures row={row} />
                    <span className="grow cut">
                      {t(`request.${row.purpose}`)} <span className="t2">{row.reason}</span>
                    </span>
                    <span className="t3 s12">
                      {row.role} {row.version}, {row.author}
                    </span>
                  </Link>
                ))
            }
          </Listing>
        </Panel>
        <TrustedKeys />
        <div className="two-col">
          <People />
          <Panel title={t("keys.inforce")}>
            <Listing answer={summary}>
              {(fleet) => (
                <div className="pb">
                  <Facts
                    rows={[
                      [t("expiry.root"), <Ends key="r" version={fleet.root_version} at={fleet.root_expires_at} />],
                      [t("expiry.targets"), <Ends key="t" version={fleet.targets_version} at={fleet.targets_expire_at} />],
                    ]}
                  />
                </div>
              )}
            </Listing>
          </Panel>
        </div>
      </div>
    </>
  );
}

function Ends({ version, at }: { version: number; at: string }) {
  const { t } = useTranslation();
  return (
    <>
      {t("overview.version", { n: version })} <span className="t3">{t("sign.until", { day: at.slice(0, 10) })}</span>
    </>
  );
}
