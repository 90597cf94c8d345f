import { defineConfig } from "@playwright/test";

/** Debian's chromium, at the size that the screens are designed for. */
export const chromium = {
  viewport: { width: 1280, height: 800 },
  launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] },
  timezoneId: "UTC",
  locale: "en-GB",
};

/** The built screens over the loopback bridge, with a real backend behind it; each file starts a bridge of its own. */
export default defineConfig({
  testDir: "e2e/real",
  outputDir: "node_modules/.cache/real",
  workers: 2,
  reporter: "list",
  timeout: 150_000,
  expect: { timeout: 15_000 },
  use: { ...chromium, actionTimeout: 30_000 },
});
