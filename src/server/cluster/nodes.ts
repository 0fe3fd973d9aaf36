import type { Clock } from "../clock.ts";
import type { Limits } from "../options.ts";
import type { RateKind } from "../rates.ts";
import type { RateLimits } from "../rate-limits.ts";
import { Operations, type OperationsContext } from "./operations.ts";
import { UserCounts } from "./user-counts.ts";

/** How often a look-up that the backend could not answer is tried again. */
const checkAgainMs = 1_000;
/** How often nodes tell each other what was spent of their rates. */
const spentEveryMs = 100;

export interface NodesContext extends OperationsContext {
  readonly limits: Limits;
  readonly clock: Clock;
  /** Undefined: none is set. */
  readonly rates: RateLimits | undefined;
}

/** A hub's part in a system of several nodes; with a backend that is not shared, a system of one that needs nothing. */
export class Nodes {
  readonly operations: Operations;
  readonly #context: NodesContext;
  #hasLeft = false;
  #isChecking = false;
  #mustCheck = false;
  #spentTimer: unknown;

  constructor(context: NodesContext) {
    this.#context = context;
    this.operations = new Operations(context);
    const { cluster, connections, limits } = context;
    if (cluster === undefined) return;
    const counts = new UserCounts(cluster, limits.connectionsPerUser);
    connections.counted = (user, count) => counts.counted(user, count);
    connections.elsewhere = (user) => counts.elsewhere(user);
  }

  /** Nodes that live, with this one. */
  get living(): number {
    return 1 + (this.#context.cluster?.others.length ?? 0);
  }

  /** States that were read of other nodes. */
  get syncs(): number {
    return this.#context.cluster?.syncs ?? 0;
  }

  /** Whether this node hears the others, or there can be none. */
  get isWhole(): boolean {
    return this.#context.cluster?.isWhole ?? true;
  }

  /** The backend is open. Resolves when the other nodes are known, or should be. Never rejects. */
  async start(): Promise<void> {
    await this.#context.cluster?.start({
      missed: () => void this.#checkRevocations(),
      fenced: () => {
        for (const room of [...this.#context.rooms.all()]) room.presence.endGraces();
      },
      spent: (costs) => {
        // Another node's word: what is no rate here counts for nothing.
        for (const [kind, key, cost] of costs) this.#context.rates?.observe(kind as RateKind, key, cost);
      },
    });
    this.#tellSpent();
  }

  /** Says goodbye; the others keep this node's users for so long (P-53). */
  async leave(holdMs: number): Promise<void> {
    this.#hasLeft = true;
    this.#context.clock.clearTimeout(this.#spentTimer);
    await this.#context.cluster?.leave(holdMs);
  }

  #tellSpent(): void {
    const { cluster, rates, clock } = this.#context;
    if (cluster === undefined || rates === undefined || this.#hasLeft) return;
    cluster.spent(rates.spent());
    this.#spentTimer = clock.setTimeout(() => this.#tellSpent(), spentEveryMs);
  }

  /** What was revoked while this node could not be told is looked up, as often as it takes. */
  async #checkRevocations(): Promise<void> {
    this.#mustCheck = true;
    if (this.#isChecking) return;
    this.#isChecking = true;
    while (this.#mustCheck && !this.#hasLeft) {
      this.#mustCheck = false;
      try {
        await this.operations.checkRevocations();
      } catch (error) {
        this.#context.logger.warn({ err: error }, "what was revoked cannot be looked up; it is tried again");
        this.#context.clock.setTimeout(() => void this.#checkRevocations(), checkAgainMs);
      }
    }
    this.#isChecking = false;
  }
}
