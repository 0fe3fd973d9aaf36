import { groupBy } from "./group.ts";
import type { Answered, Called, Got, Rec } from "../records.ts";
import { wasTouched } from "./faults.ts";
import type { Story } from "./story.ts";
import { violation, type Violation } from "./violation.ts";

/** A node that was cut off or stopped hears of a revocation when it is whole again. */
const unreachable = (fault: string): boolean =>
  ["pause", "pause-long", "busy"].includes(fault) || fault.startsWith("engine-");
/** Of an engine with several servers, one that was stopped may answer as it was then, until it hears of the others. */
const outdating = (fault: string): boolean => ["engine-pause", "engine-kill", "engine-failover"].includes(fault);
/** What a node sent may be held up on its way. */
const holding = (fault: string): boolean => fault.startsWith("client-") || fault === "slow-readers";
/**
 * After the fault. A node tells nothing of what it missed before it has looked up who was revoked. A look-up that
 * began while the fault lasted is given up after 5 s, then what was missed is told all the same; the next one begins a
 * second later, and finds whom it has to close. One second more is for a busy machine.
 */
const learnsWithinMs = 5_000 + 1_000 + 1_000;
/** Of a server that was stopped: so soon it knows that it is out of date. */
const outdatedMs = 1_000;

/** A revocation is kept as the log is: who comes back after its loss is let in. A failover loses what came in its course. */
function wasLost({ faults, begun }: Story, fromMs: number, toMs: number): boolean {
  return (
    toMs >= fromMs && wasTouched(faults, (fault) => begun.losing.includes(fault), { node: undefined, fromMs, toMs })
  );
}

/** Whether a node that did not answer for the revocation may send at `at` what it should not. */
function mayBeLate({ faults }: Story, called: Called, answered: Answered, node: string, at: number): boolean {
  // Where it was asked for it is done before the answer.
  if (node === called.node) return false;
  const held = faults.filter((one) => holding(one.fault) && wasTouched([one], holding, { node, fromMs: at, toMs: at }));
  const sentAt = Math.min(at, ...held.map(({ beganAt }) => beganAt));
  return (
    wasTouched(faults, unreachable, { node, fromMs: called.at - 1_000, toMs: answered.at }) &&
    wasTouched(faults, unreachable, { node, fromMs: sentAt - learnsWithinMs, toMs: at })
  );
}

/** A revocation that is dated by a wrong clock may lie before the tokens of its user. The clock is right a second later. */
function hasWrongTime({ faults }: Story, calledAt: number, answeredAt: number): boolean {
  return wasTouched(faults, (fault) => fault === "clock", {
    node: undefined,
    fromMs: calledAt - 2_000,
    toMs: answeredAt,
  });
}

/**
 * 11: nothing that was published after a revocation was answered reaches the user, and its tokens from before it open
 * nothing. Where the node could not be reached then, from when it could.
 */
export function checkRevoked(story: Story): Violation[] {
  const { calls, connections, streams, publishes, faults, records } = story;
  const found: Violation[] = [];
  const welcomes = records.filter(
    (record): record is Got => record.kind === "got" && record.frame["type"] === "welcome",
  );
  for (const { called, answered } of calls) {
    const user = /^\/v1\/users\/([^/]+)\/connections\?revoke=true$/.exec(called.path)?.[1];
    if (user === undefined || answered === undefined || answered.status < 200 || answered.status > 299) continue;
    for (const { connection, steps } of streams) {
      if (connection.opened.user !== user || connection.opened.tokenAt > answered.at) continue;
      if (wasLost(story, called.at, connection.opened.at)) continue;
      if (connection.opened.at > answered.at && hasWrongTime(story, called.at, answered.at)) continue;
      const late = steps.find(({ id, record }) => {
        const asked = id === undefined ? undefined : publishes.get(id)?.attempts[0]?.asked;
        if (asked === undefined || asked.at <= answered.at) return false;
        return !mayBeLate(story, called, answered, connection.opened.node, record.at);
      });
      if (late === undefined) continue;
      const text = `${connection.opened.actor} got ${late.id ?? "a message"}, published after its user was revoked`;
      found.push(violation(11, text, called, answered, publishes.get(late.id ?? "")?.attempts[0]?.asked, late.record));
    }
    for (const { opened } of connections.values()) {
      if (opened.user !== user || opened.tokenAt > answered.at || opened.at < answered.at) continue;
      if (wasLost(story, called.at, opened.at)) continue;
      if (hasWrongTime(story, called.at, answered.at)) continue;
      const welcome = welcomes.find((record) => record.connection === opened.connection);
      // Nobody is let in but by asking the engine.
      const asked = { node: opened.node, fromMs: opened.at - outdatedMs, toMs: welcome?.at ?? opened.at };
      if (welcome === undefined || wasTouched(faults, outdating, asked)) continue;
      found.push(violation(11, `${opened.actor} was let in with a revoked token`, called, answered, opened, welcome));
    }
  }
  return found;
}

