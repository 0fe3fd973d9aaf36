import { utf8Bytes } from "../protocol/names.ts";
import type { AckFrame, ErrorFrame } from "../protocol/frames.ts";
import { backoffMs } from "./delays.ts";
import { FanfareError, errorOf, hintOf } from "./errors.ts";
import type { ClientLimits, ClientTiming } from "./platform.ts";
import type { Kept } from "./types.ts";

/** A publish until its outcome is known. */
interface Entry {
  readonly id: string;
  readonly room: string;
  /** The frame, the same at every sending: the data is what it was when the app published it, and so is the key. */
  readonly text: string;
  readonly bytes: number;
  readonly resolve: (kept: Kept) => void;
  readonly reject: (error: FanfareError) => void;
  flying: boolean;
  /** An earlier sending may have been kept. */
  unsure: boolean;
  firstSentAt: number | undefined;
}

/** The publishes of one room, in order. */
interface Line {
  readonly entries: Entry[];
  failures: number;
  notBefore: number;
}

export type NewPublish = Pick<Entry, "id" | "room" | "text" | "resolve" | "reject">;

/** What `send` needs to know of the connection and the room. */
export interface Sender {
  canSend(room: string): boolean;
  send(text: string): boolean;
}

/**
 * The publishes that wait for their outcome. Bounded by `limits`: what goes beyond is refused as it comes, so that what was
 * taken stays in order and whole.
 */
export class Outbox {
  readonly #lines = new Map<string, Line>();
  readonly #byId = new Map<string, Entry>();
  readonly #limits: ClientLimits;
  readonly #timing: ClientTiming;
  readonly #random: () => number;
  #bytes = 0;
  /** P-31: how long after the first sending a repeat may be sent. By what the last `welcome` told. */
  #repeatMs = 270_000;
  #messageBytes = Infinity;

  constructor(limits: ClientLimits, timing: ClientTiming, random: () => number) {
    this.#limits = limits;
    this.#timing = timing;
    this.#random = random;
  }

  /** A tenth of the server's time is kept back: a repeat that is sent in time may arrive late. */
  configure(dedupeMs: number, messageBytes: number): void {
    this.#repeatMs = dedupeMs * 0.9;
    this.#messageBytes = messageBytes;
  }

  add(publish: NewPublish): void {
    const bytes = utf8Bytes(publish.text);
    const { queuedPublishes, queuedBytes } = this.#limits;
    if (this.#byId.size >= queuedPublishes || this.#bytes + bytes > queuedBytes) {
      return publish.reject(new FanfareError("queue_full", "too many publishes wait", { room: publish.room }));
    }
    const entry: Entry = { ...publish, bytes, flying: false, unsure: false, firstSentAt: undefined };
    const line = this.#lines.get(publish.room) ?? { entries: [], failures: 0, notBefore: 0 };
    this.#lines.set(publish.room, line);
    line.entries.push(entry);
    this.#byId.set(entry.id, entry);
    this.#bytes += bytes;
  }

  /** Whether a room has publishes that wait. */
  has(room: string): boolean {
    return this.#lines.has(room);
  }

  /** Sends what may be sent now, until `sender` has had enough. */
  flush(now: number, sender: Sender): void {
    for (const [room, line] of this.#lines) {
      if (now < line.notBefore || !sender.canSend(room)) continue;
      for (const entry of this.#ready(line)) {
        if (entry.bytes > this.#messageBytes) {
          // The server would close with 1009, and no retry could help.
          this.#settle(entry).reject(new FanfareError("too_big", `over ${this.#messageBytes} bytes`, { room }));
          continue;
        }
        if (!sender.send(entry.text)) return;
        entry.flying = true;
        entry.firstSentAt ??= now;
      }
    }
  }

