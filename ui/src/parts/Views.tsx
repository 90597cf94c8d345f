import { Menu } from "@mantine/core";
import { IconBookmark } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "./Button";

type Search = Record<string, unknown>;

/** Filters of a list with a name of their own, kept on this computer. `name` says the present one; none where nothing is filtered. */
export function Views({ list, search, name, set }: { list: string; search: Search; name: string; set: (search: Search) => void }) {
  const { t } = useTranslation();
  const stored = `fleetseal-views-${list}`;
  const [views, setViews] = useState<{ name: string; search: Search }[]>(() => JSON.parse(localStorage.getItem(stored) ?? "[]"));
  const store = (next: typeof views) => {
    localStorage.setItem(stored, JSON.stringify(next));
    setViews(next);
  };
  return (
    <Menu position="bottom-end" width={240} transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <Button look="quiet" size="sm" icon={<IconBookmark className="i i-14" />}>
          {t("devices.views")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {views.map((view) => (
          <Menu.Item key={view.name} onClick={() => set(view.search)}>
            {view.name}
          </Menu.Item>
        ))}
        <Menu.Item disabled={!name} onClick={() => store([...views.filter((view) => view.name !== name), { name, search }])}>
          {name ? t("devices.saveview", { name }) : t("devices.noview")}
        </Menu.Item>
        {views.length > 0 && <Menu.Item onClick={() => store([])}>{t("devices.forgetviews")}</Menu.Item>}
      </Menu.Dropdown>
    </Menu>
  );
}
