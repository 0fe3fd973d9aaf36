import { groupBy } from "./group.ts";
import type { Kept, Rec } from "../records.ts";
import { readCursor } from "./cursor.ts";
import type { Sight, Story } from "./story.ts";
import { violation, type Violation } from "./violation.ts";

interface Ack {
  readonly id: string;
  readonly room: string;
  readonly epoch: string;
  readonly offset: number;
  readonly record: Rec;
}

function acksOf({ publishes }: Story): Ack[] {
  return [...publishes.values()].flatMap(({ id, room, attempts }) =>
    attempts.flatMap(({ outcome, answer }) =>
      outcome.kind === "acked" && answer !== undefined
        ? [{ id, room, epoch: outcome.epoch, offset: outcome.offset, record: answer }]
        : [],
    ),
  );
}

/** 4: acked means readable at that offset for as long as the epoch is the same. */
export function checkAcked(story: Story): Violation[] {
  const acks = acksOf(story);
  const found: Violation[] = [];
  for (const log of story.kept) {
    const there = new Map(log.entries.map(({ offset, id }) => [offset, id]));
    for (const { id, room, epoch, offset, record } of acks) {
      if (room !== log.room || epoch !== log.epoch || offset <= log.head - story.begun.keepMessages) continue;
      if (there.get(offset) === id) continue;
      const text = `${id} was acknowledged at ${offset} of ${room}, where ${log.source} has ${there.get(offset) ?? "nothing"}`;
      found.push(violation(4, text, record, short(log, offset)));
    }
  }
  return [...found, ...checkPages(story, acks)];
}

/** 4: a page that was asked for after an ack has the message, where it reaches back to it. */
function checkPages({ calls }: Story, acks: readonly Ack[]): Violation[] {
  const byLog = groupBy(acks, ({ room, epoch }) => `${room} ${epoch}`);
  const found: Violation[] = [];
  for (const { called, answered } of calls) {
    const [, room, query = ""] = /^\/v1\/rooms\/([^/]+)\/messages\?(.*)$/.exec(called.path) ?? [];
    if (room === undefined || answered?.status !== 200 || query.includes("before=")) continue;
    const { epoch, offset: head } = readCursor(answered.body["cursor"]);
    const messages = answered.body["messages"] as { offset: number }[];
    const first = messages[0]?.offset ?? 0;
    const there = new Set(messages.map(({ offset }) => offset));
    const missing = (byLog.get(`${room} ${epoch}`) ?? []).find(
      ({ offset, record }) => record.at < called.at && (offset > head || (offset >= first && !there.has(offset))),
    );
    if (missing === undefined) continue;
    const text = `${missing.id} was acknowledged at ${missing.offset} of ${room}; a page asked for after that lacks it`;
    found.push(violation(4, text, missing.record, called, answered));
  }
  return found;
}

/** 8: a room's epoch changes by nothing but a fault that its log need not outlive. */
export function checkEpochs({ sights, streams, begun, faults, records }: Story): Violation[] {
  const firsts = new Map<string, Map<string, { at: number; record: Rec }>>();
  const note = (room: string, epoch: string, record: Rec): void => {
    const epochs = firsts.get(room) ?? new Map<string, { at: number; record: Rec }>();
    firsts.set(room, epochs);
    const first = epochs.get(epoch);
    if (first === undefined || record.at < first.at) epochs.set(epoch, { at: record.at, record });
  };
  for (const { room, epoch, record } of sights) note(room, epoch, record);
  for (const { room, start, joined, steps } of streams) {
    note(room, start.epoch, joined);
    for (const { to, record } of steps) note(room, to.epoch, record);
  }
  const losses = faults.filter(({ fault }) => begun.losing.includes(fault));
  // Before the first of its kind the run has no past that could be lost.
  const begunAt = records[0]?.at ?? 0;
  return [...firsts].flatMap(([room, epochs]) => {
    const inOrder = [...epochs].sort(([, a], [, b]) => a.at - b.at);
    return inOrder.slice(1).flatMap(([epoch, { at, record }], i) => {
      const [before = "", last] = inOrder[i] ?? [];
      // A node may tell of the old epoch for the first time after the fault has begun: then it began in it.
      const sinceAt = i === 0 ? begunAt : (inOrder[i - 1]?.[1].at ?? begunAt);
      if (losses.some(({ beganAt }) => beganAt >= sinceAt && beganAt <= at)) return [];
      return [violation(8, `${room} went from epoch ${before} to ${epoch} for no reason`, last?.record, record)];
    });
  });
}

