import type { BenchPlace } from "@/generated/BenchPlace";
import type { BenchTicket } from "@/generated/BenchTicket";
import type { BundleLibrary } from "@/generated/BundleLibrary";
import type { BundleSummary } from "@/generated/BundleSummary";
import type { VisitReport } from "@/generated/VisitReport";
import { CallError } from "../platform";
import type { Answers } from "./answers";
import { ago, ahead, someHex } from "./fleet";

const H = 3600;
const D = 24 * H;
const kem = "6f1d0c9a52e7b384";
const folder = "/home/aino/.local/share/fleetseal/northworks/bench/bundles";

const ticket = (serial: string, model: string, version: string, change: Partial<BenchTicket> = {}): BenchTicket => ({
  device: `dev_${serial}`,
  serial,
  model,
  component: model === "hx410" ? "os" : "app",
  version,
  deputy: kem,
  must_prove: true,
  not_after: ahead(3 * D + 4 * H),
  ...change,
});

const south: BundleSummary = {
  issued_at: ago(10 * D),
  expires: ahead(3 * D + 4 * H),
  targets_expire: ahead(89 * D),
  revoked_at: ago(2 * D),
  signed_by: ["Ines Okafor", "Tomas Lindqvist"],
  threshold: 2,
  made_by: "Lena Brandt",
  payload_bytes: 5_020_000,
  devices: [
    ...Array.from({ length: 16 }, (_, i) => ticket(`HX220-04477${31 + i}`, "hx220", "2.4.1")),
    ticket("HX410-0091227", "hx410", "5.1.0", { must_prove: false }),
  ],
};
const north: BundleSummary = {
  ...south,
  issued_at: ago(20 * D),
  expires: ahead(9 * D),
  revoked_at: ago(20 * D),
  signed_by: ["Ines Okafor", "Noor Haddad", "Tomas Lindqvist"],
  devices: [ticket("GW8-0000412", "gw8", "1.9.3", { deputy: undefined, not_after: ahead(9 * D) })],
};

const library: BundleLibrary = {
  free_bytes: 182_400_000_000,
  rows: [
    { name: "plant-south-2026-11.fsb", file: `${folder}/plant-south-2026-11.fsb`, bytes: 5_041_772, summary: south },
    { name: "gateways-north.fsb", file: `${folder}/gateways-north.fsb`, bytes: 61_204_880, summary: north },
    {
      name: "plant-south-2026-10.fsb",
      file: `${folder}/plant-south-2026-10.fsb`,
      bytes: 4_988_160,
      error: {
        code: "untrusted",
        message: "the bundle is not used",
        hint: "compare this computer's clock; if it is right, an operator makes a new one",
      } as never,
    },
  ],
};

const report = (serial: string, before: string, seconds: number, change: Partial<VisitReport> = {}): VisitReport => ({
  id: someHex(32),
  fleet: "flt_01KB",
  device: `dev_${serial}`,
  serial,
  model: "hx220",
  component: "app",
  place: "usb-1-4.2",
  passed: true,
  before,
  version: "2.4.1",
  artifact: someHex(32),
  security_counter: 17,
  ticket: someHex(32),
  rollout: "rol_01KB",
  mode: "deputy",
  identity_proven: true,
  transfers: 1,
  technician: "Aino Salo",
  bench: kem,
  began_at: ago(seconds + 34),
  ended_at: ago(seconds),
  signed_receipt: "",
  signed_by: someHex(32),
  receipt: "queued",
  ...change,
});

const rolledBack = { passed: false, code: "rolled_back", why: "the device went back to what it ran before" };
const reports: VisitReport[] = [
  report("HX220-0447729", "2.4.0", 660),
  report("HX220-0447725", "2.4.0", 1800, rolledBack),
  report("HX220-0447718", "2.3.6", 3120),
  report("HX220-0447702", "2.4.0", 5400),
  report("HX410-0091201", "5.0.3", 3 * H, { model: "hx410", version: "5.1.0", identity_proven: false, receipt: "handed_in" }),
  report("HX220-0447690", "2.4.0", 26 * H, { receipt: "handed_in" }),
];

const place = (name: string, serial: string, change: Partial<BenchPlace> = {}): BenchPlace => ({
  device: { port: `/dev/ttyACM${name.at(-1)}`, place: name, usb: "2fe3:0100" },
  state: "recognized",
  recognized_ms: 900,
  inventory: {
    device: { port: `/dev/ttyACM${name.at(-1)}`, place: name },
    mode: "application",
    hardware_id: serial,
    model: "hx220",
    lifecycle: "certified",
    slots: [{ slot: 0, version: "2.4.0", active: true, confirmed: true, pending: false }],
    slot_bytes: 1_790_000,
  },
  identity: "proven",
  offer: {
    bundle: `${folder}/plant-south-2026-11.fsb`,
    name: "plant-south-2026-11.fsb",
    ticket: ticket(serial, "hx220", "2.4.1"),
    ours: true,
    up_to_date: false,
  },
  ...change,
});

