import type { ServerFrame } from "../protocol/frames.ts";
import { backoffMs } from "./delays.ts";
import { errorOf, FanfareError } from "./errors.ts";
import type { ClientLimits, ClientTiming } from "./platform.ts";

export type Kind = "join" | "publish" | "presence" | "history";

/** What each kind of request is answered with. */
export interface Answers {
  join: ServerFrame & { type: "joined" };
  publish: ServerFrame & { type: "ack" };
  presence: ServerFrame & { type: "ack" };
  history: ServerFrame & { type: "history" };
}

const answeredBy: { readonly [K in Kind]: Answers[K]["type"] } = {
  join: "joined",
  publish: "ack",
  presence: "ack",
  history: "history",
};

export interface Request<K extends Kind = Kind> {
  readonly kind: K;
  readonly id: string;
  readonly room: string;
  /** The frame as JSON text; asked for at each sending. */
  readonly text: (id: string) => string;
  readonly resolve: (answer: Answers[K]) => void;
  readonly reject: (error: FanfareError) => void;
  /** Fails then, with `timeout`. A publish: with `outcome_unknown`, and Infinity until it is first sent. */
  until: number;
}

interface Entry extends Request {
  readonly bytes: number;
  flying: boolean;
  /** A publish that was sent earlier, and may have been kept. */
  unsure: boolean;
}

interface Queue {
  readonly entries: Entry[];
  failures: number;
  notBefore: number;
}

/** What the connection lets through now. */
export interface Gate {
  /** True where a time has come; where not, it notes when to look again. */
  readonly due: (at: number) => boolean;
  /** False where it was too early. */
  readonly send: (text: string, kind: Kind) => boolean;
  readonly isOpen: boolean;
  /** P-62: more would end the connection. */
  readonly messageBytes: number;
  /** P-31: how long after the first sending a publish may be sent again. */
  readonly repeatMs: number;
}

/**
 * The requests that wait for an answer, across connections. Those of one room are in one line, and by default one of them at
 * a time is on its way: so a join comes before what needs it, and a publish that has to be repeated is not overtaken. Rooms
 * do not wait for each other. Bounded: a publish or page beyond the limits is refused as it comes, so that what was taken stays whole.
 */
export interface Requests {
  /** A join goes to the head of its room's line. */
  add<K extends Kind>(request: Request<K>): void;
  /** Whether publishes wait in a room. */
  hasPublishes(room: string): boolean;
  /** Fails what is late and sends what may go. */
  flush(now: number, gate: Gate): void;
  /**
   * Whether the frame answers one of these. A refused one that is to be repeated stays where it is; `pause` is told until when
   * the server wants no more of any kind.
   */
  answer(frame: ServerFrame, now: number, pause: (until: number) => void): boolean;
  /** The connection is gone: nothing that was on its way is answered. Presence is forgotten: it goes with the next join. */
  suspend(): void;
  /** Fails what `which` picks: with the error, or with `outcome_unknown` where it may have been kept. */
  fail(error: FanfareError, which: (request: Request) => boolean): void;
}

export function createRequests(limits: ClientLimits, timing: ClientTiming, random: () => number): Requests {
  const queues = new Map<string, Queue>();
  const byId = new Map<string, Entry>();
  let totalBytes = 0;
  let counted = 0;

  const isUnsure = ({ kind, flying, unsure }: Entry): boolean => unsure || (flying && kind === "publish");

  function settle(entry: Entry): Entry {
    const { id, room, bytes } = entry;
    const queue = queues.get(room);
    byId.delete(id);
    totalBytes -= bytes;
    if (bytes) counted--;
    if (queue) {
      queue.entries.splice(queue.entries.indexOf(entry), 1);
      queue.failures = 0;
      if (!queue.entries[0]) queues.delete(room);
    }
    return entry;
  }

  function fail(entry: Entry, cause: FanfareError): void {
    const { room, reject } = settle(entry);
    reject(isUnsure(entry) ? new FanfareError("outcome_unknown", { room, cause }) : cause);
  }

  return {
    add(request) {
      const { kind, id, room, text, reject } = request;
      // Joins and presence are few for each room, and what they send may change until they do.
      const bytes = kind === "publish" || kind === "history" ? utf8Bytes(text(id)) : 0;
      if (bytes && (counted >= limits.queued || totalBytes + bytes > limits.queuedBytes)) {
        return reject(new FanfareError("queue_full", { room }));
      }
      const entry: Entry = { ...(request as unknown as Request), bytes, flying: false, unsure: false };
      const queue = queues.get(room) ?? { entries: [], failures: 0, notBefore: 0 };
      queues.set(room, queue);
      if (kind === "join") queue.entries.unshift(entry);
      else queue.entries.push(entry);
      byId.set(id, entry);
      totalBytes += bytes;
      if (bytes) counted++;
    },
    hasPublishes: (room) => !!queues.get(room)?.entries.some(({ kind }) => kind === "publish"),
    flush(now, { due, send, isOpen, messageBytes, repeatMs }) {
      for (const entry of byId.values()) if (due(entry.until)) fail(entry, new FanfareError("timeout"));
      for (const [room, { entries, notBefore }] of queues) {
        for (const [i, entry] of [...entries].entries()) {
          if (entry.flying) continue;
          // Publishes may follow each other before the first is answered; nothing else does, and nothing overtakes.
          const isFree = entries.every(({ kind, flying }, j) => !flying || (j < i && kind === "publish"));
          const isNext = i === 0 || (isFree && entry.kind === "publish" && i < limits.inFlight);
          if (!isOpen || !isFree || !isNext || !due(notBefore)) break;
          const text = entry.text(entry.id);
          if (utf8Bytes(text) > messageBytes) {
            // The server would close with 1009, and no retry could help. The next one gets its turn at once.
            fail(entry, new FanfareError("too_big", { room }));
            due(now + 1);
            break;
          }
          if (!send(text, entry.kind)) break;
          entry.flying = true;
          if (entry.kind === "publish") entry.until = Math.min(entry.until, now + repeatMs);
        }
      }
    },
    answer(frame, now, pause) {
      const { type, re = "" } = frame as { type: string; re?: string };
      const entry = byId.get(re);
      const queue = queues.get(entry?.room ?? "");
      if (!entry || !queue) return false;
      if (frame.type !== "error") {
        if (type === answeredBy[entry.kind]) settle(entry).resolve(frame as never);
        return true;
      }
      const { code, retry_after_ms = 0 } = frame;
      const wait = (ms: number): number => now + Math.min(Math.max(retry_after_ms, ms), timing.maxHintMs);
      if (code === "rate_limited") {
        // P-63: without effect, so the time in which a repeat is safe has not begun.
        if (entry.kind === "publish" && !entry.unsure) entry.until = Infinity;
        pause(wait(retry_after_ms || timing.backoffMs));
      } else if (code === "unavailable") {
        entry.unsure = isUnsure(entry);
        queue.notBefore = wait(backoffMs(queue.failures++, random(), timing));
      }
      entry.flying = false;
      if (code === "rate_limited" || code === "unavailable") return true;
      // Rights come before keys (P-60), so a refusal says nothing of an earlier sending. `conflict` does.
      if (code === "conflict") entry.unsure = false;
      fail(entry, errorOf(frame));
      return true;
    },
    suspend() {
      for (const entry of byId.values()) {
        entry.unsure = isUnsure(entry);
        entry.flying = false;
        if (entry.kind === "presence") settle(entry);
      }
    },
    fail(error, which) {
      for (const entry of byId.values()) if (which(entry)) fail(entry, error);
    },
  };
}

export function utf8Bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
