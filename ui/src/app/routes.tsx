import { createHashHistory, createRootRoute, createRoute, createRouter } from "@tanstack/react-router";
import type { DeviceState } from "@/generated/DeviceState";
import { Failure } from "@/parts/Listing";
import { Audit } from "@/screens/Audit";
import { Bench } from "@/screens/Bench";
import { Bundles } from "@/screens/Bundles";
import { Device } from "@/screens/Device";
import { Devices } from "@/screens/Devices";
import { Doctor } from "@/screens/Doctor";
import { Inbox } from "@/screens/Inbox";
import { Keys } from "@/screens/Keys";
import { Links } from "@/screens/Links";
import { Overview } from "@/screens/Overview";
import { Propose } from "@/screens/Propose";
import { Release } from "@/screens/Release";
import { Releases } from "@/screens/Releases";
import { Reports } from "@/screens/Reports";
import { Rollout } from "@/screens/Rollout";
import { RolloutPlanner } from "@/screens/RolloutPlanner";
import { Rollouts } from "@/screens/Rollouts";
import { Settings } from "@/screens/Settings";
import { Sign } from "@/screens/Sign";
import { Vault } from "@/screens/Vault";
import { Frame } from "./Frame";

type Raw = Record<string, unknown>;
const text = (raw: Raw, name: string) => (typeof raw[name] === "string" || typeof raw[name] === "number" ? String(raw[name]) : undefined);

const root = createRootRoute({ component: Frame });
const at = <P extends string>(path: P, component: () => React.ReactNode) => createRoute({ getParentRoute: () => root, path, component });

const devices = createRoute({
  getParentRoute: () => root,
  path: "/devices",
  component: Devices,
  validateSearch: (
    raw: Raw,
  ): Partial<{
    q: string;
    model: string;
    version: string;
    state: DeviceState;
    engaged: boolean;
    sort: string;
    cols: string;
  }> => ({
    q: text(raw, "q"),
    model: text(raw, "model"),
    version: text(raw, "version"),
    state: text(raw, "state") as DeviceState | undefined,
    engaged: raw.engaged === true ? true : undefined,
    sort: text(raw, "sort"),
    cols: text(raw, "cols"),
  }),
});
const device = createRoute({
  getParentRoute: () => root,
  path: "/devices/$id",
  component: Device,
  validateSearch: (raw: Raw): { tab?: string } => ({ tab: text(raw, "tab") }),
});
const bench = createRoute({
  getParentRoute: () => root,
  path: "/bench",
  component: Bench,
  validateSearch: (raw: Raw): { place?: string } => ({ place: text(raw, "place") }),
});
const links = createRoute({
  getParentRoute: () => root,
  path: "/links",
  component: Links,
  validateSearch: (raw: Raw): { q?: string; show?: string; sort?: string; cols?: string } => ({
    q: text(raw, "q"),
    show: text(raw, "show"),
    sort: text(raw, "sort"),
    cols: text(raw, "cols"),
  }),
});
const rollout = createRoute({
  getParentRoute: () => root,
  path: "/rollouts/$id",
  component: Rollout,
  validateSearch: (raw: Raw): { state?: string } => ({ state: text(raw, "state") }),
});
const planner = createRoute({
  getParentRoute: () => root,
  path: "/rollouts/new",
  component: RolloutPlanner,
  validateSearch: (raw: Raw): { release?: string; step?: number } => ({
    release: text(raw, "release"),
    step: raw.step === undefined ? undefined : Number(raw.step),
  }),
});
const releases = createRoute({
  getParentRoute: () => root,
  path: "/releases",
  component: Releases,
  validateSearch: (raw: Raw): { state?: string; q?: string } => ({ state: text(raw, "state"), q: text(raw, "q") }),
});
const audit = createRoute({
  getParentRoute: () => root,
  path: "/audit",
  component: Audit,
  validateSearch: (raw: Raw): { q?: string } => ({ q: text(raw, "q") }),
});
const release = createRoute({
  getParentRoute: () => root,
  path: "/releases/$id",
  component: Release,
  validateSearch: (raw: Raw): { tab?: string } => ({ tab: text(raw, "tab") }),
});

const routeTree = root.addChildren([
  at("/", Overview),
  devices,
  device,
  at("/rollouts", Rollouts),
  planner,
  rollout,
  links,
  releases,
  at("/releases/new", Propose),
  release,
  at("/requests/$id", Sign),
  at("/keys", Keys),
  at("/inbox", Inbox),
  bench,
  at("/bundles", Bundles),
  at("/reports", Reports),
  at("/doctor", Doctor),
  at("/vault", Vault),
  audit,
  at("/settings", Settings),
  at("/first-run", () => null),
]);

/** The routes over the address's hash: filters, order and tabs live there. */
export const makeRouter = () =>
  createRouter({
    history: createHashHistory(),
    routeTree,
    defaultErrorComponent: ({ error, reset }) => (
      <Failure error={error instanceof Error ? error : new Error(String(error))} retry={reset} />
    ),
  });

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
