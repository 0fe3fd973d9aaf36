import type { ServerFrame, WelcomeLimits } from "../protocol/frames.ts";
import { backoffMs } from "./delays.ts";
import { errorOf, FanfareError } from "./errors.ts";
import type { Line } from "./line.ts";
import { createPacer } from "./pacer.ts";
import type { World } from "./world.ts";

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
  flying?: boolean;
  /** A publish that was sent earlier, and may have been kept. */
  unsure?: boolean;
}

interface Queue {
  readonly entries: Entry[];
  failures: number;
  notBefore: number;
}

/**
 * The requests that wait for an answer, across connections. Those of one room are in one line, and by default one of them at
 * a time is on its way: so a join comes before what needs it, and a publish that has to be repeated is not overtaken. Rooms
 * do not wait for each other. Bounded: a publish or page beyond the limits is refused as it comes, so that what was taken stays whole.
 */
export interface Requests {
  /** A join goes to the head of its room's line. */
  add<K extends Kind>(request: Omit<Request<K>, "id">): void;
  /** Whether publishes wait in a room. */
  hasPublishes(room: string): boolean;
  /** Fails what is late and sends what may go. Returns when to call it next, apart from answers and what the app does. */
  flush(): number;
  /** Sends what has no answer, at once or not at all. */
  sendNow(text: string): boolean;
  /** Whether the frame answers one of these. A refused one that is to be repeated stays where it is. */
  answer(frame: ServerFrame): boolean;
  /** A connection, and what its server allows. */
  resume(limits: WelcomeLimits): void;
  /** The connection is gone: nothing that was on its way is answered. Presence is forgotten: it goes with the next join. */
  suspend(): void;
  /** Fails what `which` picks: with the error, or with `outcome_unknown` where it may have been kept. */
  fail(error: FanfareError, which: (request: Request) => boolean): void;
}

/** While more than this waits in the socket, what has no answer is dropped. The rest is bounded by its lines. */
const maxBufferedBytes = 50_000;

export function createRequests({ timing, limits, now, random }: World, line: Line): Requests {
  const queues = new Map<string, Queue>();
  const byId = new Map<string, Entry>();
  const pacer = createPacer();
  let isOnline = false;
  let server: WelcomeLimits;
  let freeJoins = 0;
  let ids = 0;
  let totalBytes = 0;
  let counted = 0;

  const isUnsure = ({ kind, flying, unsure }: Entry): boolean => !!unsure || (!!flying && kind === "publish");
  const fits = (text: string): boolean => utf8Bytes(text) <= server.message_bytes;

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

  /** Whether an entry may go now: from the front, and never past another; publishes may follow each other unanswered. */
  function isNext(entries: readonly Entry[], entry: Entry): boolean {
    const place = entries.indexOf(entry);
    const isFree = entries.every(({ kind, flying }, i) => !flying || (i < place && kind === "publish"));
    return isFree && (place === 0 || (entry.kind === "publish" && place < limits.inFlight));
  }

  /** False where it is to be tried again later. */
  function send(entry: Entry, due: (at: number) => boolean): boolean {
    const { room, kind } = entry;
    const text = entry.text(entry.id);
    if (!fits(text)) {
      // P-62: the server would close with 1009, and no retry could help.
      fail(entry, new FanfareError("too_big", { room }));
      return true;
    }
    // P-63: the first joins after `welcome` are free, though not of a pause.
    const isFree = kind === "join" && freeJoins > 0;
    const cost = isFree ? 0 : kind === "history" ? 10 : 1;
    if (!due(pacer.readyAt(cost, now()))) return false;
    if (isFree) freeJoins--;
    pacer.spend(cost);
    line.send(text);
    entry.flying = true;
    // P-31. A tenth of the server's time is kept back: a repeat that is sent in time may arrive late.
    if (kind === "publish") entry.until = Math.min(entry.until, now() + server.dedupe_ms * 0.9);
    return true;
  }

  return {
    add(request) {
      const { kind, room, text, reject } = request;
      const id = String(++ids);
      // Joins and presence are few for each room, and what they send may change until they do.
      const bytes = kind === "publish" || kind === "history" ? utf8Bytes(text(id)) : 0;
      if (bytes && (counted >= limits.queued || totalBytes + bytes > limits.queuedBytes)) {
        return reject(new FanfareError("queue_full", { room }));
      }
      const entry: Entry = { ...(request as unknown as Request), id, bytes };
      const queue = queues.get(room) ?? { entries: [], failures: 0, notBefore: 0 };
      queues.set(room, queue);
      if (kind === "join") queue.entries.unshift(entry);
      else queue.entries.push(entry);
      byId.set(id, entry);
      totalBytes += bytes;
      if (bytes) counted++;
    },
    hasPublishes: (room) => !!queues.get(room)?.entries.some(({ kind }) => kind === "publish"),
    flush() {
      let next = Infinity;
      const due = (at: number): boolean => {
        const isDue = at <= now();
        if (!isDue) next = Math.min(next, at);
        return isDue;
      };
      for (const entry of byId.values()) if (due(entry.until)) fail(entry, new FanfareError("timeout"));
      for (const { entries, notBefore } of isOnline ? queues.values() : []) {
        for (const entry of [...entries]) {
          if (entry.flying) continue;
          if (!isNext(entries, entry) || !due(notBefore) || !send(entry, due)) break;
        }
      }
      return next;
    },
    sendNow(text) {
      // Only joined rooms send signals, so that there is a connection.
      if (line.bufferedBytes > maxBufferedBytes || !fits(text) || now() < pacer.readyAt(1, now())) return false;
      pacer.spend(1);
      line.send(text);
      return true;
    },
    answer(frame) {
      const { type, re = "" } = frame as { type: string; re?: string };
      const entry = byId.get(re);
      const queue = queues.get(entry?.room ?? "");
      if (!entry || !queue) return false;
      if (frame.type !== "error") {
        if (type === answeredBy[entry.kind]) settle(entry).resolve(frame as never);
        return true;
      }
      const { code, retry_after_ms = 0 } = frame;
      const mayBeKept = isUnsure(entry);
      entry.flying = false;
      const wait = (ms: number): number => now() + Math.min(Math.max(retry_after_ms, ms), timing.maxHintMs);
      if (code === "rate_limited") {
        // P-63: without effect, so the time in which a repeat is safe has not begun.
        if (entry.kind === "publish" && !entry.unsure) entry.until = Infinity;
        pacer.pause(wait(retry_after_ms || timing.backoffMs));
      } else if (code === "unavailable") {
        entry.unsure = mayBeKept;
        queue.notBefore = wait(backoffMs(queue.failures++, random(), timing));
      } else {
        // Rights come before keys (P-60), so a refusal says nothing of an earlier sending. `conflict` does.
        if (code === "conflict") entry.unsure = false;
        fail(entry, errorOf(frame));
      }
      return true;
    },
    resume(allowed) {
      isOnline = true;
      server = allowed;
      freeJoins = allowed.rooms;
      pacer.reset(allowed.requests_per_s, now());
    },
    suspend() {
      isOnline = false;
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

function utf8Bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
