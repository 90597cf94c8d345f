import type { DeploymentState } from "@/generated/DeploymentState";
import type { DeviceRow } from "@/generated/DeviceRow";
import type { DeviceState } from "@/generated/DeviceState";
import type { LinkRow } from "@/generated/LinkRow";
import type { LinkState } from "@/generated/LinkState";
import type { Nothing } from "@/generated/Nothing";
import type { ReleaseId } from "@/generated/ReleaseId";
import type { ReleaseName } from "@/generated/ReleaseName";
import type { RequestId } from "@/generated/RequestId";
import type { Role } from "@/generated/Role";
import type { RolloutId } from "@/generated/RolloutId";
import type { RolloutName } from "@/generated/RolloutName";
import type { UnixTime } from "@/generated/UnixTime";
import type { WorkspaceRow } from "@/generated/WorkspaceRow";

/**
 * What the screens look at beyond single commands. `views.ts` makes each from the command table, within bounds; where the
 * table grows a command that answers in one go, the view calls it instead.
 */
export interface Needs {
  /** Who is asking whom: for the frame. Answers even while the backend is away. */
  "view.status": { request: Nothing; response: HostStatus };
  /** Everything the overview counts, counted by the backend. */
  "view.overview": { request: Nothing; response: Overview };
  /** A window of devices: filter, order and place decided by the backend. At most 500 rows. */
  "view.devices": { request: DeviceWindow; response: Window<DeviceLine> };
  /** Why a device does not run what it should. */
  "view.why": { request: { device: string }; response: Why };
  /** A window of links, expiring first unless asked otherwise. */
  "view.links": { request: LinkWindow; response: Window<LinkLine> & { counts: LinkChips } };
  /** Success and failure over time, at most 500 points. */
  "view.series": { request: RolloutName; response: { points: RolloutPoint[] } };
  /** Failures of a rollout by cause, most frequent first. */
  "view.failures": { request: RolloutName; response: { rows: FailureCluster[] } };
  /** The checks that the app made when an artifact was proposed, and the change against the metadata in force. */
  "view.checks": { request: ReleaseName; response: { rows: ReleaseCheck[] } };
  /** Keys and metadata with an end, soonest first. */
  "view.calendar": { request: Nothing; response: { rows: Expiry[] } };
  /** Looks through the audit trail's hash chain. */
  "view.chain": { request: Nothing; response: { checked_to: number; intact: boolean; cosigned_by: string[] } };
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

export interface Window<Row> {
  total: number;
  /** Grows with every change; a window of another revision is stale. */
  revision: number;
  rows: Row[];
}

/** One of the five states every count is drawn in. */
export type Kind = "idle" | "run" | "ok" | "warn" | "bad";

export interface Overview {
  at: UnixTime;
  states: Record<Kind, number>;
  offline_over_30_d: number;
  failed_last_hour: number;
  models: { model: string; states: Record<Kind, number> }[];
  versions: { model: string; rows: { version: string; count: number; below_minimum: boolean }[] }[];
  failures: FailureCluster[];
  links: { within_24_h: number; within_10_min: number };
  certificates: { within_30_d: number; within_7_d: number };
  revocation_list_renew_by?: UnixTime;
  /** Ciphertext bytes per second, by time. */
  download_rate: { at: UnixTime; bytes_per_second: number }[];
}

export interface DeviceWindow {
  model?: string;
  state?: DeviceState;
  kind?: Kind;
  version?: string;
  /** Begins the serial, or is the id. */
  text?: string;
  sort: "serial" | "model" | "version" | "last_seen";
  descending: boolean;
  offset: number;
  limit: number;
}

export interface DeviceLine extends DeviceRow {
  kind: Kind;
  /** What its open rollout brings. */
  wanted?: string;
  deployment?: DeploymentState;
  certificate_expires_at?: UnixTime;
}

export interface Why {
  /** Settled: nothing is wanted of it. */
  verdict: "up_to_date" | "waiting" | "working" | "blocked";
  rows: { code: string; detail: string; kind: Kind; until?: UnixTime }[];
}

export interface LinkWindow {
  state?: LinkState;
  /** 10 min or less left. */
  expiring?: boolean;
  rollout?: RolloutId;
  text?: string;
  offset: number;
  limit: number;
}

export interface LinkChips {
  all: number;
  live: number;
  expiring: number;
  partial: number;
  /** None where the host lists open links alone. */
  expired?: number;
  consumed?: number;
}

export interface LinkLine extends LinkRow {
  attempts?: number;
  /** Gateway or address of the last request. */
  last_from?: string;
  last_seen_at?: UnixTime;
  ended_at?: UnixTime;
}

export interface RolloutPoint {
  at: UnixTime;
  succeeded: number;
  failed: number;
}

export interface FailureCluster {
  code: string;
  count: number;
  /** What they have in common, if anything. */
  common?: string;
}

export interface ReleaseCheck {
  check: "digest" | "format" | "fits_slot" | "version_rises" | "counter_holds" | "compatible";
  kind: Kind;
  detail: string;
}

export interface Expiry {
  what: "root" | "targets" | "key" | "certificates" | "revocation_list";
  name: string;
  expires_at: UnixTime;
}

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
  device?: string;
}
