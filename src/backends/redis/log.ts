import type { Appended, Found, KeyFacts, KeyRef, LogEntry, NewEntry, RoomRef } from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import type { FeedState, FeedView, Position } from "../feed/engine.ts";
import type { Calls } from "./calls.ts";
import { unavailable } from "./errors.ts";
import { decodeEntries, encodeExcept, type Names } from "./layout.ts";
import type { Before } from "./order.ts";
import * as scripts from "./scripts.ts";

/** A room that somebody asked about is remembered for so long; one with listeners, from each check on. */
const rememberedMs = 300_000;
/** Rooms that one script looks at: it holds up everybody else meanwhile. */
const mostHeadsACall = 500;
/** Numbers that Redis takes as times: a log that is kept for thousands of years is kept for ever. */
const longestMs = 1e14;

export interface LogOptions {
  readonly names: Names;
  readonly calls: Calls;
  readonly place: string;
  /** Which life of the engine's data this connection was settled in. */
  readonly term: () => string;
  /** Milliseconds since 1970; undefined: the engine's own clock, which is the same for all nodes. */
  readonly now: () => number | undefined;
  /** What this node has seen of a room, where it listens to it. */
  readonly known: (room: string) => Position | undefined;
}

/** The logs of rooms, in Redis: each call is one script. */
export class RedisLog {
  readonly #options: LogOptions;
  // Every call brings a name for an epoch that may begin with it: random once, then counted, because randomness costs.
  readonly #nonce = newEpoch();
  #names = 0;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  async append(
    room: RoomRef,
    entry: NewEntry,
    key: (KeyRef & KeyFacts) | undefined,
    { hasFailed, after }: Before,
  ): Promise<Appended> {
    const { names, known } = this.#options;
    const { body, at, except } = entry;
    const keys = [after === undefined ? names.meta(room.name) : names.key(room.name, after)];
    if (key !== undefined) keys.push(names.key(room.name, key));
    const args = [room.keep.messages, names.channel(room.name), body, at, encodeExcept(except)];
    if (key !== undefined) args.push(key.fingerprint, key.dedupeMs);
    if (key?.resultJson !== undefined) args.push(key.resultJson);
    const [kind, ...facts] = await this.#ask(scripts.append, room, keys, args, () => known(room.name), hasFailed);
    if (kind === "kept") return { kind, epoch: String(facts[0]), offset: Number(facts[1]) };
    return kind === "duplicate" ? { kind, ...foundOf(facts) } : { kind: "conflict" };
  }

  async find(room: RoomRef, key: KeyRef): Promise<Found | undefined> {
    const facts = await this.#ask(scripts.find, room, [this.#options.names.key(room.name, key)], []);
    return facts.length === 0 ? undefined : foundOf(facts);
  }

  async state(room: RoomRef, known: Position | undefined): Promise<FeedState> {
    const facts = await this.#ask(scripts.state, room, [], [rememberedMs], () => known);
    const [epoch, head, trimmed, parent, fork] = facts;
    const since = typeof parent === "string" ? { since: { epoch: parent, offset: Number(fork) } } : {};
    return { epoch: String(epoch), head: Number(head), trimmed: Number(trimmed), ...since };
  }

  async read(room: RoomRef, after: number, limit: number, epoch: string | undefined): Promise<LogEntry[]> {
    return limit < 1 ? [] : this.#read(room, [limit, ">", after], epoch);
  }

  async readBack(
    room: RoomRef,
    before: number | undefined,
    limit: number,
    epoch: string | undefined,
  ): Promise<LogEntry[]> {
    if (limit < 1 || (before !== undefined && before <= 1)) return [];
    return (await this.#read(room, [limit, "<", before ?? ""], epoch)).toReversed();
  }

  /** See `FeedEngine.heads`. */
  async heads(feeds: readonly FeedView[]): Promise<readonly (Position | undefined)[]> {
    const parts: Promise<readonly (Position | undefined)[]>[] = [];
    for (let i = 0; i < feeds.length; i += mostHeadsACall) parts.push(this.#heads(feeds.slice(i, i + mostHeadsACall)));
    return (await Promise.all(parts)).flat();
  }

  #newEpoch(): string {
    return `${this.#nonce}${(this.#names++).toString(36)}`;
  }

  async #heads(feeds: readonly FeedView[]): Promise<readonly (Position | undefined)[]> {
    const { names, calls, term, now } = this.#options;
    const keys = [names.term, ...feeds.map(({ room }) => names.meta(room.name))];
    const reply = await calls.run(() => {
      const known = feeds.flatMap(({ position }) => [position?.epoch ?? "", position?.offset ?? 0]);
      return ["EVALSHA", scripts.heads.sha, keys.length, ...keys, term(), now() ?? "", rememberedMs, ...known];
    }, feeds.length * 100);
    const facts = reply as readonly (string | number)[];
    return feeds.map((_, i) => {
      const epoch = String(facts[2 * i]);
      return epoch === unknowable ? undefined : { epoch, offset: Number(facts[2 * i + 1]) };
    });
  }

  async #read(room: RoomRef, args: (string | number)[], epoch: string | undefined): Promise<LogEntry[]> {
    const wanted = epoch === undefined ? undefined : { epoch, offset: 0 };
    const reply = await this.#ask(scripts.read, room, [], args, () => wanted);
    try {
      return decodeEntries(reply);
    } catch (error) {
      throw unavailable(this.#options.place, error);
    }
  }

  async #ask(
    script: scripts.Script,
    room: RoomRef,
    furtherKeys: readonly string[],
    args: readonly (string | number)[],
    known = (): Position | undefined => this.#options.known(room.name),
    isVoid?: () => boolean,
  ): Promise<readonly unknown[]> {
    const { names, calls, term, now } = this.#options;
    const keys = [names.term, names.meta(room.name), names.log(room.name), ...furtherKeys];
    const keepMs = Math.min(room.keep.ms, longestMs);
    const bytes = args.reduce<number>((sum, arg) => sum + (typeof arg === "string" ? arg.length : 8), 200);
    const reply = await calls.run(
      () => {
        const { epoch = "", offset = 0 } = known() ?? {};
        const common = [term(), now() ?? "", this.#newEpoch(), epoch, offset, keepMs];
        return ["EVALSHA", script.sha, keys.length, ...keys, ...common, ...args];
      },
      bytes,
      isVoid,
    );
    return reply as readonly unknown[];
  }
}

/** What the script says of a room whose key holds something else. */
const unknowable = "!";

function foundOf(facts: readonly unknown[]): Found {
  const [epoch, offset, fingerprint, result] = facts;
  return {
    epoch: String(epoch),
    offset: Number(offset),
    fingerprint: String(fingerprint),
    resultJson: typeof result === "string" ? result : undefined,
  };
}
