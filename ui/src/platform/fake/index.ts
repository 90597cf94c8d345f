import type { Role } from "@/generated/Role";
import type { HostStatus } from "../needs";
import { CallError, type Name, type Platform } from "../platform";
import { type Answers, answers, workspaceRow } from "./answers";
import { ago, ahead } from "./fleet";

/** What a fake host shows: a full fleet, an empty one, the first run, an auditor's view, a lost backend, a manager's desk. */
export type Scene =
  | "full"
  | "empty"
  | "first"
  | "auditor"
  | "offline"
  | "manager"
  | "slow"
  | "broken"
  | "training"
  | "technician"
  | "gang"
  | "passed"
  | "failed";

const person: Record<string, [string, Role[]]> = {
  manager: ["Tomas Lindqvist", ["release_manager"]],
  auditor: ["Noor Haddad", ["auditor"]],
  ...Object.fromEntries(["technician", "gang", "passed", "failed"].map((scene) => [scene, ["Aino Salo", ["technician"]]])),
};

/** Simulated answers with typed data: for component tests and pictures. No product build contains it. */
export function fake(scene: string): Platform {
  const [name, roles] = person[scene] ?? ["Lena Brandt", ["operator", "admin"] as Role[]];
  const status: HostStatus = {
    workspace: scene === "first" ? undefined : workspaceRow(scene === "training" ? "training" : "remote"),
    backend: scene === "training" ? "this computer" : "backend.northworks.example",
    connection: scene === "offline" || scene === "technician" ? "offline" : "connected",
    since: ago(252),
    server_time: ago(0),
    person: name,
    roles,
    vault: scene === "manager" ? "unlocked" : scene === "empty" ? "none" : "locked",
    vault_locks_at: scene === "manager" ? ahead(552) : undefined,
  };
  const table: Answers = answers(scene, status);
  return {
    name: "fake",
    async call(command: Name, request: never) {
      if (scene === "slow" && command !== "view.status") return new Promise(() => undefined);
      if (scene === "broken" && command !== "view.status")
        throw new CallError("unreachable", "The backend does not answer.", "Check the network, then retry.");
      const answer = table[command] as ((request: never) => unknown) | undefined;
      if (!answer) throw new CallError("unknown_command", `This host cannot ${command}.`);
      const said = answer(request);
      if (command === "view.status") (said as HostStatus).server_time = new Date(Date.now() + 40).toISOString();
      return said as never;
    },
    events: () => () => undefined,
    async openVault() {
      window.open(`vault.html?fake=${scene}`, "fleetseal-vault", "popup,width=640,height=760");
    },
    async pickFile(save) {
      return save ? `/home/lena/${save}` : "/home/lena/vt12-app-0.18.3.signed.bin";
    },
  };
}
