import { describe, expect, expectTypeOf, it, vi } from "vitest";
import { z } from "zod";
import {
  createClient,
  defineRooms,
  FanfareError,
  type Client,
  type MessageOf,
  type Room,
} from "../../src/client/index.ts";
import { failure, message, settle, World } from "./support/harness.ts";

const rooms = defineRooms({
  "chat/:room": {
    events: { said: z.object({ text: z.string() }), counted: z.object({ n: z.number() }) },
    signals: { typing: z.object({ on: z.boolean() }) },
    presence: z.object({ name: z.string() }),
  },
  news: { events: { posted: z.string() }, publish: "server" },
  cursors: { keep: false },
});
type Rooms = typeof rooms;

/** Compiled, never run. */
function compiles(client: Client<Rooms>, open: Client): void {
  const chat = client.join("chat/lobby", { presence: true, data: { name: "Ann" } });
  void chat.publish("said", { text: "hi" });
  chat.signal("typing", { on: true });
  chat.setPresence({ name: "Ann" });
  // @ts-expect-error -- no room has this name
  client.join("elsewhere");
  // @ts-expect-error -- no such event
  void chat.publish("sad", { text: "hi" });
  // @ts-expect-error -- a wrong payload
  void chat.publish("said", { txt: "hi" });
  // @ts-expect-error -- the payload of another event
  void chat.publish("counted", { text: "hi" });
  // @ts-expect-error -- no such signal
  chat.signal("said", { text: "hi" });
  // @ts-expect-error -- a wrong payload
  chat.signal("typing", { on: 1 });
  // @ts-expect-error -- wrong presence data
  chat.setPresence({ nickname: "Ann" });
  // @ts-expect-error -- wrong presence data
  client.join("chat/lobby", { data: 5 });
  // @ts-expect-error -- only the server publishes here
  void client.join("news").publish("posted", "hi");
  // @ts-expect-error -- no such event of a handle
  chat.on("massage", () => {});

  chat.on("message", (message) => {
    if (message.event === "said") expectTypeOf(message.data).toEqualTypeOf<{ text: string }>();
    else expectTypeOf(message.data).toEqualTypeOf<{ n: number }>();
    expectTypeOf(message.offset).toEqualTypeOf<number>();
  });
  chat.on("signal", ({ data }) => expectTypeOf(data).toEqualTypeOf<{ on: boolean }>());
  expectTypeOf(chat.presence).toEqualTypeOf<ReadonlyMap<string, { name: string }>>();
  client.join("cursors").on("message", ({ offset }) => expectTypeOf(offset).toEqualTypeOf<undefined>());

  // Without a contract everything goes, and data is unknown.
  const any = open.join("anything");
  void any.publish("whatever", { x: 1 });
  any.on("message", ({ data, event }) => {
    expectTypeOf(data).toEqualTypeOf<unknown>();
    expectTypeOf(event).toEqualTypeOf<string>();
  });
  expectTypeOf<MessageOf["event"]>().toEqualTypeOf<string>();
}

describe("types", () => {
  it("flow from the contract", () => {
    expectTypeOf(compiles).returns.toBeVoid();
    expectTypeOf(createClient({ url: "ws://x", rooms })).toEqualTypeOf<Client<Rooms>>();
    expectTypeOf(createClient<Rooms>({ url: "ws://x" })).toEqualTypeOf<Client<Rooms>>();
    // A WebSocket class can be the platform's own.
    expectTypeOf<typeof WebSocket>().toExtend<NonNullable<Parameters<typeof createClient>[0]["WebSocket"]>>();
  });
});

async function inLobby() {
  const world = new World({ rooms });
  const client = world.client as unknown as Client<Rooms>;
  const chat = client.join("chat/lobby") as unknown as Room;
  await world.online();
  await world.admit("chat/lobby");
  return { world, client, chat };
}

describe("checks at run time", () => {
  it("a publish that breaks the contract is not sent", async () => {
    const { world, chat } = await inLobby();
    const error = await failure(chat.publish("said", { text: 5 }));
    expect(error).toBeInstanceOf(FanfareError);
    expect(error).toMatchObject({ code: "invalid_data", room: "chat/lobby", issues: [{ path: ["text"] }] });
    expect(await failure(chat.publish("constructor", {}))).toMatchObject({ code: "unknown_event" });
    expect(world.socket.ofType("publish")).toEqual([]);
  });

  it("a signal or presence that breaks it throws", async () => {
    const { chat, client } = await inLobby();
    expect(() => chat.signal("typing", { on: "yes" })).toThrow(FanfareError);
    expect(() => chat.setPresence(5)).toThrow(FanfareError);
    expect(() => client.join("chat/other", { data: {} as never })).toThrow(FanfareError);
  });

  it("a message that breaks it is told as an error, and dealt with", async () => {
    const { world, chat } = await inLobby();
    const heard = vi.fn();
    const told = vi.fn();
    chat.on("message", heard);
    chat.on("error", told);
    const said = { event: "said", data: { text: "hi" } };
    world.socket.says(message("chat/lobby", 1, { ...said, data: 5 }), message("chat/lobby", 2, said));
    expect(told.mock.calls).toMatchObject([[{ code: "invalid_data", room: "chat/lobby" }]]);
    expect(heard.mock.calls).toMatchObject([[{ offset: 2 }]]);
    expect(chat.cursor).toBe("e:2");
  });

  it("what the contract does not declare is not checked", async () => {
    const world = new World({ rooms });
    const room = world.client.join("cursors");
    void room.publish("anything", 5);
    await world.online();
    await world.admit("cursors", { cursor: undefined, kept: false });
    expect(world.socket.ofType("publish")).toHaveLength(1);
  });

  it("a schema that answers with a promise is left to the server", async () => {
    const later = z.string().refine(async () => false);
    const world = new World({ rooms: defineRooms({ r: { events: { said: later } } }) });
    const room = world.client.join("r");
    void room.publish("said", "x");
    await world.online();
    await world.admit("r");
    await settle();
    expect(world.socket.ofType("publish")).toHaveLength(1);
  });
});
