import { defineConfig } from "@playwright/test";
import { chromium } from "./playwright.real.config";

// Workers load this file again and must come to the same port; another checkout must not.
process.env.PREVIEW_PORT ??= String(20_000 + (process.pid % 10_000));

const url = `http://127.0.0.1:${process.env.PREVIEW_PORT}`;

/** The screens over sample data in a preview build: what no real fleet shows at will, and the pictures of `docs/screens`. */
export default defineConfig({
  outputDir: "node_modules/.cache/sample",
  fullyParallel: true,
  workers: 2,
  reporter: "list",
  timeout: 60_000,
  use: { ...chromium, baseURL: url },
  projects: [
    { name: "sample", testDir: "e2e/sample" },
    { name: "pictures", testDir: "e2e/pictures" },
  ],
  webServer: {
    command: `VITE_FAKE=1 npx vite build --outDir node_modules/.cache/preview && npx vite preview --outDir node_modules/.cache/preview --port ${process.env.PREVIEW_PORT} --host 127.0.0.1 --strictPort`,
    url,
    reuseExistingServer: false,
    timeout: 120_000,
  },
});
