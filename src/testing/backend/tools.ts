import type {
  Appended,
  Backend,
  KeyFacts,
  KeyRef,
  LogEntry,
  LogState,
  NewEntry,
  RoomRef,
} from "../../backends/backend.ts";
import type { Keep } from "../../protocol/contract.ts";

/** A clock that stands still until a test turns it; milliseconds since 1970. */
export class TestClock {
  now = 1_750_000_000_000;
}

export function roomOf(name: string, keep: Keep = { messages: 10_000, ms: 86_400_000_000_000 }): RoomRef {
  return { name, keep };
}

export function entryOf(body: string, at = 1_750_000_000_000): NewEntry {
  return { body, at, except: undefined };
}

export function keyOf(key: string, fingerprint = "f"): KeyRef & KeyFacts {
  return { scope: "ann", key, fingerprint, resultJson: undefined, dedupeMs: 300_000 };
}

/** The offset of a message that was kept. Throws where it was not. */
export function keptOffset(appended: Appended): number {
  if (appended.kind !== "kept") throw new Error(`expected the message to be kept, got ${appended.kind}`);
  return appended.offset;
}

export function bodies(entries: readonly LogEntry[]): string[] {
  return entries.map(({ body }) => body);
}

/** `first` to `last`, both included. */
export function numbers(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** What one subscription was told. */
export interface Recorder {
  readonly state: LogState;
  readonly entries: LogEntry[];
  readonly relayed: string[];
  bodies(): string[];
  /** Resolves when so many texts were relayed. */
  relayedCount(count: number): Promise<void>;
  /** As `Subscription.sync`: what was appended before is told after. */
  sync(): Promise<LogState>;
  /** As `Subscription.others`. */
  others(): Promise<number | undefined>;
  close(): void;
}

export async function recorder(backend: Backend, room: RoomRef): Promise<Recorder> {
  const entries: LogEntry[] = [];
  const relayed: string[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  const subscription = await backend.subscribe(room, {
    appended: (entry) => void entries.push(entry),
    relayed: (text) => {
      relayed.push(text);
      for (const { count, resolve } of waiting) if (relayed.length >= count) resolve();
    },
  });
  return {
    state: subscription.state,
    entries,
    relayed,
    bodies: () => bodies(entries),
    relayedCount: (count) =>
      new Promise((resolve) => {
        if (relayed.length >= count) resolve();
        else waiting.push({ count, resolve });
      }),
    sync: () => subscription.sync(),
    others: () => subscription.others(),
    close: () => subscription.close(),
  };
}
