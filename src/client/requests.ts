import { utf8Bytes } from "../protocol/names.ts";
import type { ErrorFrame } from "../protocol/frames.ts";
import { backoffMs } from "./delays.ts";
import { errorOf, FanfareError } from "./errors.ts";
import type { ClientTiming } from "./platform.ts";

/** A request until its outcome is known. */
interface Request<Answer> {
  readonly id: string;
  readonly room: string;
  /** The frame, the same at every sending: data and key are what they were when the app asked. */
  readonly text: string;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: FanfareError) => void;
  /** Fails then. Infinity: counts from the first sending, by `repeatMs`. */
  until: number;
}

interface Entry<Answer> extends Request<Answer> {
  readonly bytes: number;
  flying: boolean;
  /** An earlier sending may have taken effect. */
  unsure: boolean;
}

/** The requests for one room, in order. */
interface Queue<Answer> {
  readonly entries: Entry<Answer>[];
  failures: number;
  notBefore: number;
}

/** What makes publishes differ from pages of history. */
export interface Policy {
  readonly maxCount: number;
  readonly maxBytes: number;
  /** How many of one room may be on their way. */
  readonly inFlight: number;
  /** What a request that had no answer in time fails with. Reading may be repeated freely; nothing of it is unsure. */
  readonly late: "outcome_unknown" | "timeout";
}

/** What the connection lets through now. `due` is true where a time has come; where not, it notes when to look again. */
export interface Gate {
  readonly due: (at: number) => boolean;
  readonly isOpen: (room: string) => boolean;
  readonly send: (text: string) => boolean;
}

/** What the server allows, by its last `welcome`. */
export interface ServerLimits {
  readonly messageBytes: number;
  /** P-31: how long after the first sending a repeat is safe. */
  readonly repeatMs: number;
}

/**
 * Requests that wait for their outcome, across connections. Bounded by the policy: what goes beyond is refused as it comes,
 * so that what was taken stays whole and in order.
 */
export class Requests<Answer> {
  server: ServerLimits = { messageBytes: Infinity, repeatMs: 0 };
  readonly #queues = new Map<string, Queue<Answer>>();
  readonly #byId = new Map<string, Entry<Answer>>();
  readonly #policy: Policy;
  readonly #timing: ClientTiming;
  readonly #random: () => number;
  #bytes = 0;

  constructor(policy: Policy, timing: ClientTiming, random: () => number) {
    this.#policy = policy;
    this.#timing = timing;
    this.#random = random;
  }

  add(request: Request<Answer>): void {
    const { id, room, text, reject } = request;
    const bytes = utf8Bytes(text);
    if (this.#byId.size >= this.#policy.maxCount || this.#bytes + bytes > this.#policy.maxBytes) {
      return reject(new FanfareError("queue_full", { room }));
    }
    const entry = { ...request, bytes, flying: false, unsure: false };
    const queue = this.#queues.get(room) ?? { entries: [], failures: 0, notBefore: 0 };
    this.#queues.set(room, queue);
    queue.entries.push(entry);
    this.#byId.set(id, entry);
    this.#bytes += bytes;
  }

  /** Whether any wait in a room. */
  has(room: string): boolean {
    return this.#queues.has(room);
  }

  /** Fails what is late and sends what may go. */
  flush(now: number, { due, isOpen, send }: Gate): void {
    for (const entry of this.#byId.values()) {
      if (entry.until < Infinity && due(entry.until)) this.#fail(entry, new FanfareError(this.#policy.late));
    }
    for (const [room, queue] of this.#queues) {
      if (!isOpen(room) || !due(queue.notBefore)) continue;
      for (const entry of this.#ready(queue.entries)) {
        if (entry.bytes > this.server.messageBytes) {
          // The server would close with 1009, and no retry could help. Those behind it get their turn at once.
          this.#fail(entry, new FanfareError("too_big", { room }));
          due(now + 1);
        } else if (send(entry.text)) {
          entry.flying = true;
          entry.until = Math.min(entry.until, now + this.server.repeatMs);
        } else {
          return;
        }
      }
    }
  }

  /** Whether the id was one of these, which now has its answer. */
  answer(id: string | undefined, answer: Answer): boolean {
    const entry = this.#byId.get(id ?? "");
    if (entry !== undefined) this.#settle(entry).resolve(answer);
    return entry !== undefined;
  }

  /** The same for an error. Where it is to be repeated it stays in its place, ahead of what came later. */
  refuse(frame: ErrorFrame, now: number, pause: (until: number) => void): boolean {
    const entry = this.#byId.get(frame.re ?? "");
    const queue = this.#queues.get(entry?.room ?? "");
    if (entry === undefined || queue === undefined) return false;
    const { code, retry_after_ms = 0 } = frame;
    const wait = (ms: number): number => now + Math.min(Math.max(retry_after_ms, ms), this.#timing.maxHintMs);
    entry.flying = false;
    if (code === "rate_limited") {
      // P-63: without effect, so the time in which a repeat is safe has not begun.
      if (!entry.unsure && this.#policy.late === "outcome_unknown") entry.until = Infinity;
      pause(wait(retry_after_ms || this.#timing.backoffMs));
    } else if (code === "unavailable") {
      this.#doubt(entry);
      queue.notBefore = wait(backoffMs(queue.failures++, this.#random(), this.#timing));
    } else {
      // Rights come before keys (P-60), so a refusal says nothing of an earlier sending. `conflict` does.
      entry.unsure &&= code !== "conflict";
      this.#fail(entry, errorOf(frame));
    }
    return true;
  }

  /** The connection is gone: what was on its way may or may not have taken effect. */
  suspend(): void {
    for (const entry of this.#byId.values()) {
      if (entry.flying) this.#doubt(entry);
      entry.flying = false;
    }
  }

  /** Fails those that `which` picks: with the error where they were never sent, else with `outcome_unknown`. */
  fail(error: FanfareError, which: (room: string, unsure: boolean) => boolean = () => true): void {
    for (const entry of this.#byId.values()) if (which(entry.room, entry.unsure)) this.#fail(entry, error);
  }

  /** Those that may be sent: at the front, and none while a later one is on its way, which it would come to follow. */
  #ready(entries: Entry<Answer>[]): Entry<Answer>[] {
    const front = entries.slice(0, this.#policy.inFlight);
    const unsent = front.filter(({ flying }) => !flying);
    const first = front.findIndex(({ flying }) => !flying);
    return front.findLastIndex(({ flying }) => flying) > first ? [] : unsent;
  }

  #doubt(entry: Entry<Answer>): void {
    entry.unsure = this.#policy.late === "outcome_unknown";
  }

  #fail(entry: Entry<Answer>, cause: FanfareError): void {
    const { room } = entry;
    if (entry.flying) this.#doubt(entry);
    this.#settle(entry).reject(entry.unsure ? new FanfareError("outcome_unknown", { room, cause }) : cause);
  }

  #settle(entry: Entry<Answer>): Entry<Answer> {
    const { id, room, bytes } = entry;
    const queue = this.#queues.get(room);
    this.#byId.delete(id);
    this.#bytes -= bytes;
    queue?.entries.splice(queue.entries.indexOf(entry), 1);
    if (queue?.entries.length === 0) this.#queues.delete(room);
    else if (queue) queue.failures = 0;
    return entry;
  }
}
