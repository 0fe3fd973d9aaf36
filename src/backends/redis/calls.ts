import type { Redis } from "ioredis";
import { BackendUnavailable } from "../backend.ts";
import { isMisdirected, unavailable } from "./errors.ts";
import type { Link } from "./link.ts";

/** At so many calls, or bytes of them, that wait or are under way, one more is refused: the engine does not keep up. */
const mostCalls = 50_000;
const mostBytes = 64 * 1024 * 1024;
/** How exact `waitMs` is. */
const tickMs = 200;

/** A command and its arguments. */
export type Words = readonly [command: string, ...args: (string | number)[]];

interface Call {
  readonly words: () => Words;
  readonly bytes: number;
  readonly until: number;
  readonly isVoid: () => boolean;
  resolve(reply: unknown): void;
  reject(error: BackendUnavailable): void;
}

/**
 * Everything that is asked of Redis: sent in the order of the calls, without waiting for answers in between. While there
 * is no connection, calls wait for one. A call that has no answer after `waitMs` rejects, and its connection is given up:
 * what comes after it would be late as well.
 */
export class Calls {
  readonly #link: Link;
  readonly #place: string;
  readonly #waitMs: number;
  readonly #waiting: Call[] = [];
  /** In the order in which they were sent, which is that of the answers. */
  readonly #sent = new Set<Call>();
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;
  #corked: Redis["stream"] | undefined;
  #idle: (() => void) | undefined;

  constructor(link: Link, place: string, waitMs: number) {
    this.#link = link;
    this.#place = place;
    this.#waitMs = waitMs;
    this.#timer = setInterval(() => this.#tick(), tickMs).unref();
  }

  /** Rejects at once where there is no connection: for what is worth nothing later. */
  runNow(words: () => Words): Promise<unknown> {
    if (this.#link.client !== undefined) return this.run(words);
    return Promise.reject(new BackendUnavailable(`there is no connection to Redis at ${this.#place} now`));
  }

  /**
   * `words` are asked for when the connection is there that they go over; `bytes` is about what they take. A call that is
   * void by then, because the caller does not want it any more, is not sent, and rejects.
   */
  run(words: () => Words, bytes = 200, isVoid: () => boolean = never): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const isFull = this.#waiting.length + this.#sent.size >= mostCalls || this.#bytes + bytes > mostBytes;
      if (isFull) {
        reject(new BackendUnavailable(`Redis at ${this.#place} does not keep up: too much waits to be sent`));
        return;
      }
      this.#bytes += bytes;
      const call = { words, bytes, isVoid, until: performance.now() + this.#waitMs, resolve, reject };
      const { client } = this.#link;
      if (client === undefined) this.#waiting.push(call);
      else this.#send(client, call);
    });
  }

  /** Sends what waited. */
  opened(client: Redis): void {
    for (const call of this.#waiting.splice(0)) {
      if (call.isVoid()) this.#reject([call], "not wanted any more");
      else this.#send(client, call);
    }
  }

  /** What was sent and not answered may have happened or not. */
  lost(cause: Error): void {
    const error = unavailable(this.#place, cause);
    const calls = [...this.#sent];
    this.#sent.clear();
    for (const call of calls) this.#settle(call, () => call.reject(error));
  }

  /** Resolves when nothing waits any more. */
  async drained(): Promise<void> {
    if (this.#waiting.length + this.#sent.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#reject([...this.#sent, ...this.#waiting], "the backend was closed");
    this.#sent.clear();
    this.#waiting.length = 0;
  }

  #send(client: Redis, call: Call): void {
    this.#cork(client);
    this.#sent.add(call);
    const [command, ...args] = call.words();
    client.call(command, ...args).then(
      (reply) => this.#answered(call, () => call.resolve(reply)),
      (error: unknown) => {
        // Another life of the data, or no master any more: nothing that was asked here can be answered.
        if (isMisdirected(error) && this.#link.client === client) this.#link.reset(asError(error));
        else this.#answered(call, () => call.reject(unavailable(this.#place, error)));
      },
    );
  }

  #answered(call: Call, tell: () => void): void {
    if (this.#sent.delete(call)) this.#settle(call, tell);
  }

  #settle(call: Call, tell: () => void): void {
    this.#bytes -= call.bytes;
    tell();
    if (this.#idle !== undefined && this.#waiting.length + this.#sent.size === 0) this.#idle();
  }

  /** All that is called in one turn of the event loop is one write to the socket. */
  #cork({ stream }: Redis): void {
    if (this.#corked === stream) return;
    this.#corked = stream;
    stream.cork();
    setImmediate(() => {
      if (this.#corked === stream) this.#corked = undefined;
      stream.uncork();
    });
  }

  #tick(): void {
    const now = performance.now();
    const late = this.#waiting.findIndex((call) => call.until > now);
    const over = this.#waiting.splice(0, late === -1 ? this.#waiting.length : late);
    this.#reject(over, `no connection within ${this.#waitMs} ms`);
    const [oldest] = this.#sent;
    if (oldest !== undefined && oldest.until <= now) this.#link.reset(new Error(`no answer within ${this.#waitMs} ms`));
  }

  #reject(calls: readonly Call[], text: string): void {
    const error = new BackendUnavailable(`Redis at ${this.#place}: ${text}`);
    for (const call of calls) this.#settle(call, () => call.reject(error));
  }
}

function never(): boolean {
  return false;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
