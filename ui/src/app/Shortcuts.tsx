import { Modal } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useOrder } from "./ask";
import { places } from "./places";

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));

/** Keys that work everywhere, and the sheet (`?`) that lists them. */
export function Shortcuts() {
  const { t } = useTranslation();
  const go = useNavigate();
  const lock = useOrder("vault.lock");
  const [open, setOpen] = useState(false);
  const waiting = useRef(0);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey && event.key === "l") {
        event.preventDefault();
        lock.mutate({});
      }
      if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "?") setOpen(true);
      else if (event.key === "/") {
        const filter = document.querySelector<HTMLInputElement>("input[data-filter]");
        if (filter) {
          event.preventDefault();
          filter.focus();
        }
      } else if (event.key === "g") waiting.current = Date.now();
      else if (Date.now() - waiting.current < 1500) {
        waiting.current = 0;
        const place = places.find((one) => one.key === event.key);
        if (place) {
          event.preventDefault();
          void go({ to: place.to });
        }
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [go, lock]);

  const rows: [string, string][] = [
    ["Ctrl K", t("top.find")],
    ["/", t("keys.filter")],
    ["j k ↑ ↓", t("keys.move")],
    ["Space", t("keys.select")],
    ["Enter", t("keys.open")],
    ["Esc", t("keys.back")],
    ["Ctrl L", t("vault.lock")],
    ["?", t("keys.sheet")],
    ...places.map((place): [string, string] => [`g ${place.key}`, t(place.name)]),
  ];
  return (
    <Modal
      opened={open}
      onClose={() => setOpen(false)}
      title={t("keys.title")}
      size={560}
      centered
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("act.close") }}
    >
      <dl className="keysheet">
        {rows.map(([keys, name]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((one) => (
                <kbd key={one}>{one}</kbd>
              ))}
            </dt>
            <dd>{name}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
