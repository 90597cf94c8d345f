type Share = "on" | "you" | "off";

const three = ["M4.12 6.55L12.00 2.00L19.88 6.55", "M20.66 7.90L20.66 17.00L12.78 21.55", "M11.22 21.55L3.34 17.00L3.34 7.90"];
const core = "M12.00 7.80L15.64 9.90L15.64 14.10L12.00 16.20L8.36 14.10L8.36 9.90z";

/** The hexagon cut into `n` equal shares with small gaps. Three of them meet the mark's own. */
export function shares(n: number): string[] {
  if (n === 3) return three;
  const corner = (i: number): [number, number] => [12 + 10.2 * Math.sin((i * Math.PI) / 3), 12 - 10.2 * Math.cos((i * Math.PI) / 3)];
  const at = (t: number): [number, number] => {
    const i = Math.floor(t);
    const [x0, y0] = corner(i);
    const [x1, y1] = corner(i + 1);
    return [x0 + (x1 - x0) * (t - i), y0 + (y1 - y0) * (t - i)];
  };
  const gap = n === 1 ? 0 : 0.12;
  return Array.from({ length: n }, (_, k) => {
    const from = (k * 6) / n + gap;
    const to = ((k + 1) * 6) / n - gap;
    const stops = [from, ...Array.from({ length: 13 }, (_, i) => i).filter((i) => i > from && i < to), to];
    return `M${stops
      .map((t) =>
        at(t)
          .map((v) => v.toFixed(2))
          .join(" "),
      )
      .join("L")}${n === 1 ? "z" : ""}`;
  });
}

/** Shares close around one device: signed, yours, missing. The core lights when the threshold is met. */
export const Seal = ({
  parts,
  met,
  size = 80,
  raised,
  label,
}: {
  parts: Share[];
  met: boolean;
  size?: number;
  raised?: boolean;
  label: string;
}) => (
  <svg
    className="seal"
    width={size}
    height={size}
    viewBox={raised ? "0 -3 24 27" : "0 0 24 24"}
    role={label ? "img" : undefined}
    aria-label={label || undefined}
    aria-hidden={label ? undefined : true}
  >
    {shares(parts.length).map((d, i) => (
      <path
        key={d}
        className={parts[i]}
        d={d}
        strokeWidth={size < 32 ? 2.4 : 1.7}
        transform={raised && i === 0 ? "translate(0 -3)" : undefined}
      />
    ))}
    <path className={met ? "core" : "core off"} d={core} />
  </svg>
);
