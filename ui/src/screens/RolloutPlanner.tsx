import { IconPlus, IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useEffect } from "react";
import { useTranslation } from "react-i18next";
import { asking, useAsk, useOrder } from "@/app/ask";
import { OPERATE } from "@/app/host";
import { useMe } from "@/app/me";
import type { PhaseSize } from "@/generated/PhaseSize";
import type { RolloutPlan } from "@/generated/RolloutPlan";
import { Button } from "@/parts/Button";
import { Empty, Failure, Loading } from "@/parts/Listing";
import { Facts, Head, Panel } from "@/parts/Panel";
import { State } from "@/parts/State";
import { Age } from "@/parts/Time";
import { bytes, count, duration } from "@/parts/units";
import { said } from "./kinds";
import { presets, useDraft, wrong } from "./plan";

const route = getRouteApi("/rollouts/new");
const steps = ["release", "targets", "phases", "safety", "delivery", "preview"] as const;

/** C4: six steps from a signed release to a started rollout. The draft is kept; the step stands in the address. */
export function RolloutPlanner() {
  const { t } = useTranslation();
  const go = useNavigate();
  const me = useMe();
  const search = route.useSearch();
  const { plan, set, clear } = useDraft();
  const step = Math.max(0, Math.min(steps.length - 1, (search.step ?? 1) - 1));
  const to = (next: number) => go({ to: "/rollouts/new", search: (before) => ({ ...before, step: next + 1 }) });
  const fault = wrong(plan.phases);
  const ready = plan.release !== "" && !fault;
  const preview = useQuery({ ...asking("rollout.preview", plan), enabled: ready, placeholderData: (before) => before });
  const start = useOrder("rollout.start");
  useEffect(() => {
    if (search.release) set({ release: search.release });
    const targets = sessionStorage.getItem("fleetseal-targets");
    if (targets) {
      set({ devices: JSON.parse(targets) });
      sessionStorage.removeItem("fleetseal-targets");
    }
  }, [search.release, set]);

  const run = async () => {
    if (!preview.data) return;
    const made = await start.mutateAsync({ request: plan, token: preview.data.token });
    clear();
    await go({ to: "/rollouts/$id", params: { id: made.row.id } });
  };
  const body: Record<(typeof steps)[number], ReactNode> = {
    release: <ReleaseStep />,
    targets: <TargetsStep plan={preview.data} error={preview.error} />,
    phases: <PhasesStep plan={preview.data} fault={fault} />,
    safety: <SafetyStep />,
    delivery: <DeliveryStep plan={preview.data} />,
    preview: <PreviewStep plan={preview.data} error={preview.error} />,
  };
  const name = steps[step] ?? "release";
  return (
    <>
      <Head
        title={t("plan.title")}
        meta={[t("plan.saved")]}
        acts={
          <>
            <Button
              size="lg"
              onClick={() => {
                clear();
                void go({ to: "/rollouts" });
              }}
            >
              {t("plan.discard")}
            </Button>
            {name === "preview" ? (
              <Button
                size="lg"
                look="primary"
                denied={me.denied(OPERATE)}
                disabled={!ready || !preview.data || preview.isPlaceholderData || start.isPending}
                onClick={run}
              >
                {t("plan.start", { n: count(preview.data?.devices ?? 0) })}
              </Button>
            ) : (
              <Button size="lg" look="primary" disabled={name === "release" && !plan.release} onClick={() => to(step + 1)}>
                {t("plan.next")}
              </Button>
            )}
          </>
        }
      />
      <div className="body planner">
        <nav className="panel" aria-label={t("plan.steps")}>
          <ol className="steps">
            {steps.map((one, i) => (
              <li key={one}>
                <button
                  type="button"
                  className={`stepbtn ${i === step ? "on" : ""}`}
                  aria-current={i === step ? "step" : undefined}
                  disabled={i > 0 && !plan.release}
                  onClick={() => to(i)}
                >
                  <span className="step">{i + 1}</span>
                  {t(`plan.${one}`)}
                </button>
              </li>
            ))}
          </ol>
        </nav>
        <div className="stack">
          {start.error && <Failure error={start.error} retry={() => preview.refetch()} />}
          {body[name]}
        </div>
        <Summary plan={preview.data} loading={preview.isFetching && !preview.data} />
      </div>
    </>
  );
}

