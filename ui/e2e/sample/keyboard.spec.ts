import { expect, test } from "@playwright/test";
import { show } from "./scenes";

test("from the overview to a device and back, by keyboard alone", async ({ page }) => {
  await show(page, { name: "overview", path: "/" }, "dark");
  await page.keyboard.press("g");
  await page.keyboard.press("d");
  const grid = page.getByRole("grid", { name: "Devices" });
  await expect(grid).toHaveAttribute("aria-rowcount", "-1");
  await page.keyboard.press("/");
  await page.keyboard.type("HX220-04460");
  await expect(grid).toHaveAttribute("aria-rowcount", "101");
  await page.keyboard.press("Escape");
  await grid.getByRole("row").nth(1).focus();
  await page.keyboard.press("End");
  await expect(page.locator("[role=row]:focus")).toHaveAttribute("aria-rowindex", "101");
  await page.keyboard.press("Home");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("tab", { name: "Timeline" })).toBeVisible();
});

test("the palette finds a place, an act and a device", async ({ page }) => {
  await show(page, { name: "overview", path: "/" }, "dark");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("HX220-0446007");
  await expect(page.getByRole("button", { name: /HX220-0446007/ })).toBeVisible();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "HX220-0446007" })).toBeVisible();
});

test("the sheet lists every key, and Escape gives the focus back", async ({ page }) => {
  await show(page, { name: "overview", path: "/" }, "dark");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

test("the vault window gives consent only to what it shows, with the words to compare", async ({ page }) => {
  await page.goto("/vault.html?fake=manager");
  await expect(page.getByRole("list", { name: "Eight words to compare" }).getByRole("listitem")).toHaveCount(8);
  await page.getByRole("button", { name: "Give consent" }).click();
  const scripts = await page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .map((entry) => entry.name)
      .filter((name) => name.endsWith(".js")),
  );
  for (const script of scripts) expect(script).not.toMatch(/main-/);
});

test("a device on the bench is chosen and updated by keyboard alone", async ({ page }) => {
  await show(page, { name: "bench", path: "/bench" }, "dark", "technician");
  const update = page.getByRole("button", { name: /^Update to 2\.4\.1/ });
  await update.focus();
  await expect(update).toBeFocused();
  // Large enough for a gloved hand.
  expect((await update.boundingBox())?.height).toBeGreaterThanOrEqual(48);
  await page.getByRole("button", { name: /HX410-0091227/ }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert").filter({ hasText: "Do not unplug" })).toBeVisible();
  await expect(page.getByRole("progressbar", { name: "Upload" })).toHaveAttribute("aria-valuenow", "64");
  await page.keyboard.press("g");
  await page.keyboard.press("u");
  await expect(page.getByRole("heading", { level: 1, name: "Bundles" })).toBeVisible();
});

test("every device of a gang says PASS or FAIL by its name", async ({ page }) => {
  await show(page, { name: "bench", path: "/bench" }, "dark", "gang");
  const gang = page.getByRole("list", { name: "Up to 16 devices at once" });
  await expect(gang.getByRole("listitem")).toHaveCount(16);
  await expect(gang.getByRole("button", { name: /HX220-0447731.*PASS/ })).toBeVisible();
  await gang.getByRole("button", { name: /HX220-0447735.*FAIL/ }).click();
  await expect(page.getByRole("alert").filter({ hasText: "did not stay up" })).toBeVisible();
});
