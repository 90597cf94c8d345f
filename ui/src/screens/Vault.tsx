import { IconForms, IconLock, IconLockOpen } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useAsk, useOrder } from "@/app/ask";
import { useMe } from "@/app/me";
import { bringVault } from "@/app/vault";
import { Button } from "@/parts/Button";
import { useNow } from "@/parts/clock";
import { Copy } from "@/parts/Id";
import { Empty, Failure, Freshness, Listing, Loading } from "@/parts/Listing";
import { Head, Panel } from "@/parts/Panel";
import { Seal } from "@/parts/Seal";
import { Glyph, State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { duration, instant } from "@/parts/units";
import { CallError, platform } from "@/platform";
import { useWord } from "./causes";

const idle = 15 * 60;
const signs = ["signature", "tickets", "enrolments", "expiry"];

/** E1: the vault's state and its keys. Opening it happens in its own window. */
export function Vault() {
  const { t } = useTranslation();
  const go = useNavigate();
  const me = useMe();
  const role = useWord("key");
  const now = useNow(1000);
  const answer = useAsk("vault.show", {});
  const inbox = useAsk("view.inbox", {});
  const lock = useOrder("vault.lock");
  const backup = useOrder("vault.backup");
  const card = useOrder("vault.card");
  if (!answer.data) {
    if (answer.error instanceof CallError && answer.error.code === "not_found")
      return (
        <>
          <Head title={t("place.vault")} />
          <div className="body">
            <Panel>
              <Empty
                act={
                  <Button look="primary" onClick={() => bringVault()}>
                    {t("vault.create")}
                  </Button>
                }
              >
                {t("vault.nonehere")}
              </Empty>
            </Panel>
          </div>
        </>
      );
    return (
      <div className="body">{answer.error ? <Failure error={answer.error} retry={() => answer.refetch()} /> : <Loading rows={8} />}</div>
    );
  }
  const vault = answer.data;
  const locks = me.status?.vault_locks_at;
  const left = locks ? (instant(locks) - now) / 1000 : undefined;
  const tested = vault.backup_proven_at;
  const old = !tested || now - instant(tested) > 90 * 86_400_000;
  const save = async () => {
    const file = await platform().pickFile("fleetseal.vault-backup");
    if (file) backup.mutate({ file }, { onSuccess: () => platform().handOver?.(file) });
  };
  const handCard = () => card.mutate({}, { onSuccess: (text) => void navigator.clipboard?.writeText(JSON.stringify(text)) });
  const waiting = inbox.data?.rows.filter((row) => signs.includes(row.kind)) ?? [];
  return (
    <>
      <Head
        title={t("place.vault")}
        meta={[
          vault.holder,
          t("vault.generation", { n: vault.generation }),
          <Freshness key="f" at={answer.dataUpdatedAt} reload={() => answer.refetch()} />,
        ]}
        acts={
          <>
            <Button size="lg" disabled={card.isPending} onClick={handCard}>
              {t(card.isSuccess ? "copy.done" : "vault.card")}
            </Button>
            <Button size="lg" disabled={backup.isPending} onClick={save}>
              {t("vault.backup")}
            </Button>
          </>
        }
      />
      <div className="body vaultbody">
        <div className="stack">
          <Panel>
            <div className="vhero">
              <Seal
                parts={["on", "on", "on"]}
                met
                size={80}
                raised={vault.unlocked}
                label={t(vault.unlocked ? "vault.unlocked" : "vault.locked")}
              />
              <div>
                <div className="vstate">{t(vault.unlocked ? "vault.open1" : "vault.closed1")}</div>
                <div className="t2">
                  {vault.unlocked ? (left !== undefined ? t("vault.locksin1", { text: duration(left) }) : "") : t("vault.stillwatch")}
                </div>
              </div>
            </div>
            <div className="vacts">
              {vault.unlocked ? (
                <>
                  {left !== undefined && (
                    <div className="bar thin">
                      <i className="v2" style={{ width: `${Math.min(100, (left / idle) * 100)}%` }} />
                    </div>
                  )}
                  <Button size="lg" look="strong" icon={<IconLock className="i" />} onClick={() => lock.mutate({})}>
                    {t("vault.lock")} <kbd className="on">Ctrl L</kbd>
                  </Button>
                </>
              ) : (
                <Button size="lg" look="primary" icon={<IconLockOpen className="i" />} onClick={() => bringVault()}>
                  {t("vault.open")}
                </Button>
              )}
            </div>
            <div className="foot auto">{t("vault.rule")}</div>
          </Panel>
          <Panel title={t("vault.ways")} note={vault.slots.length}>
            {vault.slots.map((slot) => (
              <div key={slot.id} className="item two">
                <IconForms className="i t3" aria-hidden="true" />
                <div className="grow">
                  <div className="cut">{slot.label || slot.kind.replaceAll("_", " ")}</div>
                  <div className="t3 s12 cut">{slot.detail}</div>
                </div>
                <State kind={slot.counts ? "ok" : "warn"}>{t(slot.counts ? "vault.ready" : "vault.untested")}</State>
              </div>
            ))}
          </Panel>
          {backup.isSuccess && (
            <div className="note" role="status">
              <Glyph kind="ok" />
              <span className="grow">
                {t("vault.backedup")} <span className="mono wrapany">{backup.variables.file}</span>
              </span>
              <Copy text={backup.variables.file} what={t("vault.backupfile")} />
            </div>
          )}
          {(lock.error ?? backup.error ?? card.error) && <Failure error={(lock.error ?? backup.error ?? card.error) as Error} />}
        </div>
        <div className="stack">
          {old && (
            <div className="note warn fixed">
              <Glyph kind="warn" />
              <span className="t grow">
                <b>{tested ? t("vault.testedago", { text: duration((now - instant(tested)) / 1000) }) : t("vault.nevertested")}</b>{" "}
                {t("vault.testwhy")}
              </span>
              <Button size="sm" onClick={() => bringVault()}>
                {t("vault.test")}
              </Button>
            </div>
          )}
          <Panel title={t("vault.keys")} note={vault.keys.length} tail={<span className="t3 s12">{t("vault.neverleave")}</span>}>
            <table className="lg">
              <colgroup>
                <col style={{ width: 200 }} />
                <col style={{ width: 120 }} />
                <col />
              </colgroup>
              <thead>
                <tr>
                  <th>{t("vault.role")}</th>
                  <th>{t("vault.algorithm")}</th>
                  <th>{t("sign.keyname")}</th>
                </tr>
              </thead>
              <tbody>
                {vault.keys.map((key) => (
                  <tr key={key.role + key.public}>
                    <td>{role(key.role)}</td>
                    <td className="t2">{key.algorithm}</td>
                    <td className="mono t2">
                      {key.public ? `${key.public.slice(0, 4)}…${key.public.slice(-4)} ` : "–"}
                      {key.public && <Copy text={key.public} what={role(key.role)} />}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Panel>
          <Panel grow title={t("vault.waiting")} note={waiting.length}>
            <Listing answer={inbox} rows={2} isEmpty={() => waiting.length === 0} empty={<Empty>{t("vault.nothingwaits")}</Empty>}>
              {() =>
                waiting.map((row) => (
                  <div key={row.id} className="item two">
                    <Glyph kind={row.state} />
                    <div className="grow">
                      <div>{row.title}</div>
                      <div className="t3 s12">{row.detail}</div>
                    </div>
                    <span className="t3 s12">
                      <Age at={row.at} />
                    </span>
                    <Button
                      size="sm"
                      onClick={() => (row.request ? go({ to: "/requests/$id", params: { id: row.request } }) : bringVault())}
                    >
                      {t(`inbox.act.${row.kind}`)}
                    </Button>
                  </div>
                ))
              }
            </Listing>
          </Panel>
        </div>
      </div>
    </>
  );
}
