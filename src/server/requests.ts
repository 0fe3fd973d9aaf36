import type { HistoryRequest, PresenceRequest, PublishFrame, Right, SignalRequest } from "../protocol/frames.ts";
import { accessTo, forbidden, type Access } from "./access.ts";
import type { Identity } from "./auth/identity.ts";
import { checkPresence, refOf, type RoomKind } from "./catalog.ts";
import { readPage } from "./history.ts";
import { Joins } from "./joins.ts";
import type { Submitted } from "./publisher.ts";
import { Refused } from "./refused.ts";
import { factsOf, who, type RequestContext, type Requester } from "./requester.ts";
import type { Room } from "./room.ts";
import { tracedPublish } from "./traced.ts";
import { submitForUser } from "./user-publish.ts";

/** What each request does in its room. Refusals are thrown as `Refused`; answers are sent by the caller or in place. */
export class Requests {
  readonly joins: Joins;
  readonly #context: RequestContext;

  constructor(context: RequestContext) {
    this.#context = context;
    this.joins = new Joins(context);
  }

  /** `mayAppend` throws where a publish before this one has an unknown outcome (P-33). */
  publish(peer: Requester, frame: PublishFrame, mayAppend: () => void): Promise<Submitted> {
    const { counts, tracing } = this.#context;
    const submit = (): Promise<Submitted> => this.#publish(peer, frame, mayAppend);
    return counts.published(tracedPublish(tracing, factsOf(peer, frame), submit));
  }

  async signal(peer: Requester, { room, event, data }: SignalRequest): Promise<void> {
    const { kind } = await this.#memberAccess(peer, room, "signal");
    this.#context.rates.send(room);
    await this.#context.publisher.signal({ room, kind, event, data, from: peer.user, except: peer.id });
  }

  async presence(peer: Requester, frame: PresenceRequest): Promise<void> {
    const { kind } = await this.#memberAccess(peer, frame.room, "presence");
    const data = await checkPresence(kind, frame.data);
    peer.joined.get(frame.room)?.presence.update(peer.user, data);
  }

  /** The answer's text (P-36). */
  async history(peer: Requester, frame: HistoryRequest): Promise<string> {
    const { kind } = await this.#access(peer, frame.room, "history");
    const page = await readPage(this.#context.backend, refOf(frame.room, kind), frame);
    return `{"type":"history","re":${JSON.stringify(frame.id)},"room":${JSON.stringify(frame.room)},${page}}`;
  }

  /** What the user may do in a room with other credentials; undefined where it may not be there any more (P-17). */
  async rightsAgain(peer: Requester, room: Room, identity: Identity): Promise<ReadonlySet<Right> | undefined> {
    try {
      return (await accessTo(this.#context, { identity, connection: peer.id }, room.name, "join")).rights;
    } catch (error) {
      if (error instanceof Refused) return undefined;
      throw error;
    }
  }

  #access(peer: Requester, room: string, needed: Right | "join"): Promise<Access> {
    return accessTo(this.#context, who(peer), room, needed);
  }

  async #publish(peer: Requester, frame: PublishFrame, mayAppend: () => void): Promise<Submitted> {
    const access = await this.#memberAccess(peer, frame.room, "publish");
    // After the rights: who may not publish here must not use up what the others have.
    this.#context.rates.publish(peer, frame.room, this.#context.limits.rooms);
    const { room, event, data, key, echo } = frame;
    const message = { room, event, data, key, except: echo ? undefined : peer.id, mayAppend };
    return submitForUser(this.#context, who(peer), access, message);
  }

  /** Rights first, then membership (P-60). */
  async #memberAccess(
    peer: Requester,
    name: string,
    needed: Right,
  ): Promise<{ kind: RoomKind; params: Access["params"] }> {
    const room = peer.joined.get(name);
    const membership = room?.members.get(peer);
    if (room === undefined || membership === undefined) {
      await this.#access(peer, name, needed);
      throw new Refused("not_joined", "join the room first");
    }
    if (!membership.rights.has(needed)) throw forbidden();
    return { kind: room.kind, params: this.#context.catalog.find(name)?.params ?? {} };
  }
}
