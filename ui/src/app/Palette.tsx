import { Spotlight, type SpotlightActionData } from "@mantine/spotlight";
import { IconCpu, IconLock, IconMoon, IconPlus, IconSearch, IconSun } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "./ask";
import { mayDo, OPERATE, RELEASE, useSettings } from "./host";
import { places } from "./places";
import { bringVault } from "./vault";

/** Ctrl-K: every place, every act that needs no preview, and every device, release and rollout by name. */
export function Palette() {
  const { t } = useTranslation();
  const go = useNavigate();
  const [text, setText] = useState("");
  const status = useAsk("view.status", {});
  const releases = useAsk("release.list", {});
  const lock = useOrder("vault.lock");
  const settings = useSettings();
  const found = useAsk("device.list", { filter: { serial_prefix: text.toUpperCase() }, page: { limit: 6 } }, text.length >= 2);
  const roles = status.data?.roles ?? [];
  const icon = { className: "i", "aria-hidden": true } as const;

  const actions: SpotlightActionData[] = [
    ...places
      .filter((place) => !place.roles || mayDo(roles, place.roles))
      .map((place) => ({
        id: place.to,
        label: t(place.name),
        description: `g ${place.key}`,
        leftSection: <place.icon {...icon} />,
        onClick: () => go({ to: place.to }),
      })),
    ...(mayDo(roles, OPERATE)
      ? [{ id: "plan", label: t("rollouts.new"), leftSection: <IconPlus {...icon} />, onClick: () => go({ to: "/rollouts/new" }) }]
      : []),
    ...(mayDo(roles, RELEASE)
      ? [{ id: "propose", label: t("releases.new"), leftSection: <IconPlus {...icon} />, onClick: () => go({ to: "/releases/new" }) }]
      : []),
    { id: "unlock", label: t("vault.open"), leftSection: <IconLock {...icon} />, onClick: () => bringVault() },
    { id: "lock", label: t("vault.lock"), description: "Ctrl L", leftSection: <IconLock {...icon} />, onClick: () => lock.mutate({}) },
    { id: "dark", label: t("settings.dark"), leftSection: <IconMoon {...icon} />, onClick: () => settings.set({ scheme: "dark" }) },
    { id: "light", label: t("settings.light"), leftSection: <IconSun {...icon} />, onClick: () => settings.set({ scheme: "light" }) },
    ...(releases.data?.rows ?? []).map((release) => ({
      id: release.id,
      label: t("palette.release", { version: release.version }),
      description: t(`release.${release.state}`),
      onClick: () => go({ to: "/releases/$id", params: { id: release.id } }),
    })),
    ...(found.data?.rows ?? []).map((device) => ({
      id: device.id,
      label: device.serial,
      description: device.model,
      leftSection: <IconCpu {...icon} />,
      onClick: () => go({ to: "/devices/$id", params: { id: device.id } }),
    })),
  ];
  return (
    <Spotlight
      actions={actions}
      query={text}
      onQueryChange={setText}
      shortcut={["mod + K"]}
      limit={12}
      scrollable
      maxHeight={420}
      radius="lg"
      transitionProps={{ duration: 0 }}
      nothingFound={t("palette.none")}
      searchProps={{
        placeholder: t("palette.hint"),
        "aria-label": t("top.find"),
        leftSection: <IconSearch className="i" aria-hidden="true" />,
      }}
    />
  );
}
