import { IconCertificate, IconCode, IconCpu } from "@tabler/icons-react";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { ADMIN, OPERATE } from "@/app/host";
import { useMe } from "@/app/me";
import type { DeviceDetail } from "@/generated/DeviceDetail";
import type { DeviceState } from "@/generated/DeviceState";
import type { TimelineEntry } from "@/generated/TimelineEntry";
import { Button } from "@/parts/Button";
import { useNow } from "@/parts/clock";
import { Chip } from "@/parts/Filter";
import { Copy, Digest, Id } from "@/parts/Id";
import { Empty, Failure, Listing, Loading } from "@/parts/Listing";
import { Facts, Head, Panel } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { Tabs } from "@/parts/Tabs";
import { Age, Countdown } from "@/parts/Time";
import { bytes, count, day, instant, moment } from "@/parts/units";
import type { Kind } from "@/platform/needs";
import { useWord } from "./causes";
import { DeviceEnd, type EndAct } from "./DeviceEnd";
import { deploymentKind, deviceKind, linkKind } from "./kinds";

const route = getRouteApi("/devices/$id");
const serves = (state: DeviceState) => state === "active" || state === "cloned";
type Tab = "timeline" | "deployments" | "certificate" | "inventory";

/** C3: one device: what happened to it, and why it does or does not update. */
export function Device() {
  const { t } = useTranslation();
  const { id } = route.useParams();
  const { tab = "timeline" } = route.useSearch();
  const go = useNavigate();
  const me = useMe();
  const detail = useAsk("device.show", { device: id });
  const why = useAsk("device.why", { device: id });
  const links = useAsk("link.list", { device: id, page: {} });
  const reissue = useOrder("link.reissue");
  const [ending, end] = useState<EndAct>();
  const link = links.data?.rows.find((one) => one.state === "active" || one.state === "issued");
  if (!detail.data)
    return (
      <div className="body">{detail.error ? <Failure error={detail.error} retry={() => detail.refetch()} /> : <Loading rows={10} />}</div>
    );
  const { row } = detail.data;
  const version = row.components[0]?.version;
  const at = why.data?.reasons.find((reason) => reason.deployment)?.deployment;
  const kind = row.state === "active" ? (at ? deploymentKind[at] : "ok") : deviceKind[row.state];
  const state = row.state === "active" && at ? t(`deployment.${at}`) : t(`device.${row.state}`);
  return (
    <>
      <Head
        title={<span className="mono">{row.serial}</span>}
        state={
          <>
            <State kind={kind} pill>
              {state}
            </State>
            {version && <span className="mono">{version}</span>}
          </>
        }
        meta={[
          <Id key="id" id={row.id} copy />,
          `${row.model} ${t("device.hardware", { hw: row.hardware_revision })}`,
          detail.data.station,
          <span key="seen" className="row gap4">
            <State kind={row.connectivity === "offline" ? "idle" : "ok"}>{t(`connectivity.${row.connectivity}`)}</State>
            {row.last_seen_at && (
              <span className="t3">
                {t("device.seen")} <Age at={row.last_seen_at} />
              </span>
            )}
          </span>,
        ]}
        acts={
          <>
            {link && (
              <Button size="sm" denied={me.denied(OPERATE)} onClick={() => reissue.mutate({ link: link.id })}>
                {t("links.reissueone")}
              </Button>
            )}
            {row.state === "cloned" && (
              <Button size="sm" denied={me.denied(ADMIN)} onClick={() => end("clear")}>
                {t("device.clear")}
              </Button>
            )}
            <Button
              size="sm"
              disabled={row.state === "replaced" || row.state === "retired"}
              denied={me.denied(ADMIN)}
              onClick={() => end("replace")}
            >
              {t("device.replace")}
            </Button>
            <Button size="sm" disabled={!serves(row.state)} denied={me.denied(ADMIN)} onClick={() => end("retire")}>
              {t("device.retire")}
            </Button>
            <Button size="sm" look="danger" disabled={!serves(row.state)} denied={me.denied(ADMIN)} onClick={() => end("revoke")}>
              {t("device.revoke")}
            </Button>
          </>
        }
      />
      <Tabs<Tab>
        label={row.serial}
        on={tab as Tab}
        set={(next) => go({ to: "/devices/$id", params: { id }, search: { tab: next }, replace: true })}
        tabs={[
          ["timeline", t("device.timeline")],
          [
            "deployments",
            <>
              {t("device.deployments")} <span className="t3">{detail.data.deployments.length}</span>
            </>,
          ],
          ["certificate", t("device.certificate")],
          ["inventory", t("device.inventory")],
        ]}
      />
      <div className="body devbody" role="tabpanel" id="tabpanel" aria-labelledby={`tab-${tab}`}>
        <div className="stack">
          {reissue.error && <Failure error={reissue.error} />}
          {tab === "timeline" && <Why id={id} />}
          {tab === "timeline" && <Timeline id={id} />}
          {tab === "deployments" && <Deployments detail={detail.data} />}
          {tab === "certificate" && <Certificate detail={detail.data} full />}
          {tab === "inventory" && <Inventory detail={detail.data} />}
        </div>
        <div className="stack">
          {tab !== "certificate" && <Certificate detail={detail.data} />}
          {link && (
            <Panel title={t("device.livelink")} tail={<Countdown issued={link.issued_at} expires={link.expires_at} />}>
              <div className="pb">
                <Facts
                  rows={[
                    [t("col.link"), <Id key="i" id={link.id} short copy />],
                    [
                      t("col.ends"),
                      <>
                        {link.expires_at.slice(11, 19)} UTC <span className="t3">{t("device.servertime")}</span>
                      </>,
                    ],
                    [t("col.served"), t("device.bytes", { part: count(link.served_bytes), whole: count(link.total_bytes) })],
                    [t("col.tries"), link.issue],
                    [
                      t("col.state"),
                      <State key="s" kind={linkKind(link, Date.now()).kind}>
                        {t(`link.${linkKind(link, Date.now()).word}`)}
                      </State>,
                    ],
                  ]}
                />
              </div>
            </Panel>
          )}
          {tab !== "inventory" && <Inventory detail={detail.data} />}
        </div>
      </div>
      <DeviceEnd device={id} serial={row.serial} act={ending} close={() => end(undefined)} done={() => void detail.refetch()} />
    </>
  );
}

