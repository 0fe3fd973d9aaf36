import { createHash } from "node:crypto";
import type { Backend, KeyFacts, KeyRef } from "../backends/backend.ts";
import { isLater } from "./later.ts";

/** What an earlier publish with the same key left. */
export type Earlier = Pick<KeyFacts, "fingerprint" | "resultJson">;

/** One that was passed on here a moment ago, or is about to be. */
export interface Recent extends Earlier {
  /** Rejects where it was not passed on. */
  readonly passed: Promise<void>;
}

/** A handler may run for so long between the look for a key and the message that is passed on (`handlerMs`, by default). */
const recentMs = 60_000;
/** Keys that are known by heart; beyond it the oldest are not. */
const maxRecent = 10_000;

/**
 * The keys of rooms without a log (P-31): there is no append to remember them, so they are facts of the backend. Two
 * publishes with one key that meet on different nodes can both be passed on; on one node they cannot.
 */
export class Once {
  readonly #backend: Pick<Backend, "get" | "set">;
  readonly #monotonic: () => number;
  readonly #recent: Map<string, { readonly recent: Recent; readonly until: number }> = new Map();

  constructor(backend: Pick<Backend, "get" | "set">, monotonic: () => number) {
    this.#backend = backend;
    this.#monotonic = monotonic;
  }

  find(room: string, key: KeyRef): Earlier | undefined | Promise<Earlier | undefined> {
    const recent = this.recent(room, key);
    if (recent !== undefined) return recent.passed.then(() => recent);
    const kept = this.#backend.get(nameOf(room, key));
    return isLater(kept) ? Promise.resolve(kept).then(read) : read(kept);
  }

  /** What is known of the key in this very turn: another may have come between `find` and now. */
  recent(room: string, key: KeyRef): Recent | undefined {
    const known = this.#recent.get(nameOf(room, key));
    return known !== undefined && known.until > this.#monotonic() ? known.recent : undefined;
  }

  /** Keeps the key of a message that is being passed on; one that could not be leaves nothing, so that it can be repeated. */
  async keep(room: string, facts: KeyRef & KeyFacts, passed: Promise<void>): Promise<void> {
    const { fingerprint, resultJson, dedupeMs } = facts;
    const name = nameOf(room, facts);
    this.#remember(name, { fingerprint, resultJson, passed });
    try {
      await passed;
    } catch (error) {
      this.#recent.delete(name);
      throw error;
    }
    await this.#backend.set(name, JSON.stringify([fingerprint, resultJson ?? null]), dedupeMs);
  }

  #remember(name: string, recent: Recent): void {
    const now = this.#monotonic();
    this.#recent.delete(name);
    this.#recent.set(name, { recent, until: now + recentMs });
    for (const [known, { until }] of this.#recent) {
      if (until > now && this.#recent.size <= maxRecent) break;
      this.#recent.delete(known);
    }
  }
}

function nameOf(room: string, { scope, key }: KeyRef): string {
  return `once:${createHash("sha256")
    .update(JSON.stringify([room, scope, key]))
    .digest("base64url")}`;
}

function read(kept: string | undefined): Earlier | undefined {
  if (kept === undefined) return undefined;
  const [fingerprint, resultJson] = JSON.parse(kept) as [string, string | null];
  return { fingerprint, resultJson: resultJson ?? undefined };
}
