import {
  type Appended,
  BackendUnavailable,
  type Found,
  type KeyFacts,
  type KeyRef,
  type NewEntry,
  type RoomRef,
} from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import { type Engine, untilDone } from "./engine.ts";
import { Lanes, type Sent } from "./lanes.ts";
import type { Logs } from "./logs.ts";
import { digest, epochOf } from "./names.ts";
import { decodePayload, encodePayload, stampHeaders } from "./record.ts";
import type { Records } from "./records.ts";
import type { Tops } from "./tops.ts";

/** A room is purged after so many appends, or after a quarter of what is kept, if that is more. */
const leastPurgeStep = 64;

/** What a key left. */
type KeyRecord = [offset: number, fingerprint: string, resultJson: string | null, streamLife: string];

interface Kept {
  readonly offset: number;
  readonly streamLife: string;
}

interface Parts {
  readonly engine: Engine;
  readonly logs: Logs;
  readonly tops: Tops;
  readonly keys: Records;
}

/** Puts messages into the log, each once. */
export class Appends {
  readonly #engine: Engine;
  readonly #logs: Logs;
  readonly #tops: Tops;
  readonly #keys: Records;
  readonly #lanes = new Lanes();
  /** Appends with a key that are under way here; `find` waits for them. */
  readonly #underWay = new Map<string, Promise<unknown>>();
  /** Appends to a room since it was purged here. */
  readonly #unpurged = new Map<string, number>();

  constructor({ engine, logs, tops, keys }: Parts) {
    this.#engine = engine;
    this.#logs = logs;
    this.#tops = tops;
    this.#keys = keys;
  }

  drained(): Promise<void> {
    return this.#lanes.drained();
  }

