import type { Keep } from "../protocol/contract.ts";

/**
 * A backend keeps the logs of rooms and carries what is published to every node. This page is its contract; the suite in
 * `fanfare/testing` runs it on each implementation.
 *
 * **Atomic.** `append` looks up the key, numbers, keeps and sends on as one step for its room.
 *
 * **Numbered.** Within an epoch offsets rise and none is used twice, whatever crashes. Engines whose numbers have holes
 * give `prev`. A log that was lost or went backwards gets a new epoch.
 *
 * **Kept before it is seen.** A listener is called, and `append` resolves, only when the message is as durable as
 * `promises.survives` says. Listeners of one room are called in offset order, none left out.
 *
 * **In order.** Appends to one room take effect in the order of the calls; the caller need not wait in between. They
 * settle in that order. Where one fails, every append to that room which was called before the failure was told fails
 * too, so that no later message stands where an earlier one was lost.
 *
 * **Definite.** An `append` that rejects with `BackendUnavailable` may or may not have kept its message; the same key
 * tells which, later. No other outcome is open.
 *
 * **Bounded.** A log is trimmed by `keep`: the newest word of any call counts. A room with neither messages, keys nor
 * subscriptions is forgotten when nobody used it for a minute, and then costs nothing; its next life has another epoch.
 * Under a subscription the epoch changes by `jumped` alone. What waits to be written is bounded too: beyond it, `append` rejects.
 */
export interface Backend {
  /** For people: `memory`, `lmdb`, `redis`. */
  readonly name: string;
  readonly promises: BackendPromises;
  /** The largest text that it takes; known once it is open. Absent: it sets no bound of its own. */
  readonly largest?: Largest;
  /** Opens files or sockets. Rejects with an error whose message says what to do. Called once. */
  open(context: BackendContext): Promise<void>;
  /** Resolves when all that was appended is as durable as promised and nothing is left open. */
  close(): Promise<void>;
  /**
   * Resolves when the backend can append now; rejects with `BackendUnavailable` where it cannot. It tries: an engine with
   * files writes to them, so ask every few seconds and not at every request.
   */
  check(): Promise<void>;

  /** What an earlier publish with this key left (P-31); waits for one that is under way. */
  find(room: RoomRef, key: KeyRef): Promise<Found | undefined>;
  append(room: RoomRef, entry: NewEntry, key?: KeyRef & KeyFacts): Promise<Appended>;
  /** The room's log as it stands; gives a room that has none an epoch and keeps that as well as a message. */
  state(room: RoomRef): Promise<LogState>;
  /**
   * Up to `limit` entries with an offset over `after`, oldest first, none left out in between. What is too old by
   * `keep.ms` is not given. Where the first is not the one right after `after`, those before it were trimmed, perhaps since
   * `state` was asked. A damaged entry rejects the whole page with `BackendUnavailable`. With `epoch`, none where the log
   * has another by now.
   */
  read(room: RoomRef, after: number, limit: number, epoch?: string): Promise<LogEntry[]>;
  /** Up to `limit` entries with an offset under `before` (absent: the newest), oldest first. `epoch` as above. */
  readBack(room: RoomRef, before: number | undefined, limit: number, epoch?: string): Promise<LogEntry[]>;
  /** How many entries there are over `after`, up to `head`. Only where the numbers have holes; absent: `head - after`. */
  count?(room: RoomRef, after: number, head: number, epoch: string): Promise<number>;
  /**
   * From now on calls the listener for all that happens in the room, on whatever node, until `close`. `state` is the log's
   * at that moment: the first call to `appended` is for the entry right after `state.head`. A room that keeps nothing
   * (`keep.messages` 0) is never appended to, only relayed in, and its state says nothing.
   */
  subscribe(room: RoomRef, listener: RoomListener): Promise<Subscription>;
  /**
   * Passes a text to every subscriber of the room on every node, this one included, in the order of the calls, and forgets
   * it. At most once. Rejects with `BackendUnavailable` where it could not be sent on.
   */
  relay(room: RoomRef, text: string): Promise<void>;

  /**
   * Small facts with an expiry: tickets, revocations. Shared by all nodes, as durable as the log. A key is well-formed text
   * of at most 1,000 bytes; a longer one is a RangeError. `get` is asked at every connect, mostly for what is
   * not there: a backend that knows from memory answers at once.
   */
  set(key: string, value: string, ttlMs: number): Promise<void>;
  get(key: string): string | undefined | Promise<string | undefined>;
  /** Gives a fact to one caller alone, on whatever node, and forgets it. */
  take(key: string): Promise<string | undefined>;
}

