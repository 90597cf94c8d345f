import { spawnSync } from "node:child_process";
import { expect, test } from "@playwright/test";
import { consent, type Desk, findsNothing, openDesk, program, tabTo, visit } from "./desk";

/** From the first run to the links of a rollout at work, on a training fleet: real backend, simulated devices. */
test.describe.configure({ mode: "serial" });

let desk: Desk;
/** The second operator, with a workspace of their own, at the command line. */
let bob: (...args: string[]) => void;
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
  // And the two boards on its service bench.
  await expect(page.getByRole("link", { name: /^Devices/ })).toContainText("122");
  const folder = await page.evaluate(async () => {
    const headers = { authorization: `Bearer ${sessionStorage.getItem("fleetseal-bearer")}`, "content-type": "application/json" };
    const answer = await fetch("/rpc/workspace.list", { method: "POST", headers, body: "{}" });
    const { rows } = (await answer.json()) as { rows: { name: string; folder: string }[] };
    return rows.find((row) => row.name === "training-bob")?.folder;
  });
  bob = (...args) => {
    const done = spawnSync(program("fleetseal"), ["--workspace", folder ?? "", ...args], { encoding: "utf8" });
    expect(done.stderr).toBe("");
    expect(done.status).toBe(0);
  };
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

test("two operators act on one rollout: each sees what the other did, and nobody acts on what is out of date", async () => {
  const { page } = desk;
  await visit(page, "Rollouts");
  await findsNothing(page);
  await page.getByRole("link", { name: "demo-gateway 1.1.0" }).click();
  await expect(page.getByText(/Running, phase \d of 3/)).toBeVisible();
  const rollout = /rollouts\/([^?]+)/.exec(page.url())?.[1] ?? "";
  bob("rollout", "pause", rollout);
  await expect(page.getByRole("button", { name: "Resume" })).toBeEnabled();
  await findsNothing(page);

  await page.getByRole("button", { name: "Abort" }).click();
  const abort = page.getByRole("dialog");
  await expect(abort.getByRole("row").first()).toBeVisible();
  bob("rollout", "resume", rollout);
  await expect(page.getByText(/Running, phase \d of 3/)).toBeVisible();
  await abort.getByRole("button", { name: /^Abort/ }).click();
  await expect(abort.getByRole("alert")).toContainText("preview_stale");
  await findsNothing(page);
  await abort.getByRole("button", { name: "Keep as it is" }).click();

  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("button", { name: "Resume" })).toBeEnabled();
});

test("devices in a rollout show where they stand, and a view of them is saved", async () => {
  const { page } = desk;
  await visit(page, "Devices");
  const grid = page.getByRole("grid", { name: "Devices" });
  const engaged = page.getByRole("button", { name: /^In a rollout/ });
  await engaged.click();
  await expect(engaged).toHaveAttribute("aria-pressed", "true");
  await expect(grid.getByRole("row").nth(1)).toContainText(/Queued|Offered|Downloading|Installing|Rebooting|Confirming/);
  await page.getByRole("button", { name: /^Views/ }).click();
  await page.getByRole("menuitem", { name: "Save “In a rollout”" }).click();
  await page.getByRole("button", { name: /^All/ }).click();
  await page.getByRole("button", { name: /^Views/ }).click();
  await page.getByRole("menuitem", { name: "In a rollout", exact: true }).click();
  await expect(engaged).toHaveAttribute("aria-pressed", "true");
});

test("by keyboard alone: from the inbox to the paused rollout, which goes on, and by the palette to a device", async () => {
  const { page } = desk;
  await page.keyboard.press("g");
  await page.keyboard.press("i");
  await expect(page.getByText("demo-gateway 1.1.0 is paused")).toBeVisible();
  await tabTo(page, page.getByRole("button", { name: "Decide" }));
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByRole("button", { name: "Resume" }));
  await page.keyboard.press("Space");
  await expect(page.getByText(/Running, phase \d of 3|Finished/).first()).toBeVisible();
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("textbox", { name: "Find or run" })).toBeFocused();
  await page.keyboard.type("TRN-000042");
  await expect(page.getByRole("button", { name: /TRN-000042/ })).toBeVisible();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "TRN-000042" })).toBeVisible();
  await tabTo(page, page.getByRole("tab", { name: "Timeline" }));
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("tabpanel", { name: "Deployments" })).toBeVisible();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard" })).toBeVisible();
  await page.keyboard.press("Escape");
});

test("devices are listed, found by serial number, and opened", async () => {
  const { page } = desk;
  await visit(page, "Devices");
  const grid = page.getByRole("grid", { name: "Devices" });
  await expect(grid.getByRole("row").nth(1)).toContainText("TRN-000000");
  await findsNothing(page);
  await grid.getByRole("button", { name: "Device" }).click();
  await expect(grid.getByRole("columnheader", { name: "Device" })).toHaveAttribute("aria-sort", "descending");
  // The boards of the service bench come last by serial number, so first now.
  await expect(grid.getByRole("row").nth(1)).toContainText("TRN-B2-000000");
  await expect(grid.getByRole("row").nth(3)).toContainText("TRN-000119");
  await grid.getByRole("button", { name: "Enrolled" }).click();
  await expect(grid.getByRole("columnheader", { name: "Enrolled" })).toHaveAttribute("aria-sort", "ascending");
  await expect(page).toHaveURL(/sort=enrolled/);
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

test("links that ended are told apart by what became of them, with their lifetimes and the throughput", async () => {
  const { page } = desk;
  await visit(page, "Links");
  await page.getByRole("button", { name: /^Ended/ }).click();
  await page.getByRole("button", { name: /^Consumed/ }).click();
  const row = page.getByRole("grid", { name: "Ended" }).getByRole("row").nth(1);
  await expect(row).toContainText("Consumed", { timeout: 90_000 });
  await expect(row).toContainText("TRN-");
  await expect(page).toHaveURL(/show=consumed/);
  await expect(page.getByRole("img", { name: /Lifetimes of links used up/ })).toBeVisible();
  await expect(page.getByRole("img", { name: "Download throughput" })).toBeVisible();
  await findsNothing(page);
  await page.getByRole("button", { name: "Show as table" }).first().click();
  await expect(
    page
      .getByRole("region", { name: /Lifetimes/ })
      .getByRole("row")
      .nth(1),
  ).toContainText("< 10 s");
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
