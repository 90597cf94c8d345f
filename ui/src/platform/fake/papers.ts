import type { ReleaseDetail } from "@/generated/ReleaseDetail";
import type { ReleaseRow } from "@/generated/ReleaseRow";
import type { ReleaseState } from "@/generated/ReleaseState";
import type { VaultKey } from "@/generated/VaultKey";
import type { DiffLine, Holder, ReleaseCheck } from "../needs";
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
    signed_by: holders("")
      .slice(0, found.signatures)
      .map((holder) => ({ key_id: holder.key_id, by: holder.name, signature: "", at: ago(34 * 60) })),
    reviews:
      found.state === "proposed"
        ? []
        : [{ by: "Ines Okafor", verdict: "approve", comment: "Trial boots on hardware B pass on three units.", at: ago(41 * 60) }],
    sealed: found.state === "published" ? [{ id: "art_01KB", artifact: "9c41", record: "", ciphertext: someHex(32), ciphertext_bytes: 412_976 }] : [],
  };
}

export const holders = (you: string): Holder[] => [
  { name: "Ines Okafor", key_id: "4f1c7d20be91a902", you: false, expires_at: ahead(105 * D), signed_at: ago(34 * 60) },
  { name: "Tomas Lindqvist", key_id: "b77e1a60c55203d1", you: you === "Tomas Lindqvist", expires_at: ahead(64 * D), asked_at: ago(33 * 60) },
  { name: "Mei Tanaka", key_id: "20d5f31b8804e61f", you: false, expires_at: ahead(12 * D), asked_at: ago(33 * 60) },
];

export const reviewed: { checks: ReleaseCheck[]; diff: DiffLine[] } = {
  checks: [
    { check: "format", kind: "ok", detail: "MCUboot header, 412,160 bytes" },
    { check: "digest", kind: "ok", detail: "SHA-256 as in the metadata" },
    { check: "fits_slot", kind: "ok", detail: "403 of 448 kB" },
    { check: "version_rises", kind: "ok", detail: "0.18.2 to 0.18.3" },
    { check: "counter_holds", kind: "ok", detail: "9, unchanged" },
    { check: "compatible", kind: "ok", detail: "vt12, hardware B and C" },
  ],
  diff: [
    { side: "remove", field: "version", value: "42" },
    { side: "add", field: "version", value: "43" },
    { side: "add", field: "targets", value: "vt12/app/0.18.3.bin, 9c41e07d…c8b1744a" },
    { side: "remove", field: "expires", value: ahead(89 * D) },
    { side: "add", field: "expires", value: ahead(90 * D), note: "90 d, fixed by the first signature" },
  ],
};

export const keys: VaultKey[] = [
  { role: "root", algorithm: "Ed25519", public: `a11d${someHex(28)}7c40` },
  { role: "targets", algorithm: "Ed25519", public: `b77e${someHex(28)}03d1` },
  { role: "ticket", algorithm: "Ed25519", public: `3f90${someHex(28)}11ce` },
  { role: "seal", algorithm: "Ed25519", public: `8b2d${someHex(28)}9e04` },
  { role: "device_ca", algorithm: "P-256", public: `e0f4${someHex(28)}2b6d` },
  { role: "content_keys", algorithm: "X25519", public: `9a3e${someHex(28)}c5d7` },
];
