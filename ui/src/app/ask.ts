import { QueryClient, queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { JobRow } from "@/generated/JobRow";
import type { List } from "@/generated/List";
import { useOffset } from "@/parts/clock";
import { CallError, type Name, platform, type Request, type Response } from "@/platform";
import { hear } from "@/screens/bench/live";
import { useHost } from "./host";

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      refetchOnWindowFocus: false,
      retry: (failures, error) => failures < 2 && error instanceof CallError && error.code === "unreachable",
    },
  },
});

/** How a command is asked and remembered. */
export const asking = <N extends Name>(name: N, request: Request<N>) =>
  queryOptions<Response<N>, CallError>({ queryKey: [name, request], queryFn: () => platform().call(name, request) });

/** The answer to a command, kept fresh by the host's events. */
export const useAsk = <N extends Name>(name: N, request: Request<N>, enabled = true) => useQuery({ ...asking(name, request), enabled });

/** Gives an order; what it touched is asked again. */
export function useOrder<N extends Name>(name: N) {
  const client = useQueryClient();
  return useMutation<Response<N>, CallError, Request<N>>({
    mutationFn: (request) => platform().call(name, request),
    onSuccess: () => client.invalidateQueries(),
  });
}

const touches: Record<List, string[]> = {
  device: ["device.", "fleet."],
  release: ["release.", "view.inbox"],
  request: ["request.", "release.", "view.inbox"],
  rollout: ["rollout.", "fleet.", "device.why", "view.inbox"],
  link: ["link.", "fleet.overview", "device.why"],
  enrolment: ["device.enrolments", "view.inbox"],
  alarm: ["fleet.alarms", "view.inbox"],
  workspace: ["workspace.", "view.status"],
  bench: ["bench."],
};

/** Listens to the host for as long as the application runs. */
export function useEvents(): void {
  const client = useQueryClient();
  useEffect(() => {
    const again = gather(client);
    return platform().events((batch) => {
      for (const event of batch) {
        switch (event.event) {
          case "connection":
            useOffset.setState({ offset: event.server_offset * 1000 });
            useHost.setState({
              connection: event.state === "online" ? "connected" : event.state === "offline" ? "offline" : "connecting",
              since: event.since,
            });
            break;
          case "vault":
            again(["vault.", "view.status"]);
            break;
          case "changed":
            again(event.lists.flatMap((list) => touches[list]));
            break;
          case "job":
            again(["job."]);
            useHost.setState({ milestone: milestone(event.job) });
            break;
          case "visit":
            hear(event.visit);
            break;
          case "ceremonies":
            useHost.setState({ ceremonies: event.pending });
            break;
          case "workspace":
            void client.invalidateQueries();
            break;
        }
      }
    });
  }, [client]);
}

/**
 * Asks anew for what changed, at most once a second. What is being asked already is let finish and asked once more: a fleet
 * that changes faster than it is listed would otherwise never be shown.
 */
export function gather(client: QueryClient): (areas: string[]) => void {
  const waiting = new Set<string>();
  let armed = false;
  const flush = () => {
    const areas = [...waiting];
    waiting.clear();
    const touched = (area: string) => ({
      predicate: ({ queryKey }: { queryKey: readonly unknown[] }) => String(queryKey[0]).startsWith(area),
    });
    const busy = areas.filter((area) => client.isFetching(touched(area)) > 0);
    for (const area of areas) void client.invalidateQueries({ ...touched(area), fetchStatus: "idle" });
    armed = false;
    again(busy);
  };
  const again = (areas: string[]) => {
    for (const area of areas) waiting.add(area);
    if (waiting.size === 0 || armed) return;
    armed = true;
    setTimeout(flush, 1000);
  };
  return again;
}

const milestone = (job: JobRow) => ({
  text: `${job.what}: ${job.state}, ${Math.floor((job.done / Math.max(1, job.total)) * 4) * 25} %`,
  failed: job.state === "failed",
});
