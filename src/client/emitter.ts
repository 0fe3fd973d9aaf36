import type { Off } from "./types.ts";

type Listener<T> = (value: T) => void;

/** Listeners by event. One that throws is told to `failed` and costs the others nothing. */
export interface Emitter<Events> {
  on<E extends keyof Events>(event: E, listener: Listener<Events[E]>): Off;
  /** False where nobody listens. */
  emit<E extends keyof Events>(event: E, value: Events[E]): boolean;
  clear(): void;
}

export function createEmitter<Events>(failed: (cause: unknown, event: keyof Events) => void): Emitter<Events> {
  // Entries are objects of their own, so that the same function can listen twice and be taken off once.
  const listeners = new Set<{ readonly event: keyof Events; readonly call: Listener<never> }>();
  return {
    on(event, call) {
      const listener = { event, call };
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    emit(event, value) {
      let isHeard = false;
      // A copy: listeners that are added meanwhile wait for the next event. One that was taken off is not called any more.
      for (const listener of [...listeners]) {
        if (listener.event !== event || !listeners.has(listener)) continue;
        isHeard = true;
        try {
          (listener.call as Listener<typeof value>)(value);
        } catch (cause) {
          failed(cause, event);
        }
      }
      return isHeard;
    },
    clear() {
      listeners.clear();
    },
  };
}
