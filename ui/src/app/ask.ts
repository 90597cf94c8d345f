import { QueryClient, queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { heard } from "@/parts/clock";
import { CallError, type HostEvent, type Name, platform, type Request, type Response } from "@/platform";
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

const touches: Record<string, string[]> = {
  device: ["device.", "fleet."],
  release: ["release.", "fleet.inbox"],
  rollout: ["rollout.", "fleet."],
  link: ["link.", "fleet.overview"],
  fleet: ["fleet."],
  audit: ["fleet.audit"],
  job: ["job."],
  vault: ["vault.", "host."],
};

/** Listens to the host for as long as the application runs. */
export function useEvents(): void {
  const client = useQueryClient();
  useEffect(
    () =>
      platform().events((event: HostEvent) => {
        if (event.kind === "changed") {
          const areas = touches[event.area] ?? [];
          void client.invalidateQueries({ predicate: ({ queryKey }) => areas.some((area) => String(queryKey[0]).startsWith(area)) });
        } else if (event.kind === "connection") {
          if (event.server_time) heard(event.server_time);
          useHost.setState({ connection: event.state });
          void client.invalidateQueries({ queryKey: ["host.status"] });
        } else {
          useHost.setState({ milestone: event });
        }
      }),
    [client],
  );
}
