import type { TestServer } from "../server.ts";
import { LeanConnection, type ConnectionEvents } from "./connection.ts";
import { LeanStream } from "./stream.ts";

/** One of the connections that a member has, one after the other. */
export interface MemberConnection {
  send(frame: object): void;
  cut(withReset: boolean): void;
}

/** Opens a member's next connection, in its room; `since` is its cursor there, undefined at first. */
export type Dial = (since: string | undefined, events: ConnectionEvents) => MemberConnection;

export interface Target {
  readonly server: TestServer;
  readonly token: string;
  readonly room: string;
}

/** Over a WebSocket, by `join` with `since`. */
export function overSocket({ server, token, room }: Target): Dial {
  return (since, events) => {
    const connection = new LeanConnection(server, token, events);
    connection.send({ type: "join", id: "join", room, ...(since !== undefined && { since }) });
    return connection;
  };
}

/** Over SSE, as a browser would: by the id of the last event, which is all that it knows. `others` are listened to as well. */
export function overStream({ server, token, room }: Target, others: readonly string[]): Dial {
  let lastId: string | undefined;
  const query = new URLSearchParams([...others, room].map((name) => ["room", name]));
  query.set("token", token);
  return (_since, events) =>
    new LeanStream(server, `/sse?${query.toString()}`, lastId, {
      text: (bytes, start, end) => events.text(bytes, start, end),
      ended: (code) => events.ended(code),
      id: (id) => (lastId = id),
    });
}
