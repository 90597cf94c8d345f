import { useTranslation } from "react-i18next";
import { Glyph } from "@/parts/State";
import { duration } from "@/parts/units";
import type { Slot } from "./live";
import { Mark, number, passed, usePlaceState, useWhy } from "./Place";
import { Progress } from "./Steps";

/** Many devices at once: each a tile with PASS or FAIL; one opens where it can be read in full. */
export function Gang({ slots, open }: { slots: Slot[]; open: (place: string) => void }) {
  const { t } = useTranslation();
  return (
    <ul className="gang" aria-label={t("bench.atonce")}>
      {slots.map((slot) => (
        <li key={slot.device.place}>
          <Tile slot={slot} open={() => open(slot.device.place)} />
        </li>
      ))}
    </ul>
  );
}

function Tile({ slot, open }: { slot: Slot; open: () => void }) {
  const { t } = useTranslation();
  const state = usePlaceState()(slot);
  const why = useWhy();
  const { visit, last, offer } = slot;
  const verdict = last && !visit ? (passed(slot) ? "pass" : "fail") : "";
  return (
    <button type="button" className={`tile ${verdict}`} onClick={open}>
      <span className="row">
        <span className="tag">{slot.device.place}</span>
        <span className="mono grow cut">{number(slot) ?? slot.device.port}</span>
      </span>
      {verdict ? (
        <span className="row big">
          <Mark ok={verdict === "pass"} />
          {state.word}
        </span>
      ) : (
        <span className={`st ${state.kind} strong`}>
          <Glyph kind={state.kind} />
          <span className="cut">{visit ? t(`bench.step.${visit.step}`) : slot.ready ? t("bench.ready") : state.word}</span>
        </span>
      )}
      {visit && <Progress visit={visit} />}
      <span className="s12 cut foottext">
        {visit
          ? visit.do_not_unplug
            ? t("bench.donotunplug")
            : visit.seconds_left !== undefined
              ? t("bench.left", { text: duration(visit.seconds_left) })
              : ""
          : verdict === "fail"
            ? last?.report
              ? why(last.report)
              : last?.error?.message
            : `${last?.report?.before ?? slot.runs ?? ""} → ${last?.report?.version ?? offer?.ticket.version ?? "–"}`}
      </span>
    </button>
  );
}
