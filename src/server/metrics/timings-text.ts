import { timingBoundsS, type Timings } from "./timings.ts";

/** A histogram in the text format of Prometheus, whose buckets count all below their bound. */
export function timingsText(name: string, help: string, { buckets, count, sumS }: Timings): string {
  let below = 0;
  const lines = timingBoundsS.map((bound, i) => {
    below += buckets[i] ?? 0;
    return `${name}_bucket{le="${bound}"} ${below}`;
  });
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} histogram`,
    ...lines,
    `${name}_bucket{le="+Inf"} ${count}`,
    `${name}_sum ${sumS}`,
    `${name}_count ${count}`,
    "",
  ].join("\n");
}
