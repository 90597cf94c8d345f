import { IconTable } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useSettings } from "@/app/host";
import { clockTime } from "./units";

export interface Series {
  name: string;
  /** The token that colours it. */
  token: string;
  values: (number | null)[];
}

interface Props {
  label: string;
  /** Milliseconds. */
  times: number[];
  series: Series[];
  height: number;
  value: (n: number) => string;
  /** Dotted verticals: something happened then. */
  events?: { at: number; name: string }[];
  /** A rule, drawn as short ticks at both edges. */
  threshold?: { value: number; name: string };
  table: boolean;
  axis?: boolean;
  /** Its values are long words. */
  wide?: boolean;
}

const token = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(`--fs-${name}`).trim();

/** Lines over time on a canvas, redrawn with each report; its table twin says the same. */
export function TimeSeries({ label, times, series, height, value, events, threshold, table, axis = true, wide }: Props) {
  const { t } = useTranslation();
  const box = useRef<HTMLDivElement>(null);
  const scheme = useSettings((settings) => `${settings.scheme} ${settings.contrast}`);
  // biome-ignore lint/correctness/useExhaustiveDependencies: colours are read anew with the scheme
  useEffect(() => {
    const element = box.current;
    if (!element || table || typeof matchMedia !== "function" || !HTMLCanvasElement.prototype.getContext) return;
    const font = `11px ${token("font-ui") || "sans-serif"}`;
    const line = { stroke: token("tx-3"), font, grid: { stroke: token("line-1"), width: 1 }, ticks: { show: false } };
    const plot = new uPlot(
      {
        width: element.clientWidth || 600,
        height,
        ms: 1,
        legend: { show: false },
        cursor: { show: false },
        padding: [events?.length ? 18 : 8, 14, axis ? 0 : 8, 0],
        axes: [
          {
            ...line,
            show: axis,
            size: 22,
            gap: 4,
            grid: { show: false },
            space: 70,
            values: (_, ticks) => ticks.map((tick) => clockTime(tick).slice(0, 5)),
          },
          { ...line, size: wide ? 72 : 44, gap: 6, space: 18, values: (_, ticks) => ticks.map(value) },
        ],
        scales: { y: { range: (_, low, high) => [Math.min(0, low), Math.max(high, threshold ? threshold.value * 1.25 : 0, 1e-9) * 1.04] } },
        series: [
          {},
          ...series.map((one) => ({ label: one.name, stroke: token(one.token), width: 1.5, points: { show: false }, spanGaps: false })),
        ],
        hooks: {
          draw: [
            (u) => {
              const { ctx, bbox } = u;
              const px = devicePixelRatio;
              ctx.save();
              ctx.textAlign = "left";
              ctx.textBaseline = "alphabetic";
              ctx.font = `${11 * px}px ${token("font-ui") || "sans-serif"}`;
              ctx.lineWidth = px;
              for (const event of events ?? []) {
                const x = Math.round(u.valToPos(event.at, "x", true)) + 0.5;
                ctx.strokeStyle = token("line-3");
                ctx.setLineDash([2 * px, 3 * px]);
                ctx.beginPath();
                ctx.moveTo(x, bbox.top - 14 * px);
                ctx.lineTo(x, bbox.top + bbox.height);
                ctx.stroke();
                ctx.setLineDash([]);
                ctx.fillStyle = token("tx-2");
                ctx.fillText(event.name, x + 5 * px, bbox.top - 4 * px);
              }
              if (threshold) {
                const y = Math.round(u.valToPos(threshold.value, "y", true)) + 0.5;
                ctx.strokeStyle = token("warn-fg");
                ctx.lineWidth = 1.5 * px;
                for (const [from, to] of [
                  [bbox.left - 6 * px, bbox.left + 4 * px],
                  [bbox.left + bbox.width - 10 * px, bbox.left + bbox.width],
                ] as const) {
                  ctx.beginPath();
                  ctx.moveTo(from, y);
                  ctx.lineTo(to, y);
                  ctx.stroke();
                }
                ctx.fillStyle = token("warn-fg");
                ctx.fillText(threshold.name, bbox.left + 8 * px, y + 4 * px);
              }
              for (const one of series) {
                const end = one.values.findLastIndex((v) => v !== null);
                const at = times[end];
                const v = one.values[end];
                if (at === undefined || v === undefined || v === null) continue;
                ctx.fillStyle = token(one.token);
                ctx.beginPath();
                ctx.arc(u.valToPos(at, "x", true), u.valToPos(v, "y", true), 2.5 * px, 0, Math.PI * 2);
                ctx.fill();
              }
              ctx.restore();
            },
          ],
        },
      },
      [times, ...series.map((one) => one.values)] as uPlot.AlignedData,
      element,
    );
    const watch = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [times, series, height, table, scheme, events, threshold, axis, wide]);

  if (!table) return <div ref={box} role="img" aria-label={label} style={{ height }} />;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section className="twin" style={{ height }} tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            <th>{t("chart.time")}</th>
            {series.map((one) => (
              <th key={one.name} className="r">
                {one.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {times.map((at, i) => (
            <tr key={at}>
              <td>{clockTime(at)}</td>
              {series.map((one) => (
                <td key={one.name} className="r">
                  {one.values[i] === null || one.values[i] === undefined ? "–" : value(one.values[i])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Switches a chart to its table twin and back. */
export function TwinSwitch({ table, set }: { table: boolean; set: (table: boolean) => void }) {
  const { t } = useTranslation();
  return (
    <button type="button" className="copybtn" aria-pressed={table} aria-label={t("chart.table")} onClick={() => set(!table)}>
      <IconTable className="copy" />
    </button>
  );
}

/** Keeps whether a chart shows its table. */
export const useTwin = () => useState(false);
