import { NumberInput, TextInput } from "@mantine/core";
import { IconDeviceDesktop, IconPlayerPlay, IconServer } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { bringVault, VaultElsewhere } from "@/app/vault";
import { Button } from "@/parts/Button";
import { Copy, Digest } from "@/parts/Id";
import { Failure } from "@/parts/Listing";
import { Facts, Panel } from "@/parts/Panel";
import { Seal } from "@/parts/Seal";
import { Glyph, State } from "@/parts/State";
import { platform } from "@/platform";
import { Founding } from "./Founding";

type Step = "where" | "vault" | "fleet" | "ready";
const steps: Step[] = ["where", "vault", "fleet", "ready"];

/** E5: what to connect to; a vault; the fleet, founded or joined and compared; ready. */
export function FirstRun() {
  const { t } = useTranslation();
  const go = useNavigate();
  const status = useAsk("view.status", {});
  const workspace = status.data?.workspace;
  const unfinished = workspace?.fleet && !workspace.founding ? undefined : workspace;
  const [step, to] = useState<Step>(!unfinished ? "where" : unfinished.vault ? "fleet" : "vault");
  const [kind, setKind] = useState<"local" | "remote">(unfinished?.kind === "remote" ? "remote" : "local");
  const workspaces = useAsk("workspace.list", {});
  const others = workspaces.data?.rows.filter((row) => row.fleet) ?? [];
  const change = useOrder("workspace.switch");
  const [form, setForm] = useState({ name: "", file: "" });
  const [devices, setDevices] = useState(500);
  const [differ, setDiffer] = useState(false);
  const create = useOrder("workspace.create");
  const join = useOrder("fleet.join");
  const card = useAsk("vault.card", {}, step === "fleet" && kind === "remote");
  const at = steps.indexOf(step);
  const error = create.error ?? join.error;
  const set = (change: Partial<typeof form>) => setForm((before) => ({ ...before, ...change }));
  const field = (name: keyof typeof form, label: string) => (
    <TextInput label={label} value={form[name]} onChange={(event) => set({ [name]: event.target.value })} />
  );

  const training = async () => {
    await create.mutateAsync({ name: "training", kind: "training", devices });
    await go({ to: "/" });
  };
  const begin = async () => {
    await create.mutateAsync({ name: form.name, kind });
    to("vault");
  };
  const choose = async () => {
    const file = await platform().pickFile();
    if (file) set({ file });
  };

  return (
    <div className="first">
      <aside>
        <div className="brand">
          <Seal parts={["on", "on", "on"]} met size={18} label="Fleetseal" />
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
        {others.length > 0 && (
          <div className="others">
            <div className="strong">{t("settings.workspaces")}</div>
            {others.map((row) => (
              <Button
                key={row.name}
                size="sm"
                disabled={change.isPending}
                onClick={() => change.mutate({ name: row.name }, { onSuccess: () => go({ to: "/" }) })}
              >
                {row.name}
              </Button>
            ))}
          </div>
        )}
        <div className="demo">
          <div className="strong">{t("first.looking")}</div>
          <p className="t2 s12">{t("first.lookingsub")}</p>
          <NumberInput
            label={t("first.devices")}
            min={12}
            max={10_000}
            value={devices}
            onChange={(n) => setDevices(Number(n))}
            hideControls
            disabled={create.isPending}
          />
          <div className="row acts">
            <Button size="sm" icon={<IconPlayerPlay className="i i-14" />} disabled={create.isPending} onClick={training}>
              {t("first.demo")}
            </Button>
            {create.isPending && <State kind="run">{t("first.preparing")}</State>}
          </div>
        </div>
      </aside>
      <main>
        <div className="fcol">
          <VaultElsewhere />
          {error && <Failure error={error} />}
          {step === "where" && (
            <>
              <h1>{t("first.whereq")}</h1>
              <p className="t2 sub">{t("first.wheresub")}</p>
              <section className="panel choices" aria-label={t("first.whereq")}>
                {(["local", "remote"] as const).map((one) => (
                  <label key={one} className="item two tickrow">
                    <input type="radio" name="where" checked={kind === one} onChange={() => setKind(one)} />
                    {one === "local" ? (
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
              {field("name", t("first.name"))}
              <div className="row acts">
                <span className="grow" />
                <Button size="lg" look="primary" disabled={!form.name || create.isPending} onClick={begin}>
                  {t("first.next")}
                </Button>
              </div>
            </>
          )}
          {step === "vault" && (
            <>
              <h1>{t("first.vaultq")}</h1>
              <p className="t2 sub">{t("first.vaultsub")}</p>
              {status.data?.vault === "none" ? (
                <State kind="run">{t("first.waitvault")}</State>
              ) : (
                <State kind="ok">{t("vault.ready")}</State>
              )}
              <div className="row acts">
                <Button size="lg" onClick={() => bringVault()}>
                  {t("vault.create")}
                </Button>
                <span className="grow" />
                <Button size="lg" look="primary" disabled={status.data?.vault === "none"} onClick={() => to("fleet")}>
                  {t("first.next")}
                </Button>
              </div>
            </>
          )}
          {step === "fleet" && kind === "local" && <Founding file={unfinished?.founding} done={() => to("ready")} />}
          {step === "fleet" && kind === "remote" && !join.data && (
            <>
              <h1>{t("first.joinq")}</h1>
              <p className="t2 sub">{t("first.joinsub")}</p>
              {card.error && <Failure error={card.error} retry={() => card.refetch()} />}
              {card.data && (
                <div className="note">
                  <span className="grow">{card.data.holder}</span>
                  <Copy text={JSON.stringify(card.data)} what={t("first.cardcopy")} />
                </div>
              )}
              <div className="row joinfile">
                <span className="grow">{field("file", t("first.file"))}</span>
                <Button onClick={choose}>{t("act.choose")}</Button>
              </div>
              <div className="row acts">
                <span className="grow" />
                <Button size="lg" look="primary" disabled={!form.file || join.isPending} onClick={() => join.mutate({ file: form.file })}>
                  {t("first.join")}
                </Button>
              </div>
            </>
          )}
          {step === "fleet" && join.data && (
            <>
              <h1>{t("first.trustq")}</h1>
              <p className="t2 sub">{t("first.trustsub")}</p>
              <Panel title={t("first.digest")} tail={<span className="t3 s12">SHA-256</span>}>
                <div className="pb bigdigest">
                  <Digest hex={join.data.digest} />
                </div>
                <div className="pb ruled">
                  <Facts rows={[[t("first.signedby"), join.data.signed_by.join(", ")]]} />
                </div>
              </Panel>
              {differ && (
                <div className="note bad" role="alert">
                  <Glyph kind="bad" />
                  <span className="grow">{t("first.stop")}</span>
                </div>
              )}
              <div className="row acts">
                <span className="grow" />
                <Button size="lg" look="danger" onClick={() => setDiffer(true)}>
                  {t("first.differ")}
                </Button>
                <Button size="lg" look="primary" disabled={differ} onClick={() => to("ready")}>
                  {t("first.match")}
                </Button>
              </div>
              <p className="t3 s12 r">{t("first.ifone")}</p>
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
