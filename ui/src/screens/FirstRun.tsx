import { TextInput } from "@mantine/core";
import { IconDeviceDesktop, IconPlayerPlay, IconServer } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { Button } from "@/parts/Button";
import { Digest, Words } from "@/parts/Id";
import { Failure } from "@/parts/Listing";
import { Facts, Panel } from "@/parts/Panel";
import { Seal } from "@/parts/Seal";
import { Glyph, State } from "@/parts/State";
import { platform } from "@/platform";

type Step = "where" | "trust" | "vault" | "ready";
const steps: Step[] = ["where", "trust", "vault", "ready"];

/** E5: what to connect to; the fingerprint, compared; a vault; ready. */
export function FirstRun() {
  const { t } = useTranslation();
  const go = useNavigate();
  const status = useAsk("host.status", {});
  const [step, to] = useState<Step>("where");
  const [kind, setKind] = useState<"embedded" | "remote">();
  const [form, setForm] = useState({ name: "", address: "", card: "" });
  const [differ, setDiffer] = useState(false);
  const create = useOrder("workspace.create");
  const probe = useOrder("workspace.probe");
  const trust = useOrder("workspace.trust");
  const at = steps.indexOf(step);
  const error = create.error ?? probe.error ?? trust.error;

  const training = async () => {
    await create.mutateAsync({ name: t("workspace.training"), kind: "training" });
    await go({ to: "/" });
  };
  const here = async () => {
    await create.mutateAsync({ name: form.name, kind: "embedded" });
    to("vault");
  };
  const ask = async () => {
    await probe.mutateAsync({ address: form.address, card: form.card });
    to("trust");
  };
  const accept = async () => {
    if (!probe.data) return;
    await trust.mutateAsync({ ...form, name: probe.data.organization, digest: probe.data.digest });
    to("vault");
  };

  return (
    <div className="first">
      <aside>
        <div className="brand">
          <Seal parts={["on", "on", "on"]} met size={18} label="" />
          Fleetseal
        </div>
        <ol className="fsteps">
          {steps.map((one, i) => (
            <li key={one} className={one === step ? "cur" : ""} aria-current={one === step ? "step" : undefined}>
              <Glyph kind={i < at ? "ok" : i === at ? "run" : "idle"} />
              <span>
                <span className={i === at ? "strong" : i > at ? "t3" : ""}>{t(`first.${one}`)}</span>
                <span className="t3 s12 block">{t(`first.${one}.sub`)}</span>
              </span>
            </li>
          ))}
        </ol>
        <div className="demo">
          <div className="strong">{t("first.looking")}</div>
          <p className="t2 s12">{t("first.lookingsub")}</p>
          <Button size="sm" icon={<IconPlayerPlay className="i i-14" />} disabled={create.isPending} onClick={training}>
            {t("first.demo")}
          </Button>
        </div>
      </aside>
      <main>
        <div className="fcol">
          {error && <Failure error={error} />}
          {step === "where" && (
            <>
              <h1>{t("first.whereq")}</h1>
              <p className="t2 sub">{t("first.wheresub")}</p>
              <section className="panel choices" aria-label={t("first.whereq")}>
                {(["embedded", "remote"] as const).map((one) => (
                  <label key={one} className="item two tickrow">
                    <input type="radio" name="where" checked={kind === one} onChange={() => setKind(one)} />
                    {one === "embedded" ? (
                      <IconDeviceDesktop className="i i-20 t3" aria-hidden="true" />
                    ) : (
                      <IconServer className="i i-20 t3" aria-hidden="true" />
                    )}
                    <span className="grow">
                      <span className="block">{t(`workspace.${one}`)}</span>
                      <span className="t3 s12 block">{t(`first.${one}`)}</span>
                    </span>
                  </label>
                ))}
              </section>
              {kind === "embedded" && (
                <TextInput label={t("first.name")} value={form.name} onChange={(event) => setForm({ ...form, name: event.target.value })} />
              )}
              {kind === "remote" && (
                <div className="fields">
                  <TextInput
                    label={t("first.address")}
                    placeholder="backend.example:8443"
                    value={form.address}
                    onChange={(event) => setForm({ ...form, address: event.target.value })}
                  />
                  <TextInput
                    label={t("first.card")}
                    value={form.card}
                    onChange={(event) => setForm({ ...form, card: event.target.value })}
                  />
                </div>
              )}
              <div className="row acts">
                {status.data?.workspace && (
                  <Button size="lg" onClick={() => go({ to: "/" })}>
                    {t("act.cancel")}
                  </Button>
                )}
                <span className="grow" />
                {kind === "remote" ? (
                  <Button size="lg" look="primary" disabled={!form.address || probe.isPending} onClick={ask}>
                    {t("first.ask")}
                  </Button>
                ) : (
                  <Button size="lg" look="primary" disabled={kind !== "embedded" || !form.name || create.isPending} onClick={here}>
                    {t("first.found")}
                  </Button>
                )}
              </div>
            </>
          )}
          {step === "trust" && probe.data && (
            <>
              <h1>{t("first.trustq")}</h1>
              <p className="t2 sub">{t("first.trustsub")}</p>
              <div className="row address">
                <IconServer className="i i-14 t3" aria-hidden="true" />
                <span>{form.address}</span>
                <State kind="run">{t("first.nottrusted")}</State>
              </div>
              <Panel title={t("first.fingerprint", { n: probe.data.root_version })} tail={<span className="t3 s12">SHA-256</span>}>
                <div className="pb form">
                  <Words words={probe.data.words} label={t("sign.words")} />
                  <Digest hex={probe.data.digest} />
                </div>
                <div className="pb fields ruled">
                  <Facts
                    wide={80}
                    rows={[
                      [t("first.fleet"), probe.data.organization],
                      [t("first.threshold"), t("first.holders", { n: probe.data.threshold, total: probe.data.holders.length })],
                      [t("col.ends"), probe.data.expires_at.slice(0, 10)],
                    ]}
                  />
                  <Facts
                    wide={128}
                    rows={probe.data.holders.map((holder) => [
                      holder.name,
                      <span key="k" className="mono t2">
                        {holder.key.slice(0, 4)}…{holder.key.slice(-4)}
                      </span>,
                    ])}
                  />
                </div>
              </Panel>
              {differ && (
                <div className="note bad" role="alert">
                  <Glyph kind="bad" />
                  <span className="grow">{t("first.stop")}</span>
                </div>
              )}
              <div className="row acts">
                <Button size="lg" onClick={() => to("where")}>
                  {t("act.back")}
                </Button>
                <span className="grow" />
                <Button size="lg" look="danger" onClick={() => setDiffer(true)}>
                  {t("first.differ")}
                </Button>
                <Button size="lg" look="primary" disabled={differ || trust.isPending} onClick={accept}>
                  {t("first.match")}
                </Button>
              </div>
              <p className="t3 s12 r">{t("first.ifone")}</p>
            </>
          )}
          {step === "vault" && (
            <>
              <h1>{t("first.vaultq")}</h1>
              <p className="t2 sub">{t("first.vaultsub")}</p>
              <div className="row acts">
                <Button size="lg" onClick={() => to("ready")}>
                  {t("first.later")}
                </Button>
                <span className="grow" />
                <Button
                  size="lg"
                  look="primary"
                  onClick={() =>
                    platform()
                      .openVault()
                      .then(() => to("ready"))
                  }
                >
                  {t("vault.create")}
                </Button>
              </div>
            </>
          )}
          {step === "ready" && (
            <>
              <h1>{t("first.readyq")}</h1>
              <p className="t2 sub">{t("first.readysub")}</p>
              <div className="row acts">
                <span className="grow" />
                <Button size="lg" look="primary" onClick={() => go({ to: "/" })}>
                  {t("first.go")}
                </Button>
              </div>
            </>
          )}
        </div>
      </main>
    </div>
  );
}
