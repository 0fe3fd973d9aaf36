import type { IncomingMessage } from "node:http";
import { isRoomName } from "../../protocol/names.ts";
import { queryOf } from "../auth/credentials.ts";
import type { RequestFacts } from "../auth/identity.ts";
import { pathOf } from "../target.ts";
import { Denied } from "./answer.ts";
import { Cursors, maxIdBytes } from "./cursors.ts";

/** P-70. */
export const maxStreamRooms = 16;

/** What a request for a stream asks for. */
export interface Asked {
  /** In the order asked, each once. */
  readonly rooms: readonly string[];
  /** Where the client stands in them. */
  readonly cursors: Cursors;
  readonly facts: RequestFacts;
}

/** Reads the request of a client at `address`. Throws `Denied` with 400 for what no client should send. */
export function readAsked(request: IncomingMessage, address: string, maxRooms: number): Asked {
  const query = queryOf(request.url);
  const rooms = [...new Set(query.getAll("room"))];
  const most = Math.min(maxStreamRooms, maxRooms);
  if (rooms.length === 0) throw new Denied(400, "bad_field", "room is missing: ?room=a&room=b");
  if (rooms.length > most) throw new Denied(400, "too_many_rooms", `a stream has at most ${most} rooms`);
  if (!rooms.every(isRoomName)) {
    throw new Denied(400, "bad_field", "a room's name is 1 to 255 bytes of NFC without control characters");
  }
  const id = lastEventId(request, query);
  const cursors = id === undefined ? undefined : Cursors.read(rooms, id);
  if (cursors === undefined) {
    throw new Denied(400, "bad_field", `Last-Event-ID must be the id of an event, at most ${maxIdBytes} bytes`);
  }
  const facts = { path: pathOf(request), query, headers: request.headers, address };
  return { rooms, cursors, facts };
}

/** P-71: the header wins. Empty is what an EventSource starts with, and means none. Undefined: given twice. */
function lastEventId(request: IncomingMessage, query: URLSearchParams): string | undefined {
  const header = request.headers["last-event-id"];
  // Node joins repeated ones with a comma, which no id has.
  if (header !== undefined) return String(header);
  const [first = "", second] = query.getAll("last_event_id");
  return second === undefined ? first : undefined;
}
