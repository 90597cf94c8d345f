import { IconWritingSign } from "@tabler/icons-react";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { RELEASE } from "@/app/host";
import { useMe } from "@/app/me";
import type { ReleaseDetail } from "@/generated/ReleaseDetail";
import type { ReleaseState } from "@/generated/ReleaseState";
import { Button } from "@/parts/Button";
import { Danger } from "@/parts/Danger";
import { Digest, Id } from "@/parts/Id";
import { Empty, Failure, Listing, Loading } from "@/parts/Listing";
import { Facts, Head, Panel } from "@/parts/Panel";
import { Glyph, State } from "@/parts/State";
import { Tabs } from "@/parts/Tabs";
import { Age } from "@/parts/Time";
import { count } from "@/parts/units";
import { platform } from "@/platform";
import { Diff } from "./Diff";
import { releaseKind, said } from "./kinds";
import { RolloutTable } from "./Rollouts";
import { Holders } from "./Sign";

const route = getRouteApi("/releases/$id");
const path: ReleaseState[] = ["draft", "proposed", "approved", "signed", "published"];
type Tab = "contents" | "review" | "signatures" | "rollouts";

/** B3, B4 and B6: what a release is, what reviewers said, who signed, and the one act that is next. */
export function Release() {
  const { t } = useTranslation();
  const { id } = route.useParams();
  const { tab = "contents" } = route.useSearch();
  const go = useNavigate();
  const me = useMe();
  const answer = useAsk("release.show", { release: id });
  const seal = useOrder("release.seal");
  const [publishing, publish] = useState(false);
  const [withdrawing, withdraw] = useState(false);
  if (!answer.data)
    return (
      <div className="body">{answer.error ? <Failure error={answer.error} retry={() => answer.refetch()} /> : <Loading rows={10} />}</div>
    );
  const detail = answer.data;
  const { row } = detail;
  const artifact = detail.artifacts[0];
  const name = artifact ? said(artifact.target) : row.version;
  const sealIt = async () => {
    const file = await platform().pickFile();
    if (file) seal.mutate({ release: id, file });
  };
  const primary = () => {
    if (row.state === "approved" || row.state === "proposed")
      return (
        <Button
          size="lg"
          look="primary"
          icon={<IconWritingSign className="i" />}
          denied={me.denied(RELEASE)}
          onClick={() => detail.request && go({ to: "/requests/$id", params: { id: detail.request.id } })}
        >
          {t("release.sign", { version: row.version })}
        </Button>
      );
    if (row.state === "signed")
      return (
        <Button size="lg" look="primary" denied={me.denied(RELEASE)} onClick={() => publish(true)}>
          {t("release.publish", { version: row.version })}
        </Button>
      );
    if (row.state === "published" && detail.sealed.length === 0)
      return (
        <Button size="lg" look="primary" denied={me.denied(RELEASE)} disabled={seal.isPending} onClick={sealIt}>
          {t("release.seal", { version: row.version })}
        </Button>
      );
    if (row.state === "published")
      return (
        <Button size="lg" look="primary" onClick={() => go({ to: "/rollouts/new", search: { release: id } })}>
          {t("release.rollout", { version: row.version })}
        </Button>
      );
    return null;
  };
  return (
    <>
      <Head
        title={name}
        state={
          <State kind={releaseKind[row.state]} pill>
            {t(`release.${row.state}`)}
          </State>
        }
        meta={[
          <Id key="id" id={row.id} copy />,
          t("release.proposedby", { who: row.author }),
          <Age key="at" at={row.changed_at} />,
          ...(row.no_separation_of_duties
            ? [
                <span key="one" className="c-warn">
                  {t("release.alone")}
                </span>,
              ]
            : []),
        ]}
        acts={
          <>
            {row.state === "published" && (
              <Button size="lg" look="danger" denied={me.denied(RELEASE)} onClick={() => withdraw(true)}>
                {t("release.withdraw")}
              </Button>
            )}
            {primary()}
          </>
        }
      />
      <Tabs<Tab>
        label={name}
        on={tab as Tab}
        set={(next) => go({ to: "/releases/$id", params: { id }, search: { tab: next }, replace: true })}
        tabs={[
          ["contents", t("release.contents")],
          ["review", t("release.review")],
          [
            "signatures",
            <>
              {t("col.signatures")} <span className="t3">{t("release.of", { n: row.signatures, total: row.threshold })}</span>
            </>,
          ],
          ["rollouts", t("place.rollouts")],
        ]}
      />
      <div className="body scroll" role="tabpanel" id="tabpanel" aria-labelledby={`tab-${tab}`}>
        {seal.error && <Failure error={seal.error} />}
        <ol className="panel flow fixed">
          {path.map((state, i) => {
            const at = path.indexOf(row.state);
            const kind = i < at || row.state === "published" ? "ok" : i === at ? releaseKind[row.state] : "idle";
            return (
              <li key={state} aria-current={i === at ? "step" : undefined}>
                <Glyph kind={kind} />
                <span className={i > at ? "t3" : ""}>
                  {t(`release.${state}`)}
                  <span className="t3 s12 block">{t(`release.step.${state as "draft"}`)}</span>
                </span>
              </li>
            );
          })}
        </ol>
        {tab === "contents" && <Contents detail={detail} />}
        {tab === "review" && <ReviewTab detail={detail} again={() => answer.refetch()} />}
        {tab === "signatures" && <Signed detail={detail} />}
        {tab === "rollouts" && <Used id={id} />}
      </div>
      <Danger
        calm
        open={publishing}
        close={() => publish(false)}
        title={t("release.publishtitle", { name })}
        act={t("release.publish", { version: row.version })}
        ask={{ label: t("release.typeversion", { version: row.version }), mustBe: row.version }}
        preview={() => platform().call("release.publish_preview", { release: id })}
        commit={(token) =>
          platform()
            .call("release.publish", { request: { release: id }, token })
            .then(() => answer.refetch())
        }
      />
      <Danger
        open={withdrawing}
        close={() => withdraw(false)}
        title={t("release.withdrawtitle", { name })}
        act={t("release.withdrawact", { version: row.version })}
        ask={{ label: t("release.typeversion", { version: row.version }), mustBe: row.version }}
        why={t("act.reason")}
        preview={() => platform().call("release.withdraw_preview", { release: id })}
        commit={(token, _, reason) =>
          platform()
            .call("release.withdraw", { request: { release: id, reason }, token })
            .then(() => answer.refetch())
        }
      />
    </>
  );
}

