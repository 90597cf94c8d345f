import { create } from "zustand";
import type { Ceremony } from "@/generated/Ceremony";
import type { Role } from "@/generated/Role";

interface Host {
  /** None until the host has said it. */
  connection?: "connected" | "connecting" | "offline";
  since?: string;
  /** What waits for consent in the vault window. */
  ceremonies: Ceremony[];
  /** Somebody wanted the vault where only they can open it. */
  vaultElsewhere?: boolean;
  /** The last milestone of a job, for the live regions. */
  milestone?: { text: string; failed: boolean };
}

/** What the host said unasked. */
export const useHost = create<Host>(() => ({ ceremonies: [] }));

interface Settings {
  scheme: "dark" | "light" | "system";
  contrast: "more" | "normal" | "system";
  compact: boolean;
}

const stored = (): Partial<Settings> => JSON.parse(localStorage.getItem("fleetseal-settings") ?? "{}");

/** How the screens look on this computer. */
export const useSettings = create<Settings & { set(change: Partial<Settings>): void }>((set, get) => ({
  scheme: "system",
  contrast: "system",
  compact: false,
  ...stored(),
  set(change) {
    set(change);
    const { scheme, contrast, compact } = get();
    localStorage.setItem("fleetseal-settings", JSON.stringify({ scheme, contrast, compact }));
  },
}));

/** Who may run a command: the roles of the command table. */
export const mayDo = (roles: Role[], wanted: Role[]): boolean => wanted.some((role) => roles.includes(role));
export const OPERATE: Role[] = ["admin", "operator"];
export const RELEASE: Role[] = ["admin", "release_manager"];
export const ADMIN: Role[] = ["admin"];
export const PROVISION: Role[] = ["admin", "station"];
export const AUDIT: Role[] = ["admin", "auditor"];