/** Why it does not run what it should, in sentences. */
function Why({ id }: { id: string }) {
  const { t } = useTranslation();
  const word = useWord("why");
  const cause = useWord();
  const answer = useAsk("device.why", { device: id });
  const standing = answer.data && verdicts[answer.data.standing];
  return (
    <Panel title={t("why.title")} tail={standing && <State kind={standing[1]}>{t(`why.${standing[0]}`)}</State>}>
      <Listing answer={answer} rows={2}>
        {(said) => (
          <>
            {said.reasons.map((row) => (
              <div key={`${row.code} ${row.rollout}`} className="item two">
                <Glyph kind={verdicts[said.standing][1]} />
                <div className="grow">
                  <div>{word(row.code)}</div>
                  <div className="t2 s12">{row.detail && cause(row.detail)}</div>
                </div>
                {row.until && <span className="t3 s12">{t("why.until", { at: row.until.slice(11, 16) })}</span>}
                {row.rollout && (
                  <Link to="/rollouts/$id" params={{ id: row.rollout }} className="link s12">
                    {t("device.openrollout")}
                  </Link>
                )}
              </div>
            ))}
          </>
        )}
      </Listing>
    </Panel>
  );
}

/** How a standing is said, and in which state it is drawn. */
const verdicts = {
  settled: ["up_to_date", "ok"],
  working: ["working", "run"],
  waiting: ["waiting", "idle"],
  blocked: ["blocked", "warn"],
} as const;

