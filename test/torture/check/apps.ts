import type { App, Kept, Told } from "../records.ts";
import { readCursor, showCursor, type Cursor } from "./cursor.ts";
import { wasTouched } from "./faults.ts";
import { groupBy } from "./group.ts";
import { between, isOwnUnechoed, knownLogs } from "./known.ts";
import type { Sight, Story } from "./story.ts";
import { mayBeResumed } from "./streams.ts";
import { violation, type Violation } from "./violation.ts";

/** A log that is lost is found out by the comparison of heads, on a busy machine a little later. */
const foundWithinMs = 10_000;

/** All that each app was told of each room. */
function appRooms({ records }: Story): App[][] {
  const apps = records.filter((record) => record.kind === "app");
  return [...groupBy(apps, ({ actor, room }) => `${actor} ${room}`).values()];
}

/**
 * 3: the app behind our client sees every kept message of its room once and in order, from where it first joined. What is
 * left out it is told of: by `gap`, or by `reset`, after which it begins anew. 9: in the end it has seen all, in time.
 */
export function checkApps(story: Story, withinMs: number): Violation[] {
  const logs = knownLogs(story.sights);
  const quietAt = story.records.find((record) => record.kind === "mark" && record.mark === "quiet")?.at ?? Infinity;
  return appRooms(story).flatMap((told) => {
    const watch = new Watch(story, logs);
    const end = told.findIndex(({ at, what }) => at > quietAt + withinMs || (at > quietAt && what === "closed"));
    for (const record of end === -1 ? told : told.slice(0, end)) {
      const fault = watch.take(record);
      // What follows is wrong for the same reason.
      if (fault !== undefined) return [fault];
    }
    return watch.atHead();
  });
}

/** One app in one room: where it must believe that it stands, by what it was told. */
class Watch {
  readonly #story: Story;
  readonly #logs: ReadonlyMap<string, readonly Sight[]>;
  /** Since the last reset. */
  readonly #seen = new Map<number, App>();
  #position: Cursor | undefined;
  #last: App | undefined;

  constructor(story: Story, logs: ReadonlyMap<string, readonly Sight[]>) {
    this.#story = story;
    this.#logs = logs;
  }

  take(record: App): Violation | undefined {
    const cursor = record.cursor === undefined ? undefined : readCursor(record.cursor);
    switch (record.what) {
      case "joined":
        // A later one goes on from where the app is, or a reset follows.
        if (this.#position === undefined) this.#move(record, cursor);
        return undefined;
      case "message":
        return this.#message(record, { epoch: cursor?.epoch ?? "", offset: record.offset ?? 0 });
      case "gap":
        return this.#gap(record, cursor);
      case "reset":
        return this.#reset(record, cursor);
      default:
        return undefined;
    }
  }

  /** 9 */
  atHead(): Violation[] {
    const last = this.#last;
    const at = this.#position;
    const log = this.#story.kept.find(({ room }) => room === last?.room);
    if (last?.cursor === undefined || at === undefined || log === undefined) return [];
    const missed = at.epoch === log.epoch ? this.#missed(last, at, log.head)?.id : `all of epoch ${log.epoch}`;
    if (missed === undefined) return [];
    const text = `the app of ${last.actor} in ${last.room} was at ${showCursor(at)} in the end, and lacks ${missed}`;
    return [violation(9, text, last, headOf(log))];
  }

  #message(record: App, to: Cursor): Violation | undefined {
    const { actor, room, id = to.offset } = record;
    const from = this.#position;
    const before = this.#seen.get(to.offset);
    this.#seen.set(to.offset, record);
    const last = this.#last;
    this.#move(record, to);
    if (from === undefined) return undefined;
    const who = `the app of ${actor} in ${room}, at ${showCursor(from)},`;
    if (from.epoch !== to.epoch) return violation(3, `${who} was given ${id} of epoch ${to.epoch}`, last, record);
    if (before !== undefined) return violation(3, `the app of ${actor} saw ${id} twice`, before, record);
    if (to.offset <= from.offset) return violation(3, `${who} was given ${id}, which is at ${to.offset}`, last, record);
    const missed = this.#missed(record, from, to.offset - 1);
    if (missed === undefined) return undefined;
    return violation(3, `${who} was not given ${missed.id}, which is at ${missed.offset}`, missed.record, last, record);
  }

  #gap(record: App, to: Cursor | undefined): Violation | undefined {
    const from = this.#position;
    const last = this.#last;
    this.#move(record, to);
    if (from === undefined || to === undefined) return undefined;
    const { actor, room, reason = "" } = record;
    const isForward = to.epoch === from.epoch && to.offset > from.offset;
    // `unknown`: the server left messages out and did not say so (P-32). Nothing is trimmed that `begun` says is kept.
    const isTrimmed = !mayBeResumed(from, to, this.#keepMessages) || this.#wasTaken(record, to);
    const isAnnounced = reason !== "unknown" && (reason !== "trimmed" || isTrimmed);
    if (isForward && isAnnounced) return undefined;
    const text = `the app of ${actor} in ${room}, at ${showCursor(from)}, was told of a gap to ${showCursor(to)}: ${reason}`;
    return violation(2, text, last, record);
  }

