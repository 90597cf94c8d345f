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
