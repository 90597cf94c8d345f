import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { cutId, hashLines } from "./units";

/** Copies a text; says so by its icon and to screen readers. */
export function Copy({ text, what }: { text: string; what: string }) {
  const { t } = useTranslation();
  const [done, set] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text);
    set(true);
    setTimeout(() => set(false), 1500);
  };
  return (
    <button type="button" className="copybtn" aria-label={done ? t("copy.done") : t("copy.name", { what })} onClick={copy}>
      {done ? <IconCheck className="copy" /> : <IconCopy className="copy" />}
    </button>
  );
}

/** An id, cut in the middle, with its copy button. */
export const Id = ({ id, short, copy }: { id: string; short?: boolean; copy?: boolean }) => (
  <>
    <span className="mono" title={id}>
      {cutId(id, short)}
    </span>
    {copy && <Copy text={id} what={id} />}
  </>
);

/** A hash in groups of four. */
export const Digest = ({ hex }: { hex: string }) => (
  <span className="hash">
    {hashLines(hex.replace(/^sha256:/, "")).map((line) => (
      <span key={line} className="block">
        {line}
      </span>
    ))}
  </span>
);

/** Eight words, to read aloud row by row. */
export const Words = ({ words, label }: { words: string[]; label: string }) => (
  <ol className="words" aria-label={label}>
    {words.map((word, i) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: a word may stand twice; its place is its name
      <li key={i}>
        <span>{i + 1}</span>
        {word}
      </li>
    ))}
  </ol>
);
