import type { ReactNode } from "react";
import type { Kind } from "@/platform/needs";

const shapes: Record<Kind, ReactNode> = {
  idle: <circle cx="8" cy="8" r="5.25" />,
  run: (
    <>
      <circle cx="8" cy="8" r="5.25" />
      <path d="M8 2.75a5.25 5.25 0 0 0 0 10.5z" fill="currentColor" stroke="none" />
    </>
  ),
  ok: <path d="M2.75 8.6l3.4 3.4 7.1-7.8" />,
  warn: <path d="M8 3.2l5.2 9.3H2.8z" fill="currentColor" />,
  bad: <path d="M3.75 3.75l8.5 8.5M12.25 3.75l-8.5 8.5" />,
};

/** The glyph of a state. It never stands alone: its word stands beside it. */
export const Glyph = ({ kind }: { kind: Kind }) => (
  <svg className={`g ${kind}`} viewBox="0 0 16 16" aria-hidden="true">
    {shapes[kind]}
  </svg>
);

/** A state: glyph and word, coloured where somebody must look. */
export const State = ({ kind, children, pill }: { kind: Kind; children: ReactNode; pill?: boolean }) => (
  <span className={`${pill ? "pill" : "st"} ${kind}`}>
    <Glyph kind={kind} />
    <span className="cut">{children}</span>
  </span>
);
