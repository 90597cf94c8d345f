import { Menu } from "@mantine/core";
import { IconDots } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { ADMIN } from "@/app/host";
import { useMe } from "@/app/me";
import type { Edit } from "@/generated/Edit";
import type { TrustedKeyRow } from "@/generated/TrustedKeyRow";
import { Button } from "@/parts/Button";
import { Empty, Listing } from "@/parts/Listing";
import { Panel } from "@/parts/Panel";
import { AskForChange, ChangeTrust } from "./ChangeTrust";
import { useWord } from "./causes";

const signs = (key: TrustedKeyRow) => key.role === "root" || key.role === "targets";

/** Whose keys count for what, as this desktop verified it; and the way to change that. */
export function TrustedKeys() {
  const { t } = useTranslation();
  const me = useMe();
  const word = useWord("key");
  const keys = useAsk("fleet.keys", {});
  const [changing, change] = useState(false);
  const [edit, ask] = useState<Edit>();
  return (
    <Panel
      title={t("trust.keys")}
      note={keys.data?.keys.length}
      tail={
        <>
          {keys.data && (
            <span className="t3 s12">
              {t("trust.thresholds", { root: keys.data.root_threshold, targets: keys.data.targets_threshold })}
            </span>
          )}
          <Button size="sm" denied={me.denied(ADMIN)} onClick={() => change(true)}>
            {t("trust.change")}
          </Button>
        </>
      }
    >
      <Listing answer={keys} rows={6} isEmpty={(said) => said.keys.length === 0} empty={<Empty>{t("list.nomatch")}</Empty>}>
        {(said) => (
          <table className="lg">
            <colgroup>
              <col style={{ width: 150 }} />
              <col style={{ width: 190 }} />
              <col style={{ width: 170 }} />
              <col />
              <col style={{ width: 116 }} />
              <col style={{ width: 44 }} />
            </colgroup>
            <thead>
              <tr>
                <th>{t("vault.role")}</th>
                <th>{t("keys.name")}</th>
                <th>{t("sign.keyname")}</th>
                <th>{t("trust.models")}</th>
                <th>{t("col.ends")}</th>
                <th>
                  <span className="sr">{t("act.remove")}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {said.keys.map((key) => (
                <tr key={key.role + key.id}>
                  <td>{word(key.role)}</td>
                  <td>{key.holder || "–"}</td>
                  <td className="mono t2" title={key.id}>
                    {key.id.slice(0, 6)}…{key.id.slice(-4)}
                  </td>
                  <td className="t2 cut">{signs(key) ? "–" : key.models.length > 0 ? key.models.join(", ") : t("trust.allmodels")}</td>
                  <td className="t2">{key.not_after ? key.not_after.slice(0, 10) : "–"}</td>
                  <td className="r">
                    {!me.denied(ADMIN) && (
                      <Menu position="bottom-end" width={180} transitionProps={{ duration: 0 }}>
                        <Menu.Target>
                          <button
                            type="button"
                            className="copybtn"
                            aria-label={t("trust.takeaway", { role: word(key.role), who: key.holder || key.id })}
                          >
                            <IconDots className="copy" />
                          </button>
                        </Menu.Target>
                        <Menu.Dropdown>
                          <Menu.Item
                            className="c-bad"
                            onClick={() => ask(signs(key) ? { edit: "remove_key", key: key.id } : { edit: "unlist", key: key.id })}
                          >
                            {t("trust.take")}
                          </Menu.Item>
                        </Menu.Dropdown>
                      </Menu>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Listing>
      <ChangeTrust open={changing} close={() => change(false)} keys={keys.data} />
      <AskForChange edit={edit} close={() => ask(undefined)} />
    </Panel>
  );
}
