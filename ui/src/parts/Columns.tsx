import { Menu } from "@mantine/core";
import { IconColumns3 } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useSettings } from "@/app/host";
import { Button } from "./Button";
import type { Column } from "./DataGrid";

/** Chooses a grid's columns, kept in the address, and how dense it stands. */
export function Columns<Row>({ columns, hidden, set }: { columns: Column<Row>[]; hidden: string[]; set: (hidden: string[]) => void }) {
  const { t } = useTranslation();
  const settings = useSettings();
  return (
    <Menu position="bottom-end" closeOnItemClick={false} width={200} transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <Button look="quiet" size="sm" icon={<IconColumns3 className="i i-14" />}>
          {t("grid.columns")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {columns.map((column) => (
          <label key={column.id} className="tickrow item">
            <input
              type="checkbox"
              checked={!hidden.includes(column.id)}
              onChange={() => set(hidden.includes(column.id) ? hidden.filter((one) => one !== column.id) : [...hidden, column.id])}
            />
            {column.name ?? column.head}
          </label>
        ))}
        <label className="tickrow item">
          <input type="checkbox" checked={settings.compact} onChange={() => settings.set({ compact: !settings.compact })} />
          {t("settings.compact")}
        </label>
      </Menu.Dropdown>
    </Menu>
  );
}