function Contents({ detail }: { detail: ReleaseDetail }) {
  const { t } = useTranslation();
  return (
    <div className="two-col">
      <div className="stack">
        {detail.artifacts.map((artifact) => (
          <Panel key={artifact.target} title={artifact.target} note={t("release.bytes", { n: count(artifact.length) })}>
            <div className="pb">
              <Facts
                rows={[
                  [t("col.model"), artifact.model],
                  [t("col.hardware"), artifact.hardware_revisions.join(", ") || t("release.every")],
                  [t("col.component"), artifact.component],
                  [
                    t("col.version"),
                    <span key="v" className="mono">
                      {artifact.version}
                    </span>,
                  ],
                  [t("device.counter"), artifact.security_counter],
                  [t("release.installer"), artifact.installer],
                  ["SHA-256", <Digest key="d" hex={artifact.digest} />],
                ]}
              />
            </div>
          </Panel>
        ))}
        <Changes detail={detail} />
      </div>
      <div className="stack">
        <Panel title={t("release.notes")}>
          <p className="pb notes">{detail.notes || <span className="t3">{t("release.nonotes")}</span>}</p>
        </Panel>
        <Panel title={t("release.sealed")} note={detail.sealed.length}>
          {detail.sealed.length === 0 && <Empty>{t("release.notsealed")}</Empty>}
          {detail.sealed.map((one) => (
            <div key={one.id} className="item two">
              <Glyph kind="ok" />
              <span className="grow">
                <Id id={one.id} />
                <span className="t3 s12 block">{t("release.bytes", { n: count(one.ciphertext_bytes) })}</span>
              </span>
            </div>
          ))}
        </Panel>
      </div>
    </div>
  );
}

