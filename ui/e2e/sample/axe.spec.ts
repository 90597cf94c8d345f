import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { screens, settle, show } from "./scenes";

const found = async (page: import("@playwright/test").Page) => {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(
    (one) =>
      `${one.id}: ${one.nodes
        .map((node) => node.target.join(" "))
        .slice(0, 3)
        .join(" | ")}`,
  );
};

for (const scheme of ["dark", "light"] as const) {
  for (const screen of screens)
    test(`axe finds nothing: ${screen.name}, ${scheme}`, async ({ page }) => {
      await show(page, screen, scheme);
      expect(await found(page)).toEqual([]);
    });

  for (const scene of ["full", "empty", "manager"])
    test(`axe finds nothing: vault window, ${scene}, ${scheme}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: scheme });
      await page.goto(`/vault.html?fake=${scene}`);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await settle(page);
      expect(await found(page)).toEqual([]);
    });
}

for (const scene of ["empty", "auditor", "offline", "broken", "training"])
  for (const path of ["/", "/devices", "/links", "/releases", "/inbox", "/audit"])
    test(`axe finds nothing: ${path} for ${scene}`, async ({ page }) => {
      await show(page, { name: path, path }, "dark", scene);
      expect(await found(page)).toEqual([]);
    });
