import type { Platform, PlatformNews } from "./platform.ts";

/** The platform of browsers and Node, each as far as it has what is asked for. */
export function hostPlatform(): Platform {
  return {
    now: wakefulClock(
      () => performance.now(),
      () => Date.now(),
    ),
    random: () => Math.random(),
    randomKey,
    setTimer: (run, ms) => setTimeout(run, ms),
    clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
    watch,
  };
}

/**
 * A clock that never goes back and counts sleep. The monotonic clock alone stands still while some machines sleep, which
 * would make a repeat look safe that is not (P-31); the wall clock alone can be turned. So: the monotonic one, and
 * whatever more than a second the wall clock gained on it.
 */
export function wakefulClock(monotonic: () => number, wall: () => number): () => number {
  let lead = wall() - monotonic();
  let slept = 0;
  return () => {
    const now = monotonic();
    const gained = wall() - now - lead;
    if (Math.abs(gained) > 1_000) {
      lead += gained;
      slept += Math.max(0, gained);
    }
    return now + slept;
  };
}

function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .slice(0, 22);
}

const windowNews: readonly [string, (event: Event) => PlatformNews | undefined][] = [
  ["online", () => "up"],
  ["offline", () => "down"],
  // Only a page that goes into the page cache is frozen; where it is thrown away the browser closes the socket itself.
  ["pagehide", (event) => ("persisted" in event && event.persisted ? "freeze" : undefined)],
  ["pageshow", (event) => ("persisted" in event && event.persisted ? "look" : undefined)],
];

function watch(listener: (news: PlatformNews) => void): () => void {
  const offs: (() => void)[] = [];
  const listen = (target: EventTarget | undefined, type: string, read: (event: Event) => PlatformNews | undefined) => {
    const heard = (event: Event): void => {
      const news = read(event);
      if (news !== undefined) listener(news);
    };
    target?.addEventListener?.(type, heard);
    offs.push(() => target?.removeEventListener?.(type, heard));
  };
  const { document, navigator } = globalThis as Partial<Pick<typeof globalThis, "document" | "navigator">>;
  for (const [type, read] of windowNews) listen(globalThis as unknown as EventTarget, type, read);
  listen(document, "visibilitychange", () => (document?.visibilityState === "visible" ? "look" : undefined));
  listener(navigator?.onLine === false ? "down" : "up");
  return () => {
    for (const off of offs) off();
  };
}
