import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import { Empty, Listing } from "@/parts/Listing";
import { Panel } from "@/parts/Panel";
import { count } from "@/parts/units";

const marks = { add: "+", remove: "-", same: " " } as const;
const classes = { add: "add", remove: "del", same: "" } as const;

/** What signing changes in the targets metadata, line by line. */
export function Diff({ id }: { id: string }) {
  const { t } = useTranslation();
  const answer = useAsk("release.diff", { release: id });
  return (
    <Panel title={t("diff.title")} note={answer.data && t("diff.unchanged", { n: count(answer.data.unchanged) })}>
      <Listing answer={answer} rows={4} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("diff.none")}</Empty>}>
        {(page) => (
          <div className="diff difflines">
            {page.rows.map((row, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: lines of one answer keep their places
              <div key={i} className={classes[row.side]}>
                <span>{marks[row.side]}</span>
                <span className="k">{row.field}</span>
                <span className="cut">
                  {row.value} {row.note && <span className="t3">{row.note}</span>}
                </span>
              </div>
            ))}
          </div>
        )}
      </Listing>
    </Panel>
  );
}
