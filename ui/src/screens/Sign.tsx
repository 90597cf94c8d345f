import { IconFileExport, IconFileImport, IconWritingSign } from "@tabler/icons-react";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { RELEASE } from "@/app/host";
import { useMe } from "@/app/me";
import { Button } from "@/parts/Button";
import { useNow } from "@/parts/clock";
import { Words } from "@/parts/Id";
import { Failure, Listing, Loading } from "@/parts/Listing";
import { Facts, Head, Panel } from "@/parts/Panel";
import { Digest, Id } from "@/parts/Id";
import { Seal } from "@/parts/Seal";
import { Glyph, State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { count, duration, instant } from "@/parts/units";
import { platform } from "@/platform";
import type { Holder } from "@/platform/needs";
import { Diff } from "./Diff";
import { said } from "./kinds";

const route = getRouteApi("/releases/$id/sign");

/** B5: what will be signed, who has signed, and the way into the vault window, where alone a signature is given. */
export function Sign() {
  const { t } = useTranslation();
  const { id } = route.useParams();
  const go = useNavigate();
  const me = useMe();
  const answer = useAsk("release.show", { release: id });
  const checks = useAsk("release.checks", { release: id });
  const exported = useOrder("release.export");
  const imported = useOrder("release.import");
  if (!answer.data) return <div className="body">{answer.error ? <Failure error={answer.error} retry={() => answer.refetch()} /> : <Loading rows={10} />}</div>;
  const { row, artifacts, notes, reviews } = answer.data;
  const artifact = artifacts[0];
  const missing = Math.max(0, row.threshold - row.signatures);
  const name = artifact ? said(artifact.target) : row.version;
  const write = async () => {
    const file = await platform().pickFile(`${row.version}.sign-request`);
    if (file) exported.mutate({ release: id, file });
  };
  const read = async () => {
    const file = await platform().pickFile();
    if (file) imported.mutate({ release: id, file });
  };
  const approval = reviews.find((one) => one.verdict === "approve");
  return (
    <>
      <Head
        title={t("sign.title", { name })}
        state={<State kind={missing === 0 ? "ok" : missing === 1 ? "warn" : "idle"} pill>{missing === 0 ? t("release.signed") : t("release.missing", { count: missing })}</State>}
        meta={[<Id key="id" id={row.id} copy />, t("release.proposedby", { who: row.author }), ...(approval ? [t("sign.approvedby", { who: approval.by })] : [])]}
        acts={
          <Button size="lg" onClick={() => go({ to: "/releases/$id", params: { id }, search: { tab: "review" } })}>
            {t("sign.decline")}
          </Button>
        }
      />
      <div className="body signbody">
        <div className="stack">
          <Panel title={<><span className="step">1</span> {t("sign.read")}</>}>
            <div className="pb">
              {artifact && (
                <>
                  <p className="lead tight">{t("sign.sentence", { model: artifact.model, hardware: artifact.hardware_revisions.join(", "), version: artifact.version })}</p>
                  <p className="t2 after">{t("sign.nothingyet")}</p>
                  <Facts
                    rows={[
                      [t("sign.artifact"), <span key="a"><span className="mono">{artifact.target}</span> <span className="t3">{t("release.bytes", { n: count(artifact.length) })}</span></span>],
                      ["SHA-256", <Digest key="d" hex={artifact.digest} />],
                      [t("device.counter"), artifact.security_counter],
                      [t("release.notes"), <span key="n" className="cut">{notes}</span>],
                      [t("release.checks"), <span key="c" className="row gap12">{checks.data?.rows.slice(1, 5).map((check) => <State key={check.check} kind={check.kind}>{t(`check.${check.check}`)}</State>)}</span>],
                    ]}
                  />
                </>
              )}
            </div>
          </Panel>
          <Diff id={id} />
          {exported.data && (
            <Panel title={t("sign.exported")}>
              <div className="pb form">
                <Words words={exported.data.words} label={t("sign.words")} />
                <Digest hex={exported.data.digest} />
              </div>
            </Panel>
          )}
          <Panel title={<><span className="step">2</span> {t("sign.compare")}</>}>
            <p className="pb t2">{t("sign.comparewhere")}</p>
          </Panel>
        </div>
        <div className="stack">
          <Panel title={t("sign.signatures")} tail={<span className="t3 s12">{t("sign.threshold", { n: row.threshold })}</span>}>
            <Holders id={id} meter />
          </Panel>
          <Panel grow title={<><span className="step">3</span> {t("sign.unlock")}</>}>
            <div className="pb form">
              <p className="t2">{t("sign.window")}</p>
              <Button look="primary" size="lg" icon={<IconWritingSign className="i" />} disabled={missing === 0} denied={me.denied(RELEASE)} onClick={() => platform().openVault(id)}>
                {t("sign.open", { version: row.version })}
              </Button>
              <p className="s12 t3">{t("sign.checked")}</p>
              {(exported.error ?? imported.error) && <Failure error={(exported.error ?? imported.error) as Error} />}
              {imported.data && <State kind="ok">{t("sign.imported", { n: imported.data.signatures, total: imported.data.threshold })}</State>}
              <div className="row airgap">
                <span className="grow s12 t2">{t("sign.airgap")}</span>
                <Button size="sm" icon={<IconFileExport className="i i-14" />} onClick={write}>
                  {t("sign.export")}
                </Button>
                <Button size="sm" icon={<IconFileImport className="i i-14" />} onClick={read}>
                  {t("sign.import")}
                </Button>
              </div>
            </div>
          </Panel>
        </div>
      </div>
    </>
  );
}

/** The threshold as a seal, and each key holder's part in it. */
export function Holders({ id, meter }: { id: string; meter?: boolean }) {
  const { t } = useTranslation();
  const now = useNow(60_000);
  const [first] = useState(now);
  const answer = useAsk("release.holders", { release: id });
  const word = (holder: Holder) => (holder.signed_at ? t("sign.signed", { at: holder.signed_at.slice(11, 16) }) : holder.you ? t("sign.yourturn") : t("sign.waiting"));
  return (
    <Listing answer={answer} rows={4}>
      {({ rows, threshold }) => {
        const signed = rows.filter((holder) => holder.signed_at).length;
        const you = rows.some((holder) => holder.you && !holder.signed_at);
        return (
          <>
            {meter && (
              <div className="vhero meter">
                <Seal
                  parts={Array.from({ length: rows.length }, (_, i) => (i < signed ? "on" : you && i === signed ? "you" : "off"))}
                  met={signed >= threshold}
                  label={t("sign.meter", { n: signed, total: threshold })}
                />
                <div>
                  <div className="big">{t("sign.meter", { n: signed, total: threshold })}</div>
                  <div className="t2">{signed >= threshold ? t("sign.closed") : you && signed + 1 === threshold ? t("sign.yourscloses") : t("release.missing", { count: threshold - signed })}</div>
                </div>
              </div>
            )}
            {rows.map((holder) => {
              const days = Math.floor((instant(holder.expires_at) - first) / 86_400_000);
              return (
                <div key={holder.key_id} className="who">
                  <div className="grow n">
                    <div className={holder.you ? "strong" : ""}>
                      {holder.name}
                      {holder.you && t("sign.you")}
                    </div>
                    <div className="t3 s12">
                      {t("sign.key")} {holder.key_id.slice(0, 4)}…{holder.key_id.slice(-4)}, {days <= 30 ? <span className="c-warn">{t("sign.ends", { text: duration(days * 86_400) })}</span> : t("sign.until", { day: holder.expires_at.slice(0, 10) })}
                    </div>
                  </div>
                  <div className="r n">
                    <span className="st">
                      <Glyph kind={holder.signed_at ? "ok" : holder.you ? "run" : "idle"} />
                      {word(holder)}
                    </span>
                    {(holder.signed_at ?? holder.asked_at) && (
                      <div className="t3 s12">{holder.signed_at ? <Age at={holder.signed_at} /> : t("sign.asked", { at: holder.asked_at?.slice(11, 16) ?? "" })}</div>
                    )}
                  </div>
                </div>
              );
            })}
          </>
        );
      }}
    </Listing>
  );
}
