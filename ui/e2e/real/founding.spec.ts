import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { consent, type Desk, ended, findsNothing, openDesk, program, visit } from "./desk";

/** From an empty computer to a device that runs a new release: found, declare, enrol, propose, sign, publish, seal, plan, start. */
test.describe.configure({ mode: "serial" });

const passphrase = "gravel oboe lantern swift cactus";
const children: ChildProcess[] = [];
let desk: Desk;
test.beforeAll(async ({ browser }) => {
  desk = await openDesk(browser);
});
test.afterAll(async () => {
  for (const child of children) await ended(child);
  await desk.end();
});

/** A device of its own: `fleetseal-agent` with two slots as folders. */
function device(serial: string, folder = serial) {
  const dir = join(desk.home, folder);
  mkdirSync(dir);
  const config = `data_dir = "${dir}/data"
model = "press-7"
hardware_revision = "A"
serial = "${serial}"

[[component]]
name = "main"
installer = "slots"
version = "1.0.0"
slots.dir = "${dir}/slots"
slots.health = { argv = ["{slot}/artifact", "--version"] }
`;
  writeFileSync(join(dir, "agent.toml"), config);
  return (...args: string[]) => {
    const child = spawn(program("fleetseal-agent"), ["--config", join(dir, "agent.toml"), ...args], { stdio: "inherit" });
    children.push(child);
    return child;
  };
}

test("a vault is made and a fleet is founded on this computer", async () => {
  const { page, vault } = desk;
  await page.getByLabel("Name of the fleet").fill("works");
  await page.getByRole("button", { name: "Next" }).click();
  await expect(page.getByRole("heading", { name: "Your vault" })).toBeVisible();
  await findsNothing(page);
  await vault.getByLabel("Whose it is").fill("Alice Adams");
  await vault.getByLabel("Passphrase", { exact: true }).fill(passphrase);
  await vault.getByLabel("The same once more").fill(passphrase);
  await findsNothing(vault);
  await vault.getByRole("button", { name: "Create vault" }).click();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByLabel("Organization, as in every certificate").fill("Example Works");
  await page.getByRole("radio", { name: /I alone/ }).check();
  await page.getByRole("button", { name: "Found the fleet" }).click();
  await findsNothing(vault);
  await consent(vault);
  await expect(page.getByRole("heading", { name: "Everything is in place" })).toBeVisible();
  await page.getByRole("button", { name: "Open the overview" }).click();
  await expect(page.getByText("No device has enrolled yet.")).toBeVisible();
});

test("a backup of the vault is made, and opened once as a test", async () => {
  const { page, vault } = desk;
  await visit(page, "Vault");
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Back up…" }).click();
  const file = join(desk.home, "alice.vault-backup");
  await (await download).saveAs(file);
  await vault.getByLabel("Path of the backup").fill(file);
  await vault.getByLabel("Passphrase").fill(passphrase);
  await vault.getByRole("button", { name: "Open the backup" }).click();
  await expect(vault.getByRole("status")).toBeVisible();
  await findsNothing(page);
});

test("a model is declared and a device enrols with a token", async () => {
  const { page, vault } = desk;
  await visit(page, "Devices");
  await page.getByRole("button", { name: "Models" }).click();
  const models = page.getByRole("dialog", { name: "Models" });
  // The dialog takes the focus once it stands.
  await expect(models.getByLabel("Model")).toBeFocused();
  await models.getByLabel("Model").fill("press-7");
  await models.getByLabel("Hardware revisions").fill("A");
  await page.keyboard.press("Enter");
  await models.getByLabel("Component").fill("main");
  await models.getByRole("button", { name: "Declare press-7" }).click();
  await expect(models.getByText("main 16.78 MB")).toBeVisible();
  await findsNothing(page);
  await models.getByRole("button", { name: "Close" }).last().click();

  await page.getByRole("button", { name: "Enrol device" }).click();
  const enrol = page.getByRole("dialog", { name: "Enrol a device" });
  await expect(enrol.getByLabel("Serial")).toBeFocused();
  await enrol.getByLabel("Serial").fill("P7-0001");
  await enrol.getByLabel("Model").fill("press-7");
  await enrol.getByLabel("Hardware").fill("A");
  await enrol.getByRole("button", { name: "Make token" }).click();
  await consent(vault);
  const token = await enrol.locator(".token .mono").textContent();
  await findsNothing(page);
  await enrol.getByRole("button", { name: "Close" }).last().click();

  const start = device("P7-0001");
  const enrolling = start("enrol", "--token", token ?? "");
  await visit(page, "Inbox");
  await expect(page.getByText("1 devices ask to join")).toBeVisible({ timeout: 60_000 });
  await findsNothing(page);
  await page.getByRole("button", { name: "Check" }).click();
  await consent(vault);
  await expect(page.getByText("1 certificates issued")).toBeVisible();
  await expect.poll(() => enrolling.exitCode).toBe(0);
  await page.getByRole("button", { name: "Check" }).click();
  await consent(vault);
  await expect(page.getByText("1 devices proven")).toBeVisible();
  start("run");
  await visit(page, "Devices");
  await expect(page.getByRole("row", { name: /P7-0001/ })).toContainText("online");
});

