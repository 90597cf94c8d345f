import { IconFilter } from "@tabler/icons-react";
import { type ReactNode, useEffect, useState } from "react";
import type { Kind } from "@/platform/needs";
import { Glyph } from "./State";
import { count } from "./units";

/** The filter of a list: `/` brings the keyboard here, Enter applies, Escape leaves. */
export function Filter({ value, set, label }: { value: string; set: (value: string) => void; label: string }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    const timer = setTimeout(() => text !== value && set(text), 200);
    return () => clearTimeout(timer);
  }, [text, value, set]);
  return (
    <span className="filter">
      <IconFilter className="i i-14" aria-hidden="true" />
      <input
        data-filter
        aria-label={label}
        placeholder={label}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
      <kbd>/</kbd>
    </span>
  );
}

/** One choice of a list's states, with its count. */
export const Chip = ({ on, set, kind, name, n }: { on: boolean; set: () => void; kind?: Kind; name: ReactNode; n?: number }) => (
  <button type="button" className={`chip ${on ? "on" : ""}`} aria-pressed={on} onClick={set}>
    {kind && <Glyph kind={kind} />}
    {name}
    {n !== undefined && <b>{count(n)}</b>}
  </button>
);