/** What a backend guarantees. A hub refuses options that promise more. */
export interface BackendPromises {
  /** What a message, once acknowledged, outlives. */
  readonly survives: "nothing" | "process" | "machine";
  /** Whether several processes may share it. */
  readonly shared: boolean;
  /** Whether it keeps logs. Without, `append`, `find`, `state` and `read` are never called, and rooms keep nothing. */
  readonly log: boolean;
}

export interface Largest {
  readonly bytes: number;
  /** What an operator does to raise it: follows "lower it, or". */
  readonly remedy: string;
}

export interface BackendContext {
  /** Milliseconds since 1970 (P-5). */
  readonly now: () => number;
  /**
   * The same, but it does not jump while the process lives: for what expires (keys, facts). Absent: `now`. The age of
   * messages follows `now`, by which they were dated.
   */
  readonly steadyNow?: () => number;
  readonly log: (level: "info" | "warn" | "error", message: string, facts?: Record<string, unknown>) => void;
  /**
   * Called by a backend that is shared where this node may not have heard what others said, before it tells of anything
   * that was missed: what must not be delivered any more is seen to meanwhile. The backend waits for it, for a few seconds at
   * most.
   */
  readonly missed?: () => Promise<void>;
  /** Called for each thing that came over the engine and that no node can have sent; it was dropped. */
  readonly malformed?: () => void;
}

/** A room and how long its messages are kept. Backends may use the object as a key for caches. */
export interface RoomRef {
  readonly name: string;
  readonly keep: Keep;
}

/** Who a key belongs to: a user, or an API key. */
export interface KeyRef {
  readonly scope: string;
  readonly key: string;
}

export interface KeyFacts {
  /** Of event and data as they came: the same key with another fingerprint is a conflict. */
  readonly fingerprint: string;
  /** What the handler answered, as JSON text. */
  readonly resultJson: string | undefined;
  /** How long the key is remembered, at least. */
  readonly dedupeMs: number;
}

export interface NewEntry {
  /** By `encodeBody`. */
  readonly body: string;
  readonly at: number;
  /** A connection that gets `skip` in the message's place (P-30). */
  readonly except: string | undefined;
}

export interface LogEntry {
  readonly offset: number;
  /** Only where the room's numbers have holes (P-4). */
  readonly prev?: number;
  readonly body: string;
  readonly at: number;
  readonly except?: string;
}

export interface Found {
  readonly epoch: string;
  readonly offset: number;
  readonly fingerprint: string;
  readonly resultJson: string | undefined;
}

export type Appended =
  | { readonly kind: "kept"; readonly epoch: string; readonly offset: number }
  /** The key was there already, with the same fingerprint. */
  | ({ readonly kind: "duplicate" } & Found)
  /** The key was there already, with another fingerprint. */
  | { readonly kind: "conflict" };

export interface LogState {
  readonly epoch: string;
  /** The newest offset ever given in this epoch; 0 before the first. */
  readonly head: number;
  /** The newest offset that is no longer kept; 0 where all are. All over it are readable. */
  readonly trimmed: number;
}

/**
 * Called one message at a time, in the same order for all of a room's listeners, also where one appends or relays from
 * inside its call. What a listener throws is logged; the others and the append do not notice.
 */
export interface RoomListener {
  appended(entry: LogEntry): void;
  relayed(text: string): void;
  /**
   * The stream goes on after `to`, and what lies between is lost to this node: it was trimmed before it could be read, or
   * the log itself was lost or went back, and has another epoch. Only backends that are shared do this.
   */
  jumped?(to: Jump): void;
  /** The way to the engine was broken and is whole again: texts that were relayed meanwhile are lost. */
  interrupted?(): void;
}

/** Where a stream goes on. */
export interface Jump {
  readonly epoch: string;
  readonly offset: number;
  readonly reason: "trimmed" | "epoch";
}

export interface Subscription {
  readonly state: LogState;
  /**
   * The log as it stands now, once its subscribers were told of all that it held when this was called. Rejects with
   * `BackendUnavailable`.
   */
  sync(): Promise<LogState>;
  /**
   * How many other nodes are subscribed to the room at this moment; undefined: some, the engine does not say how many.
   * Rejects with `BackendUnavailable`.
   */
  others(): Promise<number | undefined>;
  /**
   * The listener is not called again. Closing twice does nothing. An engine that goes on bringing this node what is said in
   * a room which nobody here listens to any more, and so counts it among the `others`, gives texts to `relayed` meanwhile.
   */
  close(relayed?: (text: string) => void): void;
}

/** The log or bus cannot be reached, or is full: `unavailable` to clients (P-33). The message is for operators only. */
export class BackendUnavailable extends Error {
  override readonly name = "BackendUnavailable";
}
