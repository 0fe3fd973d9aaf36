import type { Backend, LogState, RoomRef } from "../backends/backend.ts";
import type { Cursor } from "../protocol/cursor.ts";
import { shortHistoryMs } from "../protocol/limits.ts";

/** Where a join begins in the log. */
export interface Start {
  /** The log's epoch when this was settled. Where the room has another by then, it begins from there (P-35). */
  readonly epoch: string;
  /** The offset after which the stream begins; undefined: the room's position at the moment of joining. */
  readonly from: number | undefined;
  readonly replay: number;
  readonly recovered: boolean | undefined;
}

/** What a join asks of the log. */
export interface Wanted {
  readonly since: Cursor | undefined;
  readonly history: number | undefined;
  /** Whether it has the right `history`; without it `since` reaches back five minutes at most (P-23). */
  readonly mayReadHistory: boolean;
  readonly nowMs: number;
}

/** A room that is open on this node. */
export interface Open {
  readonly ref: RoomRef;
  readonly epoch: string;
  /** The log's state, once this node's members were given all that it held when this was called. */
  sync(): Promise<LogState>;
}

/** Where the stream of a joining connection begins (P-22, P-23). Rejects where the log cannot be read. */
export async function planStart(backend: Backend, room: Open, wanted: Wanted): Promise<Start> {
  const { since, history = 0 } = wanted;
  if (since === undefined && history === 0) return fromNow(room.epoch, undefined);
  // Members of other nodes may have seen what this one has not been told yet, and come here with it.
  const state = await room.sync();
  const { epoch, head } = state;
  if (since !== undefined && (await holdsAllAfter(backend, room.ref, state, since, wanted))) {
    const replay = await countAfter(backend, room.ref, state, since.offset);
    return { epoch, from: since.offset, replay, recovered: true };
  }
  const recovered = since === undefined ? undefined : false;
  const from = history === 0 ? head : await lastBefore(backend, room.ref, state, history);
  if (from >= head) return fromNow(epoch, recovered);
  return { epoch, from, replay: await countAfter(backend, room.ref, state, from), recovered };
}

/** A room without a log has nothing to resume from: a client that asks for it has to load its state anew. */
export function startUnkept({ since }: Wanted): Start {
  return fromNow("", since === undefined ? undefined : false);
}

/** Begins at the room's position at the moment of joining. */
export function fromNow(epoch: string, recovered: boolean | undefined): Start {
  return { epoch, from: undefined, replay: 0, recovered };
}

/** P-21: how many messages `replay` promises. */
async function countAfter(backend: Backend, room: RoomRef, { epoch, head }: LogState, after: number): Promise<number> {
  return (await backend.count?.(room, after, head, epoch)) ?? head - after;
}

/** The offset after which the newest `count` messages follow. */
async function lastBefore(backend: Backend, room: RoomRef, state: LogState, count: number): Promise<number> {
  if (backend.count === undefined) return Math.max(state.trimmed, state.head - count);
  const [first] = await backend.readBack(room, state.head + 1, count, state.epoch);
  return first === undefined ? state.head : (first.prev ?? first.offset - 1);
}

async function holdsAllAfter(
  backend: Backend,
  room: RoomRef,
  state: LogState,
  since: Cursor,
  { mayReadHistory, nowMs }: Wanted,
): Promise<boolean> {
  if (since.epoch !== state.epoch || since.offset > state.head || since.offset < state.trimmed) return false;
  if (mayReadHistory || since.offset === state.head) return true;
  const [next] = await backend.read(room, since.offset, 1, state.epoch);
  return next !== undefined && next.at >= nowMs - shortHistoryMs;
}
