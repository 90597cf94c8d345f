import { useTranslation } from "react-i18next";
import { count, share } from "./units";

/** Counts by what they fall into, as bars from one line; its table twin says the same. */
export function Histogram({ label, rows, height, table }: { label: string; rows: [string, number][]; height: number; table: boolean }) {
  const { t } = useTranslation();
  const most = Math.max(1, ...rows.map(([, n]) => n));
  const total = rows.reduce((sum, [, n]) => sum + n, 0);
  if (table)
    return (
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
      <section className="twin" style={{ height }} tabIndex={0} aria-label={label}>
        <table>
          <thead>
            <tr>
              <th>{label}</th>
              <th className="r">{t("chart.count")}</th>
              <th className="r">{t("chart.share")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, n]) => (
              <tr key={name}>
                <td>{name}</td>
                <td className="r">{count(n)}</td>
                <td className="r">{share(n, total)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    );
  return (
    <div
      className="histo"
      role="img"
      aria-label={`${label}: ${rows.map(([name, n]) => `${name} ${count(n)}`).join(", ")}`}
      style={{ height }}
    >
      {rows.map(([name, n]) => (
        <span key={name}>
          <b>{n > 0 && count(n)}</b>
          <i style={{ height: `${(n / most) * (height - 44)}px` }} />
          <span>{name}</span>
        </span>
      ))}
    </div>
  );
}
