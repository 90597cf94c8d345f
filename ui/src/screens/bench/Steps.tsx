import { useTranslation } from "react-i18next";
import type { StepTime } from "@/generated/StepTime";
import type { VisitLive } from "@/generated/VisitLive";
import type { VisitStep } from "@/generated/VisitStep";
import { Glyph } from "@/parts/State";
import { bytes, duration, served } from "@/parts/units";
import type { Kind } from "@/platform/needs";

const steps: VisitStep[] = ["verify", "upload", "trial_boot", "confirm"];

const took = (times: StepTime[] | undefined, step: VisitStep) => {
  const ms = times?.find((time) => time.step === step)?.milliseconds;
  return ms === undefined ? "" : ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms / 1000);
};

/** The steps of a visit, each with what can be undone after it. */
export function Steps({ visit, before }: { visit?: VisitLive; before?: string }) {
  const { t } = useTranslation();
  const at = visit ? steps.indexOf(visit.step) : -1;
  return (
    <ol className="steps">
      {steps.map((step, i) => {
        const kind: Kind = i < at ? "ok" : i === at ? (visit?.waiting ? "warn" : "run") : "idle";
        const upload = step === "upload" && i === at && visit;
        return (
          <li key={step} aria-current={i === at ? "step" : undefined}>
            <Glyph kind={kind} />
            <span className={kind === "idle" ? "t2" : i === at ? "strong" : ""}>{t(`bench.step.${step}`)}</span>
            <span className="t3 s12 steptime">
              {upload && visit.seconds_left !== undefined
                ? t("bench.left", { text: duration(visit.seconds_left) })
                : i < at
                  ? took(visit?.took, step)
                  : ""}
            </span>
            <span className="sub">
              {upload && visit.total_bytes > 0 ? (
                <Amount visit={visit} />
              ) : upload && visit.do_not_unplug ? (
                t("bench.overwrites")
              ) : (
                // Without anything that ran before, there is nothing to go back to.
                (before !== undefined || step === "verify") && t(`bench.stepwhy.${step}`, { before })
              )}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

function Amount({ visit }: { visit: VisitLive }) {
  const { t } = useTranslation();
  const part = served(visit.done_bytes, visit.total_bytes, t("unit.of"));
  return (
    <>
      {visit.bytes_per_second === undefined ? part : t("bench.speed", { part, speed: bytes(visit.bytes_per_second) })}
      <Progress visit={visit} />
    </>
  );
}

/** How far the upload is, as a bar. */
export function Progress({ visit }: { visit: VisitLive }) {
  const { t } = useTranslation();
  const share = visit.total_bytes === 0 ? 0 : Math.round((visit.done_bytes / visit.total_bytes) * 100);
  const past = steps.indexOf(visit.step) > steps.indexOf("upload");
  const now = past ? 100 : share;
  return (
    <span
      className="bar up"
      role="progressbar"
      aria-label={t("bench.step.upload")}
      aria-valuenow={now}
      aria-valuemin={0}
      aria-valuemax={100}
    >
      <i className={visit.waiting ? "warn" : "run"} style={{ width: `${now}%` }} />
    </span>
  );
}
