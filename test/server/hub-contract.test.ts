import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineRooms } from "../../src/protocol/contract.ts";
import { serve } from "./support/hub.ts";

const zodRooms = defineRooms({
  "chat/:room": {
    events: {
      said: z.object({ text: z.string().trim().min(1), stars: z.number().default(0) }),
      raised: z.object({ hands: z.number() }).transform(({ hands }) => ({ total: hands * 2 })),
    },
    signals: { typing: z.object({ on: z.boolean() }) },
    presence: z.object({ mood: z.enum(["good", "bad"]) }),
  },
  "news/:topic": { publish: "server" },
  "live/:id": { keep: false },
});

const valibotRooms = defineRooms({
  "chat/:room": {
    events: {
      said: v.object({
        text: v.pipe(v.string(), v.trim(), v.minLength(1)),
        stars: v.optional(v.number(), 0),
      }),
      raised: v.pipe(
        v.object({ hands: v.number() }),
        v.transform(({ hands }) => ({ total: hands * 2 })),
      ),
    },
    signals: { typing: v.object({ on: v.boolean() }) },
    presence: v.object({ mood: v.picklist(["good", "bad"]) }),
  },
});

describe.each([
  ["zod", { "chat/:room": zodRooms["chat/:room"] }],
  ["valibot", valibotRooms],
])("a contract of %s", (_, rooms) => {
  it("keeps and sends what the schema makes of the data, defaults and transforms included", async () => {
    const { hub, member } = await serve({ rooms });
    const ann = await member("ann", "chat/a");
    ann.send({ type: "publish", room: "chat/a", event: "said", data: { text: "  hi " } });
    await ann.expect({ type: "message", event: "said", data: { text: "hi", stars: 0 }, offset: 1 });
    ann.send({ type: "publish", room: "chat/a", event: "raised", data: { hands: 3 } });
    await ann.expect({ type: "message", event: "raised", data: { total: 6 }, offset: 2 });
    const kept = await hub.room("chat/a").history();
    expect(kept.map(({ data }) => data)).toEqual([{ text: "hi", stars: 0 }, { total: 6 }]);
  });

  it("refuses other data with the schema's issues and their paths, and keeps nothing", async () => {
    const { hub, member } = await serve({ rooms });
    const ann = await member("ann", "chat/a");
    ann.send({ type: "publish", id: "1", room: "chat/a", event: "said", data: { text: 5 } });
    const { issues } = await ann.expect({ type: "error", re: "1", room: "chat/a", code: "invalid_data" });
    expect(issues).toEqual([{ message: expect.any(String), path: ["text"] }]);
    expect(await hub.room("chat/a").history()).toEqual([]);
  });

  it("knows no other event, signal or room, names of Object's own included", async () => {
    const { member } = await serve({ rooms });
    const ann = await member("ann", "chat/a");
    for (const event of ["whispered", "constructor", "__proto__", "toString"]) {
      ann.send({ type: "publish", id: event, room: "chat/a", event, data: {} });
      await ann.expect({ type: "error", re: event, code: "unknown_event" });
      ann.send({ type: "signal", id: event, room: "chat/a", event, data: {} });
      await ann.expect({ type: "error", re: event, code: "unknown_event" });
    }
    ann.send({ type: "join", id: "j", room: "elsewhere" });
    await ann.expect({ type: "error", re: "j", room: "elsewhere", code: "unknown_room" });
  });

  it("checks signals and presence data too", async () => {
    const { member } = await serve({ rooms });
    const ann = await member("ann", "chat/a");
    ann.send({ type: "signal", id: "1", room: "chat/a", event: "typing", data: { on: "yes" } });
    await ann.expect({ type: "error", re: "1", code: "invalid_data", issues: [{ path: ["on"] }] });
    ann.send({ type: "presence", id: "2", room: "chat/a", data: { mood: "so-so" } });
    await ann.expect({ type: "error", re: "2", code: "invalid_data", issues: [{ path: ["mood"] }] });
    ann.send({ type: "presence", id: "3", room: "chat/a", data: { mood: "good" } });
    await ann.expect({ type: "ack", re: "3" });
  });

  it("holds for the server's own messages: they reject with Refused", async () => {
    const { hub } = await serve({ rooms });
    await expect(hub.room("chat/a").publish("said", { text: " " })).rejects.toMatchObject({
      name: "Refused",
      code: "invalid_data",
    });
    await expect(hub.room("other" as "chat/a").publish("said", { text: "x" })).rejects.toMatchObject({
      code: "unknown_room",
    });
    await expect(hub.room("chat/a").publish("sad" as "said", { text: "x" })).rejects.toMatchObject({
      code: "unknown_event",
    });
    expect(await hub.room("chat/a").history()).toEqual([]);
  });
});

describe("a contract that changed", () => {
  it("refuses what is new, and answers a repeat as it was answered before (P-31)", async () => {
    let accepts = true;
    const rooms = defineRooms({ r: { events: { said: z.string().refine(() => accepts) } } });
    const { hub, member } = await serve({ rooms });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", key: "k", room: "r", event: "said", data: "hi" });
    await ann.until({ type: "ack", re: "1", offset: 1, duplicate: "$absent" });
    accepts = false;
    ann.send({ type: "publish", id: "2", key: "k", room: "r", event: "said", data: "hi" });
    await ann.until({ type: "ack", re: "2", offset: 1, duplicate: true });
    ann.send({ type: "publish", id: "3", key: "new", room: "r", event: "said", data: "hi" });
    await ann.until({ type: "error", re: "3", code: "invalid_data" });
    expect(await hub.room("r").history()).toHaveLength(1);
  });
});

describe("rooms that only the server publishes in", () => {
  it("give nobody else the right, and refuse what is published without it", async () => {
    const { hub, connect } = await serve({ rooms: zodRooms });
    const ann = await connect("ann");
    ann.send({ type: "join", room: "news/a" });
    await ann.expect({ type: "joined", rights: ["signal", "presence", "history"] });
    ann.send({ type: "publish", id: "1", room: "news/a", event: "e" });
    await ann.expect({ type: "error", re: "1", code: "forbidden" });
    await hub.room("news/a").publish("e", 1);
    await ann.expect({ type: "message", room: "news/a", data: 1, offset: 1, from: "$absent" });
  });
});

describe("rooms without a log", () => {
  it("have no cursor, no offsets and no history", async () => {
    const { connect, member } = await serve({ rooms: zodRooms });
    const ann = await connect("ann");
    ann.send({ type: "join", room: "live/a", history: 5, since: "abc:4" });
    await ann.expect({ type: "joined", kept: false, cursor: "$absent", replay: 0, recovered: false });
    const bob = await member("bob", "live/a");
    ann.send({ type: "publish", id: "1", key: "k", room: "live/a", event: "e", data: 1, echo: false });
    await ann.expect({ type: "ack", re: "1", offset: "$absent", cursor: "$absent", duplicate: "$absent" });
    await bob.expect({ type: "message", data: 1, from: "ann", offset: "$absent" });
    ann.send({ type: "history", id: "2", room: "live/a", limit: 5 });
    await ann.expect({ type: "error", re: "2", code: "forbidden" });
    expect(await ann.settled()).toEqual([]);
  });
});
