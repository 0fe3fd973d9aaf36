// #region imports
import { createHub, isRoomName, jwt, refuse } from "fanfare";
import * as z from "zod";
// #endregion
import type { AnyHub, FollowedGap, FollowedMessage } from "fanfare";

// #region chat
const Params = z.object({ room: z.string().refine(isRoomName) });
const Message = z.object({ text: z.string().max(500) });

export function chatHub(secret: string) {
  const hub = createHub({ auth: jwt({ secret }) });

  hub.endpoint(
    "/chat/:room",
    { authenticate: true, params: Params, receive: Message },
    async ({ socket, params, user }) => {
      const room = hub.group(params.room);
      room.join(socket);
      room.broadcast({ user, came: true }, { except: socket });
      for await (const { text } of socket) {
        room.broadcast({ user, text });
      }
      room.broadcast({ user, left: true }); // the peer is gone: nothing was thrown, nothing is left behind
    },
  );

  return hub;
}
// #endregion

// #region query
const Share = z.object({ symbol: z.string().regex(/^[A-Z]{1,5}$/) });
const Pace = z.object({ every_ms: z.coerce.number().int().min(100).default(1_000) });

/** `/prices/ACME?every_ms=500`: a price, and again as often as the peer wants it. */
export function prices(hub: AnyHub, priceOf: (symbol: string) => number): void {
  hub.endpoint("/prices/:symbol", { params: Share, query: Pace }, async ({ socket, params, query }) => {
    while (socket.isOpen) {
      socket.send({ symbol: params.symbol, price: priceOf(params.symbol) });
      await socket.next({ withinMs: query.every_ms }); // a number, by the schema
    }
  });
}
// #endregion

// #region accept
export function inboxes(hub: AnyHub): void {
  hub.endpoint(
    "/inbox/:name",
    {
      authenticate: true,
      accept: ({ params, user, query }) => {
        if (query.get("v") === "1") return refuse(410, "version 1 is gone"); // HTTP, before the upgrade
        return params.name === user ? undefined : refuse(4003, "not your inbox"); // a close code, which a browser sees
      },
    },
    async ({ socket, user }) => {
      hub.group(`user_${user}`).join(socket);
      for await (const _ of socket); // it only listens
    },
  );
}

/** From anywhere in the server: a route, a job, another endpoint. */
export function orderSent(hub: AnyHub, user: string, order: string): void {
  hub.group(`user_${user}`).broadcast({ order, status: "sent" });
}
// #endregion

// #region first
export function signInFirst(hub: AnyHub): void {
  hub.endpoint("/first", { authenticate: "first", receive: "text" }, async ({ socket, signIn }) => {
    const identity = await signIn((await socket.next()) ?? "");
    if (identity === undefined) return socket.close(1008, "not signed in");
    socket.send({ hello: identity.user });
    for await (const text of socket) socket.send({ from: identity.user, text });
  });
}
// #endregion

// #region follow
const chat = ({ from, data, cursor }: FollowedMessage): object => ({ type: "chat", from, data, cursor });
const lost = ({ cursor }: FollowedGap): object => ({ type: "reload", cursor });
const toLive = (room: string): string => `live/${room}`;
const Live = z.object({ room: z.string().transform(toLive).refine(isRoomName) });

/** A room, with its log, in messages of the app's own. A peer that comes back gives the last cursor that it has. */
export function live(hub: AnyHub): void {
  const options = { authenticate: true, params: Live, receive: Message } as const;
  hub.endpoint("/live/:room", options, async ({ socket, params, query, user }) => {
    const room = hub.room(params.room);
    await room.follow(socket, {
      map: chat,
      gap: lost,
      since: query.get("since"),
      history: 20,
      started: ({ recovered, cursor }) =>
        recovered === false ? { type: "reload", cursor } : { type: "ready", cursor },
    });
    for await (const { text } of socket) await room.publish("said", { text }, { from: user });
  });
}
// #endregion

// #region pool
export interface Pool {
  connect(): Promise<{ query(text: string): Promise<unknown>; release(): void }>;
}

/** The database's connection is taken for a message and given back: an idle socket holds none. */
export function notes(hub: AnyHub, pool: Pool): void {
  hub.endpoint("/notes", { receive: z.object({ id: z.number() }) }, async ({ socket }) => {
    for await (const { id } of socket) {
      const database = await pool.connect();
      try {
        socket.send({ id, note: await database.query(`note ${id}`) });
      } finally {
        database.release();
      }
    }
  });
}
// #endregion

// #region file
/** Sends as fast as the peer reads, and no faster. */
export function download(hub: AnyHub, chunks: () => AsyncIterable<Uint8Array>): void {
  hub.endpoint("/download", async ({ socket }) => {
    for await (const chunk of chunks()) {
      if (!socket.send(chunk)) await socket.drained();
      if (!socket.isOpen) return;
    }
    socket.close(1000, "that was all");
  });
}
// #endregion
