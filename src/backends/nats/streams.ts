import { BackendUnavailable } from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import { type Api, RefusedByNats, type StreamConfig, type StreamInfo } from "./api.ts";
import type { Names } from "./names.ts";
import type { NatsSettings } from "./options.ts";

const nsPerMs = 1_000_000;
const hourMs = 3_600_000;
/** Facts and keys that live longer than this stand in a stream of their own, so that those that do not can go. */
export const briefMs: number = hourMs;
/** One who read a record may be as late as this with taking it. */
const takeMs = 2 * 60_000;
/** How long a stream that was there is missing before it is made anew. */
const deletionMs = 1_000;
/** A look that is older than this says nothing of now. Idle nodes look every four seconds. */
const longestLookMs = 10_000;
/** What an int64 of nanoseconds cannot hold is kept for ever. */
const longestMs = 100 * 366 * 86_400_000;

/** How long the streams must hold at least what they are given, milliseconds. */
export interface Spans {
  /** Messages. */
  readonly logMs: number;
  /** Ids of messages, so that a repeated one is known. */
  readonly dedupeMs: number;
  readonly lastingMs: number;
}

/** What rooms ask for by default: a day, and five minutes for keys. */
const leastSpans: Spans = { logMs: 30 * hourMs, dedupeMs: 10 * 60_000, lastingMs: 401 * 86_400_000 };

/**
 * The three streams: made where they are missing, and made to hold longer where a room asks for more. They never hold
 * shorter by themselves: what expires in the end is only what was abandoned.
 */
export class Streams {
  readonly #api: Api;
  readonly #names: Names;
  readonly #settings: NatsSettings;
  #spans: Spans = leastSpans;
  /** Those that this node has seen. */
  readonly #seen = new Set<string>();
  /** Since when each was found missing, and when it was looked for last, by the monotonic clock. */
  readonly #missing = new Map<string, { readonly since: number; readonly lookedAt: number }>();

  constructor(api: Api, names: Names, settings: NatsSettings) {
    this.#api = api;
    this.#names = names;
    this.#settings = settings;
  }

  get logMs(): number {
    return this.#spans.logMs;
  }

