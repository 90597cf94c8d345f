import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import { type Browser, expect, type Locator, type Page } from "@playwright/test";

const programs = process.env.FLEETSEAL_PROGRAMS ?? resolve(import.meta.dirname, "../../../target/debug");

/** The path of a built program. A test that needs one fails where it is missing. */
export function program(name: string): string {
  const path = join(programs, name);
  if (!existsSync(path)) throw new Error(`${path} is missing: build it with \`cargo build --bins\``);
  return path;
}

/** `fleetseal desk --browser` with a home of its own, and its two windows. */
export interface Desk {
  /** The screens. */
  page: Page;
  /** The vault's window, on an origin of its own. */
  vault: Page;
  /** A folder that goes with it. */
  home: string;
  end(): Promise<void>;
}

/** What else a desk may be given: a home that has workspaces already, and what is put before and around its program. */
export interface Setting {
  home?: string;
  before?: string[];
  env?: NodeJS.ProcessEnv;
}

export async function openDesk(browser: Browser, setting: Setting = {}): Promise<Desk> {
  const home = setting.home ?? mkdtempSync(join(tmpdir(), "fleetseal-desk-"));
  const ui = resolve(import.meta.dirname, "../../dist");
  const command = [program("fleetseal"), "--json", "desk", "--browser", "--home", join(home, "workspaces"), "--ui", ui];
  const [first = "", ...rest] = [...(setting.before ?? []), ...command];
  const child = spawn(first, rest, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...setting.env } });
  const { main, vault } = await addresses(child);
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, timezoneId: "UTC", locale: "en-GB" });
  const windows = { page: await context.newPage(), vault: await context.newPage() };
  await windows.page.goto(main);
  await windows.vault.goto(vault);
  return {
    ...windows,
    home,
    async end() {
      await context.close();
      await ended(child);
      if (!setting.home) rmSync(home, { recursive: true, force: true });
    },
  };
}

/** What the program prints once it serves. */
async function addresses(child: ChildProcess): Promise<{ main: string; vault: string }> {
  let said = "";
  for await (const part of child.stdout ?? []) {
    said += part;
    if (said.trimEnd().endsWith("}")) return JSON.parse(said);
  }
  throw new Error(`the bridge ended and said: ${said}`);
}

/** Ends a program that this test started. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await gone;
}

/** Both looks of what stands on a page are without a finding. */
export async function findsNothing(page: Page): Promise<void> {
  for (const colorScheme of ["dark", "light"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", colorScheme);
    const { violations } = await new AxeBuilder({ page }).analyze();
    const found = violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).join(" | ")}`);
    expect(found, `${page.url()}, ${colorScheme}`).toEqual([]);
  }
}

/** Goes to a place of the rail. */
export async function visit(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
}

/** Gives, in the vault's window, what the screens asked for. */
export async function consent(vault: Page): Promise<void> {
  await vault.getByRole("button", { name: "Give consent" }).click();
  await expect(vault.getByRole("button", { name: "Give consent" })).toHaveCount(0);
}

/** Goes on with Tab until the focus is there; in a screen it never takes many. */
export async function tabTo(page: Page, target: Locator): Promise<void> {
  for (let i = 0; i < 80; i++) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not lead to ${target}`);
}
