import { IconFileExport, IconFileImport, IconWritingSign } from "@tabler/icons-react";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { RELEASE } from "@/app/host";
import { useMe } from "@/app/me";
import { bringVault } from "@/app/vault";
import type { Statement } from "@/generated/Statement";
import { Button } from "@/parts/Button";
import { serverNow } from "@/parts/clock";
import { Digest, Id, Words } from "@/parts/Id";
import { Failure, Loading } from "@/parts/Listing";
import { Facts, Head, Panel } from "@/parts/Panel";
import { Seal } from "@/parts/Seal";
import { Glyph, State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { count, duration, instant } from "@/parts/units";
import { platform } from "@/platform";
import { Diff } from "./Diff";
import { said } from "./kinds";

const route = getRouteApi("/requests/$id");

/** B5: what will be signed, who has signed, and the way into the vault window, where alone a signature is given. */
export function Sign() {
  const { t } = useTranslation();
  const { id } = route.useParams();
  const go = useNavigate();
  const me = useMe();
  const answer = useAsk("request.show", { request: id });
  const reported = answer.data?.reported;
  const about = reported && "release" in reported ? reported.release : undefined;
  const release = useAsk("release.show", { release: about ?? "" }, !!about);
  const exported = useOrder("request.export");
  const brought = useOrder("request.add_signature");
  const sign = useOrder("request.sign");
  if (!answer.data)
    return (
      <div className="body">{answer.error ? <Failure error={answer.error} retry={() => answer.refetch()} /> : <Loading rows={10} />}</div>
    );
  const statement = answer.data;
  const missing = Math.max(0, statement.threshold - statement.signatures);
  const artifact = release.data?.artifacts[0];
  const purpose = reported?.purpose ?? "release";
  const name = artifact ? said(artifact.target) : t(`request.${purpose}`);
  const give = () => {
    sign.mutate({ request: id, digest: statement.digest, ...(about && { release: about }) });
    bringVault();
  };
  const write = async () => {
    const file = await platform().pickFile(`${statement.role}-${statement.version}.sign-request`);
    if (file) exported.mutate({ request: id, file }, { onSuccess: () => platform().handOver?.(file) });
  };
  const read = async () => {
    const file = await platform().pickFile();
    if (file) brought.mutate({ file });
  };
  return (
    <>
      <Head
        title={t(purpose === "withdrawal" ? "sign.titlewithdraw" : "sign.title", { name })}
        state={
          <State kind={missing === 0 ? "ok" : missing === 1 ? "warn" : "idle"} pill>
            {missing === 0 ? t("release.signed") : t("release.missing", { count: missing })}
          </State>
        }
        meta={[
          <Id key="id" id={id} copy />,
          t("release.proposedby", { who: statement.author }),
          <Age key="age" at={statement.made_at} />,
          t("sign.requestends", { text: duration((instant(statement.expires_at) - serverNow()) / 1000) }),
          ...(statement.no_separation_of_duties
            ? [
                <span key="one" className="c-warn">
                  {t("release.alone")}
                </span>,
              ]
            : []),
        ]}
        acts={
          about && (
            <Button size="lg" onClick={() => go({ to: "/releases/$id", params: { id: about }, search: { tab: "review" } })}>
              {t("sign.decline")}
            </Button>
          )
        }
      />
      <div className="body signbody">
        <div className="stack">
          <Panel
            title={
              <>
                <span className="step">1</span>
                {t("sign.read")}
              </>
            }
            tail={<span className="t3 s12">{t("sign.canonical", { n: count(statement.length_bytes) })}</span>}
          >
            <div className="pb">
              {artifact && purpose === "release" ? (
                <p className="lead tight">
                  {t("sign.sentence", {
                    model: artifact.model,
                    hardware: artifact.hardware_revisions.join(", "),
                    version: artifact.version,
                  })}
                </p>
              ) : (
                <p className="lead tight">{t(`sign.say.${purpose}`, { name })}</p>
              )}
              <p className="t2 after">{t("sign.nothingyet")}</p>
              <Facts
                rows={[
                  ...(artifact
                    ? ([
                        [
                          t("sign.artifact"),
                          <span key="a" className="cut">
                            <span className="mono">{artifact.target}</span>{" "}
                            <span className="t3">{t("release.bytes", { n: count(artifact.length) })}</span>
                          </span>,
                        ],
                        ["SHA-256", <Digest key="d" hex={artifact.digest} />],
                        [t("device.counter"), artifact.security_counter],
                      ] as [string, React.ReactNode][])
                    : []),
                  [
                    t("sign.reason"),
                    <span key="r" className="cut">
                      {statement.reason || "–"}
                    </span>,
                  ],
                  [
                    t("sign.metadata"),
                    `${statement.role} ${statement.version}, ${t("sign.until", { day: statement.metadata_expires_at.slice(0, 10) })}`,
                  ],
                ]}
              />
            </div>
          </Panel>
          <Diff statement={statement} />
          <Panel
            title={
              <>
                <span className="step">2</span>
                {t("sign.compare")}
              </>
            }
            tail={exported.data && <span className="t3 s12">{t("sign.exported")}</span>}
          >
            <div className="pb form">
              <p className="t2">{t("sign.comparewhere")}</p>
              {exported.data && <Words words={exported.data.words} label={t("sign.words")} />}
              {exported.data && <Digest hex={exported.data.digest} />}
            </div>
          </Panel>
        </div>
        <div className="stack">
          <Panel
            title={t("sign.signatures", { role: statement.role })}
            tail={<span className="t3 s12">{t("sign.threshold", { n: statement.threshold, total: statement.key_holders.length })}</span>}
          >
            <Holders statement={statement} meter />
          </Panel>
          <Panel
            title={
              <>
                <span className="step">3</span>
                {t("sign.unlock")}
              </>
            }
          >
            <div className="pb form">
              <p className="t2">{t("sign.window")}</p>
              <Button
                look="primary"
                size="lg"
                icon={<IconWritingSign className="i" />}
                disabled={missing === 0 || sign.isPending}
                denied={me.denied(RELEASE)}
                onClick={give}
              >
                {t("sign.open", { name: artifact?.version ?? `${statement.role} ${statement.version}` })}
              </Button>
              <p className="s12 t3">{t("sign.checked")}</p>
              {(sign.error ?? exported.error ?? brought.error) && (
                <Failure error={(sign.error ?? exported.error ?? brought.error) as Error} />
              )}
              {sign.isPending && <State kind="warn">{t("sign.inwindow")}</State>}
              {brought.data && <State kind="ok">{t("sign.imported", { n: brought.data.signatures, total: brought.data.threshold })}</State>}
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
export function Holders({ statement, meter }: { statement: Statement; meter?: boolean }) {
  const { t } = useTranslation();
  const { key_holders: holders, signatures, threshold } = statement;
  const yours = holders.some((holder) => holder.mine && !holder.signed);
  const met = signatures >= threshold;
  return (
    <>
      {meter && (
        <div className="vhero meter">
          <Seal
            parts={holders.map((_, i) => (i < signatures ? "on" : yours && i === signatures ? "you" : "off"))}
            met={met}
            label={t("sign.meter", { n: signatures, total: threshold })}
          />
          <div>
            <div className="big">{t("sign.meter", { n: signatures, total: threshold })}</div>
            <div className="t2">
              {met
                ? t("sign.closed")
                : yours && signatures + 1 === threshold
                  ? t("sign.yourscloses")
                  : t("release.missing", { count: threshold - signatures })}
            </div>
          </div>
        </div>
      )}
      {holders.map((holder) => (
        <div key={holder.key_id} className="who">
          <div className="grow n">
            <div className={holder.mine ? "strong" : ""}>
              {holder.name ?? t("sign.unnamed")}
              {holder.mine && t("sign.you")}
            </div>
            <div className="t3 s12">
              {t("sign.key")} {holder.key_id.slice(0, 4)}…{holder.key_id.slice(-4)}
            </div>
          </div>
          <span className="st">
            <Glyph kind={holder.signed ? "ok" : holder.mine ? "run" : "idle"} />
            {t(holder.signed ? "release.signed" : holder.mine ? "sign.yourturn" : "sign.waiting")}
          </span>
        </div>
      ))}
    </>
  );
}
