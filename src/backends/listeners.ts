import type { BackendContext, Jump, LogEntry, RoomListener } from "./backend.ts";

type Call =
  | { readonly entry: LogEntry }
  | { readonly text: string }
  | { readonly jump: Jump }
  | { readonly interrupted: true };

/**
 * Those who listen to one room. Each gets every call in the same order, even where a listener publishes from inside its
 * own call: without the queue, those after it would be told of the second message first.
 */
export class Listeners {
  readonly #listeners = new Set<RoomListener>();
  /** Calls that came from inside a listener; they wait for the one under way, so a call is as deep as one message. */
  readonly #waiting: Call[] = [];
  #calling = false;

  get size(): number {
    return this.#listeners.size;
  }

  /** Gives back the function that takes the listener off again; no call reaches it afterwards. */
  add(listener: RoomListener): () => void {
    // An object of its own, so that one listener may be subscribed twice.
    const own: RoomListener = {
      appended: (entry) => listener.appended(entry),
      relayed: (text) => listener.relayed(text),
      jumped: (to) => listener.jumped?.(to),
      interrupted: () => listener.interrupted?.(),
    };
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  appended(entry: LogEntry, log: BackendContext["log"]): void {
    if (this.#listeners.size > 0) this.#call({ entry }, log);
  }

  relayed(text: string, log: BackendContext["log"]): void {
    if (this.#listeners.size > 0) this.#call({ text }, log);
  }

  jumped(jump: Jump, log: BackendContext["log"]): void {
    if (this.#listeners.size > 0) this.#call({ jump }, log);
  }

  interrupted(log: BackendContext["log"]): void {
    if (this.#listeners.size > 0) this.#call({ interrupted: true }, log);
  }

  #call(call: Call, log: BackendContext["log"]): void {
    if (this.#calling) {
      this.#waiting.push(call);
      return;
    }
    this.#calling = true;
    for (let next: Call | undefined = call; next !== undefined; next = this.#waiting.shift()) {
      for (const listener of this.#listeners) tell(listener, next, log);
    }
    this.#calling = false;
  }
}

/** A listener that throws must not keep the message from the others, nor fail the append that is already kept. */
function tell(listener: RoomListener, call: Call, log: BackendContext["log"]): void {
  try {
    if ("entry" in call) listener.appended(call.entry);
    else if ("text" in call) listener.relayed(call.text);
    else if ("jump" in call) listener.jumped?.(call.jump);
    else listener.interrupted?.();
  } catch (error) {
    log("error", "a listener of a room threw", { error: String(error) });
  }
}