function ReleaseStep() {
  const { t } = useTranslation();
  const { plan, set } = useDraft();
  const list = useAsk("release.list", {});
  const rows = list.data?.rows.filter((row) => row.state === "published") ?? [];
  return (
    <Panel title={t("plan.release")} note={t("plan.onlypublished")}>
      {list.error && <Failure error={list.error} />}
      {!list.data && !list.error && <Loading rows={4} />}
      {list.data && rows.length === 0 && <Empty>{t("plan.nopublished")}</Empty>}
      <div role="radiogroup" aria-label={t("plan.release")}>
        {rows.map((row) => (
          <ReleaseChoice
            key={row.id}
            id={row.id}
            version={row.version}
            at={row.changed_at}
            on={plan.release === row.id}
            choose={() => set({ release: row.id })}
          />
        ))}
      </div>
    </Panel>
  );
}

function ReleaseChoice({ id, version, at, on, choose }: { id: string; version: string; at: string; on: boolean; choose: () => void }) {
  const { t } = useTranslation();
  const detail = useAsk("release.show", { release: id });
  return (
    <label className="item two tickrow">
      <input type="radio" name="release" checked={on} onChange={choose} />
      <span className="grow">
        <span className="block">{detail.data?.artifacts[0] ? said(detail.data.artifacts[0].target) : version}</span>
        <span className="t3 s12 block cut">{detail.data?.notes}</span>
      </span>
      <State kind="ok">{t("release.published")}</State>
      <span className="t3 s12">
        <Age at={at} />
      </span>
    </label>
  );
}

function TargetsStep({ plan, error }: { plan?: RolloutPlan; error: Error | null }) {
  const { t } = useTranslation();
  const draft = useDraft();
  return (
    <>
      <Panel title={t("plan.targets")}>
        <div className="pb form">
          <label className="tickrow">
            <input type="radio" name="who" checked={draft.plan.devices.length === 0} onChange={() => draft.set({ devices: [] })} />
            {t("plan.allofmodel")}
          </label>
          <label className="tickrow">
            <input type="radio" name="who" checked={draft.plan.devices.length > 0} disabled={draft.plan.devices.length === 0} readOnly />
            {t("plan.chosen", { n: count(draft.plan.devices.length) })}
            <span className="t3">{t("plan.choosehow")}</span>
          </label>
        </div>
      </Panel>
      {error && <Failure error={error} />}
      {plan && (
        <Panel title={t("plan.snapshot", { n: count(plan.devices) })} note={t("plan.frozen")}>
          <Excluded plan={plan} />
        </Panel>
      )}
    </>
  );
}

const Excluded = ({ plan }: { plan: RolloutPlan }) => {
  const { t } = useTranslation();
  if (plan.excluded.length === 0) return <Empty>{t("plan.noneexcluded")}</Empty>;
  return (
    <>
      {plan.excluded.map((row) => (
        <div key={`${row.reason} ${row.first?.release ?? ""}`} className="item">
          <b className="num wide">{count(row.count)}</b>
          <span className="grow">
            {t(`exclusion.${row.reason}`)}
            {row.first && ` (${row.first.version})`}
          </span>
        </div>
      ))}
    </>
  );
};

function Num({
  label,
  value,
  set,
  min = 0,
  max,
  unit,
}: {
  label: string;
  value: number;
  set: (n: number) => void;
  min?: number;
  max?: number;
  unit?: string;
}) {
  return (
    <label className="numfield">
      <span className="s12 t2">{label}</span>
      <span className="row gap4">
        <input
          className="field"
          type="number"
          min={min}
          max={max}
          value={value}
          onChange={(event) =>
            event.target.value !== "" &&
            set(Math.max(min, Math.min(max ?? Number.MAX_SAFE_INTEGER, Math.round(Number(event.target.value)))))
          }
        />
        {unit && <span className="t3">{unit}</span>}
      </span>
    </label>
  );
}

