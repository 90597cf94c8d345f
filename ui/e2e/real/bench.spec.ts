import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import { consent, type Desk, ended, findsNothing, openDesk, program, visit } from "./desk";

/** A technician's day: join, plug in, update, pull the cable, put it back; then the same without a network, and home again. */
test.describe.configure({ mode: "serial" });

const passphrase = "gravel oboe lantern swift cactus";
const children: ChildProcess[] = [];
const dir = mkdtempSync(join(tmpdir(), "fleetseal-bench-"));
let bind: string;
let backend: ChildProcess;
let desk: Desk;
let release: string;
let cable: Cable;

test.beforeAll(async ({ browser }) => {
  test.setTimeout(240_000);
  writeFileSync(join(dir, "passphrase"), `${passphrase}\n`);
  bind = `127.0.0.1:${await freePort()}`;
  const serve = ["serve", "--data", join(dir, "backend"), "--bind", bind, "--origin", `https://${bind}`];
  execFileSync(program("fleetseal"), [...serve, "--init", join(dir, "backend.json")]);
  alice("vault", "create", "--name", "alice");
  const found = ["--organization", "Example Works", "--station", "bench", "--threshold", "1", "--out", join(dir, "founding.json")];
  alice("fleet", "found", "--backend", join(dir, "backend.json"), ...found);
  alice("vault", "backup", join(dir, "alice.backup"));
  alice("vault", "test-restore", join(dir, "alice.backup"));
  backend = start(program("fleetseal"), ...serve, "--adopt", join(dir, "founding.json"));
  await served();
  alice("model", "set", "press-4", "--hardware-revision", "1", "--slot", "main=1048576");
  desk = await openDesk(browser);
});
test.afterAll(async () => {
  cable?.pull();
  await desk?.end();
  for (const child of children) await ended(child);
  rmSync(dir, { recursive: true, force: true });
});

/** The command line of whoever runs the fleet. */
function alice(...args: string[]): string {
  const fd = openSync(join(dir, "passphrase"), "r");
  try {
    return execFileSync(program("fleetseal"), ["--workspace", join(dir, "alice"), "--passphrase-fd", "3", ...args], {
      stdio: ["ignore", "pipe", "inherit", fd],
      encoding: "utf8",
    });
  } finally {
    closeSync(fd);
  }
}

function start(file: string, ...args: string[]): ChildProcess {
  const child = spawn(file, args, { stdio: ["ignore", "ignore", "inherit"] });
  children.push(child);
  return child;
}

const served = () => expect.poll(() => trial(() => alice("fleet", "show")), { timeout: 30_000 }).toBe(true);

