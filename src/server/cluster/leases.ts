/** How often a node says that it lives. */
export const beatMs = 5_000;
/** A node that was not heard for so long is gone, with all its users (P-40). */
export const leaseMs = 15_000;
/** How often the leases are looked at. */
export const tickMs = 1_000;
/** A tick that comes later than this was held up: by a busy loop, a stopped process, a machine that slept. */
const lateMs = 2_000;
/** This node has heard its own voice within this, or else it may be the one that is cut off. */
const echoMs = beatMs + 2_000;

interface Lease {
  /** Monotonic. */
  heardAt: number;
  /** The node has gone away; its entries end then. Undefined: it lives. */
  heldUntil: number | undefined;
}

/** Nodes that were given up and may yet turn out to live. */
const maxDead = 1_000;

/**
 * Which other nodes live, by what was heard of them. Time counts against a node only while this one can hear: a bus that is
 * away or a process that stood still tells nothing about the others. No timers, no I/O.
 */
export class Leases {
  readonly #nodes: Map<string, Lease> = new Map();
  /** Nodes that said goodbye, so that what was still under way from them does not bring them back. */
  readonly #gone: Map<string, number> = new Map();
  readonly #dead: Set<string> = new Set();
  #tickedAt: number;
  #echoAt: number;

  constructor(now: number) {
    this.#tickedAt = this.#echoAt = now;
  }

  /** The other nodes that live. */
  get living(): string[] {
    return [...this.#nodes].filter(([, { heldUntil }]) => heldUntil === undefined).map(([node]) => node);
  }

  /** Whether this node hears what it says itself, and so does not take its own deafness for others' deaths. */
  isWhole(now: number): boolean {
    return now - this.#echoAt <= echoMs;
  }

  /** What a node says is proof that it lives; `new`: it was not known to; `revived`: it was given up before. */
  heard(node: string, now: number): "new" | "revived" | "known" | "gone" {
    if (this.#gone.has(node)) return "gone";
    const lease = this.#nodes.get(node);
    if (lease !== undefined) {
      lease.heardAt = now;
      return "known";
    }
    this.#nodes.set(node, { heardAt: now, heldUntil: undefined });
    return this.#dead.delete(node) ? "revived" : "new";
  }

  /** A node goes away and leaves its users for so long. */
  left(node: string, holdMs: number, now: number): void {
    this.#nodes.set(node, { heardAt: now, heldUntil: now + holdMs });
    this.#gone.set(node, now + holdMs + leaseMs);
  }

  /** How long what a node left that has gone away still counts; 0: it has not, or no more. */
  holdMs(node: string, now: number): number {
    return Math.max(0, (this.#nodes.get(node)?.heldUntil ?? now) - now);
  }

  /** Another node says what one left that has gone away. Whether that counts: not where this node knows that it is over. */
  inherited(node: string, holdMs: number, now: number): boolean {
    if (!this.#nodes.has(node) && !this.#gone.has(node)) this.left(node, holdMs, now);
    return this.#nodes.has(node);
  }

  /** This node has heard itself. Gives how long it had not; the leases of the others begin anew where it was deaf. */
  echoed(now: number): number {
    const gap = now - this.#echoAt;
    this.#echoAt = now;
    if (gap > echoMs) for (const lease of this.#nodes.values()) lease.heardAt = now;
    return gap;
  }

  /** Time has gone by. Gives the nodes that are over, which are forgotten. */
  tick(now: number): string[] {
    const elapsed = now - this.#tickedAt;
    this.#tickedAt = now;
    const isLate = elapsed - tickMs > lateMs;
    const frozen = this.isWhole(now) && !isLate ? 0 : elapsed;
    const dead: string[] = [];
    for (const [node, lease] of this.#nodes) {
      lease.heardAt += frozen;
      if (lease.heldUntil === undefined ? now - lease.heardAt < leaseMs : now < lease.heldUntil) continue;
      this.#nodes.delete(node);
      if (lease.heldUntil === undefined && this.#dead.size < maxDead) this.#dead.add(node);
      dead.push(node);
    }
    for (const [node, until] of this.#gone) if (now >= until) this.#gone.delete(node);
    return dead;
  }
}
