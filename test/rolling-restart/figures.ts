import type { Got } from "../torture/records.ts";
import { flapsOf } from "./flaps.ts";
import type { Rolling } from "./run.ts";

/** What a rolling restart came to, second by second. */
export interface Figures {
  readonly seconds: number;
  /** Connections that were opened anew in each second, from the first restart on. */
  readonly reconnects: readonly number[];
  readonly peakReconnects: number;
  /** Messages that members got in each second. */
  readonly deliveries: readonly number[];
  /** What watchers were told of users who left, or who came, after all were there. */
  readonly flaps: readonly Got[];
  /** Members that were not resumed, and apps that were told to begin anew. */
  readonly resets: number;
  /** Messages that apps on our client were given. */
  readonly appMessages: number;
}

export function figuresOf({ records, restarts }: Rolling): Figures {
  const sinceMs = restarts[0]?.fromMs ?? 0;
  const untilMs = records.find((record) => record.kind === "mark" && record.mark === "quiet")?.at ?? 0;
  const seconds = Math.ceil(untilMs / 1000);
  const counts = (times: readonly number[]): number[] => {
    const all = Array.from({ length: seconds }, () => 0);
    for (const at of times) if (at < untilMs) all[Math.floor(at / 1000)] = (all[Math.floor(at / 1000)] ?? 0) + 1;
    return all;
  };
  const got = records.filter((record) => record.kind === "got");
  const opened = records.filter((record) => record.kind === "opened" && record.at >= sinceMs);
  const reconnects = counts(opened.map(({ at }) => at));
  const refused = got.filter(({ frame }) => frame["recovered"] === false || frame["type"] === "gap").length;
  const apps = records.filter((record) => record.kind === "app");
  return {
    seconds,
    reconnects,
    peakReconnects: Math.max(0, ...reconnects),
    deliveries: counts(got.filter(({ frame }) => frame["type"] === "message").map(({ at }) => at)),
    flaps: flapsOf(records, sinceMs, untilMs),
    resets: refused + apps.filter(({ what }) => what === "reset").length,
    appMessages: apps.filter(({ what }) => what === "message").length,
  };
}
