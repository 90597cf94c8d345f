import type { useOrder } from "@/app/ask";
import type { VisitReport } from "@/generated/VisitReport";
import { platform } from "@/platform";

/** Writes a service report where the person wants it. */
export async function save(
  write: ReturnType<typeof useOrder<"bench.report">>,
  report: VisitReport,
  extension: "pdf" | "json",
): Promise<void> {
  const file = await platform().pickFile(`${report.serial}-${report.version}.${extension}`);
  if (file) write.mutate({ id: report.id, file }, { onSuccess: () => platform().handOver?.(file) });
}
