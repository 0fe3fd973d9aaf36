import type { Attempt, Sight } from "./story.ts";

/** All that anybody saw of each log, each message once, by offset. */
export function knownLogs(sights: readonly Sight[]): Map<string, Sight[]> {
  const logs = new Map<string, Map<number, Sight>>();
  for (const sight of sights) {
    const name = `${sight.room} ${sight.epoch}`;
    const log = logs.get(name) ?? new Map<number, Sight>();
    logs.set(name, log);
    if (!log.has(sight.offset)) log.set(sight.offset, sight);
  }
  return new Map([...logs].map(([name, log]) => [name, [...log.values()].sort((a, b) => a.offset - b.offset)]));
}

/** Those over `from`, up to `to`. */
export function between(log: readonly Sight[], from: number, to: number): readonly Sight[] {
  return log.slice(after(log, from), after(log, to));
}

/** Whether the actor published it, and did not want it back. */
export function isOwnUnechoed(attempts: readonly Attempt[], actor: string): boolean {
  return attempts.some(({ asked, connection }) => {
    if (asked.kind === "asked") return asked.actor === actor && asked.echo === false;
    return asked.kind === "sent" && connection?.opened.actor === actor && asked.frame["echo"] === false;
  });
}

/** The first place whose offset is over the given one. */
function after(log: readonly { offset: number }[], offset: number): number {
  let [low, high] = [0, log.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((log[middle]?.offset ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
