import type { ErrorFrame, HistoryFrame } from "../protocol/frames.ts";
import { FanfareError, errorOf, hintOf } from "./errors.ts";
import type { ClientLimits, ClientTiming } from "./platform.ts";

interface Page {
  readonly id: string;
  readonly room: string;
  readonly text: string;
  readonly resolve: (frame: HistoryFrame) => void;
  readonly reject: (error: FanfareError) => void;
  readonly until: number;
  flying: boolean;
  notBefore: number;
  /** What the server said last. */
  error: FanfareError | undefined;
}

/** Pages of history that are waited for. Reading changes nothing, so a page is asked for again until its time is over. */
export class Pages {
  readonly #pages = new Map<string, Page>();
  readonly #limits: ClientLimits;
  readonly #timing: ClientTiming;

  constructor(limits: ClientLimits, timing: ClientTiming) {
    this.#limits = limits;
    this.#timing = timing;
  }

  add(page: Pick<Page, "id" | "room" | "text" | "resolve" | "reject">, now: number): void {
    if (this.#pages.size >= this.#limits.queuedHistory) {
      return page.reject(new FanfareError("queue_full", "too many pages are waited for", { room: page.room }));
    }
    const until = now + this.#timing.requestMs;
    this.#pages.set(page.id, { ...page, until, flying: false, notBefore: 0, error: undefined });
  }

  /** Asks for what is due, until `send` has had enough. True where nothing due is left. */
  flush(now: number, send: (text: string) => boolean): boolean {
    for (const page of this.#pages.values()) {
      if (page.flying || now < page.notBefore) continue;
      if (!send(page.text)) return false;
      page.flying = true;
    }
    return true;
  }

  answer(frame: HistoryFrame | ErrorFrame, now: number): boolean {
    const page = this.#pages.get(frame.re ?? "");
    if (page === undefined) return false;
    if (frame.type === "history") {
      this.#pages.delete(page.id);
      page.resolve(frame);
    } else if (frame.code === "unavailable" || frame.code === "rate_limited") {
      page.flying = false;
      page.error = errorOf(frame);
      page.notBefore = now + (hintOf(frame.retry_after_ms) || this.#timing.backoffMs);
    } else {
      this.#pages.delete(page.id);
      page.reject(errorOf(frame));
    }
    return true;
  }

  suspend(): void {
    for (const page of this.#pages.values()) page.flying = false;
  }

  expire(now: number): void {
    for (const page of this.#pages.values()) {
      if (now >= page.until) this.#fail(page, page.error ?? new FanfareError("timeout", "no answer", { room: page.room }));
    }
  }

  fail(error: FanfareError, room?: string): void {
    for (const page of this.#pages.values()) if (room === undefined || room === page.room) this.#fail(page, error);
  }

  nextAt(now: number, readyAt: number, online: boolean): number {
    let next = Infinity;
    for (const page of this.#pages.values()) {
      next = Math.min(next, page.until);
      if (online && !page.flying) next = Math.min(next, Math.max(now, page.notBefore, readyAt));
    }
    return next;
  }

  #fail(page: Page, error: FanfareError): void {
    this.#pages.delete(page.id);
    page.reject(error);
  }
}