function trial(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/** `fleetseal sim board`, enrolled in the fleet: where it is, and which device. */
async function board(prefix: string, ...more: string[]): Promise<{ port: string; device: string; serial: string }> {
  const fd = openSync(join(dir, "passphrase"), "r");
  const args = ["--workspace", join(dir, "alice"), "--passphrase-fd", "3", "--json", "sim", "board"];
  const child = spawn(program("fleetseal"), [...args, "--enrol", "press-4", "--serial", prefix, ...more], {
    stdio: ["ignore", "pipe", "inherit", fd],
  });
  closeSync(fd);
  children.push(child);
  let said = "";
  for await (const part of child.stdout ?? []) {
    said += part;
    if (said.includes("}")) return JSON.parse(said);
  }
  throw new Error(`the board ended and said: ${said}`);
}

/** A line to a board that can be pulled and put back. */
class Cable {
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  private port = 0;
  constructor(board: string) {
    const [host, port] = board.replace("tcp:", "").split(":");
    this.server = createServer((near) => {
      const far = connect(Number(port), host);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.sockets.add(one);
        one.on("data", (data) => other.write(data));
        one.on("error", () => other.destroy());
        one.on("close", () => {
          this.sockets.delete(one);
          other.destroy();
        });
      }
    });
  }
  /** Puts it in, always at the same port. */
  async plug(): Promise<string> {
    await new Promise<void>((listening) => this.server.listen(this.port, "127.0.0.1", listening));
    const address = this.server.address();
    this.port = typeof address === "object" && address ? address.port : 0;
    return `tcp:127.0.0.1:${this.port}`;
  }
  pull() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** A bundle for these devices and Tom's bench. */
function bundle(name: string, device: string): string {
  const file = join(dir, name);
  alice("bench", "bundle", release, "--device", device, "--bench", "tom", "--out", file);
  return file;
}

async function openBundle(page: Page, file: string) {
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Open bundle" }).click();
  await (await chooser).setFiles(file);
}

/** Lets the bench look at a port that is no USB port. */
async function lookAt(page: Page, port: string) {
  await visit(page, "Bench");
  await page.getByRole("link", { name: "Check this computer" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Check this computer" })).toBeVisible();
  await page.getByLabel(/A serial port without USB/).fill(port);
  await page.getByRole("button", { name: "Look", exact: true }).click();
  await visit(page, "Bench");
}

test("a technician makes a vault and joins the fleet", async () => {
  const { page, vault } = desk;
  await page.getByRole("radio", { name: /existing backend/ }).check();
  await page.getByLabel("Name of the fleet").fill("works");
  await page.getByRole("button", { name: "Next" }).click();
  await vault.getByLabel("Whose it is").fill("tom");
  await vault.getByLabel("Passphrase", { exact: true }).fill(passphrase);
  await vault.getByLabel("The same once more").fill(passphrase);
  await vault.getByRole("button", { name: "Create vault" }).click();
  await page.getByRole("button", { name: "Next" }).click();
  const card = await page.evaluate(async () => {
    const headers = { authorization: `Bearer ${sessionStorage.getItem("fleetseal-bearer")}`, "content-type": "application/json" };
    return (await fetch("/rpc/vault.card", { method: "POST", headers, body: "{}" })).text();
  });
  writeFileSync(join(dir, "tom.card.json"), card);
  const invitation = join(dir, "tom.invitation.json");
  alice("fleet", "add-person", "--card", join(dir, "tom.card.json"), "--role", "technician", "--invitation", invitation);
  for (const row of JSON.parse(alice("--json", "request", "list")).rows) if (row.state === "open") alice("request", "sign", row.id);
  await page.getByLabel("Founding file").fill(invitation);
  await page.getByRole("button", { name: "Join" }).click();
  await page.getByRole("button", { name: "All of it matches" }).click();
  await page.getByRole("button", { name: "Open the overview" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Bench" })).toBeVisible();
  await expect(page.getByText("Connect a device").first()).toBeVisible();
  await findsNothing(page);
});

test("a device is plugged in, recognised and proven, and what the backend has for it is fetched", async () => {
  const { page } = desk;
  const image = join(dir, "main-1.1.0");
  const first = await board("P4-", "--tcp", "127.0.0.1:0", "--baud", "230400", "--image", `1.1.0=${image}`);
  const proposal = ["--model", "press-4", "--release-version", "1.1.0", "--installer", "mcuboot", "--security-counter", "1"];
  release = alice("release", "propose", image, ...proposal, "--notes", "first release").split("\n")[0] ?? "";
  alice("release", "sign", release);
  alice("release", "seal", release, image);
  alice("release", "publish", release, "--yes");
  cable = new Cable(first.port);
  await lookAt(page, await cable.plug());
  const slot = page.getByRole("region", { name: /tcp:/ });
  await expect(slot.getByText(first.serial)).toBeVisible();
  await expect(slot.getByText("Proven", { exact: true })).toBeVisible();
  await expect(slot.getByText("No bundle on this computer has anything for this device.")).toBeVisible();
  alice("bench", "lay-out", bundle("visit.bundle", first.device));
  await expect(page.getByText("Verified, signed 1 of 1")).toBeVisible({ timeout: 40_000 });
  await expect(slot.getByText("Deputy", { exact: true })).toBeVisible();
  await findsNothing(page);
});

test("one button updates it; the cable is pulled and put back, and it passes", async () => {
  const { page, vault } = desk;
  await page.getByRole("button", { name: /^Update to 1\.1\.0/ }).click();
  await consent(vault);
  const upload = page.getByRole("progressbar", { name: "Upload" }).first();
  await expect.poll(async () => Number(await upload.getAttribute("aria-valuenow"))).toBeGreaterThan(5);
  cable.pull();
  await expect(page.getByRole("alert").filter({ hasText: "The device is gone" })).toBeVisible();
  await findsNothing(page);
  await cable.plug();
  await expect(page.getByRole("status").filter({ hasText: "It runs 1.1.0, confirmed." })).toBeVisible({ timeout: 60_000 });
  await findsNothing(page);
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save report" }).click();
  const file = join(dir, "report.pdf");
  await (await download).saveAs(file);
  expect(readFileSync(file).subarray(0, 5).toString()).toBe("%PDF-");
  await expect(page.getByText("Receipt: Handed in")).toBeVisible();
});

test("without a network the next one is updated from its bundle, and its receipt waits", async () => {
  const { page, vault } = desk;
  const second = await board("Q4-");
  const file = bundle("second.fsb", second.device);
  await ended(backend);
  await expect(page.getByText(/offline for/)).toBeVisible();
  cable.pull();
  await lookAt(page, second.port);
  await openBundle(page, file);
  const slot = page.getByRole("region", { name: new RegExp(second.port) });
  await slot.getByRole("button", { name: /^Update to 1\.1\.0/ }).click();
  await consent(vault);
  await expect(slot.getByRole("status").filter({ hasText: "It runs 1.1.0, confirmed." })).toBeVisible({ timeout: 60_000 });
  await expect(slot.getByText("Receipt: Waits")).toBeVisible();
  await visit(page, "Reports");
  await expect(page.getByText("1 receipt waits for the network")).toBeVisible();
  await findsNothing(page);
  await visit(page, "Bundles");
  await expect(page.getByRole("heading", { name: "second.fsb" })).toBeVisible();
  await findsNothing(page);
});

test("back on the network the receipt comes home, and the device's timeline shows the visit", async () => {
  const { page } = desk;
  backend = start(program("fleetseal"), "serve", "--data", join(dir, "backend"), "--bind", bind, "--origin", `https://${bind}`);
  await served();
  await visit(page, "Reports");
  await page.getByRole("button", { name: "Sync now" }).click();
  await expect(page.getByText("1 handed in")).toBeVisible();
  await expect(page.getByRole("cell", { name: "Handed in" })).toHaveCount(2);
  const device = JSON.parse(alice("--json", "device", "list", "--serial", "Q4-")).rows[0].id;
  expect(alice("device", "timeline", device)).toContain("bench_visit");
});
