import { fake } from "./fake";
import { loopback } from "./loopback/page";
import type { Platform } from "./platform";
import { tauri } from "./tauri";

declare global {
  interface Window {
    __TAURI_INTERNALS__?: unknown;
  }
}

/** The host of this page: the desktop shell, simulated data (`?fake=...`, development and pictures only), or the loopback bridge. */
function choose(): Platform {
  if (window.__TAURI_INTERNALS__) return tauri();
  const scene = import.meta.env.VITE_FAKE === "1" ? (new URLSearchParams(location.search).get("fake") ?? "full") : undefined;
  return scene ? fake(scene) : loopback();
}

let chosen: Platform | undefined;

/** The platform in use. */
export const platform = (): Platform => {
  chosen ??= choose();
  return chosen;
};

/** Puts another in its place, for tests. */
export const replacePlatform = (other: Platform): void => {
  chosen = other;
};

export type { Name, Platform, Request, Response } from "./platform";
export { CallError } from "./platform";
