import { createHash } from "node:crypto";
import type { Appended, Backend, KeyFacts, KeyRef, RoomRef } from "../backends/backend.ts";
import { formatCursor } from "../protocol/cursor.ts";
import { decodeJson, encodeBody, encodeJson, encodeSignal, encodeUnkept, messagePrefix } from "../protocol/encode.ts";
import type { Json } from "../protocol/json.ts";
import { isName, isToken, maxUserBytes } from "../protocol/names.ts";
import { refOf, schemaOf, validate, type RoomKind } from "./catalog.ts";
import type { Clock } from "./clock.ts";
import type { Handled } from "./handlers.ts";
import type { Limits } from "./options.ts";
import type { Counts } from "./metrics/counts.ts";
import { Once } from "./once.ts";
import { Refused } from "./refused.ts";
import { encodeRelay } from "./relay.ts";
import { nameFact, traced } from "./traced.ts";
import type { SpanFacts, Tracing } from "./tracing.ts";

/** A message on its way into a room. Whether its publisher may is settled before. */
export interface Publication {
  readonly room: string;
  readonly kind: RoomKind;
  readonly event: string;
  readonly data: unknown;
  readonly from: string | undefined;
  /** A connection that gets `skip` in the message's place. */
  readonly except: string | undefined;
  readonly key: KeyRef | undefined;
  /** The app's handler, for what clients publish; undefined where it has no say. */
  readonly handle: ((data: unknown) => Handled | void | Promise<Handled | void>) | undefined;
  /** Called in the same step as the append; throws where it must not be (P-33). */
  readonly mayAppend?: () => void;
}

/** What became of a publish (P-30, P-31). A room without a log gives neither offset nor cursor. */
export interface Published {
  readonly offset?: number;
  readonly cursor?: string;
  readonly duplicate?: true;
  readonly result?: Json;
}

/** The append is under way, in its place; the next publish need not wait for its outcome. */
export interface Submitted {
  readonly outcome: Promise<Published>;
}

type Fingerprinted = KeyRef & Pick<KeyFacts, "fingerprint">;

/** Checks, handles and appends messages, for connections and for the app alike. */
export class Publisher {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #limits: Pick<Limits, "dedupeMs" | "outboxBytes">;
  readonly #counts: Counts;
  readonly #once: Once;
  readonly #tracing: Tracing | undefined;

  constructor(
    backend: Backend,
    clock: Clock,
    limits: Pick<Limits, "dedupeMs" | "outboxBytes">,
    counts: Counts,
    tracing?: Tracing,
  ) {
    this.#backend = backend;
    this.#clock = clock;
    this.#limits = limits;
    this.#counts = counts;
    this.#tracing = tracing;
    this.#once = new Once(backend, clock.monotonic);
  }

  /**
   * Resolves when the message's place among the room's is settled. Rejects with `Refused`, `BackendUnavailable`, or what
   * the handler threw; then nothing was kept.
   */
  async submit(publication: Publication): Promise<Submitted> {
    const { kind, event, key, handle } = publication;
    checkNames(publication);
    const schema = schemaOf(kind.spec.events, event);
    const ref = refOf(publication.room, kind);
    const facts = key === undefined ? undefined : { ...key, fingerprint: fingerprint(event, publication.data) };
    // No handler runs for a repeat (P-31). Where there is none the append settles it: to ask first would be a way to the engine
    // and back for each publish, which the next one of its connection waits for.
    if (handle !== undefined || kind.keep === false) {
      const earlier = await this.#earlier(ref, kind, facts);
      if (earlier !== undefined) return earlier;
    }
    let data: unknown;
    try {
      data = schema === undefined ? publication.data : await validate(schema, publication.data);
    } catch (error) {
      // What fitted the contract when it was kept is a repeat still.
      const earlier = await this.#earlier(ref, kind, facts);
      if (earlier !== undefined) return earlier;
      throw error;
    }
    const handled = handle === undefined ? undefined : await handle(data);
    return this.#append(publication, ref, handled?.data === undefined ? data : handled.data, facts, handled?.result);
  }

