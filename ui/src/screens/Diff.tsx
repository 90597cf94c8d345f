import { useTranslation } from "react-i18next";
import type { Statement } from "@/generated/Statement";
import { Empty } from "@/parts/Listing";
import { Panel } from "@/parts/Panel";

const marks = { added: ["+", "add"], removed: ["-", "del"], changed: ["±", ""] } as const;

/** What a signature changes in the metadata in force, one thing a line. Nothing else would. */
export function Diff({ statement }: { statement: Statement }) {
  const { t } = useTranslation();
  return (
    <Panel title={t("diff.title", { role: statement.role })} note={t("overview.version", { n: statement.version })}>
      {statement.changes.length === 0 && <Empty>{t("diff.none")}</Empty>}
      <ul className="diff difflines">
        {statement.changes.map((change) => {
          const [mark, look] = marks[change.kind];
          return (
            <li key={change.kind + change.what} className={look}>
              <span>
                <span aria-hidden="true">{mark}</span>
                <span className="sr">{t(`diff.${change.kind}`)}</span>
              </span>
              <span className="cut">
                {change.what}
                {change.digest && (
                  <span className="t3">
                    {" "}
                    {change.digest.slice(0, 8)}…{change.digest.slice(-8)}
                  </span>
                )}
              </span>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}