  /** True where the frame answered a publish. `pause` is called with how long the server wants no more. */
  answer(frame: AckFrame | ErrorFrame, now: number, pause: (ms: number) => void): boolean {
    const entry = this.#byId.get(frame.re ?? "");
    if (entry === undefined) return false;
    if (frame.type === "ack") {
      const { offset, cursor, duplicate, result } = frame;
      const kept = { offset, cursor, duplicate: duplicate === true, result: result ?? null };
      this.#settle(entry).resolve(kept as Kept);
    } else {
      this.#refused(entry, frame, now, pause);
    }
    return true;
  }

  #refused(entry: Entry, frame: ErrorFrame, now: number, pause: (ms: number) => void): void {
    const error = errorOf(frame);
    const line = this.#lines.get(entry.room);
    const hintMs = Math.min(hintOf(frame.retry_after_ms), this.#timing.maxHintMs);
    entry.flying = false;
    if (frame.code === "rate_limited") {
      if (!entry.unsure) entry.firstSentAt = undefined;
      pause(hintMs || this.#timing.backoffMs);
    } else if (frame.code === "unavailable" && line !== undefined) {
      entry.unsure = true;
      line.notBefore = now + Math.max(hintMs, backoffMs(line.failures++, this.#random(), this.#timing));
    } else {
      // Rights come before keys (P-60), so this refusal says nothing of an earlier sending. `conflict` does.
      this.#fail(entry, error, !entry.unsure || frame.code === "conflict");
    }
  }

  /** The connection is gone: what was on its way may or may not have been kept. */
  suspend(): void {
    for (const entry of this.#byId.values()) {
      entry.unsure ||= entry.flying;
      entry.flying = false;
    }
  }

  /** Fails what may not be repeated any more. */
  expire(now: number): void {
    for (const entry of this.#byId.values()) {
      if (now < this.#expiry(entry)) continue;
      entry.unsure = true;
      this.#fail(entry, new FanfareError("outcome_unknown", "no answer in time"));
    }
  }

  /** Fails what waits, in one room or in all: with `error` where it was never sent, else with `outcome_unknown`. */
  fail(error: FanfareError, room?: string): void {
    for (const entry of this.#byId.values()) {
      if (room !== undefined && entry.room !== room) continue;
      entry.unsure ||= entry.flying;
      this.#fail(entry, error);
    }
  }

  /** Fails what an earlier connection sent. */
  failUnsure(error: FanfareError): void {
    for (const entry of this.#byId.values()) if (entry.unsure) this.#fail(entry, error);
  }

  /** The next time at which there is something to do, apart from answers. */
  nextAt(now: number, readyAt: number, canSend: Sender["canSend"]): number {
    let next = Infinity;
    for (const entry of this.#byId.values()) next = Math.min(next, this.#expiry(entry));
    for (const [room, line] of this.#lines) {
      if (canSend(room) && this.#ready(line).length > 0) {
        next = Math.min(next, Math.max(now, line.notBefore, readyAt));
      }
    }
    return next;
  }

  /** The unsent entries that may go now: at the front, and none while a later one is on its way, which it would follow. */
  #ready({ entries }: Line): Entry[] {
    const last = entries.findLastIndex((entry) => entry.flying);
    const front = entries.slice(0, this.#limits.inFlight);
    return front.some((entry, i) => !entry.flying && i < last) ? [] : front.filter((entry) => !entry.flying);
  }

  #expiry(entry: Entry): number {
    return entry.firstSentAt === undefined ? Infinity : entry.firstSentAt + this.#repeatMs;
  }

  #fail(entry: Entry, error: FanfareError, definite = !entry.unsure): void {
    const { room } = entry;
    const told = definite
      ? error
      : new FanfareError("outcome_unknown", "sent, and no answer that settles it", { room, cause: error });
    this.#settle(entry).reject(told);
  }

  #settle(entry: Entry): Entry {
    const line = this.#lines.get(entry.room);
    this.#byId.delete(entry.id);
    this.#bytes -= entry.bytes;
    if (line === undefined) return entry;
    line.entries.splice(line.entries.indexOf(entry), 1);
    if (line.entries.length === 0) this.#lines.delete(entry.room);
    // One that got an answer shows that the room works again.
    line.failures = 0;
    return entry;
  }
}
