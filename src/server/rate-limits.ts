import { isIPv6 } from "node:net";
import { Allowances } from "./allowances.ts";
import type { Counts } from "./metrics/counts.ts";
import { type RateKind, rateKinds, resolveRates, type Rates } from "./rates.ts";
import { Refused } from "./refused.ts";

/** Whose request it is; undefined or empty: not known, and then nobody's. */
export interface Source {
  readonly user?: string | undefined;
  readonly address?: string | undefined;
}

/** What was spent of a rate: what nodes tell each other. */
export type SpentRate = readonly [kind: RateKind, key: string, cost: number];

/**
 * The rates that a hub's connections share: by user, address and room. Where none is set, each question is one comparison.
 * All answers are milliseconds to wait; 0: granted, and taken.
 */
export class RateLimits {
  readonly #allowances: Readonly<Partial<Record<RateKind, Allowances>>>;
  readonly #monotonic: () => number;
  readonly #counts: Pick<Counts, "rateLimited">;
  /** Until when the publishes of a connection into a room are held. A connection that is gone takes its own with it. */
  readonly #held: WeakMap<object, Map<string, number>> = new WeakMap();

  /** Throws a RangeError on rates that cannot be. */
  constructor(rates: Rates | undefined, monotonic: () => number, counts: Pick<Counts, "rateLimited">) {
    const set = resolveRates(rates);
    const allowances: Partial<Record<RateKind, Allowances>> = {};
    for (const kind of rateKinds) if (set[kind] !== undefined) allowances[kind] = new Allowances(set[kind]);
    this.#allowances = allowances;
    this.#monotonic = monotonic;
    this.#counts = counts;
  }

  /**
   * A request of a user from an address: taken from both, or from neither. `taken`: so much of the cost was taken for this
   * request before, when it was not known yet what it would be.
   */
  request({ user, address }: Source, cost: number, taken = 0): number {
    const { userRequests: users, addressRequests: addresses } = this.#allowances;
    if ((users === undefined && addresses === undefined) || cost === taken) return 0;
    const now = this.#monotonic();
    const block = addresses && address ? blockOf(address) : undefined;
    const userMs = users && user ? users.waitMs(user, cost, now, taken) : 0;
    const addressMs = addresses && block ? addresses.waitMs(block, cost, now, taken) : 0;
    if (userMs > 0 || addressMs > 0) {
      this.#counts.rateLimited(userMs >= addressMs ? "user" : "address");
      return Math.max(userMs, addressMs);
    }
    if (user) users?.spend(user, cost, now, taken);
    if (block) addresses?.spend(block, cost, now, taken);
    return 0;
  }

  /** A message that was read already and cannot be refused: taken from both. Gives for how long no more should be read. */
  read({ user, address }: Source): number {
    const { userRequests: users, addressRequests: addresses } = this.#allowances;
    if (users === undefined && addresses === undefined) return 0;
    const now = this.#monotonic();
    if (user) users?.spend(user, 1, now);
    if (address) addresses?.spend(blockOf(address), 1, now);
    return this.restMs({ user, address });
  }

  /** For how long no message should be read: until the next one is there. */
  restMs({ user, address }: Source): number {
    const { userRequests: users, addressRequests: addresses } = this.#allowances;
    if (users === undefined && addresses === undefined) return 0;
    const now = this.#monotonic();
    const userMs = users && user ? users.waitMs(user, 1, now) : 0;
    return Math.max(userMs, addresses && address ? addresses.waitMs(blockOf(address), 1, now) : 0);
  }

  /** A socket or stream that an address opens. */
  connect(address: string): number {
    const { addressConnects } = this.#allowances;
    if (addressConnects === undefined || address === "") return 0;
    const waitMs = addressConnects.take(blockOf(address), 1, this.#monotonic());
    if (waitMs > 0) this.#counts.rateLimited("connect");
    return waitMs;
  }

  /** Throws `rate_limited` where no signal, or message without a connection, may go into a room now. */
  send(room: string): void {
    const { roomSends } = this.#allowances;
    if (roomSends === undefined) return;
    const waitMs = roomSends.take(room, 1, this.#monotonic());
    if (waitMs > 0) throw this.#tooMuch(waitMs);
  }

  /**
   * A publish of a connection into a room. After a refusal the others that it sends there are refused too, until the
   * time that was told is over, so that none overtakes another (P-63). `maxHeld` bounds the rooms in which it is held.
   */
  publish(connection: object, room: string, maxHeld: number): void {
    const { roomSends } = this.#allowances;
    if (roomSends === undefined) return;
    const now = this.#monotonic();
    const held = this.#held.get(connection);
    const until = held?.get(room);
    if (until !== undefined && now < until) throw this.#tooMuch(Math.ceil(until - now), "held");
    held?.delete(room);
    const waitMs = roomSends.take(room, 1, now);
    if (waitMs === 0) return;
    this.#hold(connection, room, now + waitMs, maxHeld);
    throw this.#tooMuch(waitMs);
  }

  /** What other nodes spent. Of what is no rate, or not set here, nothing counts: it comes over the network. */
  observe(kind: RateKind, key: string, cost: number): void {
    if (Object.hasOwn(this.#allowances, kind)) this.#allowances[kind]?.observe(key, cost, this.#monotonic());
  }

  /** What was spent here since the last call, to be told to other nodes: see `Allowances.spent`. */
  spent(): SpentRate[] {
    return rateKinds.flatMap((kind) =>
      Array.from(this.#allowances[kind]?.spent() ?? [], ([key, cost]): SpentRate => [kind, key, cost]),
    );
  }

  #hold(connection: object, room: string, until: number, maxHeld: number): void {
    const held = this.#held.get(connection) ?? new Map<string, number>();
    this.#held.set(connection, held);
    // Beyond as many rooms as it can be in are only those that it has left since; the one longest held is let go.
    const [first] = held.keys();
    if (held.size >= maxHeld && first !== undefined) held.delete(first);
    held.set(room, until);
  }

  #tooMuch(retryAfterMs: number, by: "room" | "held" = "room"): Refused {
    this.#counts.rateLimited(by);
    return new Refused("rate_limited", "too much is sent into this room", { retryAfterMs });
  }
}

/**
 * What is counted as one address: an IPv4 address, or the /64 of an IPv6 address, because whoever has one address of
 * that has all of them.
 */
export function blockOf(address: string): string {
  if (!isIPv6(address)) return address;
  // How Node names an IPv4 peer of a socket that takes both, and so what a host may tell `fetchApi`.
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = "", tail] = (address.split("%", 1)[0] ?? "").split("::");
  const before = head === "" ? [] : head.split(":");
  if (tail === undefined) return `${before.slice(0, 4).join(":")}::/64`;
  const after = tail === "" ? [] : tail.split(":");
  const zeros = Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill("0"), ...after];
  return `${groups.slice(0, 4).join(":")}::/64`;
}