const groups: Record<string, string[]> = {
  update: [
    "offered",
    "downloading",
    "downloaded",
    "download_resumed",
    "installing",
    "rebooting",
    "confirming",
    "succeeded",
    "failed",
    "rolled_back",
    "rejected",
    "timed_out",
  ],
  link: ["link_issued", "link_expired", "link_reissued", "link_revoked", "connection_lost", "link_consumed"],
  certificate: ["enrolled", "certificate_renewed", "revoked", "rekeyed"],
};
const bad = ["link_expired", "failed", "rolled_back", "rejected", "timed_out", "revoked", "cloned"];

/** What happened, without saying that it happened to a deployment. */
const happened = (entry: TimelineEntry): string => entry.kind.replace(/^deployment_/, "");

/** A record's detail in short: which version became which, why, how many bytes. What is no record is said as it is. */
function brief(detail: string, cause: (code: string) => string): string {
  if (!detail.startsWith("{")) return detail;
  try {
    const record = JSON.parse(detail) as {
      bytes?: number;
      code?: string;
      link_expires_at?: string;
      detail?: { before?: string; after?: string };
    };
    const { before, after } = record.detail ?? {};
    return [
      record.code && cause(record.code),
      before && after && before !== after && `${before} → ${after}`,
      record.bytes && bytes(record.bytes),
      record.link_expires_at && `→ ${record.link_expires_at.slice(11, 19)} UTC`,
    ]
      .filter(Boolean)
      .join(", ");
  } catch {
    return detail;
  }
}

const kindOf = (entry: TimelineEntry, first: boolean): Kind => {
  const what = happened(entry);
  if (bad.includes(what)) return "bad";
  if (what === "connection_lost") return "warn";
  const kind = deploymentKind[what as keyof typeof deploymentKind];
  return kind === "run" && first ? "run" : "ok";
};

function Timeline({ id }: { id: string }) {
  const { t } = useTranslation();
  const now = useNow(60_000);
  const word = useWord("event");
  const cause = useWord();
  const [only, setOnly] = useState<string>();
  const [raw, setRaw] = useState<TimelineEntry>();
  const answer = useAsk("device.timeline", { device: id, page: { limit: 200 } });
  return (
    <section className="panel grow scrollpanel">
      <div className="ph">
        <h2>{t("device.timeline")}</h2>
        <div className="chips">
          <Chip on={!only} set={() => setOnly(undefined)} name={t("list.all")} />
          {Object.keys(groups).map((group) => (
            <Chip
              key={group}
              on={only === group}
              set={() => setOnly(group)}
              name={t(`device.group.${group as "update" | "link" | "certificate"}`)}
            />
          ))}
        </div>
        <span className="grow" />
        <span className="t3 s12">{t("device.newest")}</span>
      </div>
      <Listing answer={answer} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("device.noevents")}</Empty>}>
        {(page) => {
          const rows = page.rows.filter((entry) => !only || groups[only]?.includes(happened(entry)));
          return (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
            <section className="scrollin" tabIndex={0} aria-label={t("device.timeline")}>
              <ol className="tl">
                {rows.map((entry, i) => {
                  const before = rows[i - 1];
                  const turned = before && day(instant(before.at)) === day(now) && day(instant(entry.at)) !== day(now);
                  return (
                    <li
                      // biome-ignore lint/suspicious/noArrayIndexKey: two entries may be alike
                      key={`${entry.at} ${entry.kind} ${i}`}
                      className={`${i === 0 ? "hot" : ""} ${i === rows.length - 1 ? "end" : ""} ${turned ? "turned" : ""}`}
                    >
                      <time className="t3" dateTime={entry.at}>
                        {moment(instant(entry.at), now)}
                      </time>
                      <span>
                        <Glyph kind={kindOf(entry, i === 0)} />
                      </span>
                      <b className="cut">{word(happened(entry))}</b>
                      <span className="t2 cut">{brief(entry.detail, cause)}</span>
                      <button
                        type="button"
                        className="copybtn"
                        aria-expanded={raw === entry}
                        aria-label={t("device.raw")}
                        onClick={() => setRaw(raw === entry ? undefined : entry)}
                      >
                        <IconCode className="copy" />
                      </button>
                      {raw === entry && <pre className="raw mono">{JSON.stringify(entry, null, 1)}</pre>}
                    </li>
                  );
                })}
              </ol>
              {rows.length === 0 && <Empty>{t("list.nomatch")}</Empty>}
            </section>
          );
        }}
      </Listing>
      <div className="foot">
        {t("device.entries", { n: answer.data?.rows.length ?? 0 })}
        <span className="grow" />
        {t("device.asreported")}
      </div>
    </section>
  );
}

