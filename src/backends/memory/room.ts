import type { Keep } from "../../protocol/contract.ts";
import type {
  Appended,
  BackendContext,
  Found,
  KeyFacts,
  KeyRef,
  LogEntry,
  LogState,
  NewEntry,
  RoomListener,
  RoomRef,
  Subscription,
} from "../backend.ts";
import { lingerMs, newEpoch } from "../epoch.ts";
import { Listeners } from "../listeners.ts";
import { MemoryKeys } from "./keys.ts";
import { MemoryLog } from "./log.ts";

/** One life of one room. Nothing here waits, so every call is one step. */
export class MemoryRoom {
  readonly epoch: string = newEpoch();
  readonly #context: BackendContext;
  readonly #log = new MemoryLog();
  readonly #keys = new MemoryKeys();
  readonly #listeners = new Listeners();
  #keep: Keep;
  #usedAt: number;

  constructor(context: BackendContext, keep: Keep) {
    this.#context = context;
    this.#keep = keep;
    this.#usedAt = context.now();
  }

  /** Drops what is too old; tells whether nothing is left that anybody could ask for. */
  expire(): boolean {
    const now = this.#context.now();
    this.#log.dropBefore(now - this.#keep.ms);
    this.#keys.dropExpired(this.#steadyNow());
    const empty = this.#log.head === this.#log.trimmed && this.#keys.size === 0 && this.#listeners.size === 0;
    return empty && now - this.#usedAt >= lingerMs;
  }

  /** Takes over how long messages are kept: the newest word counts. */
  use(room: RoomRef): this {
    this.#keep = room.keep;
    this.#usedAt = this.#context.now();
    return this;
  }

  find(key: KeyRef): Found | undefined {
    const kept = this.#keys.get(key, this.#steadyNow());
    if (kept === undefined) return undefined;
    return { epoch: this.epoch, offset: kept.offset, fingerprint: kept.fingerprint, resultJson: kept.resultJson };
  }

  append(entry: NewEntry, key: (KeyRef & KeyFacts) | undefined): Appended {
    if (key !== undefined) {
      const found = this.find(key);
      if (found !== undefined) {
        return found.fingerprint === key.fingerprint ? { kind: "duplicate", ...found } : { kind: "conflict" };
      }
    }
    this.#log.dropBefore(this.#context.now() - this.#keep.ms);
    const kept = this.#log.append(entry, this.#keep);
    if (key !== undefined) this.#keys.set(key, kept.offset, this.#steadyNow());
    this.#listeners.appended(kept, this.#context);
    return { kind: "kept", epoch: this.epoch, offset: kept.offset };
  }

  state(): LogState {
    this.expire();
    return { epoch: this.epoch, head: this.#log.head, trimmed: this.#log.trimmed };
  }

  read(after: number, limit: number): LogEntry[] {
    this.expire();
    const first = Math.max(after, this.#log.trimmed);
    return this.#log.slice(first, first + limit);
  }

  readBack(before: number | undefined, limit: number): LogEntry[] {
    this.expire();
    const last = Math.min(before === undefined ? this.#log.head : before - 1, this.#log.head);
    return this.#log.slice(last - limit, last);
  }

  subscribe(listener: RoomListener): Subscription {
    const state = this.state();
    const remove = this.#listeners.add(listener);
    const close = (): void => {
      remove();
      this.#usedAt = this.#context.now();
    };
    return { state, sync: () => Promise.resolve(this.state()), others: () => Promise.resolve(0), close };
  }

  #steadyNow(): number {
    return (this.#context.steadyNow ?? this.#context.now)();
  }

  relay(text: string): void {
    this.#listeners.relayed(text, this.#context);
  }
}