  #reset(record: App, to: Cursor | undefined): Violation | undefined {
    const from = this.#position;
    const last = this.#last;
    this.#move(record, to);
    this.#seen.clear();
    if (from === undefined || to === undefined) return undefined;
    const { actor, room, reason = "" } = record;
    const isNew = reason === "epoch" && from.epoch !== to.epoch;
    const isTrimmed = reason === "trimmed" && !mayBeResumed(from, to, this.#keepMessages);
    if (isNew || isTrimmed) return undefined;
    const text = `the app of ${actor} in ${room} was told to begin anew at ${showCursor(to)} for no reason: ${reason}`;
    return violation(7, text, last, record);
  }

  /** Whether the log has just been lost: a node that reads it meanwhile finds that out before it knows the new epoch. */
  #wasTaken({ at, room }: App, { epoch }: Cursor): boolean {
    const { kept, faults, begun } = this.#story;
    const isOver = kept.some((log) => log.room === room && log.epoch !== epoch);
    const time = { node: undefined, fromMs: at - foundWithinMs, toMs: at };
    return isOver && wasTouched(faults, (fault) => begun.losing.includes(fault), time);
  }

  get #keepMessages(): number {
    return this.#story.begun.keepMessages;
  }

  #move(record: App, to: Cursor | undefined): void {
    this.#last = record;
    this.#position = to;
  }

  /** What is in the log after the position, up to an offset, and was not its own, sent with `echo: false`. */
  #missed({ actor, room }: App, from: Cursor, offset: number): Sight | undefined {
    const all = between(this.#logs.get(`${room} ${from.epoch}`) ?? [], from.offset, offset);
    return all.find(({ id }) => !isOwnUnechoed(this.#story.publishes.get(id)?.attempts ?? [], actor));
  }
}

/** A log's end: a witness is to be read. */
function headOf(log: Kept): Kept {
  return { ...log, entries: log.entries.slice(-2) };
}

/** 10: to an app, too, arrivals and departures alternate, and the number is that of the list. */
export function checkAppPresence(story: Story): Violation[] {
  return appRooms(story).flatMap((told) => {
    let users: Set<string> | undefined;
    let last: App | undefined;
    for (const record of told) {
      if (record.what === "closed") users = undefined;
      if (record.what !== "presence") continue;
      const { joined = [], left = [], users: all, actor, room } = record;
      const who = `the app of ${actor} in ${room}:`;
      const known: Set<string> | undefined = all === undefined ? users : new Set(all);
      users = known;
      if (known === undefined) continue;
      const ghost = left.find((user) => !known.delete(user));
      const second = joined.find((user) => known.has(user));
      for (const user of joined) known.add(user);
      if (ghost !== undefined) return [violation(10, `${who} ${ghost} left, who was not there`, last, record)];
      if (second !== undefined) return [violation(10, `${who} ${second} came, who was there`, last, record)];
      if (known.size !== record.members) {
        const text = `${who} told of ${String(record.members)} members, and its list has ${known.size}`;
        return [violation(10, text, last, record)];
      }
      last = record;
    }
    return [];
  });
}

/** 6: what an app publishes in a room stands in the order in which it asked for it, however often it was sent. */
export function checkAppLines({ publishes }: Story): Violation[] {
  const asked = [...publishes.values()].filter(({ attempts }) => attempts[0]?.asked.kind === "asked");
  return [...groupBy(asked, ({ publisher, room }) => `${publisher} ${room}`).values()].flatMap((line) => {
    const newest = new Map<string, { id: string; offset: number; record: Told }>();
    for (const { id, publisher, attempts } of line) {
      const [{ outcome, answer } = {}] = attempts;
      if (outcome?.kind !== "acked" || answer?.kind !== "told") continue;
      const { epoch, offset } = outcome;
      const before = newest.get(epoch);
      if (before !== undefined && before.offset >= offset) {
        const text = `the app of ${publisher} published ${before.id} before ${id}, which stand at ${before.offset} and ${offset}`;
        return [violation(6, text, attempts[0]?.asked, before.record, answer)];
      }
      newest.set(epoch, { id, offset, record: answer });
    }
    return [];
  });
}

/** What apps here provoke, and what a client that is closed says of what waits. */
const provoked: ReadonlySet<string> = new Set(["conflict", "bad_field"]);
const byClosing: ReadonlySet<string> = new Set(["stopped", "outcome_unknown"]);

/** 5: a client gives up no publish but with a reason. 0: it reports nothing that nobody caused, and stays in its rooms. */
export function checkAppTold({ records }: Story): Violation[] {
  const closed = new Map<string, App>();
  return records.flatMap((record) => {
    if (record.kind === "app") {
      const { what, actor, reason = "" } = record;
      if (what === "closed") closed.set(actor, record);
      if (what === "joined") closed.delete(actor);
      if (what === "error") return [violation(0, `the client of ${actor} reports ${reason}`, record)];
      if (what === "left") return [violation(0, `the app of ${actor} was put out of its room: ${reason}`, record)];
    }
    if (record.kind !== "told" || record.code === undefined || provoked.has(record.code)) return [];
    const { actor, id, code, cause = "" } = record;
    if (byClosing.has(code) && closed.has(actor)) return [];
    // Refused when it was repeated: that says nothing of the first sending.
    if (code === "outcome_unknown" && provoked.has(cause)) return [];
    return [violation(5, `the client of ${actor} gave ${id} up: ${code}`, record)];
  });
}