  /** Passes a signal on to everyone in the room but `except`, and forgets it (P-34). */
  async signal(signal: Omit<Publication, "key" | "handle" | "mayAppend">): Promise<void> {
    const { room, kind, event, from, except } = signal;
    checkNames(signal);
    const data = await validate(schemaOf(kind.spec.signals, event), signal.data);
    this.#counts.signals++;
    const frame = encodeSignal({ room, event, dataJson: encodeJson(data), from, at: this.#clock.now() });
    // A signal is the first thing to be lost (P-34): nobody is told.
    this.#backend.relay(refOf(room, kind), encodeRelay("signal", except, frame)).catch(() => undefined);
  }

  /** The answer where the key is known. */
  async #earlier(ref: RoomRef, kind: RoomKind, facts: Fingerprinted | undefined): Promise<Submitted | undefined> {
    if (facts === undefined) return undefined;
    const earlier = await (kind.keep === false ? this.#once.find(ref.name, facts) : this.#backend.find(ref, facts));
    return earlier && repeated(earlier, facts);
  }

  /** A message of a room without a log: passed on, and only its key remembered. */
  #pass(
    ref: RoomRef,
    { body, except }: { body: string; except: string | undefined },
    keyed: (KeyRef & KeyFacts) | undefined,
    result: Json | undefined,
  ): Submitted {
    // Another with the same key may have been passed on while the handler of this one ran.
    const earlier = keyed === undefined ? undefined : this.#once.recent(ref.name, keyed);
    if (keyed !== undefined && earlier !== undefined) {
      const { outcome } = repeated(earlier, keyed);
      return { outcome: earlier.passed.then(() => outcome) };
    }
    const passed = this.#backend.relay(
      ref,
      encodeRelay("message", except, encodeUnkept(messagePrefix(ref.name), body)),
    );
    const published: Published = result === undefined ? {} : { result };
    const kept = keyed === undefined ? passed : this.#once.keep(ref.name, keyed, passed);
    return { outcome: kept.then(() => published) };
  }

  /** What is larger than half of an outbox would cut off readers at once, and again at every resume. */
  #checkSize(body: string): void {
    const bytes = Buffer.byteLength(body);
    const most = this.#limits.outboxBytes / 2;
    if (bytes > most) throw new RangeError(`a message is at most ${most} bytes (half of outboxBytes), got ${bytes}`);
  }

  #append(
    { kind, event, from, except, key, mayAppend }: Publication,
    ref: RoomRef,
    data: unknown,
    facts: Fingerprinted | undefined,
    result: Json | undefined,
  ): Submitted {
    // All that can throw comes before the append: after it there is no refusing.
    const resultJson = result === undefined ? undefined : encodeJson(result);
    const at = this.#clock.now();
    const body = encodeBody({ event, dataJson: encodeJson(data), from, key: key?.key, at });
    this.#checkSize(body);
    mayAppend?.();
    const keyed: (KeyRef & KeyFacts) | undefined = facts && { ...facts, resultJson, dedupeMs: this.#limits.dedupeMs };
    if (kind.keep === false) return this.#pass(ref, { body, except }, keyed, result);
    const began = this.#clock.monotonic();
    const append = (): Promise<Appended> => this.#backend.append(ref, { body, at, except }, keyed);
    const about = (): SpanFacts => ({ "fanfare.room": nameFact(ref.name), "fanfare.bytes": Buffer.byteLength(body) });
    const outcome = traced(this.#tracing, "fanfare.append", about, append).then((done) => {
      if (done.kind === "kept") this.#counts.appends.add(this.#clock.monotonic() - began);
      return published(done, result);
    });
    return { outcome };
  }
}

/** The answer to a publish whose key is known. Throws `conflict` where it was of another message. */
function repeated(earlier: Left, { fingerprint }: { fingerprint: string }): Submitted {
  if (earlier.fingerprint !== fingerprint) throw conflict();
  return { outcome: Promise.resolve(duplicateOf(earlier)) };
}

/** What an earlier publish left; without a place where the room keeps no log. */
type Left = Pick<KeyFacts, "fingerprint" | "resultJson"> & { readonly epoch?: string; readonly offset?: number };

function duplicateOf({ epoch, offset, resultJson }: Left): Published {
  const place = epoch === undefined || offset === undefined ? {} : { offset, cursor: formatCursor({ epoch, offset }) };
  return { ...place, duplicate: true, ...(resultJson !== undefined && { result: decodeJson(resultJson) }) };
}

function published(done: Appended, result: Json | undefined): Published {
  if (done.kind === "conflict") throw conflict();
  if (done.kind === "duplicate") return duplicateOf(done);
  const { epoch, offset } = done;
  return { offset, cursor: formatCursor({ epoch, offset }), ...(result !== undefined && { result }) };
}

/** What clients send was checked when it was read; the app's own words go to the same readers. */
function checkNames({ event, from, key }: { event: string; from: string | undefined; key?: KeyRef | undefined }): void {
  if (typeof event !== "string" || !isToken(event)) throw new TypeError("event must be 1 to 64 characters (P-5)");
  if (key !== undefined && !isToken(key.key)) throw new TypeError("key must be 1 to 64 characters (P-31)");
  if (from !== undefined && !isName(from, maxUserBytes)) throw new TypeError("from must be a user's name (P-13)");
}

function conflict(): Refused {
  return new Refused("conflict", "this key was used for another message");
}

/** P-31: of event and data as they came, before a schema or handler changed them. */
function fingerprint(event: string, data: unknown): string {
  return createHash("sha256")
    .update(`${event}\n${encodeJson(data)}`)
    .digest("base64url")
    .slice(0, 22);
}
