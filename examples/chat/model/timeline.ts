// What one room shows, as a value: runs of messages without holes, the places between them where some are missing, and
// what this page has published and not yet seen come back. Pure functions, a new value for each change.

export interface Message {
  /** Epoch and offset: the message's name for every observer. */
  readonly id: string;
  readonly offset: number;
  /** Absent where the server itself wrote. */
  readonly from: string | undefined;
  readonly text: string;
  /** Milliseconds since 1970, by the server's clock. */
  readonly at: number;
  readonly key: string | undefined;
}

/** `more`: older messages of this run may be had. `none`: what is before it is lost, or there is nothing. */
export type Older = "more" | "loading" | "failed" | "none";

export interface Run {
  readonly id: number;
  readonly older: Older;
  readonly messages: readonly Message[];
}

export type Delivery =
  | { readonly kind: "sending" }
  | { readonly kind: "kept" }
  | { readonly kind: "failed"; readonly reason: string };

/** A message of this page's own that has not come back yet. */
export interface Pending {
  readonly key: string;
  readonly text: string;
  /** By this machine's clock, until the server tells the true one. */
  readonly at: number;
  readonly delivery: Delivery;
}

export interface Timeline {
  readonly runs: readonly Run[];
  readonly pending: readonly Pending[];
}

export const emptyTimeline: Timeline = { runs: [], pending: [] };

/** Past this, the oldest are let go; scrolling up loads them again. */
export const maxMessages = 500;
/** The same while one reads back, and would lose one's place: more than a log of the usual length has. */
export const maxReadBack = 5_000;

/** What follows does not join up with what is there. */
export function beginRun(timeline: Timeline, older: Older): Timeline {
  const before = timeline.runs.filter((run) => run.messages.length > 0);
  const id = Math.max(0, ...timeline.runs.map((run) => run.id)) + 1;
  return { ...timeline, runs: [...before, { id, older, messages: [] }] };
}

/** Nothing older than what is there can be had any more: the log began anew, or was trimmed beyond it. */
export function sealRuns(timeline: Timeline): Timeline {
  return { ...timeline, runs: timeline.runs.map((run): Run => ({ ...run, older: "none" })) };
}

/** One that came over the connection. Takes the place of the pending one with its key. */
export function append(timeline: Timeline, message: Message): Timeline {
  const { runs, pending } = timeline.runs.length === 0 ? beginRun(timeline, "more") : timeline;
  const last = runs.at(-1);
  if (last === undefined || last.messages.at(-1)?.id === message.id) return timeline;
  return {
    runs: [...runs.slice(0, -1), { ...last, messages: [...last.messages, message] }],
    pending: without(pending, message.key),
  };
}

/** A page of history that ends where the run begins. A run that reaches the one before it becomes one with it. */
export function prepend(timeline: Timeline, runId: number, page: readonly Message[], more: boolean): Timeline {
  const index = timeline.runs.findIndex((run) => run.id === runId);
  const run = timeline.runs[index];
  if (run === undefined) return timeline;
  // Asked for before the log began anew, answered after.
  if (isOtherEpoch(run.messages[0], page[0])) return setOlder(timeline, runId, "none");
  const before = timeline.runs[index - 1];
  const known = before?.messages.at(-1);
  const fresh = page.filter((message) => !reaches(known, message, 0));
  const first = fresh[0] ?? run.messages[0];
  const joins = fresh.length < page.length || (first !== undefined && reaches(known, first, 1));
  const messages = [...fresh, ...run.messages];
  const merged: readonly Run[] =
    before !== undefined && joins
      ? [{ ...before, messages: [...before.messages, ...messages] }]
      : [...(before === undefined ? [] : [before]), { ...run, messages, older: more ? "more" : "none" }];
  const keys = new Set(page.map((message) => message.key));
  return {
    runs: [...timeline.runs.slice(0, Math.max(0, index - 1)), ...merged, ...timeline.runs.slice(index + 1)],
    pending: timeline.pending.filter((own) => !keys.has(own.key)),
  };
}

export function setOlder(timeline: Timeline, runId: number, older: Older): Timeline {
  return { ...timeline, runs: timeline.runs.map((run) => (run.id === runId ? { ...run, older } : run)) };
}

/** Adds one that is being published; one with the same key (a retry) moves to the end. */
export function addPending(timeline: Timeline, own: Pending): Timeline {
  return { ...timeline, pending: [...without(timeline.pending, own.key), own] };
}

export function setDelivery(timeline: Timeline, key: string, delivery: Delivery): Timeline {
  return { ...timeline, pending: timeline.pending.map((own) => (own.key === key ? { ...own, delivery } : own)) };
}

export function dropPending(timeline: Timeline, key: string): Timeline {
  return { ...timeline, pending: without(timeline.pending, key) };
}

/** Lets the oldest go, for as long as there are too many. */
export function trim(timeline: Timeline, max: number): Timeline {
  const count = timeline.runs.reduce((sum, run) => sum + run.messages.length, 0);
  const [first, ...others] = timeline.runs;
  if (count <= max || first === undefined) return timeline;
  // The older runs may be of another epoch, and cannot be had again: whole runs go, but never a part of one.
  if (others.length > 0) return trim({ ...timeline, runs: others }, max);
  return { ...timeline, runs: [{ ...first, older: "more", messages: first.messages.slice(-max) }] };
}

function without(pending: readonly Pending[], key: string | undefined): readonly Pending[] {
  return pending.some((own) => own.key === key) ? pending.filter((own) => own.key !== key) : pending;
}

/** Whether `message` is at most `distance` after `known`, in one epoch. */
function reaches(known: Message | undefined, message: Message, distance: number): boolean {
  return known !== undefined && epochOf(known) === epochOf(message) && message.offset <= known.offset + distance;
}

function isOtherEpoch(one: Message | undefined, other: Message | undefined): boolean {
  return one !== undefined && other !== undefined && epochOf(one) !== epochOf(other);
}

function epochOf({ id }: Message): string {
  return id.slice(0, id.indexOf(":"));
}
