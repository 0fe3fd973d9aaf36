import { BackendUnavailable } from "../backends/backend.ts";
import { closeCodes } from "../protocol/codes.ts";
import { encodeFrame } from "../protocol/encode.ts";
import type { AuthFrame, Right } from "../protocol/frames.ts";
import { errorFrame, Refused } from "./refused.ts";
import type { Room } from "./room.ts";
import type { SessionContext, SessionPeer } from "./session-context.ts";

export interface RenewalEvents {
  /** The room is no longer allowed. */
  readonly expel: (room: Room) => void;
}

/** New credentials after `welcome` (P-17): they take effect before all that came after them (P-6). */
export class Renewal {
  readonly #context: SessionContext;
  readonly #peer: SessionPeer;
  readonly #events: RenewalEvents;
  /** What came after an `auth` whose token is being checked; undefined: none is. */
  #held: (() => void)[] | undefined;

  constructor(context: SessionContext, peer: SessionPeer, events: RenewalEvents) {
    this.#context = context;
    this.#peer = peer;
    this.#events = events;
  }

  /** Requests that wait for a token's check. */
  get waiting(): number {
    return this.#held?.length ?? 0;
  }

  /** Runs it now, or after the `auth` that is being checked. */
  inOrder(run: () => void): void {
    if (this.#held === undefined) run();
    else this.#held.push(run);
  }

  start(frame: AuthFrame): void {
    this.#held = [];
    void this.#renew(frame).finally(() => this.#release());
  }

  /** The connection is gone: what waited is forgotten. */
  end(): void {
    this.#held = undefined;
  }

  async #renew(frame: AuthFrame): Promise<void> {
    try {
      const identity = await this.#inTime(this.#context.renew(frame.token, this.#peer));
      if (this.#peer.closed) return;
      if (identity === undefined) throw new Refused("unauthorized", "bad token");
      if (identity.user !== this.#peer.user) {
        this.#peer.close(closeCodes.unauthorized, "another user");
        return;
      }
      const rights = new Map<Room, ReadonlySet<Right> | undefined>();
      // A join that was under way may bring the connection into another room meanwhile.
      for (let room = this.#without(rights); room !== undefined; room = this.#without(rights)) {
        rights.set(room, await this.#context.requests.rightsAgain(this.#peer, room, identity));
      }
      if (this.#peer.closed) return;
      this.#peer.renewed(identity);
      const re = frame.id === undefined ? {} : { re: frame.id };
      const expiry = identity.expiresAt === undefined ? {} : { expires_at: identity.expiresAt };
      this.#peer.send(encodeFrame({ type: "authed", ...re, ...expiry }));
      this.#apply(rights);
    } catch (error) {
      this.#peer.send(errorFrame(this.#refusalFor(error), frame));
    }
  }

  /** What cannot be checked now does not take effect: the credentials at hand hold until they expire. */
  #refusalFor(error: unknown): Refused {
    if (error instanceof Refused) return error;
    this.#context.logger.error({ connection: this.#peer.id, err: error }, "credentials cannot be checked");
    return new Refused("unavailable", "try again later");
  }

  /** An app's check that never ends must not hold back for ever what came after the `auth`. */
  #inTime<T>(answer: Promise<T>): Promise<T> {
    const { clock, limits } = this.#context;
    return new Promise((resolve, reject) => {
      const late = new BackendUnavailable(`the check of a token took more than ${limits.authWithinMs} ms`);
      const timer = clock.setTimeout(() => reject(late), limits.authWithinMs);
      answer.then(resolve, reject).finally(() => clock.clearTimeout(timer));
    });
  }

  /** A room whose rights with the new credentials are not known yet. */
  #without(rights: ReadonlyMap<Room, unknown>): Room | undefined {
    return [...this.#peer.joined.values()].find((room) => !rights.has(room));
  }

  /** Without an await, so that none of the rooms is left unchecked. */
  #apply(rights: ReadonlyMap<Room, ReadonlySet<Right> | undefined>): void {
    for (const [room, allowed] of rights) {
      if (this.#peer.joined.get(room.name) !== room) continue;
      if (allowed === undefined) this.#events.expel(room);
      else room.setRights(this.#peer, allowed);
    }
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const run of held) {
      if (this.#peer.closed) return;
      // One of them can be another `auth`: the rest waits for that one.
      this.inOrder(run);
    }
  }
}
