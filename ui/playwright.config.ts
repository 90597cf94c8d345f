import { defineConfig } from "@playwright/test";
import { chromium } from "./playwright.real.config";

/** The screens over sample data in a preview build: what no real fleet shows at will, and the pictures of `docs/screens`. */
export default defineConfig({
  outputDir: "node_modules/.cache/sample",
  fullyParallel: true,
  workers: 2,
  reporter: "list",
  timeout: 60_000,
  use: { ...chromium, baseURL: "http://127.0.0.1:4173" },
  projects: [
    { name: "sample", testDir: "e2e/sample" },
    { name: "pictures", testDir: "e2e/pictures" },
  ],
  webServer: {
    command:
      "VITE_FAKE=1 npx vite build --outDir node_modules/.cache/preview && npx vite preview --outDir node_modules/.cache/preview --port 4173 --host 127.0.0.1 --strictPort",
    url: "http://127.0.0.1:4173/",
    reuseExistingServer: true,
    timeout: 120_000,
  },
});
