import type { LogEntry, LogState, RoomRef } from "../backend.ts";

/**
 * What several nodes share behind the feeds: an engine that keeps logs and pushes what is published. The driver of each
 * engine implements this and hands it to `Feeds`, which makes subscriptions of it that keep the contract:
 *
 * ```
 * const feeds = new Feeds(engine, { log: context.log });
 * subscribe: (room, listener) => feeds.subscribe(room, listener)
 * // for every message that the engine pushes, in any order, as often as it likes:
 * feeds.push(roomName, entry, epoch);     // or, for a relayed text:
 * feeds.relayed(roomName, text);
 * // where pushes do not arrive any more:
 * feeds.lost();
 * // after each reconnect, once every room of feeds.names() is subscribed again:
 * await feeds.restored();
 * feeds.close();
 * ```
 *
 * Everything may reject, with `BackendUnavailable` where the engine is away: nothing is lost by that, the next check
 * tries again.
 */
export interface FeedEngine {
  /** Whether the engine keeps a log of this room; where not, nothing but `attach`, `detach` and `others` is called. */
  hasLog(room: RoomRef): boolean;
  /** Resolves when what is published in the room from now on will be pushed to this node. Once a room. */
  attach(room: RoomRef): Promise<void>;
  /** Nobody here listens any more. Must not throw. */
  detach(room: RoomRef): void;
  /**
   * The room's log as it stands. `known` is what this node has seen of it: where the log has less in the same epoch, it
   * went backwards, and the driver gives it a new epoch before it answers. `trimmed` is exact, or too low; where numbers
   * have holes it is the first kept entry's `prev`.
   */
  state(room: RoomRef, known: Position | undefined): Promise<FeedState>;
  /** As `Backend.read`. */
  read(room: RoomRef, after: number, limit: number, epoch: string): Promise<LogEntry[]>;
  /**
   * Where the logs of these rooms stand, in one request to the engine however many there are (a few where they are
   * thousands); also what keeps them alive there. In the order of `feeds`; undefined: it cannot be told for this one.
   */
  heads(feeds: readonly FeedView[]): Promise<readonly (Position | undefined)[]>;
  /** As `Subscription.others`. */
  others(room: RoomRef): Promise<number | undefined>;
}

/** A place in one life of one log: all up to `offset` was seen. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** One room of this node, for the driver to read. */
export interface FeedView {
  readonly room: RoomRef;
  /** What its listeners were told; undefined before the first state was read. */
  readonly position: Position | undefined;
}

export interface FeedState extends LogState {
  /**
   * Where this life of the log is the continuation of another: that one's epoch, and its newest offset that this one
   * took over. Who followed that life goes on after it; everybody else after its offset, or after 0 where it is absent.
   */
  readonly since?: Position;
}
