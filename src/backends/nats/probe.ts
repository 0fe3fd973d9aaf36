import { headers } from "@nats-io/transport-node";
import { BackendUnavailable } from "../backend.ts";
import { newEpoch } from "../epoch.ts";
import type { Engine } from "./engine.ts";

const withinMs = 2_000;

/** Writes to the log, and waits until that was sent on to this node: what shows that messages reach their members. */
export class Probe {
  readonly #engine: Engine;
  #running: Promise<void> | undefined;
  #waiting: { readonly id: string; readonly arrived: () => void } | undefined;
  #isListening = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Rejects with `BackendUnavailable`. Those who ask at once share one. */
  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #run(): Promise<void> {
    const { link, api, names } = this.#engine;
    if (!link.isReady) throw new BackendUnavailable("there is no connection to NATS");
    if (!this.#isListening) {
      link.subscribe(names.liveProbe, (message) => {
        if (message.string() === this.#waiting?.id) this.#waiting.arrived();
      });
      this.#isListening = true;
    }
    const id = newEpoch();
    let timer: NodeJS.Timeout | undefined;
    try {
      const arrival = new Promise<void>((resolve, reject) => {
        this.#waiting = { id, arrived: resolve };
        timer = setTimeout(() => {
          reject(new BackendUnavailable("what is published in NATS does not come back"));
        }, withinMs);
      });
      // One that is left of all nodes' probes: the newest replaces those before it.
      const rollup = headers();
      rollup.set("Nats-Rollup", "sub");
      await Promise.all([arrival, api.publish(names.probe, id, rollup)]);
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }
}
