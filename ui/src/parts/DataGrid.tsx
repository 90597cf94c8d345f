import { columnVisibilityFeature, tableFeatures, useTable } from "@tanstack/react-table";
import { defaultRangeExtractor, type Range, useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useSettings } from "@/app/host";
import { scaling } from "./scaling";

export interface Column<Row> {
  id: string;
  head: ReactNode;
  /** Said for the head where it is no text. */
  name?: string;
  width: number | "1fr";
  right?: boolean;
  cell: (row: Row) => ReactNode;
  /** The order it stands for, where the host can sort by it. */
  sort?: string;
}

interface Props<Row> {
  label: string;
  columns: Column<Row>[];
  hidden?: string[];
  total: number;
  /** The list may go on behind `total`. */
  open?: boolean;
  /** The row at a place, or none while its window loads. */
  rowAt: (index: number) => Row | undefined;
  idOf: (row: Row) => string;
  /** Which rows are looked at, so that their windows can be loaded. */
  onRange?: (first: number, last: number) => void;
  onOpen?: (row: Row) => void;
  selected?: ReadonlySet<string>;
  onSelect?: (selected: Set<string>) => void;
  sort?: { by: string; descending: boolean };
  onSort?: (by: string, descending: boolean) => void;
  busy?: boolean;
  dim?: (row: Row) => boolean;
}

const features = tableFeatures({ columnVisibilityFeature });
const nothing: never[] = [];

