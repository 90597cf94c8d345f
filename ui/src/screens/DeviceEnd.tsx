import { Modal } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { ExposedRelease } from "@/generated/ExposedRelease";
import { Button } from "@/parts/Button";
import { Danger } from "@/parts/Danger";
import { platform } from "@/platform";
import { Token } from "./Enrol";

export type EndAct = "revoke" | "retire" | "replace" | "clear";

/** What takes a device, or its keys, out of the fleet: first what it would do, then the act, then what is left to do. */
export function DeviceEnd({
  device,
  serial,
  act,
  close,
  done,
}: {
  device: string;
  serial: string;
  act?: EndAct;
  close: () => void;
  done: () => void;
}) {
  const { t } = useTranslation();
  const [token, show] = useState<string>();
  const [exposed, expose] = useState<ExposedRelease[]>([]);
  const { call } = platform();
  const common = (one: EndAct) => ({
    open: act === one,
    close,
    title: t(`device.${one}title`, { serial }),
    act: t(`device.${one}act`, { serial }),
  });
  const gone = (answer: { exposed: ExposedRelease[] }) => {
    expose(answer.exposed);
    done();
  };
  return (
    <>
      <Danger
        {...common("revoke")}
        consent
        ask={{ label: t("act.reason") }}
        preview={() => call("device.revoke_preview", { device })}
        commit={(token, reason) => call("device.revoke", { device, reason, token }).then(gone)}
      />
      <Danger
        {...common("retire")}
        consent
        ask={{ label: t("act.reason") }}
        preview={() => call("device.retire_preview", { device })}
        commit={(token, reason) => call("device.retire", { device, reason, token }).then(gone)}
      />
      <Danger
        {...common("replace")}
        consent
        preview={() => call("device.replace_preview", { device })}
        commit={(token) => call("device.replace", { device, life: 86_400, token }).then((made) => show(made.token))}
      />
      <Danger
        {...common("clear")}
        calm
        preview={() => call("device.clear_cloned_preview", { device })}
        commit={(token) => call("device.clear_cloned", { device, token }).then(done)}
      />
      <Modal
        opened={!!token || exposed.length > 0}
        onClose={() => {
          show(undefined);
          expose([]);
        }}
        title={t(token ? "device.replacetitle" : "device.exposedtitle", { serial })}
        size={520}
        centered
        transitionProps={{ duration: 0 }}
        closeButtonProps={{ "aria-label": t("act.close") }}
      >
        {token && <Token text={token} />}
        {exposed.length > 0 && <p className="t2">{t("device.exposed")}</p>}
        {exposed.map((one) => (
          <Link key={one.release} to="/releases/$id" params={{ id: one.release }} className="link block">
            {t("palette.release", { version: one.version })}
          </Link>
        ))}
        <div className="row acts">
          <span className="grow" />
          <Button
            size="lg"
            onClick={() => {
              show(undefined);
              expose([]);
            }}
          >
            {t("act.close")}
          </Button>
        </div>
      </Modal>
    </>
  );
}
