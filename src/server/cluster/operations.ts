import { closeCodes } from "../../protocol/codes.ts";
import type { Member } from "../../protocol/frames.ts";
import type { Json } from "../../protocol/json.ts";
import type { Revocations } from "../auth/revocations.ts";
import type { Connected } from "../connected.ts";
import type { Connections } from "../connections.ts";
import type { Logger } from "../options.ts";
import type { Rooms } from "../rooms.ts";
import type { Answers } from "./asks.ts";
import type { Cluster } from "./cluster.ts";

/** Which rooms: those that begin with `prefix`, from the name after `after` on; `limit` is 100 where absent. */
export interface RoomsQuery {
  readonly prefix?: string;
  readonly after?: string;
  readonly limit?: number;
}

/** Rooms that have members now, by name; `more`: others come after the last of them. */
export interface RoomsPage {
  readonly rooms: { room: string; members: number }[];
  readonly more: boolean;
}

export interface OperationsContext {
  readonly connections: Connections;
  readonly rooms: Rooms;
  readonly revocations: Revocations;
  readonly logger: Logger;
  /** Undefined: this node is the only one. */
  readonly cluster: Cluster | undefined;
}

/** Of the backend, where a node that was away asks whose credentials were revoked. */
const lookUpsAtOnce = 500;

const calls = {
  disconnect: "disconnect",
  forgive: "forgive",
  remove: "remove",
  count: "count",
  members: "members",
  connectionsIn: "connections-in",
  connectionsOf: "connections-of",
  rooms: "rooms",
} as const;

/**
 * What is done and asked on every node: here at once, and on the others by a question that each answers when it has done
 * its part. A node that does not answer within 2 s is passed over and named in the log; a disconnect or a removal is said
 * to it again when it is heard (`Orders`). All reject with `BackendUnavailable` where the other nodes cannot be asked; what
 * was to be done here is done then.
 */
export class Operations {
  readonly #context: OperationsContext;