function PhasesStep({ plan, fault }: { plan?: RolloutPlan; fault?: "none" | "rest_early" | "too_much" }) {
  const { t } = useTranslation();
  const draft = useDraft();
  const { phases } = draft.plan;
  const change = (i: number, part: Partial<PhaseSize>) =>
    draft.set({ phases: phases.map((one, at) => (at === i ? { ...one, ...part } : one)) });
  const kindOf = (size: PhaseSize["size"]) => (size === "rest" ? "rest" : "devices" in size ? "devices" : "percent");
  const numberOf = (size: PhaseSize["size"]) => (size === "rest" ? 0 : "devices" in size ? size.devices : size.percent);
  return (
    <Panel
      title={t("plan.phases")}
      tail={
        <div className="seg">
          {(Object.keys(presets) as (keyof typeof presets)[]).map((one) => (
            <button key={one} type="button" aria-pressed={phases === presets[one]} onClick={() => draft.set({ phases: presets[one] })}>
              {t(`plan.preset.${one}`)}
            </button>
          ))}
        </div>
      }
    >
      {fault && (
        <div className="pb">
          <div className="note warn">{t(`plan.fault.${fault}`)}</div>
        </div>
      )}
      <table className="lg inputs">
        <colgroup>
          <col style={{ width: 48 }} />
          <col style={{ width: 176 }} />
          <col style={{ width: 64 }} />
          <col style={{ width: 92 }} />
          <col style={{ width: 92 }} />
          <col />
          <col style={{ width: 44 }} />
        </colgroup>
        <thead>
          <tr>
            <th>{t("col.phase")}</th>
            <th>{t("plan.size")}</th>
            <th className="r">{t("col.devices")}</th>
            <th>{t("plan.success")}</th>
            <th>{t("plan.soak")}</th>
            <th>{t("plan.then")}</th>
            <th>
              <span className="sr">{t("act.remove")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {phases.map((phase, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a phase is known by its place
            <tr key={i}>
              <td>{i + 1}</td>
              <td>
                <span className="row gap4">
                  <select
                    className="field"
                    aria-label={t("plan.sizeof", { n: i + 1 })}
                    value={kindOf(phase.size)}
                    onChange={(event) =>
                      change(i, {
                        size: event.target.value === "rest" ? "rest" : event.target.value === "devices" ? { devices: 10 } : { percent: 25 },
                      })
                    }
                  >
                    <option value="devices">{t("plan.sizedevices")}</option>
                    <option value="percent">{t("plan.sizepercent")}</option>
                    <option value="rest">{t("plan.sizerest")}</option>
                  </select>
                  {phase.size !== "rest" && (
                    <input
                      className="field tiny"
                      type="number"
                      min={1}
                      aria-label={t("plan.sizenumber", { n: i + 1 })}
                      value={numberOf(phase.size)}
                      onChange={(event) => {
                        const n = Math.max(1, Number(event.target.value));
                        change(i, { size: kindOf(phase.size) === "devices" ? { devices: n } : { percent: Math.min(100, n) } });
                      }}
                    />
                  )}
                </span>
              </td>
              <td className="r t2">{plan?.policy.phases[i] ? count(plan.policy.phases[i].devices) : "–"}</td>
              <td>
                <input
                  className="field tiny"
                  type="number"
                  min={0}
                  max={100}
                  aria-label={t("plan.successof", { n: i + 1 })}
                  value={phase.success}
                  onChange={(event) => change(i, { success: Math.max(0, Math.min(100, Number(event.target.value))) })}
                />{" "}
                %
              </td>
              <td>
                <input
                  className="field tiny"
                  type="number"
                  min={0}
                  aria-label={t("plan.soakof", { n: i + 1 })}
                  value={phase.soak / 3600}
                  onChange={(event) => change(i, { soak: Math.max(0, Math.round(Number(event.target.value) * 3600)) })}
                />{" "}
                h
              </td>
              <td>
                <select
                  className="field"
                  aria-label={t("plan.gateof", { n: i + 1 })}
                  value={phase.gate}
                  onChange={(event) => change(i, { gate: event.target.value as PhaseSize["gate"] })}
                >
                  <option value="continue">{t("plan.continue")}</option>
                  <option value="wait_for_me">{t("plan.waitforme")}</option>
                </select>
              </td>
              <td>
                <button
                  type="button"
                  className="copybtn"
                  aria-label={t("plan.removephase", { n: i + 1 })}
                  disabled={phases.length === 1}
                  onClick={() => draft.set({ phases: phases.filter((_, at) => at !== i) })}
                >
                  <IconX className="copy" />
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <div className="foot tall">
        <Button
          size="sm"
          icon={<IconPlus className="i i-14" />}
          onClick={() =>
            draft.set({
              phases: [
                ...phases.slice(0, -1),
                { size: { percent: 25 }, success: 95, soak: 6 * 3600, gate: "continue" },
                ...phases.slice(-1),
              ],
            })
          }
        >
          {t("plan.addphase")}
        </Button>
      </div>
    </Panel>
  );
}

function SafetyStep() {
  const { t } = useTranslation();
  const { plan, set } = useDraft();
  const time = (minute: number) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
  const minute = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));
  return (
    <Panel title={t("plan.safety")}>
      <div className="pb fields">
        <Num
          label={t("plan.failshare")}
          value={plan.failure.share}
          min={1}
          max={100}
          unit="%"
          set={(share) => set({ failure: { ...plan.failure, share } })}
        />
        <Num
          label={t("plan.sample")}
          value={plan.failure.minimum_sample}
          min={1}
          set={(minimum_sample) => set({ failure: { ...plan.failure, minimum_sample } })}
        />
        <Num
          label={t("plan.timeout")}
          value={Math.round(plan.device_timeout / 60)}
          min={1}
          unit="min"
          set={(n) => set({ device_timeout: n * 60 })}
        />
        <Num label={t("plan.retries")} value={plan.retries} max={10} set={(retries) => set({ retries })} />
        <Num
          label={t("plan.rate")}
          value={plan.rate?.offers ?? 0}
          unit={t("plan.perminute")}
          set={(offers) => set({ rate: offers > 0 ? { offers, per: 60 } : undefined })}
        />
        <label className="numfield">
          <span className="s12 t2">{t("plan.window")}</span>
          <span className="row gap4">
            <input
              type="checkbox"
              aria-label={t("plan.window")}
              checked={!!plan.window}
              onChange={(event) => set({ window: event.target.checked ? { from_minute: 22 * 60, minutes: 360 } : undefined })}
            />
            {plan.window && (
              <>
                <input
                  className="field"
                  type="time"
                  aria-label={t("plan.windowfrom")}
                  value={time(plan.window.from_minute)}
                  onChange={(event) => plan.window && set({ window: { ...plan.window, from_minute: minute(event.target.value) } })}
                />
                <span className="t3">{t("plan.windowto", { at: time((plan.window.from_minute + plan.window.minutes) % 1440) })}</span>
              </>
            )}
            {!plan.window && <span className="t3">{t("plan.anytime")}</span>}
          </span>
        </label>
      </div>
      <div className="foot">{t("plan.safetyrule", { limit: plan.failure.share, sample: plan.failure.minimum_sample })}</div>
    </Panel>
  );
}

function DeliveryStep({ plan: seen }: { plan?: RolloutPlan }) {
  const { t } = useTranslation();
  const { plan, set } = useDraft();
  return (
    <Panel title={t("plan.delivery")}>
      <div className="pb fields">
        <Num
          label={t("plan.linklife")}
          value={Math.round(plan.link_life / 60)}
          min={1}
          unit="min"
          set={(n) => set({ link_life: n * 60 })}
        />
        <Num
          label={t("plan.ticketlife")}
          value={Math.round(plan.ticket_life / 86_400)}
          min={1}
          max={14}
          unit="d"
          set={(n) => set({ ticket_life: n * 86_400 })}
        />
        <label className="numfield">
          <span className="s12 t2">{t("plan.startat")}</span>
          <input
            className="field"
            type="datetime-local"
            value={plan.start_at?.slice(0, 16) ?? ""}
            onChange={(event) => set({ start_at: event.target.value ? `${event.target.value}:00Z` : undefined })}
          />
        </label>
      </div>
      {seen && <div className="foot">{t("plan.traffic", { bytes: bytes(seen.traffic_bytes), n: count(seen.devices) })}</div>}
    </Panel>
  );
}

function PreviewStep({ plan, error }: { plan?: RolloutPlan; error: Error | null }) {
  const { t } = useTranslation();
  const draft = useDraft();
  if (error) return <Failure error={error} />;
  if (!plan) return <Loading rows={6} />;
  return (
    <>
      <Panel title={t("plan.whatwill")}>
        <div className="pb">
          <p className="lead">
            {t("plan.sentence", {
              name: said(plan.target),
              n: count(plan.devices),
              phases: plan.policy.phases.length,
              limit: plan.policy.failure.share,
            })}
          </p>
          <p className="t2">{t("plan.willsign", { n: count(plan.devices) })}</p>
        </div>
      </Panel>
      <Panel title={t("plan.timeline")} note="UTC">
        <table>
          <colgroup>
            <col style={{ width: 64 }} />
            <col style={{ width: 72 }} />
            <col style={{ width: 144 }} />
            <col />
          </colgroup>
          <thead>
            <tr>
              <th>{t("col.phase")}</th>
              <th className="r">{t("col.devices")}</th>
              <th>{t("plan.notbefore")}</th>
              <th>{t("plan.opensnext")}</th>
            </tr>
          </thead>
          <tbody>
            {plan.policy.phases.map((phase, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a phase is known by its place
              <tr key={i}>
                <td>{i + 1}</td>
                <td className="r">{count(phase.devices)}</td>
                <td>{plan.not_before[i]?.slice(0, 16).replace("T", " ")}</td>
                <td className="t2">
                  {t(phase.gate === "continue" ? "plan.rulecontinue" : "plan.rulewait", {
                    success: phase.success,
                    soak: duration(phase.soak),
                  })}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Panel>
      <Panel title={t("plan.excluded")} note={count(plan.excluded.reduce((sum, row) => sum + row.count, 0))}>
        <Excluded plan={plan} />
      </Panel>
      {draft.plan.start_at && <div className="note">{t("plan.scheduled", { at: draft.plan.start_at.replace("T", " ").slice(0, 16) })}</div>}
    </>
  );
}

function Summary({ plan, loading }: { plan?: RolloutPlan; loading: boolean }) {
  const { t } = useTranslation();
  return (
    <Panel title={t("plan.summary")}>
      {loading && <Loading rows={5} />}
      {!plan && !loading && <Empty>{t("plan.choosefirst")}</Empty>}
      {plan && (
        <div className="pb">
          <Facts
            wide={96}
            rows={[
              [t("col.release"), said(plan.target)],
              [t("col.component"), plan.component],
              [t("col.devices"), count(plan.devices)],
              [t("plan.excluded"), count(plan.excluded.reduce((sum, row) => sum + row.count, 0))],
              [t("plan.phases"), plan.policy.phases.length],
              [t("plan.trafficname"), bytes(plan.traffic_bytes)],
              [t("plan.last"), plan.not_before.at(-1)?.slice(0, 16).replace("T", " ")],
            ]}
          />
        </div>
      )}
    </Panel>
  );
}