  /** Makes what is missing. Gives the log's last sequence. */
  async ensure(): Promise<number> {
    const [log, ...others] = this.#configs(newEpoch());
    const all = [log, ...others];
    const infos = await Promise.all(all.map(({ name }) => this.#api.info(name)));
    const isNew = infos.every((info) => info === undefined) && this.#seen.size === 0;
    const [lastSeq = 0] = await Promise.all(all.map((config, i) => this.#one(config, infos[i], isNew)));
    return lastSeq;
  }

  /** Resolves when the streams hold for so long. At once where they do already. */
  async hold(wanted: Partial<Spans>): Promise<void> {
    const spans = {
      logMs: Math.max(this.#spans.logMs, wanted.logMs ?? 0),
      dedupeMs: Math.max(this.#spans.dedupeMs, wanted.dedupeMs ?? 0),
      lastingMs: Math.max(this.#spans.lastingMs, wanted.lastingMs ?? 0),
    };
    if (Object.entries(spans).every(([name, ms]) => this.#spans[name as keyof Spans] >= ms)) return;
    const before = this.#spans;
    this.#spans = spans;
    try {
      await this.ensure();
    } catch (error) {
      this.#spans = before;
      throw error;
    }
  }

  async #one(config: StreamConfig, found: StreamInfo | undefined, isNew: boolean): Promise<number> {
    let info = found;
    if (info === undefined) {
      if (!isNew) this.#awaitDeletion(config.name);
      await this.#create(config);
      info = await this.#api.info(config.name);
      if (info === undefined)
        throw new BackendUnavailable(`the stream ${config.name} is deleted as soon as it is made`);
    }
    this.#seen.add(config.name);
    this.#missing.delete(config.name);
    if (config.name === this.#names.log) this.#names.instance = this.#instanceOf(info.config);
    const merged = { ...info.config, ...longer(info.config, config) };
    const isEnough = merged.max_age === info.config.max_age && merged.duplicate_window === info.config.duplicate_window;
    if (!isEnough) await this.#api.updateStream(merged);
    return info.state.last_seq;
  }

  /**
   * Rejects until the stream has been missing for a while. While nats-server deletes a stream, one of the same name can be
   * made already, and then the deletion removes the files of the new one: what it acknowledges is lost at once (seen on
   * 2.9.10 in three of four that were made at once, in none that was made 20 ms later).
   *
   * A margin, because the API can prove nothing: the stream leaves the server's books first, so INFO and NAMES say that it
   * is gone from then on, a second DELETE finds nothing to wait for, and the advisory of the deletion goes out before the
   * files do. Only who sent the deletion is answered after it. Nor can the new stream be asked afterwards: it answers from
   * memory. Another name for each new stream would need no margin, but nodes that make one at once would have to agree on
   * one of them, which JetStream does for them where the name is the same.
   */
  #awaitDeletion(name: string): void {
    const now = performance.now();
    const known = this.#missing.get(name);
    // Nobody looked for long: it may have been there meanwhile.
    const isOld = known === undefined || now - known.lookedAt > longestLookMs;
    const since = isOld ? now : known.since;
    this.#missing.set(name, { since, lookedAt: now });
    if (now - since < deletionMs) throw new BackendUnavailable(`the stream ${name} is missing, and is made anew soon`);
  }

  /** Another node may be first. */
  async #create(config: StreamConfig): Promise<void> {
    try {
      await this.#api.createStream(config);
    } catch (error) {
      const isThere = error instanceof RefusedByNats && (await this.#api.info(config.name)) !== undefined;
      if (!isThere) throw explained(error, config);
    }
  }

  #instanceOf({ name, subjects, republish }: StreamConfig): string {
    const [subject] = Array.isArray(subjects) ? (subjects as unknown[]) : [];
    const instance = typeof subject === "string" ? this.#names.instanceIn(subject) : undefined;
    if (instance === undefined || republish === undefined) {
      throw new BackendUnavailable(`the stream ${name} was not made by Fanfare: give another prefix, or delete it`);
    }
    return instance;
  }

  #configs(instance: string): [StreamConfig, StreamConfig, StreamConfig] {
    const { log, brief, lasting } = this.#names;
    const logSubjects = this.#names.logSubjects(instance);
    const common = {
      retention: "limits",
      discard: "old",
      storage: this.#settings.storage,
      num_replicas: this.#settings.replicas,
      allow_direct: true,
    };
    const { logMs, dedupeMs, lastingMs } = this.#spans;
    return [
      {
        ...common,
        name: log,
        subjects: [logSubjects],
        republish: { src: logSubjects, dest: this.#names.liveSubjects },
        allow_rollup_hdrs: true,
        max_age: nanoseconds(Math.max(logMs, dedupeMs)),
        duplicate_window: nanoseconds(dedupeMs),
      },
      {
        ...common,
        name: brief,
        subjects: [this.#names.briefSubjects()],
        max_msgs_per_subject: 1,
        max_age: nanoseconds(briefMs + 60_000),
        duplicate_window: nanoseconds(takeMs),
      },
      {
        ...common,
        name: lasting,
        subjects: [this.#names.lastingSubjects()],
        max_msgs_per_subject: 1,
        max_age: nanoseconds(lastingMs),
        duplicate_window: nanoseconds(takeMs),
      },
    ];
  }
}

/** 0 is JetStream's word for ever. */
function nanoseconds(ms: number): number {
  return ms > longestMs ? 0 : Math.ceil(ms) * nsPerMs;
}

function longer(a: StreamConfig, b: StreamConfig): { max_age: number; duplicate_window: number } {
  return {
    max_age: a.max_age === 0 || b.max_age === 0 ? 0 : Math.max(a.max_age, b.max_age),
    duplicate_window: Math.max(a.duplicate_window, b.duplicate_window),
  };
}

function explained(error: unknown, { name, num_replicas }: StreamConfig): Error {
  const reason = error instanceof Error ? error.message : String(error);
  return new BackendUnavailable(
    `the stream ${name} (${String(num_replicas)} replicas) cannot be made: ${reason}. JetStream must be on (nats-server -js), and ` +
      "have as many servers as replicas",
    { cause: error },
  );
}