  constructor(context: OperationsContext) {
    this.#context = context;
    const { cluster } = context;
    cluster?.calls.answer(calls.disconnect, (given, givenAt) => {
      const { user, revokedAt } = given as { user: string; revokedAt?: number };
      this.#disconnectHere(user, revokedAt, givenAt);
      return [];
    });
    cluster?.calls.answer(calls.forgive, (user) => {
      context.revocations.forget(user as string);
      return [];
    });
    cluster?.calls.answer(calls.remove, (given, givenAt) => {
      const { room, user } = given as { room: string; user: string };
      this.#removeHere(room, user, givenAt);
      return [];
    });
    cluster?.calls.answer(calls.count, (room) => [context.rooms.get(room as string)?.presence.size ?? 0]);
    cluster?.calls.answer(calls.members, (given) => {
      const { room, limit } = given as { room: string; limit: number };
      return (this.#membersHere(room) ?? []).slice(0, limit) as unknown as Json[];
    });
    cluster?.calls.answer(calls.connectionsIn, (room) => this.connectionsInHere(room as string));
    cluster?.calls.answer(calls.connectionsOf, (user) => this.connectionsOfHere(user as string));
    cluster?.calls.answer(calls.rooms, (query) => this.#roomsHere(query as Required<RoomsQuery>));
  }

  /** Closes the user's connections with 4003; with `revoke`, credentials issued before now are refused first. */
  async disconnect(user: string, revoke: boolean): Promise<void> {
    const revokedAt = revoke ? await this.#context.revocations.revoke(user) : undefined;
    this.#disconnectHere(user, revokedAt, Infinity);
    // Said again without `revokedAt`: it may have been taken back by then.
    await this.#doOnOthers(calls.disconnect, { user, ...(revokedAt !== undefined && { revokedAt }) }, { user });
  }

  async unrevoke(user: string): Promise<void> {
    await this.#context.revocations.unrevoke(user);
    await this.#doOnOthers(calls.forgive, user);
  }

  async remove(room: string, user: string): Promise<void> {
    this.#removeHere(room, user, Infinity);
    await this.#doOnOthers(calls.remove, { room, user }, { room, user });
  }

  /** The number of members, and the first of them. Any node that is in the room knows them all. */
  async members(room: string, limit: number): Promise<{ members: number; users: Member[] }> {
    const here = this.#membersHere(room);
    if (here !== undefined) return { members: here.length, users: here.slice(0, limit) };
    const { cluster } = this.#context;
    const [node, members] = await this.#fullest(room);
    if (node === undefined) return { members: 0, users: [] };
    const users = (await cluster?.calls.askOne(node, calls.members, { room, limit }))?.answers.get(node) ?? [];
    return { members, users: users as unknown as Member[] };
  }

  async size(room: string): Promise<number> {
    return this.#membersHere(room)?.length ?? (await this.#fullest(room))[1];
  }

  async connectionsIn(room: string): Promise<string[]> {
    return [...this.connectionsInHere(room), ...(await this.#onOthers(calls.connectionsIn, room)).flat().map(String)];
  }

  async connectionsOf(user: string): Promise<string[]> {
    return [...this.connectionsOfHere(user), ...(await this.#onOthers(calls.connectionsOf, user)).flat().map(String)];
  }

  /** Each node gives a page of its own, so that none of the whole page is on a later one of theirs. */
  async rooms({ prefix = "", after = "", limit = 100 }: RoomsQuery): Promise<RoomsPage> {
    const query = { prefix, after, limit };
    const pages = [this.#roomsHere(query), ...(await this.#onOthers(calls.rooms, query))] as [string, number][][];
    const found = new Map<string, number>();
    for (const [room, members] of pages.flat()) found.set(room, Math.max(members, found.get(room) ?? 0));
    const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
    const rooms = sorted.slice(0, limit).map(([room, members]) => ({ room, members }));
    return { rooms, more: sorted.length > limit };
  }

  connectionsInHere(room: string): string[] {
    return Array.from(this.#context.rooms.get(room)?.members.keys() ?? [], (peer) => peer.id);
  }

  connectionsOfHere(user: string): string[] {
    return Array.from(this.#context.connections.of(user), (connection) => connection.id);
  }

  /** Looks up whose credentials were revoked while this node could not be told. Rejects with `BackendUnavailable`. */
  async checkRevocations(): Promise<void> {
    const { connections } = this.#context;
    const all = [...connections.all()];
    for (let i = 0; i < all.length; i += lookUpsAtOnce) {
      await Promise.all(all.slice(i, i + lookUpsAtOnce).map((connection) => this.#checkRevoked(connection)));
    }
  }

  async #checkRevoked(connection: Connected): Promise<void> {
    if (connection.closed || connection.user === "") return;
    const identity = await this.#context.revocations.unlessRevoked(connection.identity);
    if (identity === undefined) connection.close(closeCodes.disconnected, "disconnected");
  }

  /** Of connections, those that were open at `givenAt`. */
  #disconnectHere(user: string, revokedAt: number | undefined, givenAt: number): void {
    const { connections, rooms, revocations } = this.#context;
    // Before they are closed: a connection whose credentials are being checked right now must not come in after it.
    if (revokedAt !== undefined) revocations.heard(user, revokedAt);
    for (const connection of connections.of(user)) {
      if (connection.openedAt <= givenAt) connection.close(closeCodes.disconnected, "disconnected");
    }
    // Connections that vanished before have left the user behind in rooms, for the grace: that ends too (P-41).
    for (const room of rooms.all()) room.forget(user, givenAt);
  }

  /** Of memberships, those that there were at `givenAt`. */
  #removeHere(name: string, user: string, givenAt: number): void {
    const { connections, rooms } = this.#context;
    const room = rooms.get(name);
    if (room === undefined) return;
    for (const connection of connections.of(user)) {
      if (connection.joined.get(name) !== room || (room.members.get(connection)?.since ?? 0) > givenAt) continue;
      connection.expel(room, "removed");
    }
    room.forget(user, givenAt);
  }

  /** Undefined: the room is not on this node. A room is open, too, while its first join is under way. */
  #membersHere(name: string): Member[] | undefined {
    const members = this.#context.rooms.get(name)?.presence.members();
    return members === undefined || members.length === 0 ? undefined : members;
  }

  #roomsHere({ prefix, after, limit }: Required<RoomsQuery>): [string, number][] {
    return Array.from(this.#context.rooms.all(), ({ name, presence }): [string, number] => [name, presence.size])
      .filter(([room, members]) => members > 0 && room.startsWith(prefix) && room > after)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, limit + 1);
  }

  /** A node that has the room, and its number of members. */
  async #fullest(room: string): Promise<[node: string | undefined, members: number]> {
    let found: [string | undefined, number] = [undefined, 0];
    const asked = await this.#context.cluster?.calls.ask(calls.count, room);
    for (const [node, [members]] of asked?.answers ?? []) {
      if (typeof members === "number" && members > found[1]) found = [node, members];
    }
    return found;
  }

  async #onOthers(call: string, given: Json): Promise<(readonly Json[])[]> {
    return this.#answersTo(call, await this.#context.cluster?.calls.ask(call, given));
  }

  async #doOnOthers(call: string, given: Json, kept?: Json): Promise<void> {
    this.#answersTo(call, await this.#context.cluster?.calls.order(call, given, kept));
  }

  #answersTo(call: string, asked: Answers | undefined): (readonly Json[])[] {
    if (asked === undefined) return [];
    const { answers, silent } = asked;
    if (silent.length > 0) this.#context.logger.warn({ call, silent }, "nodes did not answer in time");
    return [...answers.values()];
  }
}