/** An ARIA grid over a window of rows: roving focus, selection, sorting, up to any number of rows. */
export function DataGrid<Row extends object>(props: Props<Row>) {
  const { label, columns, hidden, total, rowAt, idOf, onRange, onOpen, selected, onSelect, sort, onSort, busy, dim, open } = props;
  const { t } = useTranslation();
  const compact = useSettings((settings) => settings.compact);
  const rowHeight = compact ? 28 : 32;
  const scroller = useRef<HTMLDivElement>(null);
  const [cursor, setCursor] = useState(0);
  const wantFocus = useRef(false);

  const columnVisibility = useMemo(() => Object.fromEntries((hidden ?? nothing).map((id) => [id, false])), [hidden]);
  const defs = useMemo(
    () => columns.map((column) => ({ id: column.id, header: column.name ?? column.id, accessorFn: (row: Row) => row })),
    [columns],
  );
  const table = useTable({ features, columns: defs, data: nothing as Row[], state: { columnVisibility } });
  const byId = new Map(columns.map((column) => [column.id, column]));
  const shown = table
    .getVisibleLeafColumns()
    .map((column) => byId.get(column.id))
    .filter((column) => column !== undefined);

  const scale = (viewport: number) => scaling(total, rowHeight, viewport);
  const viewportOf = () => scroller.current?.clientHeight || 640;
  const virtual = useVirtualizer({
    count: total,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 8,
    initialRect: { width: 1000, height: 640 },
    observeElementRect: (_, tell) => {
      const measure = () => tell({ width: scroller.current?.clientWidth || 1000, height: viewportOf() });
      measure();
      const watch = new ResizeObserver(measure);
      if (scroller.current) watch.observe(scroller.current);
      return () => watch.disconnect();
    },
    observeElementOffset: (_, tell) => {
      const element = scroller.current;
      const move = () => tell(scale(viewportOf()).toLogical(element?.scrollTop ?? 0), false);
      move();
      element?.addEventListener("scroll", move, { passive: true });
      return () => element?.removeEventListener("scroll", move);
    },
    scrollToFn: (offset) => {
      if (scroller.current) scroller.current.scrollTop = scale(viewportOf()).toScroll(offset);
    },
    rangeExtractor: (range: Range) => {
      const visible = defaultRangeExtractor(range);
      if (cursor >= range.count || visible.includes(cursor)) return visible;
      return [...visible, cursor].sort((a, b) => a - b);
    },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another height measures every row anew
  useEffect(() => virtual.measure(), [rowHeight, virtual]);
  const items = virtual.getVirtualItems();
  const first = virtual.range?.startIndex ?? 0;
  const last = virtual.range?.endIndex ?? 0;
  useEffect(() => onRange?.(first, last), [first, last, onRange]);
  const shift = (scroller.current?.scrollTop ?? 0) - scale(viewportOf()).toLogical(scroller.current?.scrollTop ?? 0);

  const go = useCallback(
    (index: number) => {
      const next = Math.max(0, Math.min(total - 1, index));
      wantFocus.current = true;
      setCursor(next);
      virtual.scrollToIndex(next);
    },
    [total, virtual],
  );
  const toggle = (index: number) => {
    const row = rowAt(index);
    if (!row || !onSelect) return;
    const next = new Set(selected);
    if (!next.delete(idOf(row))) next.add(idOf(row));
    onSelect(next);
  };
  const page = Math.max(1, Math.floor(viewportOf() / rowHeight) - 1);
  const place = (key: string): number | undefined => {
    switch (key) {
      case "ArrowDown":
      case "j":
        return cursor + 1;
      case "ArrowUp":
      case "k":
        return cursor - 1;
      case "PageDown":
        return cursor + page;
      case "PageUp":
        return cursor - page;
      case "Home":
        return 0;
      case "End":
        return total - 1;
      default:
        return undefined;
    }
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLElement && event.target.matches("input, button") && event.key !== "Escape") return;
    const to = place(event.key);
    const row = rowAt(cursor);
    if (to !== undefined) go(to);
    else if (event.key === " ") toggle(cursor);
    else if (event.key === "Enter" && row) onOpen?.(row);
    else if (event.key === "Escape") onSelect?.(new Set());
    else return;
    event.preventDefault();
  };

  const template = `${onSelect ? "20px " : ""}${shown.map((column) => (column.width === "1fr" ? "minmax(96px, 1fr)" : `${column.width}px`)).join(" ")}`;
  return (
    <div
      className="grid"
      role="grid"
      tabIndex={-1}
      aria-label={label}
      aria-rowcount={open ? -1 : total + 1}
      aria-colcount={shown.length}
      aria-busy={busy}
      aria-multiselectable={!!onSelect}
      onKeyDown={onKey}
    >
      <div className="gridhead" role="row" tabIndex={-1} aria-rowindex={1} style={{ gridTemplateColumns: template }}>
        {onSelect && (
          <span role="columnheader" className="gc">
            <span className="sr">{t("grid.select")}</span>
          </span>
        )}
        {shown.map((column) => {
          const sorted = sort && column.sort === sort.by;
          return (
            <span
              key={column.id}
              role="columnheader"
              className={`gc ${column.right ? "r" : ""}`}
              aria-sort={sorted ? (sort.descending ? "descending" : "ascending") : undefined}
            >
              {column.sort && onSort ? (
                <button type="button" className="sorter" onClick={() => onSort(column.sort ?? "", sorted ? !sort.descending : false)}>
                  {column.head}
                  {sorted && <span aria-hidden="true">{sort.descending ? " ↓" : " ↑"}</span>}
                </button>
              ) : (
                column.head || <span className="sr">{column.name}</span>
              )}
            </span>
          );
        })}
      </div>
      <div ref={scroller} className="gridbody" role="presentation">
        <div role="presentation" style={{ height: scale(viewportOf()).height, position: "relative" }}>
          {items.map((item) => {
            const row = rowAt(item.index);
            const id = row ? idOf(row) : undefined;
            const on = id !== undefined && selected?.has(id);
            return (
              <div
                key={item.index}
                role="row"
                aria-rowindex={item.index + 2}
                aria-selected={onSelect ? !!on : undefined}
                tabIndex={item.index === cursor ? 0 : -1}
                ref={(element) => {
                  if (element && item.index === cursor && wantFocus.current) {
                    wantFocus.current = false;
                    element.focus({ preventScroll: true });
                  }
                }}
                onFocus={() => setCursor(item.index)}
                onDoubleClick={() => row && onOpen?.(row)}
                className={`gr ${item.index === cursor ? "cursor" : ""} ${on ? "sel" : ""} ${row && dim?.(row) ? "gone" : ""}`}
                style={{ gridTemplateColumns: template, height: rowHeight, transform: `translateY(${item.start + shift}px)` }}
              >
                {onSelect && (
                  <span role="gridcell" className="gc">
                    <input
                      type="checkbox"
                      tabIndex={-1}
                      checked={!!on}
                      aria-label={t("grid.selectrow", { row: id ?? "" })}
                      onChange={() => toggle(item.index)}
                    />
                  </span>
                )}
                {shown.map((column) => (
                  <span key={column.id} role="gridcell" className={`gc ${column.right ? "r" : ""}`}>
                    {row ? column.cell(row) : <i className="ghostcell" />}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