/** 8: in the end all nodes and the engine have the same log, in which nothing stands twice and no number is left out. */
export function checkLogs({ kept, sights }: Story): Violation[] {
  const found: Violation[] = [];
  const byRoom = new Map<string, Kept>();
  const newest = newestByLog(sights);
  for (const log of kept) {
    const other = byRoom.get(log.room);
    if (other === undefined) byRoom.set(log.room, log);
    else if (textOf(other) !== textOf(log)) {
      const text = `${other.source} and ${log.source} have different logs of ${log.room}`;
      found.push(violation(8, text, ...differing(other, log)));
    }
    const last = newest.get(`${log.room} ${log.epoch}`);
    if (last !== undefined && last.offset > log.head) {
      const text = `${log.room} went back to ${log.head} at ${log.source}, and its epoch is the same`;
      found.push(violation(8, text, last.record, short(log, log.head)));
    }
    const hole = log.entries.find(({ offset, prev }, i) => {
      const before = log.entries[i - 1]?.offset;
      return before !== undefined && (prev ?? offset - 1) !== before;
    });
    if (hole !== undefined) {
      found.push(
        violation(8, `${log.source} lacks what is before ${hole.offset} of ${log.room}`, short(log, hole.offset)),
      );
    }
  }
  return found;
}

function newestByLog(sights: readonly Sight[]): Map<string, Sight> {
  const newest = new Map<string, Sight>();
  for (const sight of sights) {
    const name = `${sight.room} ${sight.epoch}`;
    if ((newest.get(name)?.offset ?? 0) < sight.offset) newest.set(name, sight);
  }
  return newest;
}

function textOf({ epoch, head, entries }: Kept): string {
  return `${epoch} ${head} ${entries.map(({ offset, id }) => `${offset} ${id}`).join()}`;
}

/** Two logs, each from a little before where they differ. */
function differing(one: Kept, other: Kept): Kept[] {
  const at = one.entries.findIndex(
    ({ offset, id }, i) => other.entries[i]?.offset !== offset || other.entries[i]?.id !== id,
  );
  const offset = one.entries[at === -1 ? one.entries.length - 1 : at]?.offset ?? 0;
  return [short(one, offset), short(other, offset)];
}

/** A log around an offset: a witness is to be read. */
function short(log: Kept, offset: number): Kept {
  return { ...log, entries: log.entries.filter((one) => Math.abs(one.offset - offset) <= 1) };
}

/** 9: everyone was at the head in time after the last publish was answered. */
export function checkHeads({ records, streams, kept }: Story, withinMs: number): Violation[] {
  const marks = records.filter((record) => record.kind === "mark");
  const quiet = marks.find(({ mark }) => mark === "quiet");
  if (quiet === undefined) return [violation(9, "the run did not come to its end")];
  const found: Violation[] = [];
  if (quiet.who !== undefined) found.push(violation(9, `never answered: ${quiet.who.join(", ")}`, quiet));
  for (const back of marks.filter(({ mark, who }) => mark === "back" && who !== undefined && who.length > 0)) {
    found.push(violation(9, `not back in their rooms after all was healed: ${back.who?.join(", ") ?? ""}`, back));
  }
  const until = quiet.at + withinMs;
  const [log] = kept;
  for (const stream of log === undefined ? [] : streams) {
    if (stream.joined.at > quiet.at || stream.endAt <= until) continue;
    const head = kept.find(({ room }) => room === stream.room);
    if (head === undefined) continue;
    const last = stream.steps.findLast(({ record }) => record.at <= until);
    const at = last?.to ?? stream.start;
    if (at.epoch === head.epoch && at.offset === head.head) continue;
    const { actor } = stream.connection.opened;
    const text = `${actor} in ${stream.room} was at ${at.epoch}:${at.offset} ${withinMs} ms after the last publish, and the head is ${head.epoch}:${head.head}`;
    found.push(violation(9, text, quiet, last?.record ?? stream.joined, short(head, head.head)));
  }
  return found;
}
