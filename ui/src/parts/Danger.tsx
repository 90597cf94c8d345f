import { Modal } from "@mantine/core";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { bringVault } from "@/app/vault";
import type { Preview } from "@/generated/Preview";
import type { CallError } from "@/platform";
import { Button } from "./Button";
import { Failure, Loading } from "./Listing";
import { State } from "./State";
import { count } from "./units";

interface Props {
  open: boolean;
  title: string;
  /** Names the act and its object: "Abort HX-220 2.4.1". */
  act: string;
  preview: () => Promise<Preview>;
  commit: (token: string, words: string, why: string) => Promise<unknown>;
  close: () => void;
  /** Asks for words before it commits: a reason, or the version typed once more. */
  ask?: { label: string; mustBe?: string };
  /** Asks for a reason besides, by this label. */
  why?: string;
  /** The act is given in the vault's window. */
  consent?: boolean;
  /** Not a danger but a step of weight: publishing. */
  calm?: boolean;
  children?: ReactNode;
}

/** A dangerous act: first what it would do, in counts; then, and only if the world has not moved, the act. */
export function Danger({ open, title, act, preview, commit, close, ask, why, consent, calm, children }: Props) {
  const { t } = useTranslation();
  const [seen, setSeen] = useState<Preview>();
  const [error, setError] = useState<CallError>();
  const [words, setWords] = useState("");
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const safe = useRef<HTMLButtonElement>(null);
  const look = useRef(preview);
  look.current = preview;

  const load = () => {
    setSeen(undefined);
    setError(undefined);
    look.current().then(setSeen, setError);
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: a preview is taken once per opening
  useEffect(() => {
    if (open) {
      setWords("");
      setReason("");
      load();
    }
  }, [open]);

  const run = async () => {
    if (!seen) return;
    setBusy(true);
    setError(undefined);
    try {
      if (consent) bringVault();
      await commit(seen.token, words, reason);
      close();
    } catch (refusal) {
      setError(refusal as CallError);
    } finally {
      setBusy(false);
    }
  };
  const said = !ask || (ask.mustBe ? words === ask.mustBe : words.trim() !== "");
  const ready = !!seen && !busy && said && (!why || reason.trim() !== "");

  return (
    <Modal
      opened={open}
      onClose={close}
      title={title}
      size={520}
      centered
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("act.close") }}
    >
      {error && <Failure error={error} retry={load} />}
      {!seen && !error && <Loading rows={3} />}
      {seen && (
        <>
          <p className="lead">{seen.summary}</p>
          {seen.effects.length > 0 && (
            <table className="effects">
              <tbody>
                {seen.effects.map((effect) => (
                  <tr key={effect.effect}>
                    <td className="r strong">{count(effect.count)}</td>
                    <td>{effect.effect}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
          {children}
        </>
      )}
      {why && (
        <label className="ask">
          <span className="s12 t2">{why}</span>
          <input className="field lg" value={reason} onChange={(event) => setReason(event.target.value)} />
        </label>
      )}
      {ask && (
        <label className="ask">
          <span className="s12 t2">{ask.label}</span>
          <input className="field lg" value={words} onChange={(event) => setWords(event.target.value)} />
        </label>
      )}
      {consent && busy && <State kind="warn">{t("sign.inwindow")}</State>}
      <div className="row acts">
        <span className="grow" />
        <Button ref={safe} data-autofocus size="lg" onClick={close}>
          {t("act.keep")}
        </Button>
        <Button size="lg" look={calm ? "primary" : "danger"} disabled={!ready} onClick={run}>
          {act}
        </Button>
      </div>
    </Modal>
  );
}
