import { createHash } from "node:crypto";
import type { Backend, KeyFacts, KeyRef } from "../backends/backend.ts";
import { isLater } from "./later.ts";

/** What an earlier publish with the same key left. */
export type Earlier = Pick<KeyFacts, "fingerprint" | "resultJson">;

/**
 * The keys of rooms without a log (P-31): there is no append to remember them, so they are facts of the backend. Two
 * publishes with one key that meet on different nodes can both be passed on; on one node they cannot.
 */
export class Once {
  readonly #backend: Pick<Backend, "get" | "set">;

  constructor(backend: Pick<Backend, "get" | "set">) {
    this.#backend = backend;
  }

  find(room: string, key: KeyRef): Earlier | undefined | Promise<Earlier | undefined> {
    const kept = this.#backend.get(nameOf(room, key));
    return isLater(kept) ? Promise.resolve(kept).then(read) : read(kept);
  }

  async keep(room: string, { scope, key, fingerprint, resultJson, dedupeMs }: KeyRef & KeyFacts): Promise<void> {
    await this.#backend.set(nameOf(room, { scope, key }), JSON.stringify([fingerprint, resultJson ?? null]), dedupeMs);
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
