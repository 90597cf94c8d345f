import { Textarea } from "@mantine/core";
import { useRef } from "react";
import { useTranslation } from "react-i18next";
import type { MemberCard } from "@/generated/MemberCard";
import { Button } from "./Button";

/** A member's card as they handed it over; none where it is no card. Nothing in it is secret. */
export function readCard(text: string): MemberCard | undefined {
  try {
    const card = JSON.parse(text) as MemberCard;
    return typeof card.holder === "string" && typeof card.identity === "string" ? card : undefined;
  } catch {
    return undefined;
  }
}

/** Takes a card: pasted, or from a file. */
export function CardField({ text, set }: { text: string; set: (text: string) => void }) {
  const { t } = useTranslation();
  const input = useRef<HTMLInputElement>(null);
  const card = readCard(text);
  return (
    <div className="form tightform">
      <Textarea
        data-autofocus
        label={t("card.label")}
        description={t("card.where")}
        error={text && !card ? t("card.none") : undefined}
        rows={3}
        spellCheck={false}
        classNames={{ input: "mono" }}
        value={text}
        onChange={(event) => set(event.currentTarget.value)}
      />
      <div className="row">
        <span className="grow s12 t2">{card && t("card.of", { who: card.holder })}</span>
        <Button size="sm" onClick={() => input.current?.click()}>
          {t("card.file")}
        </Button>
        <input
          ref={input}
          type="file"
          hidden
          aria-hidden="true"
          tabIndex={-1}
          onChange={(event) => void event.target.files?.[0]?.text().then(set)}
        />
      </div>
    </div>
  );
}
