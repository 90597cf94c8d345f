import { keepPreviousData, useQueries } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import type { CallError, Name, Request, Response } from "@/platform";
import { asking } from "./ask";

/** Commands that answer in pages, and what stands in them. */
type Paged = { [N in Name]: Response<N> extends { rows: (infer _)[]; next?: string } ? N : never }[Name];
type Row<N extends Paged> = Response<N>["rows"][number];
type Cursors = (string | undefined)[];

const size = 200;
const none: Cursors = [undefined];

/**
 * Rows by place, a page at a time: those that are looked at are asked for, each after the cursor that the one before it gave.
 * The page before the known end is held open by a page of empty rows until it has shown whether the list goes on.
 */
export function usePaged<N extends Paged>(name: N, request: Omit<Request<N>, "page">, enabled = true) {
  const key = JSON.stringify(request);
  const [known, learn] = useState<{ key: string; cursors: Cursors }>({ key, cursors: none });
  const cursors = known.key === key ? known.cursors : none;
  const [range, setRange] = useState<[number, number]>([0, 0]);
  const last = cursors.length - 1;
  const pages = [...new Set([0, Math.min(range[0], last), Math.min(range[1], last)])];
  const answers = useQueries({
    queries: pages.map((page) => ({
      ...asking(name, { ...request, page: { after: cursors[page], limit: size } } as unknown as Request<N>),
      enabled,
      gcTime: 60_000,
      placeholderData: page === 0 ? keepPreviousData : undefined,
    })),
  }) as {
    data?: { rows: Row<N>[]; next?: string };
    error: CallError | null;
    isFetching: boolean;
    dataUpdatedAt: number;
    refetch(): unknown;
  }[];
  const byPage = new Map(pages.map((page, i) => [page, answers[i]]));
  const end = byPage.get(last);
  const next = end?.isFetching ? undefined : end?.data?.next;
  useEffect(() => {
    if (next) learn({ key, cursors: [...cursors, next] });
  }, [next, key, cursors]);
  const onRange = useCallback((from: number, to: number) => {
    const looked: [number, number] = [Math.floor(from / size), Math.floor(to / size)];
    setRange((before) => (before[0] === looked[0] && before[1] === looked[1] ? before : looked));
  }, []);
  const ended = !!end?.data && !end.data.next;
  return {
    /** The rows that are known of, and while the list goes on one page more. */
    total: last * size + (ended ? (end.data?.rows.length ?? 0) : size),
    /** Whether that is all of the list. */
    ended,
    /** Whether the first page is there. */
    ready: answers[0]?.data !== undefined,
    empty: answers[0]?.data?.rows.length === 0,
    /** The rows that are there. */
    rows: answers.flatMap((answer) => answer.data?.rows ?? []),
    rowAt: (index: number): Row<N> | undefined => byPage.get(Math.floor(index / size))?.data?.rows[index % size],
    onRange,
    busy: answers.some((answer) => answer.isFetching),
    error: answers.find((answer) => answer.error)?.error ?? null,
    updatedAt: answers[0]?.dataUpdatedAt ?? 0,
    refetch: () => {
      for (const answer of answers) void answer.refetch();
    },
  };
}
