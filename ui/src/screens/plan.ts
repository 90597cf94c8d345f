import { create } from "zustand";
import type { PhaseSize } from "@/generated/PhaseSize";
import type { PlanRollout } from "@/generated/PlanRollout";

const H = 3600;
const phase = (size: PhaseSize["size"], soak: number, success = 95): PhaseSize => ({ size, success, soak, gate: "continue" });

/** Phases to begin with. */
export const presets = {
  canary: [
    phase({ devices: 10 }, H, 90),
    phase({ percent: 5 }, 2 * H),
    phase({ percent: 25 }, 6 * H),
    phase({ percent: 50 }, 6 * H),
    phase("rest", 6 * H),
  ],
  halves: [phase({ percent: 50 }, 6 * H), phase("rest", 6 * H)],
  once: [phase("rest", 0)],
} satisfies Record<string, PhaseSize[]>;

export const fresh = (): PlanRollout => ({
  release: "",
  devices: [],
  phases: presets.canary,
  failure: { share: 3, minimum_sample: 50 },
  device_timeout: 4 * H,
  retries: 1,
  link_life: H,
  ticket_life: 14 * 24 * H,
});

const stored = "fleetseal-plan";

interface Draft {
  plan: PlanRollout;
  set(change: Partial<PlanRollout>): void;
  clear(): void;
}

/** The draft of a rollout, saved with every change. */
export const useDraft = create<Draft>((set, get) => ({
  plan: { ...fresh(), ...JSON.parse(localStorage.getItem(stored) ?? "{}") },
  set(change) {
    set({ plan: { ...get().plan, ...change } });
    localStorage.setItem(stored, JSON.stringify(get().plan));
  },
  clear() {
    localStorage.removeItem(stored);
    set({ plan: fresh() });
  },
}));

/** What is wrong with the phases, if anything: only the last may take the rest, and nothing may follow it. */
export function wrong(phases: PhaseSize[]): "none" | "rest_early" | "too_much" | undefined {
  if (phases.length === 0) return "none";
  if (phases.slice(0, -1).some((one) => one.size === "rest")) return "rest_early";
  const percent = phases.reduce((sum, { size }) => sum + (typeof size === "object" && "percent" in size ? size.percent : 0), 0);
  return percent > 100 ? "too_much" : undefined;
}
