/**
 * Rates that several connections share. Each is off until it is set: by its `…PerS`, with `…Burst` for how many may come
 * at once (absent: two seconds' worth, and at least one).
 */
export interface Rates {
  /** Requests of one user, over all connections and HTTP calls; a page of history counts ten. */
  readonly userRequestsPerS?: number;
  readonly userRequestsBurst?: number;
  /** Requests of one address, over all connections and HTTP calls, those of unknown callers too. */
  readonly addressRequestsPerS?: number;
  readonly addressRequestsBurst?: number;
  /** Sockets and streams that one address opens. */
  readonly addressConnectsPerS?: number;
  readonly addressConnectsBurst?: number;
  /** Publishes and signals of all users into one room. */
  readonly roomSendsPerS?: number;
  readonly roomSendsBurst?: number;
}

/** What each rate is of. */
export type RateKind = "userRequests" | "addressRequests" | "addressConnects" | "roomSends";

export const rateKinds: readonly RateKind[] = ["userRequests", "addressRequests", "addressConnects", "roomSends"];

/** The names of the options. */
export const rateNames: readonly (keyof Rates)[] = rateKinds.flatMap(
  (kind) => [`${kind}PerS`, `${kind}Burst`] as const,
);

/** One in a thousand seconds; more than a million a second is no limit. */
const leastPerS = 0.001;
const mostPerS = 1_000_000;
const mostBurst = 2 ** 31 - 1;
/** P-63 has it so, too. */
const defaultBurstS = 2;

/** A rate that is set. */
export interface RateLimit {
  readonly perS: number;
  readonly burst: number;
}

/** Throws a RangeError naming the first rate that cannot be. A burst without its rate is left to `resolveRates`. */
export function checkRates(given: Rates): void {
  for (const [name, value] of Object.entries(given) as [keyof Rates, number | undefined][]) {
    if (!rateNames.includes(name)) throw new RangeError(`unknown rate ${name}; known: ${rateNames.join(", ")}`);
    if (value === undefined) continue;
    const isBurst = name.endsWith("Burst");
    const [least, most] = isBurst ? [1, mostBurst] : [leastPerS, mostPerS];
    const isGood = isBurst ? Number.isSafeInteger(value) : Number.isFinite(value);
    if (!isGood || value < least || value > most) {
      const what = isBurst ? "an integer" : "a number";
      throw new RangeError(`rate ${name} must be ${what} from ${least} to ${most}, got ${value}`);
    }
  }
}

/** The rates that are set. Throws as `checkRates` does, and on a burst without its rate. */
export function resolveRates(given: Rates = {}): Readonly<Partial<Record<RateKind, RateLimit>>> {
  checkRates(given);
  const set: Partial<Record<RateKind, RateLimit>> = {};
  for (const kind of rateKinds) {
    const perS = given[`${kind}PerS`];
    const burst = given[`${kind}Burst`];
    if (perS !== undefined) set[kind] = { perS, burst: burst ?? Math.max(1, Math.ceil(perS * defaultBurstS)) };
    else if (burst !== undefined) throw new RangeError(`rate ${kind}Burst needs ${kind}PerS`);
  }
  return set;
}
