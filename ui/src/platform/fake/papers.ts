import type { FleetKeys } from "@/generated/FleetKeys";
import type { KeyHolder } from "@/generated/KeyHolder";
import type { ReleaseDetail } from "@/generated/ReleaseDetail";
import type { ReleaseRow } from "@/generated/ReleaseRow";
import type { ReleaseState } from "@/generated/ReleaseState";
import type { SignatureRequest } from "@/generated/SignatureRequest";
import type { Statement } from "@/generated/Statement";
import type { VaultKey } from "@/generated/VaultKey";
import { CallError } from "../platform";
import { ago, ahead, ids, someHex } from "./fleet";

const D = 86_400;
const author = someHex(32);
const row = (id: string, version: string, state: ReleaseState, by: string, seconds: number, signatures: number): ReleaseRow => ({
  id,
  version,
  state,
  author: by,
  author_spki: author,
  changed_at: ago(seconds),
  signatures,
  threshold: 2,
  no_separation_of_duties: false,
});

export const releases: ReleaseRow[] = [
  row(ids.releases.vt12next, "0.18.3", "approved", "Ravi Menon", 34 * 60, 1),
  row("rel_01KBDRAFT00000000000000001", "5.1.1", "proposed", "Ravi Menon", 3 * 3600, 0),
  row(ids.releases.hx220, "2.4.1", "published", "Tomas Lindqvist", 6.8 * 3600, 2),
  row(ids.releases.hx410, "5.1.0", "published", "Ravi Menon", 11 * 3600, 2),
  row(ids.releases.gw8, "1.9.3", "signed", "Tomas Lindqvist", 26 * 3600, 2),
  row(ids.releases.vt12, "0.18.2", "published", "Ravi Menon", 30 * 3600, 2),
  row(ids.releases.vt12old, "0.18.1", "published", "Ravi Menon", 22 * D, 3),
  row("rel_01KBW1THDRAWN000000000002", "2.3.9", "withdrawn", "Tomas Lindqvist", 160 * D, 2),
];

export const words = ["harbour", "ladder", "cobalt", "ninety", "fern", "orbit", "talon", "quartz"];

const models: Record<string, string> = {
  [ids.releases.hx220]: "hx220",
  [ids.releases.hx410]: "hx410",
  [ids.releases.gw8]: "gw8",
};

/** A release in full. */
export function releaseDetail(id: string): ReleaseDetail {
  const found = releases.find((one) => one.id === id);
  if (!found) throw new CallError("not_found", "There is no such release.");
  const model = models[id] ?? "vt12";
  return {
    row: found,
    notes: "Fixes the trial boots that failed on hardware B with 0.18.2.",
    artifacts: [
      {
        target: `${model}/app/${found.version}.bin`,
        digest: "9c41e07d5a1fb2386ef0247ad91c83b5f7520e6c4bd8a3190f6d2e57c8b1744a",
        length: 412_160,
        model,
        hardware_revisions: ["B", "C"],
        component: "app",
        version: found.version,
        security_counter: 9,
        installer: "mcuboot",
      },
    ],
    targets: "",
    targets_version: 43,
    signed_by: request.signed_by,
    request: id === ids.releases.vt12next ? request : undefined,
    reviews:
      found.state === "proposed"
        ? []
        : [{ by: "Ines Okafor", verdict: "approve", comment: "Trial boots on hardware B pass on three units.", at: ago(41 * 60) }],
    sealed:
      found.state === "published"
        ? [{ id: "art_01KB", artifact: "9c41", record: "", ciphertext: someHex(32), ciphertext_bytes: 412_976 }]
        : [],
  };
}

const keyHolders = (you: string): KeyHolder[] => [
  { name: "Ines Okafor", key_id: "4f1c7d20be91a902", signed: true, mine: false },
  { name: "Tomas Lindqvist", key_id: "b77e1a60c55203d1", signed: false, mine: you === "Tomas Lindqvist" },
  { name: "Mei Tanaka", key_id: "20d5f31b8804e61f", signed: false, mine: false },
];

const requestId = "req_01KBQX5T2M0000000000000M7TD";
const digest = "3f0c9a7de2514b86a0d97c5e11f2846bd4a3905c7e8f1b2a6d0c94e75b318fa2";

/** The one request that is open: vt12 0.18.3, one signature short. */
export const request: SignatureRequest = {
  id: requestId,
  state: "open",
  purpose: "release",
  release: ids.releases.vt12next,
  role: "targets",
  version: 43,
  digest,
  author: "Ravi Menon",
  author_spki: author,
  reason: "Fixes the trial boots that failed on hardware B with 0.18.2.",
  made_at: ago(72 * 60),
  expires_at: ahead(22.8 * 3600),
  signatures: 1,
  threshold: 2,
  signed_by: [{ key_id: "4f1c7d20be91a902", by: "Ines Okafor", signature: "", at: ago(34 * 60) }],
  no_separation_of_duties: false,
};

/** What a signature over it would say. */
export const statement = (you: string): Statement => ({
  request: requestId,
  fleet: "flt_01KB",
  reported: { state: "open", purpose: "release", release: ids.releases.vt12next },
  role: "targets",
  version: 43,
  metadata_expires_at: ahead(90 * D),
  digest,
  words,
  qr_svg: "",
  qr_text: "",
  length_bytes: 48_212,
  changes: [
    { kind: "changed", what: "version 42 becomes 43" },
    {
      kind: "added",
      what: "vt12/app/0.18.3.bin, 412,160 bytes, security counter 9",
      digest: "9c41e07d5a1fb2386ef0247ad91c83b5f7520e6c4bd8a3190f6d2e57c8b1744a",
    },
    { kind: "changed", what: `expires ${ahead(89 * D).slice(0, 10)} becomes ${ahead(90 * D).slice(0, 10)}` },
  ],
  author: "Ravi Menon",
  reason: request.reason,
  made_at: request.made_at,
  expires_at: request.expires_at,
  signatures: 1,
  threshold: 2,
  key_holders: keyHolders(you),
  no_separation_of_duties: false,
});

export const keys: VaultKey[] = [
  { role: "root", algorithm: "Ed25519", public: `a11d${someHex(28)}7c40` },
  { role: "targets", algorithm: "Ed25519", public: `b77e${someHex(28)}03d1` },
  { role: "ticket", algorithm: "Ed25519", public: `3f90${someHex(28)}11ce` },
  { role: "seal", algorithm: "Ed25519", public: `8b2d${someHex(28)}9e04` },
  { role: "device_ca", algorithm: "P-256", public: `e0f4${someHex(28)}2b6d` },
  { role: "content_keys", algorithm: "X25519", public: `9a3e${someHex(28)}c5d7` },
];

/** Whom the fleet trusts for what. */
export const trusted: FleetKeys = {
  root_threshold: 2,
  targets_threshold: 2,
  keys: [
    ...["Ines Okafor", "Mei Tanaka", "Tomas Lindqvist"].flatMap((holder) =>
      ["root", "targets"].map((role) => ({ id: someHex(32), role, holder, models: [] })),
    ),
    ...["Ines Okafor", "Lena Brandt"].map((holder) => ({ id: someHex(8), role: "ticket", holder, models: [] })),
    { id: someHex(8), role: "seal", holder: "Tomas Lindqvist", models: ["vt12"], not_after: ahead(63 * 86_400) },
    { id: someHex(8), role: "member", holder: "Lena Brandt", models: [] },
    { id: someHex(8), role: "grant", holder: "Ines Okafor", models: [] },
  ],
};
