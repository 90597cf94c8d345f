/** Numbers as the look wants them: exact, two units at most, decimal sizes. */

const grouped = new Intl.NumberFormat("en", { useGrouping: true });
export const count = (n: number): string => grouped.format(n);

/** A share with one digit: `91.2 %`. */
export const share = (part: number, whole: number): string => `${whole === 0 ? "0.0" : ((part / whole) * 100).toFixed(1)} %`;

const steps: [string, number][] = [
  ["GB", 1e9],
  ["MB", 1e6],
  ["kB", 1e3],
];
export const bytes = (n: number): string => {
  for (const [unit, size] of steps) if (n >= size) return `${(n / size).toFixed(n / size >= 100 ? 0 : 2)} ${unit}`;
  return `${n} B`;
};

/** `0.96 of 1.48 MB`: both in the unit of the whole. */
export const served = (part: number, whole: number, of: string): string => {
  const [unit, size] = steps.find(([, s]) => whole >= s) ?? ["B", 1];
  const digits = size === 1 ? 0 : 2;
  return `${(part / size).toFixed(digits)} ${of} ${(whole / size).toFixed(digits)} ${unit}`;
};

const spans: [string, number][] = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
];
/** A length of time from seconds, in two units at most: `3 m 12 s`, `480 d`. */
export const duration = (seconds: number): string => {
  let rest = Math.max(0, Math.floor(seconds));
  if (rest >= 30 * 86_400) return `${Math.floor(rest / 86_400)} d`;
  const said: string[] = [];
  for (const [unit, size] of spans) {
    const n = Math.floor(rest / size);
    if (n > 0) said.push(`${n} ${unit}`);
    if ((n > 0 && said.length === 2) || (said.length === 1 && n === 0 && said[0] !== `0 ${unit}`)) break;
    rest -= n * size;
  }
  return said.slice(0, 2).join(" ") || "0 s";
};

export const instant = (time: string): number => Date.parse(time);
export const clockTime = (ms: number): string => new Date(ms).toISOString().slice(11, 19);
export const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
/** The time today, the day otherwise. */
export const moment = (ms: number, now: number): string => {
  if (day(ms) === day(now)) return clockTime(ms);
  return day(ms).slice(0, 4) === day(now).slice(0, 4) ? day(ms).slice(5) : day(ms);
};

/** An id cut in the middle, its prefix kept: `rol_01KBQ4…QX4M`; `short` keeps the prefix and the end alone. */
export const cutId = (id: string, short = false): string => {
  if (id.length <= 14) return id;
  const at = id.indexOf("_");
  const head = at > 0 ? (short ? id.slice(0, at + 1) : id.slice(0, at + 7)) : id.slice(0, 4);
  return `${head}…${id.slice(-4)}`;
};

/** A hash in groups of four, eight groups a line. */
export const hashLines = (hex: string): string[] => {
  const groups = hex.match(/.{1,4}/g) ?? [];
  return Array.from({ length: Math.ceil(groups.length / 8) }, (_, i) => groups.slice(i * 8, i * 8 + 8).join(" "));
};
