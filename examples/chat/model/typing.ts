import { type ReadonlySignal, signal } from "@preact/signals";
import type { Host } from "./host.ts";

/** Who types says so again within `repeatMs`; who has not been heard of for `expireMs` has stopped, or left. */
const repeatMs = 2_000;
const expireMs = 4_500;
/** More are not counted: the page says "several people" long before. */
const maxTypists = 20;

/** Who is typing in one room, oneself left out. */
export class Typing {
  readonly #host: Host;
  readonly #users = signal<readonly string[]>([]);
  readonly #expiries = new Map<string, () => void>();
  #toldAt = -Infinity;

  constructor(host: Host) {
    this.#host = host;
  }

  /** In the order in which they began. */
  get users(): ReadonlySignal<readonly string[]> {
    return this.#users;
  }

  heard(user: string): void {
    if (!this.#expiries.has(user) && this.#expiries.size >= maxTypists) return;
    this.#expiries.get(user)?.();
    this.#expiries.set(
      user,
      this.#host.later(() => this.stopped(user), expireMs),
    );
    if (!this.#users.value.includes(user)) this.#users.value = [...this.#users.value, user];
  }

  /** What was sent, or its author gone, is no longer being typed. */
  stopped(user: string): void {
    this.#expiries.get(user)?.();
    if (this.#expiries.delete(user)) this.#users.value = this.#users.value.filter((other) => other !== user);
  }

  clear(): void {
    for (const user of [...this.#expiries.keys()]) this.stopped(user);
  }

  /** Calls `send` unless others were told a moment ago; one that was dropped does not count. */
  tell(send: () => boolean): void {
    const now = this.#host.now();
    if (now - this.#toldAt >= repeatMs && send()) this.#toldAt = now;
  }

  /** The message is out: the next letter is news again. */
  rest(): void {
    this.#toldAt = -Infinity;
  }
}
