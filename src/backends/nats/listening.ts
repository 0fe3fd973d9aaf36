import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import type { BackendContext } from "../backend.ts";

interface Listened {
  readonly subject: string;
  readonly callback: (error: Error | null, message: Msg) => void;
  /** On the connection that there is now. */
  subscription: Subscription | undefined;
}

interface ListeningContext {
  readonly log: BackendContext["log"];
  readonly malformed: BackendContext["malformed"] | undefined;
}

/** What this node listens to in NATS, whatever connection it has. */
export class Listening {
  readonly #context: ListeningContext;
  readonly #all = new Set<Listened>();
  #connection: NatsConnection | undefined;

  constructor(context: ListeningContext) {
    this.#context = context;
  }

  /** Goes on over another connection; undefined: there is none for now. */
  use(connection: NatsConnection | undefined): void {
    this.#connection = connection;
    for (const listened of this.#all) {
      const { subject, callback } = listened;
      listened.subscription = connection?.subscribe(subject, { callback });
    }
  }

  /** Until the function that it gives back is called. */
  subscribe(subject: string, hear: (message: Msg) => void): () => void {
    const callback: Listened["callback"] = (error, message) => {
      if (error !== null) return;
      try {
        hear(message);
      } catch (err) {
        // Of a program that is no node: it must not end this one.
        this.#context.malformed?.();
        this.#context.log("warn", "a message on NATS that no node can have sent was dropped", { subject, err });
      }
    };
    const listened: Listened = { subject, callback, subscription: this.#connection?.subscribe(subject, { callback }) };
    this.#all.add(listened);
    return () => {
      this.#all.delete(listened);
      listened.subscription?.unsubscribe();
    };
  }
}
