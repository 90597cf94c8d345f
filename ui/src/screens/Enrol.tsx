import { Modal, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useOrder } from "@/app/ask";
import { bringVault } from "@/app/vault";
import { Button } from "@/parts/Button";
import { Copy } from "@/parts/Id";
import { Failure } from "@/parts/Listing";
import { State } from "@/parts/State";

/** Makes a one-time enrolment token for one device; it is shown once, to be handed over. */
export function Enrol({ open, close }: { open: boolean; close: () => void }) {
  const { t } = useTranslation();
  const make = useOrder("device.token");
  const [form, setForm] = useState({ serial: "", model: "", hardware: "" });
  const leave = () => {
    make.reset();
    close();
  };
  return (
    <Modal
      opened={open}
      onClose={leave}
      title={t("enrol.title")}
      size={520}
      centered
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("act.close") }}
    >
      {make.data ? (
        <Token text={make.data.token} />
      ) : (
        <div className="form">
          <TextInput
            data-autofocus
            label={t("col.serial")}
            value={form.serial}
            onChange={(event) => setForm({ ...form, serial: event.target.value })}
          />
          <TextInput label={t("col.model")} value={form.model} onChange={(event) => setForm({ ...form, model: event.target.value })} />
          <TextInput
            label={t("col.hardware")}
            value={form.hardware}
            onChange={(event) => setForm({ ...form, hardware: event.target.value })}
          />
          {make.isPending && <State kind="warn">{t("sign.inwindow")}</State>}
          {make.error && <Failure error={make.error} />}
        </div>
      )}
      <div className="row acts">
        <span className="grow" />
        <Button size="lg" onClick={leave}>
          {t("act.close")}
        </Button>
        {!make.data && (
          <Button
            size="lg"
            look="primary"
            disabled={!form.serial || !form.model || !form.hardware || make.isPending}
            onClick={() => {
              make.mutate({ serial: form.serial, model: form.model, hardware_revision: form.hardware, life: 86_400 });
              bringVault();
            }}
          >
            {t("enrol.make")}
          </Button>
        )}
      </div>
    </Modal>
  );
}

/** A token as it is handed over: shown once. */
export function Token({ text }: { text: string }) {
  const { t } = useTranslation();
  return (
    <>
      <p className="t2">{t("enrol.once")}</p>
      <div className="note token">
        <span className="mono grow">{text}</span>
        <Copy text={text} what={t("enrol.token")} />
      </div>
    </>
  );
}
