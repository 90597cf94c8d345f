import { useQueries } from "@tanstack/react-query";
import { useCallback, useRef, useState } from "react";
import { platform } from "@/platform";
import type { Window } from "@/platform/needs";

const size = 200;

/** Rows by place: loads the windows of the rows that are looked at, and keeps the total. */
export function useWindowed<Row, Extra extends object>(
  name: "view.devices" | "view.links",
  filter: object,
): {
  total: number;
  first: (Window<Row> & Extra) | undefined;
  rowAt: (index: number) => Row | undefined;
  onRange: (first: number, last: number) => void;
  busy: boolean;
  error: Error | null;
  updatedAt: number;
  refetch: () => void;
} {
  const [range, setRange] = useState<[number, number]>([0, 0]);
  const pages = [...new Set([0, range[0], range[1]])];
  const answers = useQueries({
    queries: pages.map((page) => ({
      queryKey: [name, { ...filter, offset: page * size, limit: size }],
      queryFn: () =>
        platform().call(name, { ...filter, offset: page * size, limit: size } as never) as unknown as Promise<Window<Row> & Extra>,
    })),
  });
  const kept = useRef<Window<Row> & Extra>(undefined);
  const first = answers[0]?.data ?? kept.current;
  kept.current = first;
  const byPage = new Map(pages.map((page, i) => [page, answers[i]?.data]));
  const onRange = useCallback((from: number, to: number) => {
    const next: [number, number] = [Math.floor(from / size), Math.floor(to / size)];
    setRange((now) => (now[0] === next[0] && now[1] === next[1] ? now : next));
  }, []);
  return {
    total: first?.total ?? 0,
    first,
    rowAt: (index) => byPage.get(Math.floor(index / size))?.rows[index % size],
    onRange,
    busy: answers.some((answer) => answer.isFetching),
    error: answers[0]?.error ?? null,
    updatedAt: answers[0]?.dataUpdatedAt ?? 0,
    refetch: () => answers.forEach((answer) => void answer.refetch()),
  };
}
