import type { Backend, LogState, RoomRef } from "../backends/backend.ts";
import type { Cursor } from "../protocol/cursor.ts";
import { shortHistoryMs } from "../protocol/limits.ts";
import type { Start } from "./room.ts";

/** What a join asks of the log. */
export interface Wanted {
  readonly since: Cursor | undefined;
  readonly history: number | undefined;
  /** Whether it has the right `history`; without it `since` reaches back five minutes at most (P-23). */
  readonly mayReadHistory: boolean;
  readonly nowMs: number;
}

/** Where the stream of a joining connection begins (P-22, P-23). Rejects where the log cannot be read. */
export async function planStart(backend: Backend, room: RoomRef, wanted: Wanted): Promise<Start> {
  const { since, history = 0 } = wanted;
  if (since === undefined && history === 0) return { from: undefined, replay: 0, recovered: undefined };
  const state = await backend.state(room);
  if (since !== undefined && (await holdsAllAfter(backend, room, state, since, wanted))) {
    return { from: since.offset, replay: state.head - since.offset, recovered: true };
  }
  const recovered = since === undefined ? undefined : false;
  const from = Math.max(state.trimmed, state.head - history);
  if (history === 0 || from >= state.head) return { from: undefined, replay: 0, recovered };
  return { from, replay: state.head - from, recovered };
}

/** A room without a log has nothing to resume from: a client that asks for it has to load its state anew. */
export function startUnkept({ since }: Wanted): Start {
  return { from: undefined, replay: 0, recovered: since === undefined ? undefined : false };
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
  const [next] = await backend.read(room, since.offset, 1);
  return next !== undefined && next.at >= nowMs - shortHistoryMs;
}