test("a release is proposed, signed, published and sealed", async () => {
  const { page, vault } = desk;
  const file = join(desk.home, "press-7-1.1.0.bin");
  writeFileSync(file, `#!/bin/sh\necho 1.1.0\n${"# filler\n".repeat(20_000)}`);
  await visit(page, "Releases");
  await page.getByRole("button", { name: "New release" }).click();
  await page.getByLabel("Path of the file").fill(file);
  await page.getByLabel("Model").fill("press-7");
  await page.getByRole("combobox", { name: "Hardware revisions" }).fill("A");
  await page.keyboard.press("Enter");
  await page.getByLabel("Component").fill("main");
  await page.getByRole("combobox", { name: "Installer" }).click();
  await page.getByRole("option", { name: "slots" }).click();
  await page.getByLabel("Version").fill("1.1.0");
  await page.getByLabel("Notes").fill("Quieter pumps");
  await findsNothing(page);
  await page.getByRole("button", { name: "Propose 1.1.0" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "press-7 1.1.0" })).toBeVisible();
  await findsNothing(page);

  await page.getByRole("button", { name: "Sign 1.1.0" }).click();
  await page.getByRole("button", { name: /^Sign/ }).click();
  await consent(vault);
  await visit(page, "Releases");
  await page.getByRole("row", { name: /1\.1\.0/ }).dblclick();
  await page.getByRole("button", { name: "Publish 1.1.0" }).click();
  const publish = page.getByRole("dialog");
  await publish.getByRole("textbox").fill("1.1.0");
  await findsNothing(page);
  await publish.getByRole("button", { name: "Publish 1.1.0" }).click();

  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Seal 1.1.0" }).click();
  await (await chooser).setFiles(file);
  await consent(vault);
  await expect(page.getByRole("button", { name: "Roll out 1.1.0" })).toBeVisible();
});

test("a rollout is planned, started, and finishes on the device", async () => {
  const { page, vault } = desk;
  await page.getByRole("button", { name: "Roll out 1.1.0" }).click();
  await findsNothing(page);
  for (const step of ["Targets", "Phases", "Safety", "Delivery", "Preview"]) {
    await page.getByRole("button", { name: "Next" }).click();
    await expect(page.getByRole("button", { name: step, exact: false }).first()).toBeVisible();
    if (step === "Phases") await page.getByRole("button", { name: "At once" }).click();
  }
  await findsNothing(page);
  await page.getByRole("button", { name: "Start for 1 devices" }).click();
  await consent(vault);
  await expect(page.getByText("Finished")).toBeVisible({ timeout: 90_000 });
  await findsNothing(page);
  await visit(page, "Devices");
  await expect(page.getByRole("row", { name: /P7-0001/ })).toContainText("1.1.0");
});

test("other hardware takes the place of the device, by a token of its own, and is retired in the end", async () => {
  const { page, vault } = desk;
  await page.getByRole("row", { name: /P7-0001/ }).dblclick();
  await page.getByRole("button", { name: "Replace…" }).click();
  const replace = page.getByRole("dialog", { name: "Replace P7-0001" });
  await expect(replace.getByText(/take the place of P7-0001/)).toBeVisible();
  await findsNothing(page);
  await replace.getByRole("button", { name: "Make a token to replace P7-0001" }).click();
  await consent(vault);
  const token = await replace.locator(".token .mono").textContent();
  await replace.getByRole("button", { name: "Close" }).last().click();

  const start = device("P7-0001", "P7-0001-new");
  const enrolling = start("enrol", "--token", token ?? "");
  await visit(page, "Inbox");
  for (const done of ["1 certificates issued", "1 devices proven"]) {
    await expect(page.getByText("1 devices ask to join")).toBeVisible({ timeout: 60_000 });
    await page.getByRole("button", { name: "Check" }).click();
    await consent(vault);
    await expect(page.getByText(done)).toBeVisible();
    if (done.includes("issued")) await expect.poll(() => enrolling.exitCode).toBe(0);
  }
  start("run");
  await visit(page, "Devices");
  const grid = page.getByRole("grid", { name: "Devices" });
  await expect(grid.getByRole("row", { name: /Replaced.*P7-0001/ })).toBeVisible();
  const present = grid.getByRole("row", { name: /Active.*P7-0001/ });
  await expect(present).toContainText("online");

  await present.dblclick();
  await page.getByRole("button", { name: "Retire…" }).click();
  const retire = page.getByRole("dialog", { name: "Retire P7-0001" });
  await retire.getByRole("textbox").fill("line 3 is closed");
  await findsNothing(page);
  await retire.getByRole("button", { name: "Retire P7-0001" }).click();
  await consent(vault);
  await expect(page.getByText("Retired").first()).toBeVisible();
  await expect(page.getByRole("button", { name: "Retire…" })).toBeDisabled();
});
