import type { Platform, PlatformNews } from "./platform.ts";

/** The platform of browsers and Node, each as far as it has what is asked for. */
export function hostPlatform(): Platform {
  return {
    now: wakefulClock(() => performance.now(), Date.now),
    random: Math.random,
    randomKey,
    setTimer: setTimeout,
    clearTimer: clearTimeout,
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

/** Digits: what no url, cookie or log has to quote. */
function randomKey(): string {
  return crypto.getRandomValues(new BigUint64Array(2)).join("-");
}

/** What an event of the page tells; false where it is no news. */
function newsOf(event: Event): PlatformNews | false | undefined {
  // Only a page that goes into the page cache is frozen; where it is thrown away the browser closes the socket itself.
  const { persisted } = event as Partial<PageTransitionEvent>;
  const news: { readonly [type: string]: PlatformNews | false | undefined } = {
    online: "up",
    offline: "down",
    pagehide: persisted && "freeze",
    pageshow: persisted && "look",
    visibilitychange: globalThis.document?.visibilityState === "visible" && "look",
  };
  return news[event.type];
}

function watch(listener: (news: PlatformNews) => void): () => void {
  const heard = (event: Event): void => {
    const news = newsOf(event);
    if (news) listener(news);
  };
  // In Node, and in workers as far as they have them, there is nothing to hear.
  const host = globalThis as Partial<Pick<Window, "addEventListener" | "removeEventListener" | "navigator">>;
  const types = ["online", "offline", "pagehide", "pageshow", "visibilitychange"];
  for (const type of types) host.addEventListener?.(type, heard);
  listener(host.navigator?.onLine === false ? "down" : "up");
  return () => {
    for (const type of types) host.removeEventListener?.(type, heard);
  };
}
