import { Modal } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Edit } from "@/generated/Edit";
import type { FleetKeys } from "@/generated/FleetKeys";
import type { SignedBy } from "@/generated/SignedBy";
import { Button } from "@/parts/Button";
import { CardField, readCard } from "@/parts/CardField";
import { Danger } from "@/parts/Danger";
import { platform } from "@/platform";

type Kind = "add_key_holder" | "rotate" | "threshold" | "renew";
const kinds: Kind[] = ["add_key_holder", "rotate", "threshold", "renew"];

/** Chooses a change of whom the fleet trusts; nothing changes before key holders sign it. */
export function ChangeTrust({ open, close, keys }: { open: boolean; close: () => void; keys?: FleetKeys }) {
  const { t } = useTranslation();
  const [kind, setKind] = useState<Kind>("add_key_holder");
  const [card, setCard] = useState("");
  const [role, setRole] = useState<SignedBy>("root");
  const [number, setNumber] = useState<number>();
  const [edit, ask] = useState<Edit>();
  const held = keys?.keys.filter((key) => key.role === role).length ?? 0;
  const wanted = number ?? (role === "root" ? keys?.root_threshold : keys?.targets_threshold) ?? 1;
  const made = (): Edit | undefined => {
    const read = readCard(card);
    if (kind === "threshold") return { edit: "threshold", role, threshold: wanted };
    if (kind === "renew") return { edit: "renew", role };
    return read && { edit: kind, card: read };
  };
  const leave = () => {
    ask(undefined);
    setCard("");
    close();
  };
  return (
    <>
      <Modal
        opened={open && !edit}
        onClose={leave}
        title={t("trust.title")}
        size={560}
        centered
        transitionProps={{ duration: 0 }}
        closeButtonProps={{ "aria-label": t("act.close") }}
      >
        <div className="form">
          <fieldset className="choices panel" aria-label={t("trust.what")}>
            {kinds.map((one) => (
              <label key={one} className="item two tickrow">
                <input type="radio" name="change" checked={kind === one} onChange={() => setKind(one)} />
                <span className="grow">
                  <span className="block">{t(`trust.${one}`)}</span>
                  <span className="t3 s12 block">{t(`trust.why.${one}`)}</span>
                </span>
              </label>
            ))}
          </fieldset>
          {(kind === "add_key_holder" || kind === "rotate") && <CardField text={card} set={setCard} />}
          {(kind === "threshold" || kind === "renew") && (
            <div className="row gap12">
              <label className="numfield">
                <span className="s12 t2">{t("trust.role")}</span>
                <select className="field" value={role} onChange={(event) => setRole(event.target.value as SignedBy)}>
                  <option value="root">{t("expiry.root")}</option>
                  <option value="targets">{t("expiry.targets")}</option>
                </select>
              </label>
              {kind === "threshold" && (
                <label className="numfield">
                  <span className="s12 t2">{t("trust.signatures", { n: held })}</span>
                  <input
                    className="field"
                    type="number"
                    min={1}
                    max={held}
                    value={wanted}
                    onChange={(event) => setNumber(Number(event.target.value))}
                  />
                </label>
              )}
            </div>
          )}
        </div>
        <div className="row acts">
          <span className="grow s12 t3">{t("trust.nothingyet")}</span>
          <Button size="lg" onClick={leave}>
            {t("act.close")}
          </Button>
          <Button size="lg" look="primary" disabled={!made()} onClick={() => ask(made())}>
            {t("trust.preview")}
          </Button>
        </div>
      </Modal>
      <AskForChange edit={edit} close={leave} />
    </>
  );
}

/** What a change comes to, and the request to the key holders. */
export function AskForChange({ edit, close }: { edit?: Edit; close: () => void }) {
  const { t } = useTranslation();
  const go = useNavigate();
  return (
    <Danger
      open={!!edit}
      calm={edit?.edit !== "remove_key" && edit?.edit !== "unlist" && edit?.edit !== "remove_person"}
      close={close}
      title={t("trust.asktitle")}
      act={t("trust.ask")}
      ask={{ label: t("act.reason") }}
      preview={() => platform().call("fleet.draft_change_preview", { edits: edit ? [edit] : [], reason: "" })}
      commit={async (_, reason) => {
        if (!edit) return;
        const { requests } = await platform().call("fleet.draft_change", { edits: [edit], reason });
        const first = requests[0];
        if (first) await go({ to: "/requests/$id", params: { id: first.id } });
      }}
    />
  );
}
