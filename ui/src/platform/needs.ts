import type { Nothing } from "@/generated/Nothing";
import type { ReleaseId } from "@/generated/ReleaseId";
import type { RequestId } from "@/generated/RequestId";
import type { Role } from "@/generated/Role";
import type { RolloutId } from "@/generated/RolloutId";
import type { UnixTime } from "@/generated/UnixTime";
import type { WorkspaceRow } from "@/generated/WorkspaceRow";

/** What the screens look at beyond single commands: few rows, put together by `views.ts` from the command table. */
export interface Needs {
  /** Who is asking whom: for the frame. Answers even while the backend is away. */
  "view.status": { request: Nothing; response: HostStatus };
  /** What waits for a person. */
  "view.inbox": { request: Nothing; response: { rows: InboxRow[] } };
}

export interface HostStatus {
  /** None before the first run. */
  workspace?: WorkspaceRow;
  /** Host name of the backend, or where it runs. */
  backend: string;
  connection: "connected" | "connecting" | "offline";
  /** Since when the connection is as it is. */
  since: UnixTime;
  server_time: UnixTime;
  person: string;
  roles: Role[];
  vault: "none" | "locked" | "unlocked";
  vault_locks_at?: UnixTime;
}

/** One of the five states every count is drawn in. */
export type Kind = "idle" | "run" | "ok" | "warn" | "bad";

export interface InboxRow {
  id: string;
  kind: "signature" | "review" | "gate" | "paused" | "tickets" | "enrolments" | "alarm" | "expiry";
  title: string;
  detail: string;
  at: UnixTime;
  state: Kind;
  request?: RequestId;
  release?: ReleaseId;
  rollout?: RolloutId;
  /** The phase that a gate holds, counted from 0. */
  phase?: number;
  device?: string;
}
