import { expect, test } from "@playwright/test";
import { consent, type Desk, findsNothing, openDesk, visit } from "./desk";

/** From the first run to the links of a rollout at work, on a training fleet: real backend, simulated devices. */
test.describe.configure({ mode: "serial" });

let desk: Desk;
test.beforeAll(async ({ browser }) => {
  desk = await openDesk(browser);
});
test.afterAll(() => desk.end());

test("the first run sets a training fleet up", async () => {
  const { page } = desk;
  await expect(page.getByRole("heading", { name: "Where is your fleet?" })).toBeVisible();
  await findsNothing(page);
  await page.getByLabel("Simulated devices").fill("120");
  await page.getByRole("button", { name: "Start a demo fleet" }).click();
  await expect(page.getByText("Training, simulated devices")).toBeVisible({ timeout: 120_000 });
  await expect(page.getByRole("link", { name: /^Devices/ })).toContainText("120");
});

test("the overview counts the fleet and shows its rollout", async () => {
  const { page } = desk;
  await expect(page.getByRole("link", { name: "demo-gateway 1.1.0" })).toBeVisible();
  await findsNothing(page);
});

test("links count down on the backend's clock while devices download", async () => {
  const { page } = desk;
  await visit(page, "Links");
  const link = page.getByRole("grid", { name: "Links" }).getByRole("row").nth(1);
  await expect(link).toContainText("TRN-", { timeout: 60_000 });
  const left = link.locator("time");
  const before = await left.textContent();
  await expect(left).not.toHaveText(before ?? "");
  await expect(left).toHaveText(/^(\d+ m )?\d+ s$/);
  await findsNothing(page);
});

test("devices are listed, found by serial number, and opened", async () => {
  const { page } = desk;
  await visit(page, "Devices");
  const grid = page.getByRole("grid", { name: "Devices" });
  await expect(grid.getByRole("row").nth(1)).toContainText("TRN-000000");
  await findsNothing(page);
  await grid.getByRole("button", { name: "Device" }).click();
  await expect(grid.getByRole("columnheader", { name: "Device" })).not.toHaveAttribute("aria-sort");
  await expect(grid.getByRole("row").nth(1)).toContainText("TRN-");
  await page.getByLabel("Serial begins with").fill("TRN-00004");
  await expect(grid.getByRole("row")).toHaveCount(11);
  await grid.getByRole("row", { name: /TRN-000042/ }).dblclick();
  await expect(page.getByRole("heading", { level: 1, name: "TRN-000042" })).toBeVisible();
  await expect(page.getByRole("heading", { name: "Why is this device not updating?" })).toBeVisible();
  await expect(page.getByRole("listitem").filter({ hasText: "Enrolled" })).toBeVisible();
  await findsNothing(page);
  for (const tab of ["Deployments", "Certificate", "Inventory"]) {
    await page.getByRole("tab", { name: tab }).click();
    await expect(page.getByRole("tabpanel", { name: tab })).toBeVisible();
  }
});

test("a rollout shows its phases, is paused and goes on", async () => {
  const { page } = desk;
  await visit(page, "Rollouts");
  await findsNothing(page);
  await page.getByRole("link", { name: "demo-gateway 1.1.0" }).click();
  await expect(page.getByText(/Running, phase \d of 3/)).toBeVisible();
  await findsNothing(page);
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("button", { name: "Resume" })).toBeEnabled();
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByText(/Running, phase \d of 3/)).toBeVisible();
});

test("the vault opens in its own window alone, and a release is signed there", async () => {
  const { page, vault } = desk;
  await visit(page, "Vault");
  await findsNothing(page);
  await page.getByRole("button", { name: "Open vault" }).click();
  await expect(page.getByText("The vault has a page of its own")).toBeVisible();
  const said = (await vault.getByText("The passphrase of every vault here").textContent()) ?? "";
  await vault.getByLabel("Passphrase").fill(said.split(": ")[1] ?? "");
  await vault.getByRole("button", { name: "Unlock" }).click();
  await expect(page.getByRole("link", { name: /Vault unlocked/ })).toBeVisible();

  await visit(page, "Releases");
  await findsNothing(page);
  await page.getByRole("row", { name: /1\.2\.0/ }).dblclick();
  await page.getByRole("button", { name: "Sign 1.2.0" }).click();
  await findsNothing(page);
  await page.getByRole("button", { name: /^Sign/ }).click();
  await expect(vault.getByRole("list", { name: "Eight words to compare" }).getByRole("listitem")).toHaveCount(8);
  await findsNothing(vault);
  await consent(vault);
  await expect(page.getByText("1 of 2").first()).toBeVisible();

  await vault.getByRole("button", { name: "Lock" }).click();
  await expect(page.getByRole("link", { name: "Vault locked" })).toBeVisible();
});

for (const place of ["Keys and roots", "Inbox", "Audit", "Settings"])
  test(`axe finds nothing: ${place}`, async () => {
    await visit(desk.page, place);
    await findsNothing(desk.page);
  });
