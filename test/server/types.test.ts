import * as v from "valibot";
import { type AnyHub } from "../../src/server/index.ts";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { defineRooms } from "../../src/protocol/contract.ts";
import type { Json } from "../../src/protocol/json.ts";
import { createHub, type Hub } from "../../src/server/hub.ts";

const rooms = defineRooms({
  "chat/:team/:room": {
    events: {
      said: z.object({ text: z.string(), stars: z.number().default(0) }),
      counted: z.string().transform((text) => text.length),
    },
    signals: { typing: v.object({ on: v.boolean() }) },
    presence: z.object({ mood: z.string() }),
  },
  lobby: { events: { hello: v.string() } },
  "@:user": { events: { mail: z.object({ subject: z.string() }) } },
  "files/**": {},
});

/** The compiler judges what is in here: an expected error that is none fails the type check, as any other does. */
function expectCompiles(check: (hub: Hub<typeof rooms>) => unknown): void {
  expect(check).toBeTypeOf("function");
}

describe("types that flow from the contract", () => {
  it("let a room be named only as one of its patterns", () => {
    expectCompiles((hub) => {
      hub.room("chat/blue/x");
      hub.room("lobby");
      hub.room("files/a/b/c");
      hub.room("@ann");
      // @ts-expect-error no pattern has one segment less
      hub.room("chat/blue");
      // @ts-expect-error no such room
      hub.room("loby");
    });
  });

  it("know the policies for slow readers", () => {
    defineRooms({ feed: { slow: "drop" }, prices: { slow: "latest" } });
    // @ts-expect-error no such policy
    const wrong = defineRooms({ feed: { slow: "keep" } });
    expect(() => createHub({ rooms: wrong })).toThrow(TypeError);
  });

  it("take a room's own events with the data that the schema takes", () => {
    expectCompiles((hub) => {
      const chat = hub.room("chat/blue/x");
      void chat.publish("said", { text: "hi" });
      void chat.publish("said", { text: "hi", stars: 3 });
      void chat.publish("counted", "text, of which the schema makes a number");
      // @ts-expect-error a wrong name
      void chat.publish("sayd", { text: "hi" });
      // @ts-expect-error another room's event
      void chat.publish("hello", "hi");
      // @ts-expect-error a wrong type
      void chat.publish("said", { text: 5 });
      // @ts-expect-error a field is missing
      void chat.publish("said", {});
      // @ts-expect-error the output in place of the input
      void chat.publish("counted", 4);
      void hub.room("lobby").publish("hello", "hi");
      // @ts-expect-error valibot's schema counts as zod's does
      void hub.room("lobby").publish("hello", 5);
      void hub.room("files/a").publish("anything", { at: ["all"] });
    });
  });

  it("take a room's own signals, which are no events", () => {
    expectCompiles((hub) => {
      const chat = hub.room("chat/blue/x");
      void chat.signal("typing", { on: true });
      // @ts-expect-error a wrong type
      void chat.signal("typing", { on: "yes" });
      // @ts-expect-error an event is no signal
      void chat.signal("said", { text: "hi" });
    });
  });

  it("give a user the events of the personal room", () => {
    expectCompiles((hub) => {
      void hub.user("ann").publish("mail", { subject: "hi" });
      // @ts-expect-error another room's event
      void hub.user("ann").publish("said", { text: "hi" });
      // @ts-expect-error a wrong type
      void hub.user("ann").publish("mail", { subject: 1 });
    });
  });

  it("give handlers their pattern's parameters, event and data as the schema gives it out", () => {
    expectCompiles((hub) =>
      hub.on("chat/:team/:room", {
        authorize: ({ params, room, user }) => {
          expectTypeOf(params).toEqualTypeOf<{ readonly team: string; readonly room: string }>();
          expectTypeOf([room, user]).toEqualTypeOf<string[]>();
          return ["publish", "history"];
        },
        join: ({ data }) => expectTypeOf(data).toEqualTypeOf<{ mood: string } | undefined>() as unknown as void,
        publish: {
          said: ({ data, event, key }) => {
            expectTypeOf(data).toEqualTypeOf<{ text: string; stars: number }>();
            expectTypeOf(event).toEqualTypeOf<"said">();
            expectTypeOf(key).toEqualTypeOf<string | undefined>();
            return { result: data.stars };
          },
          counted: ({ data }) => {
            expectTypeOf(data).toEqualTypeOf<number>();
          },
        },
      }),
    );
  });

  it("refuse handlers of patterns, events, parameters and rights that are not there", () => {
    expectCompiles((hub) => {
      // @ts-expect-error a room's name is no pattern
      hub.on("chat/blue/x", {});
      // @ts-expect-error no such event
      hub.on("lobby", { publish: { goodbye: () => undefined } });
      // @ts-expect-error no such parameter
      hub.on("chat/:team/:room", { authorize: ({ params }) => params.color === "blue" });
      // @ts-expect-error no such right
      hub.on("lobby", { authorize: () => ["dance"] });
      // @ts-expect-error a result is what JSON can hold
      hub.on("lobby", { publish: { hello: () => ({ result: 1n }) } });
    });
  });

  it("take anything where nothing is declared", () => {
    expectCompiles((hub) => {
      hub.on("files/**", {
        publish: { any: ({ data }) => expectTypeOf(data).toEqualTypeOf<Json>() as unknown as void },
      });
      const open = createHub();
      void open.room("any name").publish("any event", { any: "data" });
      void open.user("ann").publish("any event", 1);
      open.on("**", { publish: { any: ({ data }) => expectTypeOf(data).toEqualTypeOf<Json>() as unknown as void } });
    });
  });

  it("do not matter to a function that takes any hub", () => {
    expectCompiles((hub) => {
      const wire = (any: AnyHub): unknown => any.room("r").publish("e", 1);
      void wire(hub);
      void wire(createHub());
      // @ts-expect-error data is needed
      void ((any: AnyHub) => any.room("r").publish("e"));
    });
  });

  it("are the contract's own, whichever way the hub is made", () => {
    const hub = createHub({ rooms });
    expectTypeOf(hub).toEqualTypeOf<Hub<typeof rooms>>();
    expect(hub.room("lobby").name).toBe("lobby");
  });
});

describe("a contract that cannot work", () => {
  it.each(["a//b", "", "**/a", "a*", ":", ":a/:a", "a/**b"])("throws a TypeError on the pattern %j", (pattern) => {
    expect(() => createHub({ rooms: { [pattern]: {} } })).toThrow(TypeError);
  });

  it("throws on handlers for a pattern that is not there, and on a second set", () => {
    const hub = createHub({ rooms });
    expect(() => hub.on("nowhere" as "lobby", {})).toThrow(/no room pattern nowhere; there are: chat/);
    hub.on("lobby", { authorize: () => true });
    expect(() => hub.on("lobby", { authorize: () => true })).toThrow(/has handlers already/);
  });
});
