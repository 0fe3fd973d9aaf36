import type { Rec } from "./records.ts";

/** What a run came to, in numbers. */
export interface Summary {
  readonly backend: string;
  readonly seed: number;
  readonly tookS: number;
  readonly faults: number;
  readonly faultsByKind: Readonly<Record<string, number>>;
  readonly published: number;
  readonly deliveries: number;
  readonly connections: number;
  readonly resumes: number;
  readonly resets: number;
  /** What apps on our own client were given, told, and published. */
  readonly apps: {
    readonly messages: number;
    readonly gaps: number;
    readonly resets: number;
    readonly published: number;
  };
  readonly records: number;
}

export const tableHead: string =
  "| backend | seed | took | faults | kept | delivered | connections | resumed | reset | broken invariants |\n" +
  "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

/** A row of the table in docs/proof.md. */
export function tableRow(summary: Summary & { readonly broken: readonly number[] }): string {
  const { backend, seed, tookS, faults, published, deliveries, connections, resumes, resets, broken } = summary;
  const counts = [faults, published, deliveries, connections, resumes, resets].map((count) =>
    count.toLocaleString("en"),
  );
  return `| ${[backend, seed, `${tookS} s`, ...counts, broken.length === 0 ? "none" : broken.join(", ")].join(" | ")} |`;
}

export function summarise(records: readonly Rec[]): Summary {
  const begun = records.find((record) => record.kind === "begun");
  const faults = records.filter((record) => record.kind === "fault" && record.phase === "begin");
  const byKind: Record<string, number> = {};
  for (const { fault } of faults as { fault: string }[]) byKind[fault] = (byKind[fault] ?? 0) + 1;
  const got = records.filter((record) => record.kind === "got");
  const ofType = (type: string): typeof got => got.filter(({ frame }) => frame["type"] === type);
  const joined = ofType("joined");
  const told = records.filter((record) => record.kind === "app");
  const toldOf = (one: string): number => told.filter(({ what }) => what === one).length;
  const published = records.filter((record) => record.kind === "told" && record.cursor !== undefined).length;
  const kept = new Map(records.filter((record) => record.kind === "kept").map((log) => [log.room, log.entries.length]));
  return {
    backend: begun?.backend ?? "",
    seed: begun?.seed ?? 0,
    tookS: Math.round((records.at(-1)?.at ?? 0) / 1000),
    faults: faults.length,
    faultsByKind: byKind,
    published: [...kept.values()].reduce((sum, count) => sum + count, 0),
    deliveries: ofType("message").length,
    connections: records.filter(({ kind }) => kind === "opened").length,
    resumes: joined.filter(({ frame }) => frame["recovered"] === true).length,
    resets: joined.filter(({ frame }) => frame["recovered"] === false).length + ofType("gap").length,
    apps: { messages: toldOf("message"), gaps: toldOf("gap"), resets: toldOf("reset"), published },
    records: records.length,
  };
}