/** 12: slow readers cost bounded memory. */
export function checkMemory({ records, begun }: Story): Violation[] {
  const samples = records.filter((record) => record.kind === "sample");
  const byNode = groupBy(samples, ({ node }) => node);
  return [...byNode].flatMap(([node, all]) => {
    const [first] = all;
    const most = all.reduce((a, b) => (b.rssBytes > a.rssBytes ? b : a));
    if (first === undefined || most.rssBytes - first.rssBytes <= begun.rssGrowthBytes) return [];
    const grown = Math.round((most.rssBytes - first.rssBytes) / 1_048_576);
    return [violation(12, `${node} grew by ${grown} MiB`, first, most)];
  });
}

/** 13: after all have gone, nothing is left. */
export function checkLeft({ records }: Story): Violation[] {
  const marks = records.some((record) => record.kind === "mark" && record.mark === "gone");
  const left = records.filter((record) => record.kind === "left");
  if (marks && left.length === 0) return [violation(13, "nobody looked at what is left")];
  return left.flatMap((record) =>
    Object.entries(record.counts)
      .filter(([, count]) => count !== 0)
      .map(([name, count]) => violation(13, `${record.source}: ${name} is ${count} after all have gone`, record)),
  );
}

/** What can make a connection silent, or hold back the answer to a ping. */
const silencing = (fault: string): boolean => !["clock", "burst", "revoke", "engine-flush"].includes(fault);

/** 14: a clock that jumps ends nothing. 4201 needs a silence, and no token here expires. */
export function checkClock({ records, connections, faults, begun }: Story): Violation[] {
  return records.flatMap((record) => {
    if (record.kind !== "ended" || record.by !== "peer") return [];
    if (record.code !== 4100 && record.code !== 4201) return [];
    const opened = connections.get(record.connection)?.opened;
    const time = { node: opened?.node, fromMs: record.at - begun.silenceMs - 5_000, toMs: record.at };
    if (record.code === 4201 && wasTouched(faults, silencing, time)) return [];
    const jump = records.findLast((one) => one.kind === "fault" && one.fault === "clock" && one.at <= record.at);
    const text = `${opened?.actor ?? record.connection} was closed with ${record.code}, and nothing had silenced it`;
    return [violation(14, text, jump, opened, record)];
  });
}

/** Closes that a server may make here: it drains, it cuts slow readers off, it finds silence, it refuses the revoked. */
const usualCloses: ReadonlySet<number> = new Set([1000, 1001, 1005, 1006, 1012, 1013, 4001, 4003, 4100, 4200, 4201]);
/** Errors that a rule provides for what is done here. */
const usualErrors: ReadonlySet<unknown> = new Set([
  "unavailable",
  "rate_limited",
  "conflict",
  "bad_field",
  "unauthorized",
]);

/** No node ends by itself, and none says what no rule has it say. */
export function checkManners({ records, connections, calls }: Story): Violation[] {
  const revoked = new Set(calls.map(({ called }) => /^\/v1\/users\/([^/]+)\/connections/.exec(called.path)?.[1]));
  const found: Violation[] = [];
  const told = new Set<string>();
  const once = (text: string, ...witness: Rec[]): void => {
    if (!told.has(text)) found.push(violation(0, text, ...witness));
    told.add(text);
  };
  for (const record of records) {
    if (record.kind === "mark" && record.mark === "died") once(`${record.who?.join() ?? ""} ended by itself`, record);
    if (record.kind === "got" && record.frame["type"] === "error" && !usualErrors.has(record.frame["code"])) {
      once(`an error ${String(record.frame["code"])}`, record);
    }
    if (record.kind !== "ended" || record.by !== "peer" || record.code === undefined) continue;
    const user = connections.get(record.connection)?.opened.user;
    const isSent = record.code === 4001 || record.code === 4003;
    if (!usualCloses.has(record.code) || (isSent && !revoked.has(user))) once(`a close with ${record.code}`, record);
  }
  return found;
}
