import type { Got, There } from "../records.ts";
import type { Story, Stream } from "./story.ts";
import { violation, type Violation } from "./violation.ts";

interface User {
  readonly user: string;
}

/** 10: arrivals and departures alternate for each watcher, and the number is that of the list. */
export function checkAlternation({ streams }: Story): Violation[] {
  return streams.flatMap((stream) => fold(stream).faults.slice(0, 1));
}

/** 10: in the end every node and every watcher knows exactly those who are there. */
export function checkPresent({ records, streams }: Story): Violation[] {
  const truths = records.filter((record) => record.kind === "truth");
  const found: Violation[] = [];
  for (const truth of truths) {
    const expected = [...truth.users].sort().join();
    const faulty = records
      .filter((record): record is There => record.kind === "there" && record.room === truth.room)
      .filter(({ users, members }) => [...users].sort().join() !== expected || members !== users.length);
    for (const one of faulty) found.push(violation(10, `${one.source} ${differs(one.users, truth.users)}`, truth, one));
    for (const stream of streams) {
      if (stream.room !== truth.room || stream.endAt < truth.at || stream.joined.at > truth.at) continue;
      const { users, last } = fold(stream, truth.at);
      if (users === undefined || [...users].sort().join() === expected) continue;
      const who = `${stream.connection.opened.actor} in ${truth.room}`;
      found.push(violation(10, `${who} ${differs([...users], truth.users)}`, last, truth));
    }
  }
  return found;
}

function differs(users: readonly string[], truth: readonly string[]): string {
  const ghosts = users.filter((user) => !truth.includes(user));
  const missing = truth.filter((user) => !users.includes(user));
  const parts = [
    ...(ghosts.length > 0 ? [`sees ${ghosts.join(", ")}, who left`] : []),
    ...(missing.length > 0 ? [`does not see ${missing.join(", ")}`] : []),
  ];
  return parts.length === 0 ? "counts wrongly" : parts.join(" and ");
}

interface Watched {
  /** Undefined: it does not watch, or is told counts alone (P-43). */
  readonly users: ReadonlySet<string> | undefined;
  readonly last: Got;
  readonly faults: readonly Violation[];
}

/** What a watcher believes after all that it was told up to then. */
function fold({ joined, presence, room, connection }: Stream, untilMs = Infinity): Watched {
  const list = joined.frame["presence"] as User[] | undefined;
  let users = list === undefined ? undefined : new Set(list.map(({ user }) => user));
  let last = joined;
  const faults: Violation[] = [];
  for (const record of presence) {
    if (record.at > untilMs) break;
    const { frame } = record;
    const all = frame["all"] as User[] | undefined;
    const who = `${connection.opened.actor} in ${room}`;
    if (all !== undefined) {
      users = new Set(all.map(({ user }) => user));
    } else if (frame["joined"] === undefined && frame["left"] === undefined && frame["updated"] === undefined) {
      users = undefined;
    } else if (users !== undefined) {
      for (const { user } of (frame["left"] ?? []) as unknown as User[]) {
        if (!users.delete(user)) faults.push(violation(10, `${who}: ${user} left, who was not there`, last, record));
      }
      for (const { user } of (frame["joined"] ?? []) as unknown as User[]) {
        if (users.has(user)) faults.push(violation(10, `${who}: ${user} came, who was there`, last, record));
        users.add(user);
      }
    }
    if (users !== undefined && users.size !== frame["members"]) {
      const text = `${who} was told of ${String(frame["members"])} members, and its list has ${users.size}`;
      faults.push(violation(10, text, last, record));
    }
    last = record;
  }
  return { users, last, faults };
}
