import { utf8Bytes } from "../protocol/names.ts";
import type { ErrorFrame } from "../protocol/frames.ts";
import { backoffMs } from "./delays.ts";
import { errorOf, FanfareError } from "./errors.ts";
import type { ClientTiming } from "./platform.ts";

/** A request until its outcome is known. */
export interface Request<Answer> {
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
  /** P-62: more would end the connection. */
  readonly messageBytes: number;
  /** P-31: how long after the first sending a repeat is safe. */
  readonly repeatMs: number;
}

/**
 * Requests that wait for their outcome, across connections. Bounded by the policy: what goes beyond is refused as it comes,
 * so that what was taken stays whole and in order.
 */
export interface Requests<Answer> {
  add(request: Request<Answer>): void;
  /** Whether any wait in a room. */
  has(room: string): boolean;
  /** Fails what is late and sends what may go. */
  flush(now: number, gate: Gate): void;
  /** Whether the id was one of these, which now has its answer. */
  answer(id: string, answer: Answer): boolean;
  /**
   * The same for an error. A request that is to be repeated stays in its place, ahead of what came later. `pause` is told
   * until when the server wants no more of any kind.
   */
  refuse(frame: ErrorFrame, now: number, pause: (until: number) => void): boolean;
  /** The connection is gone: what was on its way may or may not have taken effect. */
  suspend(): void;
  /** Fails those that `which` picks: with the error where they were never sent, else with `outcome_unknown`. */
  fail(error: FanfareError, which?: (room: string, unsure: boolean) => boolean): void;
}

export function createRequests<Answer>(policy: Policy, timing: ClientTiming, random: () => number): Requests<Answer> {
  const { maxCount, maxBytes, inFlight, late } = policy;
  const canDoubt = late === "outcome_unknown";
  const queues = new Map<string, Queue<Answer>>();
  const byId = new Map<string, Entry<Answer>>();
  let totalBytes = 0;

  function settle(entry: Entry<Answer>): Entry<Answer> {
    const { id, room, bytes } = entry;
    const queue = queues.get(room);
    byId.delete(id);
    totalBytes -= bytes;
    queue?.entries.splice(queue.entries.indexOf(entry), 1);
    if (queue?.entries.length === 0) queues.delete(room);
    else if (queue) queue.failures = 0;
    return entry;
  }

  function fail(entry: Entry<Answer>, cause: FanfareError): void {
    const { room } = entry;
    const isUnsure = entry.unsure || (canDoubt && entry.flying);
    settle(entry).reject(isUnsure ? new FanfareError("outcome_unknown", { room, cause }) : cause);
  }

  /** Those that may be sent: at the front, and none while a later one is on its way, which it would come to follow. */
  function ready(entries: Entry<Answer>[]): Entry<Answer>[] {
    const front = entries.slice(0, inFlight);
    const unsent = front.filter(({ flying }) => !flying);
    return front.slice(0, -unsent.length).every(({ flying }) => flying) ? unsent : [];
  }

  return {
    add(request) {
      const { id, room, text, reject } = request;
      const bytes = utf8Bytes(text);
      if (byId.size >= maxCount || totalBytes + bytes > maxBytes) return reject(new FanfareError("queue_full", { room }));
      const entry = { ...request, bytes, flying: false, unsure: false };
      const queue = queues.get(room) ?? { entries: [], failures: 0, notBefore: 0 };
      queues.set(room, queue);
      queue.entries.push(entry);
      byId.set(id, entry);
      totalBytes += bytes;
    },
    has: (room) => queues.has(room),
    flush(now, { due, isOpen, send, messageBytes, repeatMs }) {
      for (const entry of byId.values()) if (due(entry.until)) fail(entry, new FanfareError(late));
      for (const [room, { entries, notBefore }] of queues) {
        if (!isOpen(room) || !due(notBefore)) continue;
        for (const entry of ready(entries)) {
          if (entry.bytes > messageBytes) {
            // The server would close with 1009, and no retry could help. Those behind it get their turn at once.
            fail(entry, new FanfareError("too_big", { room }));
            due(now + 1);
          } else if (send(entry.text)) {
            entry.flying = true;
            entry.until = Math.min(entry.until, now + repeatMs);
          } else {
            return;
          }
        }
      }
    },
    answer(id, answer) {
      const entry = byId.get(id);
      if (entry) settle(entry).resolve(answer);
      return !!entry;
    },
    refuse(frame, now, pause) {
      const { re = "", code, retry_after_ms = 0 } = frame;
      const entry = byId.get(re);
      const queue = queues.get(entry?.room ?? "");
      if (!entry || !queue) return false;
      const wait = (ms: number): number => now + Math.min(Math.max(retry_after_ms, ms), timing.maxHintMs);
      entry.flying = false;
      if (code === "rate_limited") {
        // P-63: without effect, so the time in which a repeat is safe has not begun.
        if (canDoubt && !entry.unsure) entry.until = Infinity;
        pause(wait(retry_after_ms || timing.backoffMs));
      } else if (code === "unavailable") {
        entry.unsure = canDoubt;
        queue.notBefore = wait(backoffMs(queue.failures++, random(), timing));
      } else {
        // Rights come before keys (P-60), so a refusal says nothing of an earlier sending. `conflict` does.
        entry.unsure &&= code !== "conflict";
        fail(entry, errorOf(frame));
      }
      return true;
    },
    suspend() {
      for (const entry of byId.values()) {
        entry.unsure ||= canDoubt && entry.flying;
        entry.flying = false;
      }
    },
    fail(error, which = () => true) {
      for (const entry of byId.values()) if (which(entry.room, entry.unsure)) fail(entry, error);
    },
  };
}
