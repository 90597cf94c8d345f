import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAsk } from "@/app/ask";
import type { BenchSeverity } from "@/generated/BenchSeverity";
import { Button } from "@/parts/Button";
import { Empty, Freshness, Listing } from "@/parts/Listing";
import { Head, Panel } from "@/parts/Panel";
import { State } from "@/parts/State";
import type { Kind } from "@/platform/needs";
import { lookAt, useLive } from "./bench/live";
import { useWord } from "./causes";

const kinds: Record<BenchSeverity, Kind> = { fine: "ok", warning: "warn", problem: "bad" };

/** What stands between this computer and a device, and what to do about it. */
export function Doctor() {
  const { t } = useTranslation();
  const ports = useLive((live) => live.ports);
  const answer = useAsk("bench.doctor", { ports });
  return (
    <>
      <Head
        title={t("place.doctor")}
        meta={[t("doctor.about"), <Freshness key="f" at={answer.dataUpdatedAt} reload={() => answer.refetch()} />]}
        acts={
          <Button size="lg" onClick={() => answer.refetch()}>
            {t("list.reload")}
          </Button>
        }
      />
      <div className="body scroll">
        <Panel>
          <Findings />
        </Panel>
        <LookAt />
      </div>
    </>
  );
}

/** The findings; `short` leaves out what is fine, where something is not. */
export function Findings({ short }: { short?: boolean }) {
  const { t } = useTranslation();
  const topic = useWord("doctor.topic");
  const ports = useLive((live) => live.ports);
  const answer = useAsk("bench.doctor", { ports });
  return (
    <Listing answer={answer} isEmpty={(page) => page.rows.length === 0} empty={<Empty>{t("doctor.fine")}</Empty>} rows={4}>
      {(page) => {
        const bad = page.rows.filter((row) => row.severity !== "fine");
        const rows = short && bad.length > 0 ? bad : page.rows;
        return (
          <ul className="findings">
            {rows.map((row) => (
              <li key={row.topic + row.what}>
                <State kind={kinds[row.severity]}>{t(`doctor.${row.severity}`)}</State>
                <div className="grow">
                  <div>
                    <b>{topic(row.topic)}</b> <span className="t2">{row.what}</span>
                  </div>
                  {row.next && (
                    <div className="next">
                      {t("doctor.next")}: {row.next}
                    </div>
                  )}
                </div>
              </li>
            ))}
          </ul>
        );
      }}
    </Listing>
  );
}

/** A port that the system does not list as USB. */
function LookAt() {
  const { t } = useTranslation();
  const id = useId();
  const [port, set] = useState("");
  return (
    <Panel title={t("bench.look")}>
      <form
        className="pb"
        onSubmit={(event) => {
          event.preventDefault();
          if (port) lookAt(port);
          set("");
        }}
      >
        <label htmlFor={id} className="s12 t2">
          {t("bench.lookhint")}
        </label>
        <div className="row">
          <input id={id} className="field lg grow mono" value={port} onChange={(event) => set(event.target.value.trim())} />
          <Button type="submit" size="lg" disabled={port === ""}>
            {t("bench.lookadd")}
          </Button>
        </div>
      </form>
    </Panel>
  );
}
