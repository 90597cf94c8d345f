import { Modal, NumberInput, TagsInput, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { RELEASE } from "@/app/host";
import { useMe } from "@/app/me";
import { Button } from "@/parts/Button";
import { Empty, Failure, Listing } from "@/parts/Listing";
import { bytes } from "@/parts/units";

const blank = { model: "", hardware: [] as string[], component: "main", room: 16_777_216 };

/** The declared models, with the room of each component; and one more. */
export function Models({ open, close }: { open: boolean; close: () => void }) {
  const { t } = useTranslation();
  const me = useMe();
  const list = useAsk("model.list", {}, open);
  const put = useOrder("model.put");
  const [form, setForm] = useState(blank);
  const set = (change: Partial<typeof form>) => setForm((before) => ({ ...before, ...change }));
  const declare = () =>
    put.mutate(
      { model: form.model, hardware_revisions: form.hardware, slots: [{ component: form.component, bytes: form.room }] },
      { onSuccess: () => setForm(blank) },
    );
  return (
    <Modal
      opened={open}
      onClose={close}
      title={t("models.title")}
      size={520}
      centered
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("act.close") }}
    >
      <Listing answer={list} rows={2} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("models.none")}</Empty>}>
        {(page) => (
          <>
            {page.rows.map((row) => (
              <div key={row.model} className="item two">
                <span className="grow">
                  {row.model} <span className="t2">{row.hardware_revisions.join(", ")}</span>
                  <span className="t3 s12 block">{row.slots.map((slot) => `${slot.component} ${bytes(slot.bytes)}`).join(", ")}</span>
                </span>
              </div>
            ))}
          </>
        )}
      </Listing>
      <h3>{t("models.new")}</h3>
      <div className="fields">
        <TextInput
          data-autofocus
          label={t("col.model")}
          value={form.model}
          onChange={(event) => set({ model: event.target.value.trim() })}
        />
        <TagsInput
          label={t("propose.hardware")}
          value={form.hardware}
          onChange={(hardware) => set({ hardware })}
          comboboxProps={{ transitionProps: { duration: 0 } }}
        />
        <TextInput label={t("col.component")} value={form.component} onChange={(event) => set({ component: event.target.value.trim() })} />
        <NumberInput label={t("models.slot")} min={1} hideControls value={form.room} onChange={(room) => set({ room: Number(room) })} />
      </div>
      {put.error && <Failure error={put.error} />}
      <div className="row acts">
        <span className="grow" />
        <Button size="lg" onClick={close}>
          {t("act.close")}
        </Button>
        <Button
          size="lg"
          look="primary"
          denied={me.denied(RELEASE)}
          disabled={!form.model || form.hardware.length === 0 || !form.component || form.room < 1 || put.isPending}
          onClick={declare}
        >
          {t("models.put", { model: form.model })}
        </Button>
      </div>
    </Modal>
  );
}
