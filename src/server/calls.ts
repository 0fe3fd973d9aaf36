import { BackendUnavailable } from "../backends/backend.ts";
import type { Member, Right } from "../protocol/frames.ts";
import type { Json } from "../protocol/json.ts";
import { isReservedRoom } from "../protocol/names.ts";
import { accessTo, forbidden, type Access } from "./access.ts";
import type { Identity } from "./auth/identity.ts";
import { refOf } from "./catalog.ts";
import type { HandleContext } from "./handles.ts";
import { readPage, type PageRequest } from "./history.ts";
import type { Published, Submitted } from "./publisher.ts";
import type { Source } from "./rate-limits.ts";
import { Refused } from "./refused.ts";
import { messageFacts, nameFact, traced, tracedPublish } from "./traced.ts";
import type { SpanFacts } from "./tracing.ts";
import { submitForUser } from "./user-publish.ts";

/** On whose word a call without a connection is made (P-80). */
export type Caller =
  | { readonly kind: "user"; readonly identity: Identity }
  /** An API key. `name` is the scope of its keys of P-31, so that two programs never meet in one. */
  | { readonly kind: "operator"; readonly name: string };

/** A message or signal by a call. `from` and `except` are the operator's to give. */
export interface CallMessage {
  readonly event: string;
  readonly data: Json;
  /** The user it is from; undefined: a user's own name, or nobody's where the operator sends it. */
  readonly from: string | undefined;
  /** The id of a connection that gets `skip` in its place; of a signal, nothing. */
  readonly except: string | undefined;
}

/** A list of members tells at least so many, and as many as a connection is told (P-43); `members` counts all. */
const minListedMembers = 1_000;

/**
 * What can be asked of a hub without a connection (P-80). A user has the rights of the credentials, and the app's
 * handlers have their say; the operator has all rights, and handlers are for users. Names were checked by P-20. All
 * reject with `Refused`, `BackendUnavailable`, or what a handler threw.
 */
export class Calls {
  readonly #context: HandleContext;
  readonly #underWay: Set<Promise<unknown>> = new Set();

  constructor(context: HandleContext) {
    this.#context = context;
  }

  /**
   * Counts a request against the rates of its user and address, before anything is done for it; what is not given is not
   * counted. API keys are exempt: for them this is not called. `taken`: so much of the cost was counted for this request
   * before. Throws `rate_limited`, which says when to try again.
   */
  allow(source: Source, cost = 1, taken = 0): void {
    const retryAfterMs = this.#context.rates.request(source, cost, taken);
    if (retryAfterMs > 0) throw new Refused("rate_limited", "too many requests", { retryAfterMs });
  }

  /** Needs no membership. */
  publish(caller: Caller, room: string, message: CallMessage & { key: string | undefined }): Promise<Published> {
    const { counts, tracing } = this.#context;
    const submit = (): Promise<Submitted> => this.#submit(caller, room, message);
    const published = counts.published(tracedPublish(tracing, messageFacts("call", room, message.event), submit));
    return this.#counted(published.then(({ outcome }) => outcome));
  }

  async #submit(
    caller: Caller,
    room: string,
    { key, ...message }: CallMessage & { key: string | undefined },
  ): Promise<Submitted> {
    const access = await this.#access(caller, room, "publish");
    if (caller.kind === "user") this.#context.rates.send(room);
    const { event, data, from, except } = checkAuthor(caller, message);
    return caller.kind === "user"
      ? submitForUser(this.#context, whoIs(caller.identity), access, { room, event, data, key, except })
      : this.#context.publisher.submit({
          room,
          kind: access.kind,
          event,
          data,
          from,
          except,
          key: key === undefined ? undefined : { scope: `key:${caller.name}`, key },
          handle: undefined,
        });
  }

  /** Reaches every connection in the room but `except`, a user's own too: the call has none. */
  signal(caller: Caller, room: string, message: CallMessage): Promise<void> {
    const signal = (): Promise<void> => this.#signal(caller, room, message);
    const facts = messageFacts("call", room, message.event);
    return this.#counted(traced(this.#context.tracing, "fanfare.signal", facts, signal));
  }

  async #signal(caller: Caller, room: string, message: CallMessage): Promise<void> {
    const { kind } = await this.#access(caller, room, "signal");
    if (caller.kind === "user") this.#context.rates.send(room);
    await this.#context.publisher.signal({ room, kind, ...checkAuthor(caller, message) });
  }

  /** The members of the answer as JSON text without braces, see `readPage`. */
  history(caller: Caller, room: string, page: PageRequest): Promise<string> {
    const read = (): Promise<string> => this.#history(caller, room, page);
    return this.#counted(traced(this.#context.tracing, "fanfare.history", roomFacts(room), read));
  }

  async #history(caller: Caller, room: string, page: PageRequest): Promise<string> {
    const { kind } = await this.#access(caller, room, "history");
    if (kind.keep === false) throw forbidden();
    return readPage(this.#context.backend, refOf(room, kind), page);
  }

  /** The number of members, and the first of them: 1,000, or `limits.presenceMembers` where that is more. */
  members(caller: Caller, room: string): Promise<{ members: number; users: Member[] }> {
    return this.#counted(this.#members(caller, room));
  }

  async #members(caller: Caller, room: string): Promise<{ members: number; users: Member[] }> {
    await this.#access(caller, room, "presence");
    const listed = Math.max(minListedMembers, this.#context.limits.presenceMembers);
    return this.#context.operations.members(room, listed);
  }

  /** The operator's: takes a user out of a room (P-26), where the user is in it. */
  remove(room: string, user: string): Promise<void> {
    return this.#context.operations.remove(room, user);
  }

  /** The operator's: see `UserHandle.disconnect`. */
  disconnect(user: string, { revoke }: { revoke: boolean }): Promise<void> {
    return this.#context.operations.disconnect(user, revoke);
  }

  /** Resolves when all that has been asked until now is answered, or has failed. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  /** A handler of the app that throws counts, whatever way it was come to. */
  async #counted<T>(asked: Promise<T>): Promise<T> {
    this.#underWay.add(asked);
    try {
      return await asked;
    } catch (error) {
      if (!(error instanceof Refused) && !(error instanceof BackendUnavailable)) this.#context.counts.handlerErrors++;
      throw error;
    } finally {
      this.#underWay.delete(asked);
    }
  }

  async #access(caller: Caller, room: string, needed: Right): Promise<Pick<Access, "kind" | "params">> {
    if (caller.kind === "user") return accessTo(this.#context, whoIs(caller.identity), room, needed);
    if (isReservedRoom(room)) throw forbidden();
    const found = this.#context.catalog.find(room);
    if (found === undefined) throw new Refused("unknown_room", "there is no such room");
    return found;
  }
}

function roomFacts(room: string): () => SpanFacts {
  return () => ({ "fanfare.via": "call", "fanfare.room": nameFact(room) });
}

function whoIs(identity: Identity): { identity: Identity; connection: undefined } {
  return { identity, connection: undefined };
}

/** P-80: only an API key speaks for another, or leaves a connection out. */
function checkAuthor(caller: Caller, message: CallMessage): CallMessage {
  if (caller.kind === "operator") return message;
  if (message.from !== undefined || message.except !== undefined) throw forbidden();
  return { ...message, from: caller.identity.user };
}
