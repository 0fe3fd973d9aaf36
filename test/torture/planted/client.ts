import { createClient, type Client, type Room, type RoomEvents } from "../../../src/client/index.ts";
import type { MakeClient } from "../actors/app.ts";

export type ClientBug = "lost" | "doubled" | "swapped" | "published-twice" | "given-up";

type Told = RoomEvents["message"];
type Publish = Room["publish"];

const every = 15;

/** What an app is given in place of a message: itself, nothing, or more than one. */
function spoilt(bug: ClientBug): (message: Told) => readonly Told[] {
  let count = 0;
  let held: Told | undefined;
  return (message) => {
    const late = held;
    held = undefined;
    if (late !== undefined) return [message, late];
    if (++count % every !== 0) return [message];
    if (bug === "swapped") held = message;
    return bug === "doubled" ? [message, message] : bug === "lost" || bug === "swapped" ? [] : [message];
  };
}

/** A client with a bug: towards the app, or in what it publishes. */
export function buggyClient(bug: ClientBug): MakeClient {
  const spoiltRoom = (room: Room): Room => {
    let count = 0;
    const publish: Publish = (event, data, options) => {
      const publishing = room.publish(event, data, options);
      if (++count % 2 === 0) return publishing;
      // Sent again as another message; or kept, and the app is told that it is not.
      if (bug === "published-twice") void room.publish(event, data).catch(() => undefined);
      if (bug !== "given-up") return publishing;
      const refused = publishing.then(() => Promise.reject(Object.assign(new Error(), { code: "conflict" })));
      return Object.assign(refused, { key: publishing.key }) as ReturnType<Publish>;
    };
    const on = <E extends keyof RoomEvents>(event: E, listener: (value: RoomEvents[E]) => void): (() => void) => {
      if (event !== "message") return room.on(event, listener);
      const change = spoilt(bug);
      return room.on("message", (message) => change(message).forEach((one) => listener(one as RoomEvents[E])));
    };
    return Object.create(room, { on: { value: on }, publish: { value: publish } }) as Room;
  };
  return (options) => {
    const client = createClient(options);
    const join: Client["join"] = (name, given) => spoiltRoom(client.join(name, given));
    return Object.create(client, { join: { value: join } }) as Client;
  };
}
