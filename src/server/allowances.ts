/** How far ahead `spend` and `observe` can put a key: more is forgiven, so that nobody is shut out for ever. */
const maxAheadMs = 60_000;
/** Rounding must not refuse what is there, nor tell a wait of a millisecond more. */
const slackMs = 1e-6;

/** What others should be told was spent here. */
export type Spent = readonly [key: string, cost: number];

/**
 * Buckets by key (a user, an address, a room), each filled by `perS` a second up to `burst`. A bucket is one number: the
 * time at which it is full again. Every call costs the same, however many keys there are.
 *
 * Buckets that are full are forgotten: there are two maps, what is touched goes into the newer one, and the older one is
 * dropped whenever all in it must be full. At most `maxKeys` are remembered; where more are in use at once, those that
 * were not touched for the longest time are forgotten early, which gives them a full bucket. Who keeps on asking is never
 * among these.
 *
 * Times are monotonic milliseconds, as the caller has them. A cost over `burst` is a full bucket.
 *
 * Several nodes share limits by telling each other: every 50 to 100 ms a node sends what `spent` gives to the others, and
 * they call `observe` with it. What nodes spend at once, before they have told each other, may go over the limit; it is
 * paid back afterwards.
 */
export class Allowances {
  readonly #costMs: number;
  readonly #burst: number;
  readonly #maxKeys: number;
  #touched: Map<string, number> = new Map();
  #older: Map<string, number> = new Map();
  #turnsAt = Number.NEGATIVE_INFINITY;
  /** Undefined until somebody asks. */
  #spent: Map<string, number> | undefined;

  constructor({ perS, burst }: { readonly perS: number; readonly burst: number }, maxKeys = 100_000) {
    this.#costMs = 1_000 / perS;
    this.#burst = burst;
    this.#maxKeys = maxKeys;
  }

  /** Buckets that are remembered. */
  get size(): number {
    return this.#touched.size + this.#older.size;
  }

  /** Takes `cost`, and gives 0; or takes nothing, and gives the milliseconds after which it can be had. */
  take(key: string, cost: number, now: number): number {
    const waitMs = this.waitMs(key, cost, now);
    if (waitMs === 0) this.spend(key, cost, now);
    return waitMs;
  }

  /**
   * In how many milliseconds `cost` can be had, by whoever comes first then; 0: now. Of it, `taken` were taken already, and
   * are taken anew by who comes again.
   */
  waitMs(key: string, cost: number, now: number, taken = 0): number {
    const fullAt = this.#fullAt(key, now);
    const overMs = fullAt - now + (Math.min(cost, this.#burst) - this.#burst) * this.#costMs;
    if (fullAt <= now || overMs <= taken * this.#costMs + slackMs) return 0;
    // So that one who keeps on asking is not forgotten.
    this.#set(key, fullAt);
    return Math.max(1, Math.ceil(overMs - slackMs));
  }

  /**
   * Takes what is left of `cost` after `taken`, though it may not be there, for what was done already. Others wait until it
   * is made up for.
   */
  spend(key: string, cost: number, now: number, taken = 0): void {
    const rest = Math.min(cost, this.#burst) - taken;
    this.#add(key, rest, now);
    this.#tell(key, rest);
  }

  /** What another node spent: as `spend`, and not told again. What is no positive number counts for nothing. */
  observe(key: string, cost: number, now: number): void {
    if (Number.isFinite(cost) && cost > 0) this.#add(key, cost, now);
  }

  /**
   * What was spent here since the last call, a sum for each key. Nothing is recorded before the first call. Between two
   * calls at most `maxKeys` are recorded; those after them are not told, and other nodes let them have as much again.
   */
  spent(): Iterable<Spent> {
    const spent = this.#spent ?? [];
    this.#spent = new Map();
    return spent;
  }

  #add(key: string, cost: number, now: number): void {
    const fullAt = Math.max(this.#fullAt(key, now), now) + cost * this.#costMs;
    this.#set(key, Math.min(fullAt, now + this.#fillMs + maxAheadMs));
  }

  #tell(key: string, cost: number): void {
    const spent = this.#spent;
    if (spent === undefined) return;
    const before = spent.get(key);
    if (before !== undefined || spent.size < this.#maxKeys) spent.set(key, (before ?? 0) + cost);
  }

  #fullAt(key: string, now: number): number {
    if (now >= this.#turnsAt) this.#turn(now);
    return this.#touched.get(key) ?? this.#older.get(key) ?? Number.NEGATIVE_INFINITY;
  }

  #set(key: string, fullAt: number): void {
    if (this.#touched.size >= this.#maxKeys / 2 && !this.#touched.has(key)) this.#forgetOlder();
    this.#touched.set(key, fullAt);
  }

  /** What was last touched a period ago is full by now. */
  #turn(now: number): void {
    const periodMs = this.#fillMs + maxAheadMs;
    this.#forgetOlder();
    // Nobody came for a second period, either.
    if (now >= this.#turnsAt + periodMs) this.#older = new Map();
    this.#turnsAt = now + periodMs;
  }

  #forgetOlder(): void {
    this.#older = this.#touched;
    this.#touched = new Map();
  }

  get #fillMs(): number {
    return this.#burst * this.#costMs;
  }
}
