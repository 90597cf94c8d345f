import { useQuery } from "@tanstack/react-query";
import { create } from "zustand";
import { asking, useAsk, useOrder } from "@/app/ask";
import { bringVault } from "@/app/vault";
import type { BenchPlace } from "@/generated/BenchPlace";
import type { JobRow } from "@/generated/JobRow";
import type { UpdateDevice } from "@/generated/UpdateDevice";
import type { VisitLive } from "@/generated/VisitLive";

interface Live {
  /** Visits as the host told of them last, by place. */
  visits: Record<string, VisitLive>;
  /** The job that was asked for at a port. */
  asked: Record<string, string>;
  /** Ports to look at beside those that the system lists. */
  ports: string[];
}

const stored = "fleetseal-ports";

/** What the bench's screens know beyond what the host lists. */
export const useLive = create<Live>(() => ({
  visits: {},
  asked: {},
  ports: JSON.parse(sessionStorage.getItem(stored) ?? "[]"),
}));

/** Hears how a visit goes on. */
export const hear = (visit: VisitLive) => useLive.setState(({ visits }) => ({ visits: { ...visits, [visit.place]: visit } }));

/** Looks at a port that the system does not list. */
export function lookAt(port: string): void {
  const ports = [...useLive.getState().ports.filter((one) => one !== port), port];
  sessionStorage.setItem(stored, JSON.stringify(ports));
  useLive.setState({ ports });
}

/** A place as a screen shows it: with the newest of its visit, and the job that was asked for there. */
export interface Slot extends BenchPlace {
  job?: JobRow;
  /** Asked for, and waiting for consent. */
  waits: boolean;
  /** A ticket that this bench opens, for something new, that counts still. */
  ready: boolean;
  /** The version that runs, as the device says. */
  runs?: string;
}

/** The bench: for as long as it is shown, the host watches what is plugged in. */
export function useBench() {
  const { visits, asked, ports } = useLive();
  const answer = useQuery({ ...asking("bench.places", { ports }), refetchInterval: 5000, placeholderData: (before) => before });
  const jobs = useAsk("job.list", {});
  const slots = answer.data?.rows.map((place): Slot => {
    const job = jobs.data?.rows.find((row) => row.id === asked[place.device.port]);
    const visit = place.visit && (visits[place.device.place] ?? place.visit);
    const { offer } = place;
    const runs = place.inventory?.slots.find((slot) => slot.active)?.version;
    const ready =
      place.state === "recognized" &&
      offer !== undefined &&
      offer.ours &&
      !offer.up_to_date &&
      Date.parse(offer.ticket.not_after) > Date.now();
    const waits = job?.state === "running" && visit === undefined;
    return { ...place, visit, job, waits, ready: ready && !waits, runs };
  });
  return { answer, slots: slots ?? [], ports };
}

/** Updates devices, all by one consent. */
export function useUpdate() {
  const start = useOrder("job.start");
  return {
    error: start.error,
    update(devices: UpdateDevice[]) {
      start.mutate(
        { command: "bench.update", request: { devices } },
        {
          onSuccess: (job) =>
            useLive.setState(({ asked }) => ({
              asked: { ...asked, ...Object.fromEntries(devices.map((device) => [device.line.port, job.id])) },
            })),
        },
      );
      bringVault();
    },
  };
}

/** What is asked for a device with an offer. */
export const wanted = (slot: Slot): UpdateDevice[] =>
  slot.offer ? [{ line: { port: slot.device.port, raw: false }, bundle: slot.offer.bundle }] : [];
