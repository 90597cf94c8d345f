import { create } from "zustand";
import type { Role } from "@/generated/Role";

interface Host {
  connection: "connected" | "connecting" | "offline";
  /** The last milestone of a job, for the live regions. */
  milestone?: { text: string; failed: boolean };
}

/** What the host said unasked. */
export const useHost = create<Host>(() => ({ connection: "connected" }));

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
export const AUDIT: Role[] = ["admin", "auditor"];
