import type { BackendContext, Jump, LogEntry, RoomListener } from "./backend.ts";

type Call =
  | { readonly entry: LogEntry }
  | { readonly text: string }
  | { readonly jump: Jump }
  | { readonly interrupted: true };

/** Whom a fault of what was told is told to. */
export type Told = Pick<BackendContext, "log" | "malformed">;

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

  appended(entry: LogEntry, context: Told): void {
    if (this.#listeners.size > 0) this.#call({ entry }, context);
  }

  relayed(text: string, context: Told): void {
    if (this.#listeners.size > 0) this.#call({ text }, context);
  }

  jumped(jump: Jump, context: Told): void {
    if (this.#listeners.size > 0) this.#call({ jump }, context);
  }

  interrupted(context: Told): void {
    if (this.#listeners.size > 0) this.#call({ interrupted: true }, context);
  }

  #call(call: Call, context: Told): void {
    if (this.#calling) {
      this.#waiting.push(call);
      return;
    }
    this.#calling = true;
    for (let next: Call | undefined = call; next !== undefined; next = this.#waiting.shift()) {
      for (const listener of this.#listeners) tell(listener, next, context);
    }
    this.#calling = false;
  }
}

/** A listener that throws must not keep the message from the others, nor fail the append that is already kept. */
function tell(listener: RoomListener, call: Call, context: Told): void {
  try {
    if ("entry" in call) listener.appended(call.entry);
    else if ("text" in call) listener.relayed(call.text);
    else if ("jump" in call) listener.jumped?.(call.jump);
    else listener.interrupted?.();
  } catch (err) {
    if ("text" in call && err instanceof SyntaxError) {
      context.malformed?.();
      context.log("warn", "a text that no node can have sent was dropped", { err });
    } else context.log("error", "a listener of a room threw", { err });
  }
}
