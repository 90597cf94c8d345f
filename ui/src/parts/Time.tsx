import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNow } from "./clock";
import { clockTime, duration, instant } from "./units";

/** How long ago something was, on the backend's clock. */
export function Age({ at, bare }: { at: string; bare?: boolean }) {
  const { t } = useTranslation();
  const now = useNow(1000);
  const text = duration((now - instant(at)) / 1000);
  return (
    <time dateTime={at} title={at} aria-live="off">
      {bare ? text : t("time.ago", { text })}
    </time>
  );
}

/** The state of a countdown: what to show, and in which of the states. */
export function remaining(expires: string, now: number): { left: number; kind: "bad" | "warn" | "run" } {
  const left = (instant(expires) - now) / 1000;
  return { left, kind: left <= 0 ? "bad" : left <= 600 ? "warn" : "run" };
}

/** Counts down on the backend's clock: each second below ten minutes, else each minute; says 10 min, 1 min and the end aloud. */
export function Countdown({ issued, expires, absolute }: { issued: string; expires: string; absolute?: boolean }) {
  const { t } = useTranslation();
  const fine = (instant(expires) - Date.now()) / 1000 < 3600;
  const now = useNow(fine ? 1000 : 60_000);
  const { left, kind } = remaining(expires, now);
  const life = (instant(expires) - instant(issued)) / 1000;
  const part = Math.max(0, Math.min(1, left / life));
  const spoken = useMilestone(left);
  const text = duration(Math.abs(left));
  return (
    <span className={`count c-${kind}`}>
      <svg className="ring" viewBox="0 0 16 16" aria-hidden="true">
        <circle className="bg" cx="8" cy="8" r="6" />
        <circle className="fg" cx="8" cy="8" r="6" strokeDasharray={`${part * 37.7} 37.7`} />
      </svg>
      <time dateTime={expires} aria-live="off">
        {left > 0 ? text : t("time.ago", { text })}
      </time>
      {absolute && <span className="t3">{clockTime(instant(expires))}</span>}
      <span className="sr" aria-live="polite">
        {spoken}
      </span>
    </span>
  );
}

function useMilestone(left: number): string {
  const { t } = useTranslation();
  const before = useRef(left);
  const [spoken, say] = useState("");
  useEffect(() => {
    const passed = (mark: number) => before.current > mark && left <= mark;
    if (passed(0)) say(t("time.expired"));
    else if (passed(60)) say(t("time.minute"));
    else if (passed(600)) say(t("time.ten"));
    before.current = left;
  }, [left, t]);
  return spoken;
}