function Deployments({ detail }: { detail: DeviceDetail }) {
  const { t } = useTranslation();
  return (
    <Panel title={t("device.deployments")}>
      {detail.deployments.length === 0 && <Empty>{t("device.nodeployments")}</Empty>}
      {detail.deployments.map(([rollout, deployment]) => (
        <Link key={deployment} to="/rollouts/$id" params={{ id: rollout }} className="item">
          <span className="grow mono">{rollout}</span>
          <span className="t3">{t("device.openrollout")}</span>
        </Link>
      ))}
    </Panel>
  );
}

function Certificate({ detail, full }: { detail: DeviceDetail; full?: boolean }) {
  const { t } = useTranslation();
  const valid = detail.row.state === "active";
  return (
    <Panel
      title={t("device.certificate")}
      tail={<State kind={valid ? "ok" : "bad"}>{valid ? t("device.valid") : t(`device.${detail.row.state}`)}</State>}
    >
      <ul className="chain">
        <li>
          <IconCertificate className="i i-14 t3" aria-hidden="true" />
          <span>
            {t("device.issuer")}
            <span className="t3 s12 block">{detail.station}</span>
          </span>
        </li>
        <li className="in">
          <IconCpu className="i i-14 t3" aria-hidden="true" />
          <span>
            <b>{detail.row.serial}</b>
            <span className="t3 s12 block">{t("device.clientauth")}</span>
          </span>
        </li>
      </ul>
      <div className="pb">
        <Facts
          rows={[
            [
              t("device.keydigest"),
              full ? (
                <Digest key="d" hex={detail.spki} />
              ) : (
                <span key="d" className="row gap4 mono">
                  {detail.spki.slice(0, 4)} {detail.spki.slice(4, 8)} … {detail.spki.slice(-4)}{" "}
                  <Copy text={detail.spki} what={t("device.keydigest")} />
                </span>
              ),
            ],
            [t("device.enrolled"), detail.enrolled_at.slice(0, 10)],
            [
              t("device.proof"),
              detail.proof ? (
                <State key="p" kind="ok">
                  {t("device.proven")}
                </State>
              ) : (
                <span key="n" className="t2">
                  {t("device.notproven")}
                </span>
              ),
            ],
          ]}
        />
      </div>
    </Panel>
  );
}

function Inventory({ detail }: { detail: DeviceDetail }) {
  const { t } = useTranslation();
  return (
    <Panel
      title={t("device.inventory")}
      tail={
        detail.row.last_seen_at && (
          <span className="t3 s12">
            {t("overview.reported")} <Age at={detail.row.last_seen_at} />
          </span>
        )
      }
    >
      <div className="pb">
        {detail.row.components.length === 0 && <span className="t2">{t("device.nothingreported")}</span>}
        {detail.row.components.map((one) => (
          <Facts
            key={one.component}
            rows={[
              [
                one.component,
                <>
                  <span className="mono">{one.version}</span> <span className="t3">{t("device.confirmed")}</span>
                </>,
              ],
              [t("device.counter"), one.security_counter],
              [t("device.ticket"), one.seq],
            ]}
          />
        ))}
      </div>
    </Panel>
  );
}
