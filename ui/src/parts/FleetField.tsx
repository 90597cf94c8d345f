import { useLayoutEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Kind } from "@/platform/needs";
import { TwinSwitch, useTwin } from "./TimeSeries";
import { count } from "./units";

const order: Kind[] = ["ok", "run", "idle", "warn", "bad"];
const pitch = 8;
const deep = 11;

const apart = 3;
const narrowest = 7;

/** How many devices one dot stands for so that the field fits its width. */
export const perDot = (models: number[], width: number): number => {
  const room = Math.floor(width / pitch);
  const columns = (per: number) =>
    models.reduce((sum, n) => sum + Math.max(narrowest, Math.ceil(n / per / deep + 0.3)), apart * Math.max(0, models.length - 1));
  for (let scale = 1; ; scale *= 10) {
    for (const step of [1, 2, 5]) if (columns(scale * step) <= room || scale > 1e6) return scale * step;
  }
};

/** The fleet as a field of dots, by model, columns filled by state. */
export function FleetField({ models, age }: { models: { model: string; states: Record<Kind, number> }[]; age: string }) {
  const { t } = useTranslation();
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(1038);
  const [table, setTable] = useTwin();
  useLayoutEffect(() => {
    const measure = () => box.current && box.current.clientWidth > 0 && setWidth(box.current.clientWidth - 24);
    measure();
    const watch = new ResizeObserver(measure);
    if (box.current) watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  const sum = (states: Record<Kind, number>) => order.reduce((n, kind) => n + states[kind], 0);
  const devices = models.reduce((n, model) => n + sum(model.states), 0);
  const scale = perDot(
    models.map((model) => sum(model.states)),
    width,
  );
  let x = 4;
  const groups = models.map((model) => {
    const dots = order.flatMap((kind) =>
      Array.from({ length: Math.round(model.states[kind] / scale) || (model.states[kind] > 0 ? 1 : 0) }, () => kind),
    );
    const left = x;
    const wide = Math.max(Math.ceil(dots.length / deep), narrowest);
    x += (wide + apart) * pitch;
    const paths = order
      .map((kind) => ({
        kind,
        d: dots.map((dot, i) => (dot === kind ? `M${left + Math.floor(i / deep) * pitch} ${25 + (i % deep) * pitch}h0` : "")).join(""),
      }))
      .filter((path) => path.d);
    return { model, left, paths };
  });
  const said = models.map((model) => `${model.model} ${count(sum(model.states))}`).join(", ");
  const twin = <TwinSwitch table={table} set={setTable} />;
  if (table)
    return (
      <div ref={box} className="fieldbox">
        <table>
          <thead>
            <tr>
              <th>{t("col.model")}</th>
              {order.map((kind) => (
                <th key={kind} className="r">
                  {t(`kind.${kind}`)}
                </th>
              ))}
              <th className="r twincell">{twin}</th>
            </tr>
          </thead>
          <tbody>
            {models.map((model) => (
              <tr key={model.model}>
                <td>{model.model}</td>
                {order.map((kind) => (
                  <td key={kind} className="r">
                    {count(model.states[kind])}
                  </td>
                ))}
                <td />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    );
  return (
    <div ref={box} className="fieldbox">
      <span className="fieldtwin">{twin}</span>
      <svg
        className="fleet chart"
        width="100%"
        height="110"
        role="img"
        aria-label={t("field.label", { devices: count(devices), per: scale, models: said })}
      >
        {groups.map(({ model, left, paths }) => (
          <g key={model.model}>
            <text x={left - 3} y="11">
              <tspan className="strong">{model.model}</tspan>
              <tspan dx="6">{count(sum(model.states))}</tspan>
            </text>
            {paths.map((path) => (
              <path key={path.kind} className={path.kind} d={path.d} />
            ))}
          </g>
        ))}
        <text x={width - 24} y="11" textAnchor="end">
          {t("field.scale", { per: scale })}, {age}
        </text>
      </svg>
    </div>
  );
}
