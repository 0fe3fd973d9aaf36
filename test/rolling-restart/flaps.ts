import type { Got, Rec } from "../torture/records.ts";
import type { Rolling } from "./run.ts";

/** Of each watcher only the first flaps are told in full: where one goes wrong, many do. */
const mostTold = 5;

/** What watchers were told of users who left, or who came, from `sinceMs` to `untilMs`, when all were there. */
export function flapsOf(records: readonly Rec[], sinceMs: number, untilMs: number): readonly Got[] {
  return records
    .filter((record) => record.kind === "got")
    .filter(({ at }) => at >= sinceMs && at < untilMs)
    .filter(({ frame }) => frame["type"] === "presence" && ("left" in frame || "joined" in frame));
}

/** Everything that helps to find the cause of flaps; empty where there are none. */
export function showFlaps(flaps: readonly Got[], rolling: Rolling): string {
  if (flaps.length === 0) return "";
  const seen = new Map<string, number>();
  const lines = [`${flaps.length} arrivals and departures were told of users who were never gone`];
  for (const { at, connection, frame } of flaps) {
    const count = (seen.get(connection) ?? 0) + 1;
    seen.set(connection, count);
    if (count > mostTold) continue;
    lines.push(`${Math.round(at)} ms, ${connection}: ${JSON.stringify(frame)}`);
    if (count === 1) lines.push(story(connection, rolling));
    for (const user of usersOf(frame)) lines.push(...storiesOf(user, rolling));
  }
  for (const { node, fromMs, toMs } of rolling.restarts) {
    lines.push(`${node} was told to end at ${Math.round(fromMs)} ms and was back at ${Math.round(toMs)} ms`);
  }
  return [...lines, ...rolling.outputs.map((output, i) => `node-${i + 1} said:\n${output}`)].join("\n");
}

function usersOf(frame: Got["frame"]): string[] {
  return [frame["joined"], frame["left"]].flatMap((all) => ((all ?? []) as { user: string }[]).map(({ user }) => user));
}

function storiesOf(user: string, rolling: Rolling): string[] {
  const names = rolling.records.flatMap((record) => (record.kind === "opened" && record.user === user ? record : []));
  if (names.length === 0) return [`  ${user} is an app on fanfare/client`];
  return names.map(({ connection }) => story(connection, rolling));
}

/** A connection's life: on which node, and when what happened to it. */
function story(connection: string, { records, nodeOf }: Rolling): string {
  const steps = records.flatMap((record) => {
    if (!("connection" in record) || record.connection !== connection) return [];
    const at = `at ${Math.round(record.at)} ms`;
    if (record.kind === "opened") return `opened ${at}`;
    if (record.kind === "ended") return `ended ${at} with ${record.code ?? "no code"}`;
    if (record.kind !== "got" || !["joined", "drain"].includes(String(record.frame["type"]))) return [];
    const { type, members, retry_after_ms } = record.frame;
    return `${String(type)} ${at} (${JSON.stringify(type === "joined" ? { members } : { retry_after_ms })})`;
  });
  return `  ${connection} on ${nodeOf.get(connection) ?? "an unknown node"}: ${steps.join(", ")}`;
}