  async find(room: RoomRef, key: KeyRef): Promise<Found | undefined> {
    await this.#underWay.get(nameOf(room, key));
    return untilDone(this.#engine, async () => {
      const life = await this.#logs.lifeIfAny(room);
      return life === undefined ? undefined : this.#lookUp(room, life, key);
    });
  }

  async append(room: RoomRef, entry: NewEntry, key?: KeyRef & KeyFacts): Promise<Appended> {
    const bytes = Buffer.byteLength(entry.body) + Buffer.byteLength(key?.resultJson ?? "");
    const { bytes: most } = this.#engine.link.largest;
    if (bytes > most) throw new RangeError(`a message of ${bytes} bytes is over what NATS takes, ${most}`);
    const deadline = performance.now() + this.#engine.link.waitMs;
    let appended: Appended | undefined;
    const adding = this.#lanes.add(room.name, entry.body.length, async () => {
      const sent = await this.#send({ room, entry, key, deadline });
      ({ appended } = sent);
      return sent;
    });
    if (key !== undefined) this.#remember(nameOf(room, key), adding);
    await adding;
    if (appended === undefined) throw new BackendUnavailable("the append was not sent");
    return appended;
  }

  #remember(name: string, adding: Promise<void>): void {
    const settled = adding.then(
      () => undefined,
      () => undefined,
    );
    this.#underWay.set(name, settled);
    void settled.then(() => {
      if (this.#underWay.get(name) === settled) this.#underWay.delete(name);
    });
  }

  async #send(job: Job): Promise<Sent & { appended: Appended }> {
    const id = newEpoch();
    return untilDone(this.#engine, () => this.#once(job, id), job.deadline);
  }

  /** Safe to repeat: the stream knows the message by its id. */
  async #once(job: Job, ownId: string): Promise<Sent & { appended: Appended }> {
    const { room, entry, key } = job;
    const { api, names, streams, life: stream, clock } = this.#engine;
    if (key !== undefined) this.#tops.useDedupe(key.dedupeMs);
    await streams.hold({ logMs: this.#tops.lifetimeMs(room), dedupeMs: (key?.dedupeMs ?? 0) * 2 });
    const { life, streamLife } = await this.#logs.lifeOf(room);
    if (stream.current.name !== streamLife) throw new BackendUnavailable("the stream changed meanwhile");
    // Of the stream that has this life: where another takes its place from here on, nobody there answers to this name.
    const subject = names.logOf(room.name);
    const stamp = { kind: "entry", life, streamLife, at: entry.at, head: 0 } as const;
    const mark = key && {
      fingerprint: key.fingerprint,
      resultJson: key.resultJson,
      until: clock.now() + key.dedupeMs,
    };
    const payload = encodePayload(entry, mark);
    // Of a key whose time is over the stream may still know the id: the next use has the old one's place in its own.
    let id = key === undefined ? ownId : idOf(life, room, key);
    for (let uses = 0; uses < 100; uses++) {
      const ack = await api.publish(subject, payload, stampHeaders(stamp, id));
      if (ack.kind === "lost") throw new BackendUnavailable("NATS expected another sequence");
      const epoch = epochOf(streamLife, life);
      if (!ack.isDuplicate || key === undefined) {
        stream.saw(ack.seq, id, streamLife);
        this.#purgeLater(room);
        const rest =
          key === undefined
            ? Promise.resolve()
            : this.#writeDown(idOf(life, room, key), key, { offset: ack.seq, streamLife });
        return { appended: { kind: "kept", epoch, offset: ack.seq }, rest };
      }
      const earlier = await this.#earlier(room, life, key, ack.seq);
      if (earlier !== "over") return this.#repeated(earlier, key);
      id = `${idOf(life, room, key)}.${ack.seq}`;
    }
    throw new BackendUnavailable("the key was used too often");
  }

  /** Writes down what the key left. */
  async #writeDown(id: string, { fingerprint, resultJson, dedupeMs }: KeyFacts, kept: Kept): Promise<void> {
    const record: KeyRecord = [kept.offset, fingerprint, resultJson ?? null, kept.streamLife];
    await this.#keys.set(id, JSON.stringify(record), dedupeMs).catch((error: unknown) => {
      // The message is kept, and tells the next publisher itself as long as it is there.
      this.#engine.context.log("warn", "what a publish with a key left could not be kept", { reason: String(error) });
    });
  }

  #repeated(found: Found, key: KeyFacts): Sent & { appended: Appended } {
    const isSame = found.fingerprint === key.fingerprint;
    return { appended: isSame ? { kind: "duplicate", ...found } : { kind: "conflict" }, rest: Promise.resolve() };
  }

  /** What the first publish with the key left, by its record or else by the message itself; "over" where its time is. */
  async #earlier(room: RoomRef, life: string, key: KeyRef & KeyFacts, seq: number): Promise<Found | "over"> {
    const { api, names, life: stream, clock } = this.#engine;
    const record = await this.#keys.peek(idOf(life, room, key));
    if (record !== undefined) return record.until > clock.now() ? this.#foundIn(record.value, life) : "over";
    const stored = await api.bySequence(names.log, seq);
    const mark = stored?.stamp === undefined ? undefined : decodePayload(stored.text).key;
    const epoch = epochOf(stream.current.name, life);
    // Trimmed before it could be written down: that it was this key is all that is known.
    if (mark === undefined) return { epoch, offset: seq, fingerprint: key.fingerprint, resultJson: undefined };
    if (mark.until <= clock.now()) return "over";
    return { epoch, offset: seq, fingerprint: mark.fingerprint, resultJson: mark.resultJson };
  }

  async #lookUp(room: RoomRef, life: string, key: KeyRef): Promise<Found | undefined> {
    const id = idOf(life, room, key);
    const text = await this.#keys.get(id);
    if (text === undefined) return undefined;
    const [offset, , , streamLife] = JSON.parse(text) as KeyRecord;
    const isLost = streamLife !== this.#engine.life.current.name && !(await this.#isStillThere(offset, id));
    return isLost ? undefined : this.#foundIn(text, life);
  }

  #foundIn(text: string, life: string): Found {
    const [offset, fingerprint, resultJson] = JSON.parse(text) as KeyRecord;
    const epoch = epochOf(this.#engine.life.current.name, life);
    return { epoch, offset, fingerprint, resultJson: resultJson ?? undefined };
  }

  /** After the stream went back, a key may speak of a message that was lost. */
  async #isStillThere(offset: number, id: string): Promise<boolean> {
    const { api, names, life } = this.#engine;
    const stored = await api.bySequence(names.log, offset);
    // One that is gone may have been trimmed.
    if (stored === undefined) return offset <= (life.current.fork ?? 0);
    return stored.id?.startsWith(id) === true;
  }

  /** Leaves one more than is kept, for what it says of its successor, and the room's newest mark. */
  #purgeLater(room: RoomRef): void {
    const { messages } = room.keep;
    const count = (this.#unpurged.get(room.name) ?? 0) + 1;
    if (count < Math.max(leastPurgeStep, messages / 4)) {
      this.#unpurged.set(room.name, count);
      if (this.#unpurged.size > 10_000) this.#unpurged.clear();
      return;
    }
    this.#unpurged.delete(room.name);
    const { api, names } = this.#engine;
    api.purge(names.log, names.logOf(room.name), { keep: messages + 2 }).catch(() => undefined);
  }
}

interface Job {
  readonly room: RoomRef;
  readonly entry: NewEntry;
  readonly key: (KeyRef & KeyFacts) | undefined;
  readonly deadline: number;
}

function nameOf(room: RoomRef, { scope, key }: KeyRef): string {
  return JSON.stringify([room.name, scope, key]);
}

function idOf(life: string, room: RoomRef, key: KeyRef): string {
  return `k${digest(`${life}\n${nameOf(room, key)}`)}`;
}
