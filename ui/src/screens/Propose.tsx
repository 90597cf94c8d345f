import { Select, TagsInput, Textarea, TextInput } from "@mantine/core";
import { IconFileUpload } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { RELEASE } from "@/app/host";
import { useMe } from "@/app/me";
import { Button } from "@/parts/Button";
import { Failure } from "@/parts/Listing";
import { Head, Panel } from "@/parts/Panel";
import { platform } from "@/platform";

const installers = ["mcuboot", "slots", "rauc", "swupdate", "command"];
const version = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/;

/** B2: from a file to a proposed release; Rust hashes, parses and checks it. */
export function Propose() {
  const { t } = useTranslation();
  const go = useNavigate();
  const me = useMe();
  const models = useAsk("model.list", {});
  const propose = useOrder("release.propose");
  const [form, setForm] = useState({
    file: "",
    model: "",
    hardware: [] as string[],
    component: "app",
    version: "",
    counter: "1",
    installer: "mcuboot",
    notes: "",
  });
  const set = (change: Partial<typeof form>) => setForm((before) => ({ ...before, ...change }));
  const badVersion = form.version !== "" && !version.test(form.version);
  const ready =
    form.file && form.model && form.hardware.length > 0 && form.component && version.test(form.version) && /^\d+$/.test(form.counter);
  const choose = async () => {
    const file = await platform().pickFile();
    if (file) set({ file });
  };
  const run = async () => {
    const made = await propose.mutateAsync({
      version: form.version,
      notes: form.notes,
      draft: false,
      artifacts: [
        {
          file: form.file,
          model: form.model,
          hardware_revisions: form.hardware,
          component: form.component,
          version: form.version,
          security_counter: Number(form.counter),
          installer: form.installer,
          requires: [],
          must_pass: false,
        },
      ],
    });
    await go({ to: "/releases/$id", params: { id: made.row.id }, search: { tab: "review" } });
  };
  return (
    <>
      <Head
        title={t("releases.new")}
        meta={[t("propose.about")]}
        acts={
          <>
            <Button size="lg" onClick={() => go({ to: "/releases" })}>
              {t("act.cancel")}
            </Button>
            <Button size="lg" look="primary" disabled={!ready || propose.isPending} denied={me.denied(RELEASE)} onClick={run}>
              {t("propose.act", { version: form.version })}
            </Button>
          </>
        }
      />
      <div className="body scroll">
        {propose.error && <Failure error={propose.error} />}
        <div className="two-col">
          <div className="stack">
            <Panel
              title={
                <>
                  <span className="step">1</span> {t("propose.file")}
                </>
              }
            >
              <div className="pb form">
                <button type="button" className="drop" onClick={choose}>
                  <IconFileUpload className="i i-24" aria-hidden="true" />
                  <span>{form.file || t("propose.drop")}</span>
                  <span className="t3 s12">{t("propose.formats")}</span>
                </button>
                <TextInput label={t("propose.path")} value={form.file} onChange={(event) => set({ file: event.target.value })} />
              </div>
            </Panel>
            <Panel
              title={
                <>
                  <span className="step">2</span> {t("propose.for")}
                </>
              }
            >
              <div className="pb fields">
                <TextInput
                  label={t("col.model")}
                  list="models"
                  value={form.model}
                  onChange={(event) => set({ model: event.target.value })}
                />
                <datalist id="models">
                  {models.data?.rows.map((one) => (
                    <option key={one.model} value={one.model} />
                  ))}
                </datalist>
                <TagsInput
                  label={t("propose.hardware")}
                  value={form.hardware}
                  onChange={(hardware) => set({ hardware })}
                  comboboxProps={{ transitionProps: { duration: 0 } }}
                />
                <TextInput label={t("col.component")} value={form.component} onChange={(event) => set({ component: event.target.value })} />
                <Select
                  label={t("release.installer")}
                  data={installers}
                  value={form.installer}
                  allowDeselect={false}
                  onChange={(installer) => set({ installer: installer ?? "mcuboot" })}
                  comboboxProps={{ transitionProps: { duration: 0 } }}
                />
              </div>
            </Panel>
          </div>
          <div className="stack">
            <Panel
              title={
                <>
                  <span className="step">3</span> {t("propose.version")}
                </>
              }
            >
              <div className="pb form">
                <TextInput
                  label={t("col.version")}
                  value={form.version}
                  error={badVersion && t("propose.badversion")}
                  onChange={(event) => set({ version: event.target.value.trim() })}
                />
                <TextInput
                  label={t("device.counter")}
                  description={t("propose.counter")}
                  inputMode="numeric"
                  value={form.counter}
                  onChange={(event) => set({ counter: event.target.value.trim() })}
                />
                <Textarea
                  label={t("release.notes")}
                  autosize={false}
                  rows={4}
                  value={form.notes}
                  onChange={(event) => set({ notes: event.target.value })}
                />
              </div>
            </Panel>
            <div className="note">
              <span className="t2">{t("propose.then")}</span>
            </div>
          </div>
        </div>
      </div>
    </>
  );
}
