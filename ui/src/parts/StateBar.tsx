import type { Kind } from "@/platform/needs";
import { count } from "./units";

const order: Kind[] = ["ok", "run", "warn", "idle", "bad"];

/** Counts by state as one bar: success from the left, failure at the far end. */
export function StateBar({ counts, size, label }: { counts: Partial<Record<Kind, number>>; size?: "thin" | "big"; label: string }) {
  const total = order.reduce((sum, kind) => sum + (counts[kind] ?? 0), 0);
  const said = order.filter((kind) => counts[kind]).map((kind) => `${kind} ${count(counts[kind] ?? 0)}`);
  return (
    <div className={`bar ${size ?? ""}`} role="img" aria-label={`${label}: ${said.join(", ") || "0"}`}>
      {order
        .filter((kind) => counts[kind])
        .map((kind) => (
          <i key={kind} className={kind} style={{ width: `${((counts[kind] ?? 0) / total) * 100}%` }} />
        ))}
    </div>
  );
}
