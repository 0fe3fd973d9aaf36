import type { Delivery, Message, Run, Timeline } from "./timeline.ts";

/** One row of the list, in the order in which it is shown. */
export type Item =
  | { readonly type: "edge"; readonly id: string; readonly run: Run; readonly isStart: boolean }
  | { readonly type: "day"; readonly id: string; readonly at: number }
  | { readonly type: "unread"; readonly id: string }
  | Bubble;

export interface Bubble {
  readonly type: "bubble";
  /** Stays when a pending message becomes a kept one. */
  readonly id: string;
  readonly from: string | undefined;
  readonly text: string;
  readonly at: number;
  readonly own: boolean;
  /** Of one's own only. */
  readonly delivery: Delivery | undefined;
  readonly key: string | undefined;
  /** First and last of an author's group. */
  readonly first: boolean;
  readonly last: boolean;
}

/** A longer silence begins a new group. */
const groupMs = 5 * 60_000;

const kept: Delivery = { kind: "kept" };

/** Lays out a timeline: edges, days, the line above what is unread, and messages in groups of one author. */
export function layOut(timeline: Timeline, me: string, unreadFrom: string | undefined): readonly Item[] {
  const items: Item[] = [];
  for (const [index, run] of timeline.runs.entries()) {
    items.push({ type: "edge", id: `edge ${run.id}`, run, isStart: index === 0 });
    for (const message of run.messages) place(items, bubbleOf(message, me), message.id === unreadFrom);
  }
  for (const { key, text, at, delivery } of timeline.pending) {
    const own: Bubble = {
      type: "bubble",
      id: key,
      from: me,
      text,
      at,
      own: true,
      delivery,
      key,
      first: true,
      last: true,
    };
    place(items, own, false);
  }
  return items;
}

function bubbleOf({ id, from, text, at, key }: Message, me: string): Bubble {
  const own = from === me;
  // The key keeps the row's element in place; others' keys are others' words, and could collide.
  const row = own && key !== undefined ? key : id;
  return {
    type: "bubble",
    id: row,
    from,
    text,
    at,
    own,
    delivery: own ? kept : undefined,
    key,
    first: true,
    last: true,
  };
}

function place(items: Item[], bubble: Bubble, beginsUnread: boolean): void {
  const before = items.at(-1);
  const previous = items.findLast((item) => item.type === "bubble" || item.type === "day");
  const isNewDay = previous === undefined || dayOf(previous.at) !== dayOf(bubble.at);
  if (isNewDay) items.push({ type: "day", id: `day ${bubble.id}`, at: bubble.at });
  if (beginsUnread) items.push({ type: "unread", id: "unread" });
  const continues = !isNewDay && !beginsUnread && before?.type === "bubble" && isGroup(before, bubble);
  if (continues) items[items.length - 1] = { ...before, last: false };
  items.push(continues ? { ...bubble, first: false } : bubble);
}

function isGroup(before: Bubble, after: Bubble): boolean {
  return before.from === after.from && after.at - before.at < groupMs;
}

function dayOf(at: number): string {
  return new Date(at).toDateString();
}
