import { TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useOrder } from "@/app/ask";
import { bringVault } from "@/app/vault";
import { Button } from "@/parts/Button";
import { Copy } from "@/parts/Id";
import { Failure } from "@/parts/Listing";
import { Facts, Panel } from "@/parts/Panel";
import { State } from "@/parts/State";
import { platform } from "@/platform";

/** E5, on this computer: who founds the fleet, then whose signatures its founding file still waits for. */
export function Founding({ file, done }: { file?: string; done: () => void }) {
  const { t } = useTranslation();
  const [form, setForm] = useState({ organization: "", station: "st-01" });
  const [together, setTogether] = useState(true);
  const [cards, setCards] = useState(["", ""]);
  const found = useOrder("backend.found");
  const adopt = useOrder("backend.adopt");
  const ready = form.organization !== "" && form.station !== "" && (!together || cards.every((card) => card !== ""));
  const setCard = (i: number, card: string) => setCards((before) => before.map((one, at) => (at === i ? card : one)));

  const foundIt = async () => {
    bringVault();
    const status = await found.mutateAsync({ ...form, cards: together ? cards : [], threshold: together ? 2 : 1 });
    if (status.complete) done();
  };
  if (file)
    return (
      <>
        <h1>{t("first.waitq")}</h1>
        <p className="t2 sub">{t("first.waitsub")}</p>
        {adopt.error && <Failure error={adopt.error} />}
        <Panel title={t("first.file")} tail={<Copy text={file} what={t("first.file")} />}>
          <div className="pb">
            <p className="mono wrap">{file}</p>
          </div>
          {found.data && (
            <div className="pb ruled">
              <Facts
                rows={[
                  [t("first.signedby"), `${found.data.signed_by.join(", ")} (${found.data.signed_by.length} / ${found.data.threshold})`],
                ]}
              />
            </div>
          )}
        </Panel>
        <div className="row acts">
          <span className="grow" />
          <Button size="lg" look="primary" disabled={adopt.isPending} onClick={() => adopt.mutate({}, { onSuccess: done })}>
            {t("first.adopt")}
          </Button>
        </div>
      </>
    );
  return (
    <>
      <h1>{t("first.found1")}</h1>
      <p className="t2 sub">{t("first.foundsub")}</p>
      {found.error && <Failure error={found.error} />}
      <div className="fields">
        {(["organization", "station"] as const).map((name) => (
          <TextInput
            key={name}
            label={t(`first.${name}`)}
            value={form[name]}
            onChange={(event) => setForm({ ...form, [name]: event.target.value })}
          />
        ))}
      </div>
      <section className="panel choices" aria-label={t("first.who")}>
        {([true, false] as const).map((one) => (
          <label key={String(one)} className="item two tickrow">
            <input type="radio" name="who" checked={together === one} onChange={() => setTogether(one)} />
            <span className="grow">
              <span className="block">{t(one ? "first.together" : "first.alone")}</span>
              <span className="t3 s12 block">{t(one ? "first.togethersub" : "first.alonesub")}</span>
            </span>
          </label>
        ))}
      </section>
      {together &&
        cards.map((card, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a key holder is known by their place
          <div key={i} className="row joinfile">
            <span className="grow">
              <TextInput label={t("first.card", { n: i + 2 })} value={card} onChange={(event) => setCard(i, event.target.value)} />
            </span>
            <Button
              onClick={async () => {
                const chosen = await platform().pickFile();
                if (chosen) setCard(i, chosen);
              }}
            >
              {t("act.choose")}
            </Button>
          </div>
        ))}
      {found.isPending && <State kind="warn">{t("sign.inwindow")}</State>}
      <div className="row acts">
        <span className="grow" />
        <Button size="lg" look="primary" disabled={!ready || found.isPending} onClick={foundIt}>
          {t("first.found")}
        </Button>
      </div>
    </>
  );
}