const recovery = place("usb-1-4.3", "HX410-0091227", {
  state: "visiting",
  inventory: undefined,
  identity: "not_proven",
  offer: {
    bundle: `${folder}/plant-south-2026-11.fsb`,
    name: "plant-south-2026-11.fsb",
    ticket: ticket("HX410-0091227", "hx410", "5.1.0", { must_prove: false }),
    ours: true,
    up_to_date: false,
  },
  visit: {
    port: "/dev/ttyACM3",
    place: "usb-1-4.3",
    serial: "HX410-0091227",
    version: "5.1.0",
    step: "upload",
    took: [{ step: "verify", milliseconds: 800 }],
    done_bytes: 2_060_000,
    total_bytes: 3_210_000,
    bytes_per_second: 66_000,
    seconds_left: 17,
    do_not_unplug: true,
    waiting: false,
    began_at: ago(40),
  },
});
const silent: BenchPlace = {
  device: { port: "/dev/ttyUSB0", place: "usb-1-4.4", usb: "0403:6001" },
  state: "silent",
  identity: "unknown",
  error: { code: "device_lost", message: "the device at `/dev/ttyUSB0` does not answer" } as never,
};

/** Sixteen at once: some passed, one failed, some on their way. */
const gang: BenchPlace[] = Array.from({ length: 16 }, (_, i) => {
  const serial = `HX220-04477${31 + i}`;
  const name = `usb-2-${Math.floor(i / 4) + 1}.${(i % 4) + 1}`;
  const port = `/dev/ttyACM${i}`;
  const done: Partial<BenchPlace> = { last: { port, report: report(serial, "2.4.0", 30) } };
  const failed: Partial<BenchPlace> = { last: { port, report: report(serial, "2.4.0", 30, rolledBack) } };
  const live = (step: "upload" | "trial_boot" | "confirm", part: number): Partial<BenchPlace> => ({
    state: "visiting",
    visit: {
      port,
      place: name,
      serial,
      version: "2.4.1",
      step,
      took: [{ step: "verify", milliseconds: 700 }],
      done_bytes: Math.round(1_480_000 * part),
      total_bytes: 1_480_000,
      bytes_per_second: step === "upload" ? 63_000 : undefined,
      seconds_left: step === "upload" ? Math.round((1 - part) * 23) : undefined,
      do_not_unplug: false,
      waiting: false,
      began_at: ago(20),
    },
  });
  const changes = [done, done, live("upload", 0.86), done, failed, done, live("trial_boot", 1), live("upload", 0.52)];
  const rest = i === 15 ? { offer: undefined, identity: "unknown" as const } : {};
  return place(name, serial, { device: { port, place: name }, ...(i < 13 ? changes[i % 8] : rest) });
});

const updated = place("usb-1-4.2", "HX220-0447731");
for (const slot of updated.inventory?.slots ?? []) slot.version = "2.4.1";
if (updated.offer) updated.offer.up_to_date = true;

const bench: Record<string, BenchPlace[]> = {
  technician: [place("usb-1-4.2", "HX220-0447731"), recovery, silent],
  gang,
  passed: [{ ...updated, last: { port: "/dev/ttyACM2", report: report("HX220-0447731", "2.4.0", 4) } }],
  failed: [
    place("usb-1-4.2", "HX220-0447731", {
      last: { port: "/dev/ttyACM2", report: report("HX220-0447731", "2.4.0", 4, { ...rolledBack, identity_proven: true }) },
    }),
  ],
};

/** The service bench, with three devices, with sixteen, or with none. */
export function benchAnswers(scene: string): Answers {
  const places = bench[scene] ?? [];
  const mine = scene in bench;
  return {
    "bench.places": () => ({ rows: places }),
    "bench.bundles": () => (mine ? library : { ...library, rows: [] }),
    "bench.keep": () => library.rows[0] as never,
    "bench.drop": ({ file }) => {
      library.rows = library.rows.filter((row) => row.file !== file);
      return {};
    },
    "bench.reports": () => ({ rows: mine ? reports : [] }),
    "bench.report": () => ({}),
    "bench.receipts": () => ({ handed_in: 0, waiting: mine ? 4 : 0 }),
    "bench.sync": () => {
      throw new CallError("network_unreachable", "The backend does not answer.", "Receipts wait here until it does.");
    },
    "bench.stop": () => ({}),
    "bench.doctor": () => ({
      rows: [
        { topic: "ports", severity: "fine", what: "3 ports: /dev/ttyACM2, /dev/ttyACM3, /dev/ttyUSB0", next: "" },
        { topic: "permission", severity: "fine", what: "you may open them", next: "" },
        { topic: "busy", severity: "fine", what: "no other program holds one", next: "" },
        {
          topic: "modem_manager",
          severity: "warning",
          what: "ModemManager talks to devices as they are plugged in",
          next: "install the rules of `fleetseal bench udev-rules` as /etc/udev/rules.d/70-fleetseal.rules",
        },
      ],
    }),
  };
}