function ReviewTab({ detail, again }: { detail: ReleaseDetail; again: () => unknown }) {
  const { t } = useTranslation();
  const me = useMe();
  const review = useOrder("release.review");
  const [comment, say] = useState("");
  const own = me.status?.person === detail.row.author;
  const open = detail.row.state === "proposed" || detail.row.state === "approved";
  const give = (verdict: "approve" | "request_changes") =>
    review.mutate(
      { release: detail.row.id, verdict, comment },
      {
        onSuccess: () => {
          say("");
          void again();
        },
      },
    );
  const denied = own ? t("review.own") : me.denied(RELEASE);
  return (
    <div className="two-col">
      <div className="stack">
        <Changes detail={detail} />
        <Panel title={t("review.said")} note={detail.reviews.length}>
          {detail.reviews.length === 0 && <Empty>{t("review.none")}</Empty>}
          {detail.reviews.map((one) => (
            <div key={one.at + one.by} className="item two">
              <Glyph kind={one.verdict === "approve" ? "ok" : "warn"} />
              <span className="grow">
                {one.by}: {t(`verdict.${one.verdict}`)}
                <span className="t2 s12 block">{one.comment}</span>
              </span>
              <span className="t3 s12">
                <Age at={one.at} />
              </span>
            </div>
          ))}
        </Panel>
      </div>
      <div className="stack">
        <Panel title={t("review.yours")}>
          <div className="pb form">
            <label className="form tightform">
              <span className="s12 t2">{t("review.comment")}</span>
              <textarea
                className="field"
                rows={4}
                value={comment}
                disabled={!open || !!denied}
                onChange={(event) => say(event.target.value)}
              />
            </label>
            {review.error && <Failure error={review.error} />}
            <div className="row">
              <Button disabled={!open || comment.trim() === ""} denied={denied} onClick={() => give("request_changes")}>
                {t("verdict.request_changes")}
              </Button>
              <span className="grow" />
              <Button look="primary" disabled={!open} denied={denied} onClick={() => give("approve")}>
                {t("review.approve", { version: detail.row.version })}
              </Button>
            </div>
            <p className="t3 s12">{denied ?? t("review.advice")}</p>
          </div>
        </Panel>
      </div>
    </div>
  );
}

function Used({ id }: { id: string }) {
  const { t } = useTranslation();
  const list = useAsk("rollout.list", {});
  return (
    <Panel title={t("place.rollouts")}>
      <Listing answer={list}>{(page) => <RolloutTable rows={page.rows.filter((row) => row.release === id)} full />}</Listing>
    </Panel>
  );
}

function Changes({ detail }: { detail: ReleaseDetail }) {
  const answer = useAsk("request.show", { request: detail.request?.id ?? "" }, !!detail.request);
  if (!detail.request) return null;
  if (!answer.data) return answer.error ? <Failure error={answer.error} /> : <Loading rows={4} />;
  return <Diff statement={answer.data} />;
}

function Signed({ detail }: { detail: ReleaseDetail }) {
  const { t } = useTranslation();
  const answer = useAsk("request.show", { request: detail.request?.id ?? "" }, !!detail.request);
  return (
    <Panel title={t("col.signatures")}>
      {!detail.request && <Empty>{t("release.norequest")}</Empty>}
      {answer.error && <Failure error={answer.error} />}
      {answer.data && <Holders statement={answer.data} />}
    </Panel>
  );
}
