import { useTranslation } from "react-i18next";
import { type Key, languages } from "@/words";

/** A code that a device or the backend reported, in words where there are some. */
export function useWord(prefix = "cause"): (code: string) => string {
  const { t } = useTranslation();
  return (code) => {
    const key = `${prefix}.${code}`;
    return key in languages.en ? t(key as Key as "cause.failed") : code.replaceAll("_", " ");
  };
}
