import { expect, type Page } from "@playwright/test";

/** Every screen: its name, its address, whose desk it is seen at. */
export const screens: { name: string; path: string; scene?: string; open?: (page: Page) => Promise<void> }[] = [
  { name: "overview", path: "/" },
  { name: "devices", path: "/devices" },
  { name: "device", path: "/devices", open: openDevice },
  { name: "rollouts", path: "/rollouts" },
  { name: "rollout", path: "/rollouts", open: (page) => page.getByRole("link", { name: "hx220 2.4.1" }).click() },
  { name: "rollout-paused", path: "/rollouts", open: (page) => page.getByRole("link", { name: "vt12 0.18.2" }).click() },
  { name: "plan-release", path: "/rollouts/new" },
  { name: "plan-phases", path: "/rollouts/new", open: (page) => plan(page, "Phases") },
  { name: "plan-safety", path: "/rollouts/new", open: (page) => plan(page, "Safety") },
  { name: "plan-preview", path: "/rollouts/new", open: (page) => plan(page, "Preview") },
  { name: "links", path: "/links" },
  { name: "links-ended", path: "/links", open: (page) => page.getByRole("button", { name: /^Ended/ }).click() },
  { name: "inbox", path: "/inbox" },
  { name: "releases", path: "/releases", scene: "manager" },
  { name: "release-new", path: "/releases/new", scene: "manager" },
  { name: "release", path: "/releases", scene: "manager", open: openRelease },
  {
    name: "release-review",
    path: "/releases",
    scene: "manager",
    open: async (page) => {
      await openRelease(page);
      await page.getByRole("tab", { name: "Review" }).click();
    },
  },
  {
    name: "sign",
    path: "/releases",
    scene: "manager",
    open: async (page) => {
      await openRelease(page);
      await page.getByRole("button", { name: "Sign 0.18.3" }).click();
    },
  },
  { name: "keys", path: "/keys" },
  {
    name: "keys-change",
    path: "/keys",
    open: async (page) => {
      await page.getByRole("button", { name: "Change…" }).click();
      await page.getByRole("radio", { name: /how many must sign/ }).check();
    },
  },
  {
    name: "device-replace",
    path: "/devices",
    open: async (page) => {
      await openDevice(page);
      await page.getByRole("button", { name: "Replace…" }).click();
      await page.getByRole("dialog").getByRole("row").first().waitFor();
    },
  },
  { name: "overview-offline", path: "/", scene: "offline" },
  { name: "links-empty", path: "/links", scene: "empty" },
  { name: "vault", path: "/vault", scene: "manager" },
  { name: "audit", path: "/audit" },
  { name: "settings", path: "/settings" },
  { name: "bench", path: "/bench", scene: "technician" },
  {
    name: "bench-updating",
    path: "/bench",
    scene: "technician",
    open: (page) => page.getByRole("button", { name: /HX410-0091227/ }).click(),
  },
  {
    name: "bench-not-recognised",
    path: "/bench",
    scene: "technician",
    open: (page) => page.getByRole("button", { name: /ttyUSB0/ }).click(),
  },
  { name: "bench-empty", path: "/bench" },
  { name: "bench-pass", path: "/bench", scene: "passed" },
  { name: "bench-fail", path: "/bench", scene: "failed" },
  { name: "bench-gang", path: "/bench", scene: "gang" },
  { name: "bundles", path: "/bundles", scene: "technician" },
  { name: "reports", path: "/reports", scene: "technician" },
  { name: "doctor", path: "/doctor", scene: "technician" },
  { name: "first-run", path: "/", scene: "first" },
  { name: "first-run-trust", path: "/", scene: "first", open: openTrust },
];

async function openDevice(page: Page) {
  await page.getByRole("button", { name: /^In a rollout/ }).click();
  await page.getByRole("row", { name: /HX220-0446000/ }).dblclick();
  await page.getByRole("tab", { name: "Timeline" }).waitFor();
}

async function openRelease(page: Page) {
  await page.getByRole("row", { name: /0\.18\.3/ }).dblclick();
  await page.getByRole("tab", { name: "Contents" }).waitFor();
}

async function plan(page: Page, step: string) {
  await page.getByRole("radio", { name: /vt12 0.18.2/ }).check();
  await page.getByRole("button", { name: new RegExp(`${step}$`) }).click();
}

async function openTrust(page: Page) {
  await page.getByRole("radio", { name: /existing backend/ }).check();
  await page.getByLabel("Name of the fleet").fill("northworks");
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByLabel("Founding file").fill("/home/lena/northworks.founding");
  await page.getByRole("button", { name: "Join" }).click();
  await page.getByRole("heading", { name: "Is this your fleet?" }).waitFor();
}

/** Opens a screen at a quiet moment: fonts there, nothing loading, the clock at one instant. */
export async function show(page: Page, screen: (typeof screens)[number], scheme: "dark" | "light", scene?: string): Promise<void> {
  await page.clock.setFixedTime(new Date("2026-11-17T14:32:08Z"));
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  await page.goto(`/?fake=${scene ?? screen.scene ?? "full"}#${screen.path}`);
  await page.locator("main").first().waitFor();
  await screen.open?.(page);
  await settle(page);
}

export async function settle(page: Page): Promise<void> {
  await page.evaluate(() => document.fonts.ready.then(() => undefined));
  await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}
