import { expect, test } from "@playwright/test";
import { consent, type Desk, findsNothing, openDesk, visit } from "./desk";
import { found, passphrase, smallDisk, type Works, wrongClock } from "./works";

/** What a person meets when something fails: a backend that goes away, a clock that is wrong, a vault that locks itself. */
test.describe.configure({ mode: "serial" });

let works: Works;
let desk: Desk;
let clock: ReturnType<typeof wrongClock>;
test.beforeAll(async ({ browser }) => {
  works = await found();
  clock = wrongClock(works.home, "+1h");
  desk = await openDesk(browser, { home: works.home, env: clock.env });
});
test.afterAll(async () => {
  await desk.end();
  await works.end();
});

const hour = 3_600_000;
/** What the page takes to be the backend's time, less the true time. */
const astray = async () => {
  const said =
    (await desk.page
      .getByText(/^\d\d:\d\d:\d\d UTC/)
      .first()
      .textContent()) ?? "";
  const [h = 0, m = 0, s = 0] = said.slice(0, 8).split(":").map(Number);
  const now = new Date();
  const off = (h * 3600 + m * 60 + s) * 1000 - ((now.getTime() % (24 * hour)) as number);
  return Math.abs(((off + 12 * hour) % (24 * hour)) - 12 * hour);
};

test("a computer whose clock is an hour ahead counts on the backend's time, and says so", async () => {
  const { page } = desk;
  // A browser's clock is its computer's.
  await page.clock.install({ time: Date.now() + hour });
  await page.clock.resume();
  await page.reload();
  await expect(page.getByRole("link", { name: "Overview" })).toBeVisible();
  await expect(page.getByText(/−(1 h|59 m \d+ s)/)).toBeVisible();
  await expect.poll(astray).toBeLessThan(5000);
  await visit(page, "Keys and roots");
  await findsNothing(page);
});

test("a backend that goes away is said so, nothing typed is lost, and it is found again", async () => {
  const { page } = desk;
  await visit(page, "Releases");
  await page.getByRole("button", { name: "New release" }).click();
  await page.getByLabel("Notes").fill("Quieter pumps");
  await works.lose();
  await expect(page.getByText(/offline for .*what you see is from before/)).toBeVisible();
  await expect(page.getByLabel("Notes")).toHaveValue("Quieter pumps");
  await findsNothing(page);
  await works.serve();
  await expect(page.getByText("mutual TLS")).toBeVisible({ timeout: 30_000 });
  await expect(page.getByLabel("Notes")).toHaveValue("Quieter pumps");
});

test("a list that cannot be had says why, and heals by itself", async () => {
  const { page } = desk;
  await works.lose();
  await visit(page, "Rollouts");
  await expect(page.getByRole("alert").first()).toContainText("network_unreachable");
  await findsNothing(page);
  await works.serve();
  await expect(page.getByText("No rollout is open.")).toBeVisible();
});

test("a vault that locks itself in the middle of a ceremony keeps what waits, and goes on once it is open", async () => {
  const { page, vault } = desk;
  works.elsewhere("request", "renew");
  await vault.getByLabel("Passphrase").fill(passphrase);
  await vault.getByRole("button", { name: "Unlock" }).click();
  await expect(page.getByRole("link", { name: /Vault unlocked/ })).toBeVisible();
  await visit(page, "Inbox");
  await page.getByRole("button", { name: "Review and sign" }).click();
  await page.getByRole("button", { name: /^Sign/ }).click();
  await expect(vault.getByRole("button", { name: "Give consent" })).toBeVisible();
  clock.move("+2h");
  await expect(page.getByRole("link", { name: "Vault locked" })).toBeVisible();
  await expect(vault.getByLabel("Passphrase")).toBeVisible();
  await findsNothing(vault);
  await vault.getByLabel("Passphrase").fill(passphrase);
  await vault.getByRole("button", { name: "Unlock" }).click();
  await consent(vault);
  await expect(page.getByText(/1 of 1/).first()).toBeVisible();
});

test("a disk that is full is said so, nothing is signed, and once there is room it goes on", async ({ browser }) => {
  await desk.end();
  const disk = smallDisk(works.home);
  desk = await openDesk(browser, { home: works.home, before: disk.before });
  const { page, vault } = desk;
  await vault.getByLabel("Passphrase").fill(passphrase);
  await vault.getByRole("button", { name: "Unlock" }).click();
  await expect(page.getByRole("link", { name: /Vault unlocked/ })).toBeVisible();

  await visit(page, "Keys and roots");
  await page.getByRole("button", { name: "Change…" }).click();
  const change = page.getByRole("dialog");
  await change.getByRole("radio", { name: /Sign metadata anew/ }).check();
  await findsNothing(page);
  await change.getByRole("button", { name: "See what it does" }).click();
  await expect(change.getByText(/ask the key holders to sign the next root/)).toBeVisible();
  await change.getByRole("textbox").fill("another year");
  await findsNothing(page);
  await change.getByRole("button", { name: "Ask the key holders" }).click();
  await expect(page.getByRole("heading", { level: 1, name: /Root of trust/ })).toBeVisible();

  const sign = page.getByRole("button", { name: /^Sign/ });
  await disk.fill();
  await sign.click();
  await expect(page.getByRole("alert")).toContainText("storage_full");
  await expect(vault.getByRole("button", { name: "Give consent" })).toHaveCount(0);
  await disk.clear();

  await sign.click();
  await consent(vault);
  await expect(page.getByText("1 of 1").first()).toBeVisible();
});
