import type { Off } from "./types.ts";

type Listener<T> = (value: T) => void;

/** Listeners by event. One that throws is told to `failed` and costs the others nothing. */
export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<{ readonly call: Listener<never> }>>();
  readonly #failed: (cause: unknown, event: keyof Events) => void;

  constructor(failed: (cause: unknown, event: keyof Events) => void) {
    this.#failed = failed;
  }

  on<E extends keyof Events>(event: E, call: Listener<Events[E]>): Off {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    // An object of its own, so that the same function can listen twice and be taken off once.
    const listener = { call };
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** False where nobody listens. */
  emit<E extends keyof Events>(event: E, value: Events[E]): boolean {
    const listeners = this.#listeners.get(event);
    if (!listeners?.size) return false;
    // A copy: listeners that are added meanwhile wait for the next event. One that was taken off is not called any more.
    for (const listener of [...listeners]) {
      if (!listeners.has(listener)) continue;
      try {
        (listener.call as Listener<Events[E]>)(value);
      } catch (cause) {
        this.#failed(cause, event);
      }
    }
    return true;
  }

  clear(): void {
    for (const listeners of this.#listeners.values()) listeners.clear();
  }
}
