import { defineConfig } from "@playwright/test";

/** Debian's chromium against a preview build with simulated data; `FLEETSEAL_DESK` names a running loopback bridge instead. */
export default defineConfig({
  testDir: "e2e",
  outputDir: "node_modules/.cache/e2e",
  fullyParallel: true,
  workers: 2,
  reporter: "list",
  timeout: 60_000,
  use: {
    baseURL: "http://127.0.0.1:4173",
    viewport: { width: 1280, height: 800 },
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] },
    timezoneId: "UTC",
    locale: "en-GB",
  },
  webServer: {
    command:
      "VITE_FAKE=1 npx vite build --outDir node_modules/.cache/preview && npx vite preview --outDir node_modules/.cache/preview --port 4173 --host 127.0.0.1 --strictPort",
    url: "http://127.0.0.1:4173/",
    reuseExistingServer: true,
    timeout: 120_000,
  },
});
