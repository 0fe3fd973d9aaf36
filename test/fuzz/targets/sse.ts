import { createHash } from "node:crypto";
import type { Case } from "../case.ts";
import type { Random } from "../random.ts";
import { roomName } from "../requests.ts";
import { badTokens, goodTokens } from "../secrets.ts";
import { mutated, oddText } from "../texts.ts";
import { allowedOrigin, bytesOf, requestHead } from "./handshake-text.ts";

/** Streams with rooms, cursors and credentials of every shape (P-70, P-71). */
export function sseCase(random: Random): Case {
  const rooms = random.list(0, random.pick([3, 3, 18]), () => roomName(random));
  const query = rooms.map((room) => `room=${encodeURIComponent(room.toWellFormed())}`);
  const id = eventId(random, rooms);
  const isHeader = random.chance(0.6);
  if (!isHeader || random.chance(0.1)) query.push(`last_event_id=${encodeURIComponent(id.toWellFormed())}`);
  const token = random.pick(random.chance(0.8) ? goodTokens : badTokens);
  const isInQuery = random.chance(0.5);
  if (isInQuery) query.push(`token=${encodeURIComponent(token)}`);
  if (random.chance(0.1)) query.push(mutated(random, "room=%66uzz"));
  const head = requestHead(
    `/sse?${query.join("&").replaceAll(/\s/g, "+")}`,
    {
      Host: "fuzz.test",
      Authorization: isInQuery ? undefined : `Bearer ${token}`,
      "Last-Event-ID": isHeader ? (random.chance(0.05) ? [id, id] : id) : undefined,
      Origin: random.chance(0.2) ? random.pick([allowedOrigin, "https://evil.test", "null"]) : undefined,
      Accept: random.chance(0.5) ? "text/event-stream" : undefined,
    },
    random.chance(0.95) ? "GET" : random.pick(["HEAD", "POST", "OPTIONS", "PUT"]),
  );
  const after = random.chance(0.1) ? requestHead("/sse?room=fuzz", { Host: "fuzz.test" }) : "";
  return { chunks: [bytesOf(head + after)], inputs: 1, speaks: "fanfare" };
}

const keyOf = (room: string): string => createHash("sha256").update(room).digest().subarray(0, 9).toString("base64url");

function eventId(random: Random, rooms: readonly string[]): string {
  const entry = (room: string): string =>
    `~${keyOf(room)}.${random.pick(["abc", "A-_9", "x".repeat(32), "x".repeat(33), ""])}.${random.pick(["0", "1", "17", "9007199254740991", "9007199254740992", "-1", "01", "1.5"])}`;
  const id = `1${rooms.map(entry).join("")}`;
  return random.one([
    () => id,
    () => id,
    () => mutated(random, id),
    () => "",
    () => "1",
    () => random.pick(["2", "1~", "~", "0", "1~~", "\u0000", "\u001b[2J", "\u00e9"]),
    () => `1${`~${keyOf("fuzz")}.abc.1`.repeat(random.pick([2, 110, 120]))}`,
    () => "x".repeat(random.pick([2_048, 2_049, 10_000])),
    () => oddText(random).slice(0, 500),
  ]);
}
