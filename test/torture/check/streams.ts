import { groupBy } from "./group.ts";
import { readCursor, showCursor, type Cursor } from "./cursor.ts";
import { between, isOwnUnechoed, knownLogs } from "./known.ts";
import type { Sight, Step, Story, Stream } from "./story.ts";
import { violation, type Violation } from "./violation.ts";

/** 2: what a member gets rises by one; any jump was announced. */
export function checkSteps({ streams }: Story): Violation[] {
  const found: Violation[] = [];
  for (const { steps, joined, connection, room } of streams) {
    for (const [at, step] of steps.entries()) {
      const fault = faultOf(step);
      if (fault === undefined) continue;
      const text = `${connection.opened.actor} in ${room}, standing at ${showCursor(step.from)}, got ${fault}`;
      found.push(violation(2, text, steps[at - 1]?.record ?? joined, step.record));
      // What follows is wrong for the same reason.
      break;
    }
  }
  return found;
}

function faultOf({ type, from, to, prev, reason }: Step): string | undefined {
  if (type === "gap") {
    if (to.epoch !== from.epoch) return reason === "epoch" ? undefined : `a gap to ${showCursor(to)} for ${reason}`;
    if (reason === "epoch") return `a gap into the epoch that it was in`;
    return to.offset >= from.offset ? undefined : `a gap back to ${to.offset}`;
  }
  const isNext =
    type === "skip" ? to.offset > from.offset : (prev ?? to.offset - 1) === from.offset && to.offset > from.offset;
  return isNext ? undefined : `${type} ${to.offset}${prev === undefined ? "" : ` after ${prev}`}`;
}

/**
 * 2 and 7: nothing that anybody knows to be in the log lies between two messages that a member got one after the other.
 * What is skipped was its own, sent with `echo: false`.
 */
export function checkWhole({ streams, sights, publishes }: Story): Violation[] {
  const logs = knownLogs(sights);
  const found: Violation[] = [];
  for (const { steps, connection, room } of streams) {
    const { actor } = connection.opened;
    for (const { type, from, to, record } of steps) {
      if (from.epoch !== to.epoch || type === "gap") continue;
      const log = logs.get(`${room} ${to.epoch}`) ?? [];
      const isDealtWith = (sight: Sight): boolean =>
        type === "message" ? sight.offset === to.offset : isOwnUnechoed(publishes.get(sight.id)?.attempts ?? [], actor);
      const missed = between(log, from.offset, to.offset).find((sight) => !isDealtWith(sight));
      if (missed === undefined) continue;
      const text = `${actor} in ${room} was not sent ${missed.id}, which is at ${missed.offset}`;
      found.push(violation(2, text, missed.record, record));
    }
  }
  return found;
}

/** 7: `recovered: true` goes on from where the member was; `recovered: false` has a reason (P-22). */
export function checkResumes({ streams, begun }: Story): Violation[] {
  const found: Violation[] = [];
  for (const { join, joined, start, connection, room } of streams) {
    const asked = join?.frame["since"];
    const { recovered } = joined.frame;
    const who = `${connection.opened.actor} in ${room}`;
    if (asked === undefined) {
      if (recovered !== undefined) found.push(violation(7, `${who} did not ask to resume`, join, joined));
      continue;
    }
    const since = readCursor(asked);
    if (recovered === true) {
      const isSame = since.epoch === start.epoch && since.offset === start.offset;
      if (!isSame)
        found.push(violation(7, `${who} was resumed from elsewhere than ${showCursor(since)}`, join, joined));
    } else if (recovered !== false) {
      found.push(violation(7, `${who} was not told whether it was resumed`, join, joined));
    } else if (mayBeResumed(since, start, begun.keepMessages)) {
      found.push(violation(7, `${who} was refused a resume from ${showCursor(since)} for no reason`, join, joined));
    }
  }
  return found;
}

/** Whether the log still holds all that follows `since`. */
export function mayBeResumed(since: Cursor, head: Cursor, keepMessages: number): boolean {
  return since.epoch === head.epoch && since.offset <= head.offset && since.offset >= head.offset - keepMessages;
}

/** 7: the replay holds at least what was acknowledged before the member asked for it. */
export function checkReplays({ streams, sights }: Story): Violation[] {
  const acks = sights.filter(({ record }) => record.kind === "got" && record.frame["type"] === "ack");
  const acked = groupBy(acks, ({ room, epoch }) => `${room} ${epoch}`);
  return streams.flatMap(({ join, joined, start, room, connection }: Stream) => {
    const { replay, recovered } = joined.frame;
    if (recovered !== true || join === undefined) return [];
    const log = acked.get(`${room} ${start.epoch}`) ?? [];
    const before = log.filter(({ record, offset }) => record.at < join.at && offset > start.offset);
    const count = new Set(before.map(({ offset }) => offset)).size;
    if (Number(replay) >= count) return [];
    const text = `${connection.opened.actor} in ${room} was promised ${String(replay)} of ${count} missed messages`;
    return [violation(7, text, before.at(-1)?.record, join, joined)];
  });
}
