import { Menu } from "@mantine/core";
import { spotlight } from "@mantine/spotlight";
import { IconActivity, IconLock, IconLockOpen, IconSearch } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import type { JobRow } from "@/generated/JobRow";
import { Button } from "@/parts/Button";
import { useNow, useOffset } from "@/parts/clock";
import { Empty } from "@/parts/Listing";
import { Glyph, State } from "@/parts/State";
import { clockTime, duration, instant } from "@/parts/units";
import type { HostStatus } from "@/platform/needs";
import { useAsk, useOrder } from "./ask";
import { useHost } from "./host";
import { bringVault } from "./vault";

/** Connection and the backend's clock, the vault, the jobs, the palette. */
export function TopBar({ status }: { status: HostStatus }) {
  const { t } = useTranslation();
  const connection = useHost((host) => host.connection);
  const since = useHost((host) => host.since);
  const now = useNow(1000);
  const offset = useOffset((state) => state.offset) / 1000;
  const state = connection && connection !== "connecting" ? connection : status.connection;
  const kind = state === "connected" ? "ok" : state === "connecting" ? "run" : "bad";
  const away = Math.abs(offset) > 60;
  return (
    <header className="top">
      <State kind={kind}>{status.backend}</State>
      {state === "connected" ? (
        <span className="t3">{t("top.mtls")}</span>
      ) : (
        <span className="c-bad">
          {t(state === "connecting" ? "top.connecting" : "top.offline", { text: duration((now - instant(since ?? status.since)) / 1000) })}
        </span>
      )}
      {status.workspace?.kind === "training" && <span className="tag">{t("top.training")}</span>}
      <span className="sep" />
      <span className="nw" aria-live="off">
        {clockTime(now)} UTC{" "}
        <span className={away ? "c-warn" : "t3"}>
          {t("top.offset", {
            text: `${offset < 0 ? "−" : "+"}${Math.abs(offset) < 60 ? `${Math.abs(offset).toFixed(2)} s` : duration(Math.abs(offset))}`,
          })}
        </span>
      </span>
      <span className="grow" />
      <Consent />
      <VaultChip status={status} now={now} />
      <span className="sep" />
      <Jobs />
      <button type="button" className="find" onClick={spotlight.open}>
        <IconSearch className="i i-14" aria-hidden="true" />
        {t("top.find")}
        <kbd>Ctrl K</kbd>
      </button>
    </header>
  );
}

function Consent() {
  const { t } = useTranslation();
  const waiting = useHost((host) => host.ceremonies);
  if (waiting.length === 0) return null;
  return (
    <button type="button" className="st warn plain" onClick={() => bringVault()}>
      <Glyph kind="warn" />
      {t("top.consent", { count: waiting.length })}
    </button>
  );
}

function VaultChip({ status, now }: { status: HostStatus; now: number }) {
  const { t } = useTranslation();
  const open = status.vault === "unlocked";
  const Icon = open ? IconLockOpen : IconLock;
  return (
    <Link to="/vault" className="st">
      <Icon className="i i-14" aria-hidden="true" />
      {t(open ? "vault.unlocked" : status.vault === "locked" ? "vault.locked" : "vault.none")}
      {open && status.vault_locks_at && (
        <span className="t3">{t("vault.locksin", { text: duration((instant(status.vault_locks_at) - now) / 1000) })}</span>
      )}
    </Link>
  );
}

function Jobs() {
  const { t } = useTranslation();
  const jobs = useAsk("job.list", {});
  const rows = jobs.data?.rows ?? [];
  const running = rows.filter((job) => job.state === "running").length;
  return (
    <Menu width={360} position="bottom-end" trapFocus={false} transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <button type="button" className="st plain">
          <IconActivity className="i i-14" aria-hidden="true" />
          {t("jobs.count", { count: running })}
        </button>
      </Menu.Target>
      <Menu.Dropdown aria-label={t("jobs.title")}>
        {rows.length === 0 && <Empty>{t("jobs.none")}</Empty>}
        {rows.map((job) => (
          <JobItem key={job.id} job={job} />
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

const kinds = { running: "run", succeeded: "ok", failed: "bad", canceled: "idle", interrupted: "warn" } as const;

function JobItem({ job }: { job: JobRow }) {
  const { t } = useTranslation();
  const cancel = useOrder("job.cancel");
  return (
    <div className="item two">
      <div className="grow">
        <State kind={kinds[job.state]}>{job.what}</State>
        <div className="t3 s12">
          {job.state === "running" ? `${Math.round((job.done / Math.max(1, job.total)) * 100)} %` : t(`job.${job.state}`)}
          {job.error && `, ${job.error.message}`}
        </div>
      </div>
      {job.state === "running" && (
        <Button size="sm" onClick={() => cancel.mutate({ job: job.id })}>
          {t("act.cancel")}
        </Button>
      )}
    </div>
  );
}
