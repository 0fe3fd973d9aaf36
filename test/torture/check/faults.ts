import type { Faulted, Rec } from "../records.ts";

/** A fault, and how long it lasted. */
export interface FaultTime {
  readonly fault: string;
  /** Absent: of all of them. */
  readonly node: string | undefined;
  readonly beganAt: number;
  readonly endedAt: number;
}

export function faultTimes(records: readonly Rec[]): FaultTime[] {
  const faults = records.filter((record) => record.kind === "fault");
  const ends = new Set(faults.filter(({ phase }) => phase === "end"));
  return faults
    .filter(({ phase }) => phase === "begin")
    .map((begin) => {
      const end = [...ends].find((one) => isSame(one, begin));
      if (end !== undefined) ends.delete(end);
      return { fault: begin.fault, node: begin.node, beganAt: begin.at, endedAt: end?.at ?? Infinity };
    });
}

function isSame(end: Faulted, begin: Faulted): boolean {
  return end.fault === begin.fault && end.node === begin.node && end.at >= begin.at;
}

/** Whether one of these faults touched the node between the two times. */
export function wasTouched(
  faults: readonly FaultTime[],
  isSuch: (fault: string) => boolean,
  { node, fromMs, toMs }: { node: string | undefined; fromMs: number; toMs: number },
): boolean {
  return faults.some(
    (one) =>
      isSuch(one.fault) &&
      (one.node === undefined || node === undefined || one.node === node) &&
      one.beganAt <= toMs &&
      one.endedAt >= fromMs,
  );
}
