import { IconReload } from "@tabler/icons-react";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { CallError } from "@/platform";
import { Button } from "./Button";
import { useNow } from "./clock";
import { Glyph } from "./State";
import { duration } from "./units";

/** Why there is nothing, and the one thing to do about it. */
export const Empty = ({ children, act }: { children: ReactNode; act?: ReactNode }) => (
  <div className="void">
    <p className="t2">{children}</p>
    {act}
  </div>
);

/** Nothing for 200 ms, then still rows at their final height. */
export function Loading({ rows = 6, height = 32 }: { rows?: number; height?: number }) {
  const { t } = useTranslation();
  const [shown, show] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => show(true), 200);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div role="status" aria-label={t("list.loading")} style={{ minHeight: rows * height }}>
      {shown &&
        Array.from({ length: rows }, (_, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the rows are alike
          <div key={i} className="ghost" style={{ height }}>
            <i style={{ width: `${30 + ((i * 37) % 45)}%` }} />
          </div>
        ))}
    </div>
  );
}

/** What went wrong, its code, what to do. */
export function Failure({ error, retry }: { error: Error; retry?: () => void }) {
  const { t } = useTranslation();
  const code = error instanceof CallError ? error.code : "internal";
  const hint = error instanceof CallError ? error.hint : undefined;
  if (code === "forbidden") return <NoPermission />;
  return (
    <div className="note bad" role="alert">
      <Glyph kind="bad" />
      <span className="grow">
        <b>{error.message}</b> <span className="mono t2">{code}</span>
        {hint && <span className="t2"> {hint}</span>}
      </span>
      <Button size="sm" onClick={() => navigator.clipboard?.writeText(`${code}: ${error.message}${hint ? ` (${hint})` : ""}`)}>
        {t("error.copy")}
      </Button>
      {retry && (
        <Button size="sm" onClick={retry}>
          {t("error.retry")}
        </Button>
      )}
    </div>
  );
}

export function NoPermission() {
  const { t } = useTranslation();
  return (
    <div className="note">
      <Glyph kind="idle" />
      <span className="t2">{t("list.forbidden")}</span>
    </div>
  );
}

/** How old what is shown is; after 30 s it says so and offers to look again. */
export function Freshness({ at, reload }: { at: number; reload: () => void }) {
  const { t } = useTranslation();
  const offset = useNow(1000) - Date.now();
  const age = (useNow(1000) - offset - at) / 1000;
  const text = duration(age);
  return (
    <span className="t3 s12 row gap4" aria-live="off">
      {t("time.asof", { text })}
      {age > 30 && (
        <button type="button" className="copybtn" aria-label={t("list.reload")} onClick={reload}>
          <IconReload className="copy" />
        </button>
      )}
    </span>
  );
}

interface Answer<T> {
  data: T | undefined;
  error: Error | null;
  isPending: boolean;
  refetch: () => unknown;
}

/** The look of an answer: loading, error beside what is old, empty, or the rows themselves. */
export function Listing<T>({
  answer,
  empty,
  isEmpty,
  rows,
  children,
}: {
  answer: Answer<T>;
  empty?: ReactNode;
  isEmpty?: (data: T) => boolean;
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  if (answer.data === undefined) {
    if (answer.error)
      return (
        <div className="pb">
          <Failure error={answer.error} retry={() => answer.refetch()} />
        </div>
      );
    return <Loading rows={rows} />;
  }
  return (
    <>
      {answer.error && (
        <div className="pb">
          <Failure error={answer.error} retry={() => answer.refetch()} />
        </div>
      )}
      {isEmpty?.(answer.data) ? empty : children(answer.data)}
    </>
  );
}
