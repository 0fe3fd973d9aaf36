import type { Signal } from "@preact/signals";
import { FanfareError, type Room } from "fanfare/client";
import type { ChatSpec } from "../rooms.ts";
import { whyNotKept } from "./reasons.ts";
import { addPending, dropPending, setDelivery, type Timeline } from "./timeline.ts";

export interface OutgoingParts {
  now(): number;
  readonly timeline: Signal<Timeline>;
  /** The room as it is joined now. */
  handle(): Room<ChatSpec>;
}

/** So many of the newest messages are searched for one whose outcome is unknown. */
const searched = 100;

/** One's own messages in one room, shown from the moment they are written, each until its outcome is known. */
export class Outgoing {
  readonly #parts: OutgoingParts;

  constructor(parts: OutgoingParts) {
    this.#parts = parts;
  }

  /** A repeat keeps its key, so that one that had got through after all is not there twice (P-31). */
  publish(text: string, repeated?: string): void {
    const { now, timeline, handle } = this.#parts;
    const kept = handle().publish("message", { text }, repeated === undefined ? {} : { key: repeated });
    const { key } = kept;
    timeline.value = addPending(timeline.value, { key, text, at: now(), delivery: { kind: "sending" } });
    kept.then(
      () => this.#settle(key, { kind: "kept" }),
      (error: unknown) => void this.#failed(key, error),
    );
  }

  retry(key: string): void {
    const own = this.#parts.timeline.value.pending.find((pending) => pending.key === key);
    if (own !== undefined) this.publish(own.text, key);
  }

  discard(key: string): void {
    this.#parts.timeline.value = dropPending(this.#parts.timeline.value, key);
  }

  async #failed(key: string, error: unknown): Promise<void> {
    if (!(error instanceof FanfareError)) throw error;
    const isKept = error.code === "outcome_unknown" && (await this.#isInLog(key));
    this.#settle(key, isKept ? { kind: "kept" } : { kind: "failed", reason: whyNotKept(error) });
  }

  async #isInLog(key: string): Promise<boolean> {
    try {
      const { messages } = await this.#parts.handle().history({ limit: searched });
      return messages.some((message) => message.key === key);
    } catch {
      return false;
    }
  }

  #settle(key: string, delivery: Parameters<typeof setDelivery>[2]): void {
    this.#parts.timeline.value = setDelivery(this.#parts.timeline.value, key, delivery);
  }
}
