import { BackendUnavailable, type Jump, type LogEntry, type RoomListener } from "../../src/backends/backend.ts";
import type { FeedEngine, FeedState, FeedView, Position } from "../../src/backends/feed/engine.ts";

/** A log of one room in memory, and pushes that a test loses, doubles and swaps. */
export class FakeEngine implements FeedEngine {
  epoch = "one";
  entries: LogEntry[] = [];
  head = 0;
  since: Position | undefined;
  isAway = false;
  readonly calls: string[] = [];
  /** Called before a read is answered: what happens meanwhile. */
  meanwhile: ((what: "state" | "read") => void) | undefined;
  /** Set: attaching waits for it. */
  attaching: Promise<void> = Promise.resolve();

  hasLog({ keep }: { readonly keep: { readonly messages: number } }): boolean {
    return keep.messages > 0;
  }

  /** Keeps a message; the test pushes it, or not. */
  append(body: string): LogEntry {
    const entry = { offset: ++this.head, body, at: 0 };
    this.entries.push(entry);
    return entry;
  }

  trim(count: number): void {
    this.entries.splice(0, count);
  }

  /** Another life of the log, which took over the entries up to `head`. */
  fork(epoch: string, head: number): void {
    this.since = { epoch: this.epoch, offset: head };
    this.epoch = epoch;
    this.head = head;
    this.entries = this.entries.filter(({ offset }) => offset <= head);
  }

  flush(epoch: string): void {
    Object.assign(this, { epoch, head: 0, entries: [], since: undefined });
  }

  async attach(): Promise<void> {
    this.calls.push("attach");
    await this.attaching;
    this.#reach();
  }

  detach(): void {
    this.calls.push("detach");
  }

  async state(): Promise<FeedState> {
    this.calls.push("state");
    await Promise.resolve();
    this.#reach();
    const [first] = this.entries;
    const trimmed = first === undefined ? this.head : (first.prev ?? first.offset - 1);
    const { epoch, head, since } = this;
    this.meanwhile?.("state");
    return { epoch, head, trimmed, ...(since !== undefined && { since }) };
  }

  async read(_room: unknown, after: number, limit: number, epoch: string): Promise<LogEntry[]> {
    this.calls.push(`read ${after}`);
    await Promise.resolve();
    this.#reach();
    this.meanwhile?.("read");
    return epoch === this.epoch ? this.entries.filter(({ offset }) => offset > after).slice(0, limit) : [];
  }

  async heads(feeds: readonly FeedView[]): Promise<Position[]> {
    this.calls.push(`heads ${feeds.length}`);
    await Promise.resolve();
    this.#reach();
    return feeds.map(() => ({ epoch: this.epoch, offset: this.head }));
  }

  others(): Promise<number> {
    return Promise.resolve(2);
  }

  #reach(): void {
    if (this.isAway) throw new BackendUnavailable("away");
  }
}

/** What a listener was told, in words: bodies, `~text`, `jump …`, `interrupted`. */
export function diary(): { readonly told: string[]; readonly listener: RoomListener } {
  const told: string[] = [];
  const listener: RoomListener = {
    appended: ({ body }) => void told.push(body),
    relayed: (text) => void told.push(`~${text}`),
    jumped: ({ epoch, offset, reason }: Jump) => void told.push(`jump ${reason} ${epoch}:${offset}`),
    interrupted: () => void told.push("interrupted"),
  };
  return { told, listener };
}
