import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "@playwright/test";
import { ended, program } from "./desk";

export const passphrase = "gravel oboe lantern swift cactus";

/** A fleet of one person and a backend that is a program of its own, so that it can go away and come back. */
export interface Works {
  /** The desk's home; the person's workspace stands in `workspaces`. */
  home: string;
  serve(): Promise<void>;
  /** The backend is gone, as if its machine had lost its power. */
  lose(): Promise<void>;
  /** Runs a command of `fleetseal` as the person, elsewhere than at the desk. */
  elsewhere(...args: string[]): string;
  end(): Promise<void>;
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (typeof address !== "object" || address === null) throw new Error("no port is free");
  return address.port;
}

function run(workspace: string, args: string[]): string {
  // A descriptor that can be opened anew, as the program does; a pipe of Node's cannot.
  const secret = `${workspace}.passphrase`;
  writeFileSync(secret, `${passphrase}\n`, { mode: 0o600 });
  const stdin = openSync(secret, "r");
  const done = spawnSync(program("fleetseal"), ["--workspace", workspace, ...args], { stdio: [stdin, "pipe", "pipe"], encoding: "utf8" });
  closeSync(stdin);
  if (done.status !== 0) throw new Error(`fleetseal ${args.join(" ")}: ${done.stderr}`);
  return done.stdout;
}

export async function found(): Promise<Works> {
  const home = mkdtempSync(join(tmpdir(), "fleetseal-works-"));
  const workspace = join(home, "workspaces");
  const bind = `127.0.0.1:${await freePort()}`;
  const serving = ["serve", "--data", join(home, "backend"), "--bind", bind, "--origin", `https://${bind}`];
  const [backend, founding] = [join(home, "backend.json"), join(home, "founding.json")];
  const word = ["--passphrase-fd", "0"];
  run(workspace, [...serving, "--init", backend]);
  run(workspace, ["vault", "create", "--name", "Alice Adams", "--light", ...word]);
  const by = ["--backend", backend, "--organization", "Example Works", "--station", "bench", "--threshold", "1", "--out", founding];
  run(workspace, ["fleet", "found", ...by, ...word]);
  let child: ChildProcess | undefined;
  const works: Works = {
    home,
    async serve() {
      child = spawn(program("fleetseal"), [...serving, "--adopt", founding], { stdio: ["ignore", "ignore", "inherit"] });
      await expect
        .poll(() => spawnSync(program("fleetseal"), ["--workspace", workspace, "fleet", "show"]).status, { timeout: 60_000 })
        .toBe(0);
    },
    async lose() {
      if (!child) return;
      const gone = new Promise((exited) => child?.once("exit", exited));
      child.kill("SIGKILL");
      await gone;
      child = undefined;
    },
    elsewhere: (...args) => run(workspace, args),
    async end() {
      if (child) await ended(child);
      rmSync(home, { recursive: true, force: true });
    },
  };
  await works.serve();
  return works;
}

/** A clock that is wrong, and can be moved while a program runs: what the program is started with. */
export function wrongClock(home: string, offset: string): { env: NodeJS.ProcessEnv; move(offset: string): void } {
  const file = join(home, "clock");
  const move = (to: string) => writeFileSync(file, `${to}\n`);
  move(offset);
  const library = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  return {
    env: {
      LD_PRELOAD: `/usr/lib/${library}/faketime/libfaketime.so.1`,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
    move,
  };
}

/** Makes a small disk in a namespace of its own, with a copy of the workspaces on it, and fills and clears it when it is told to. */
const small = `set -e; w=$1; f=$2; shift 2
cp -a "$w" "$f/copy"; mount -t tmpfs -o size=64m none "$w"; cp -a "$f/copy/." "$w"
( while kill -0 $$ 2>/dev/null; do
    if [ -e "$f/fill" ]; then dd if=/dev/zero of="$w/ballast" bs=4096 2>/dev/null || :; mv "$f/fill" "$f/full"; fi
    if [ -e "$f/clear" ]; then rm "$w/ballast"; mv "$f/clear" "$f/cleared"; fi
    sleep 0.1
  done ) &
exec "$@"`;

/** A disk that can be filled while a program runs on it: what the program is started with. */
export function smallDisk(home: string): { before: string[]; fill(): Promise<void>; clear(): Promise<void> } {
  const tell = async (word: string, heard: string) => {
    writeFileSync(join(home, word), "");
    await expect.poll(() => existsSync(join(home, heard))).toBe(true);
  };
  return {
    before: ["unshare", "--map-root-user", "--mount", "sh", "-c", small, "sh", join(home, "workspaces"), home],
    fill: () => tell("fill", "full"),
    clear: () => tell("clear", "cleared"),
  };
}
