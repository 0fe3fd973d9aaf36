import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cursors, maxIdBytes } from "../../src/server/sse/cursors.ts";
import { EventEncoder } from "../../src/server/sse/events.ts";
import { frameTexts } from "../../src/server/wire.ts";
import { serve } from "../server/support/hub.ts";
import { ask, listen, member } from "./support/reader.ts";

const anyCursor = fc.record({
  epoch: fc.stringMatching(/^[A-Za-z0-9_-]{1,32}$/),
  offset: fc.maxSafeNat(),
});
const anyRooms = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 80, unit: "grapheme" }), {
  minLength: 1,
  maxLength: 16,
});

describe("an id (P-71)", () => {
  it("brings back the cursor in each room, whatever the rooms, and fits", () => {
    fc.assert(
      fc.property(anyRooms, fc.array(fc.option(anyCursor, { nil: undefined })), (rooms, cursors) => {
        const id = rooms.reduce((all, room, i) => all.at(room, cursors[i]), Cursors.read(rooms, "")!).id;
        expect(id).toMatch(/^[A-Za-z0-9_.~-]+$/);
        expect(id.length).toBeLessThanOrEqual(maxIdBytes / 2);
        const read = Cursors.read(rooms.toReversed(), id)!;
        expect(rooms.map((room) => read.of(room))).toEqual(rooms.map((_, i) => cursors[i]));
      }),
    );
  });

  it("of any other form is taken for none", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        const read = Cursors.read(["a"], text);
        if (text === "1") expect(read?.id).toBe("1");
        else expect(read).toBeUndefined();
      }),
    );
    for (const id of ["2", "1~", "1~a.b.1", `1~${"A".repeat(12)}.e`, `1~${"A".repeat(12)}.e.01`, ` 1`, "1\n"]) {
      expect([id, Cursors.read(["a"], id)]).toEqual([id, undefined]);
    }
  });
});

describe("frames as events", () => {
  const joined = (room: string, cursor: string): string => JSON.stringify({ type: "joined", room, cursor });
  const message = (room: string, offset: number): string => JSON.stringify({ type: "message", room, offset, data: 1 });

  it("are made once for all who stand at the same place, and for each who stands elsewhere", () => {
    const encoder = new EventEncoder();
    const start = encoder.encode(frameTexts([joined("a", "e:4")]).bytes, Cursors.read(["a"], "")!);
    const elsewhere = Cursors.read(["a"], "")!.at("a", { epoch: "e", offset: 3 });
    const shared = frameTexts([message("a", 5), message("a", 6)]).bytes;
    const first = encoder.encode(shared, start.cursors);
    expect(encoder.encode(shared, Cursors.read(["a"], start.cursors.id)!)).toBe(first);
    expect(first.cursors.of("a")).toEqual({ epoch: "e", offset: 6 });
    expect(encoder.encode(shared, elsewhere).cursors.of("a")).toEqual({ epoch: "e", offset: 6 });
    // Their id is the same, because they have no cursor in the other room yet; their place is not.
    for (const room of ["b", "c", "d", "f", "g"]) {
      const { cursors } = encoder.encode(shared, Cursors.read(["a", room], start.cursors.id)!);
      expect(cursors.at(room, { epoch: "e", offset: 1 }).of(room)).toEqual({ epoch: "e", offset: 1 });
    }
    const bounded = Cursors.read(["a"], "")!.at("a", { epoch: "late", offset: 1 });
    const copies = [encoder.encode(shared, bounded), encoder.encode(shared, bounded)];
    expect(copies[0]).not.toBe(copies[1]);
    expect(copies[0]).toEqual(copies[1]);
  });

  it("move the cursor by joined, message, skip and gap, and by nothing else", () => {
    const encoder = new EventEncoder();
    let cursors = Cursors.read(["a"], "")!;
    const after = (frame: object): string | undefined => {
      ({ cursors } = encoder.encode(frameTexts([JSON.stringify(frame)]).bytes, cursors));
      const cursor = cursors.of("a");
      return cursor && `${cursor.epoch}:${cursor.offset}`;
    };
    expect(after({ type: "welcome" })).toBeUndefined();
    expect(after({ type: "joined", room: "a", cursor: "e:4" })).toBe("e:4");
    expect(after({ type: "message", room: "a", offset: 5 })).toBe("e:5");
    expect(after({ type: "signal", room: "a", offset: 9 })).toBe("e:5");
    expect(after({ type: "presence", room: "a", members: 9 })).toBe("e:5");
    expect(after({ type: "skip", room: "a", offset: 7 })).toBe("e:7");
    expect(after({ type: "gap", room: "a", cursor: "f:2", reason: "epoch" })).toBe("f:2");
    expect(after({ type: "message", room: "other", offset: 9 })).toBe("f:2");
    expect(after({ type: "left", room: "a", reason: "removed" })).toBe("f:2");
    expect(after({ type: "joined", room: "a", kept: false })).toBeUndefined();
  });
});

describe("resuming by an id", () => {
  it("from any event on brings in each room exactly what came after that event", async () => {
    const { hub, port } = await serve();
    const rooms = ["a", "b", "ü/3"];
    await hub.room("b").publish("before", 0);
    const reader = await ask(port, rooms, { token: "ann" });
    const events = [await reader.nextEvent()];
    for (const _ of rooms) events.push(await reader.nextEvent());
    for (let n = 0; n < 12; n++) {
      const room = rooms[(n * n) % 3]!;
      await hub.room(room).publish("n", n);
      events.push(await reader.expect({ type: "message", room }));
    }
    const all = events.map(({ frame }) => frame).filter(({ type }) => type === "message");
    for (const [i, { id }] of events.entries()) {
      const asked = await ask(port, rooms, { token: "ann", lastEventId: id! });
      expect((await asked.expect({ type: "welcome" })).id).toBe(id);
      const isKnown = (at: number): boolean => i >= at + 1;
      const got = new Map<string, unknown[]>();
      let expected = 0;
      for (const [at, room] of rooms.entries()) {
        const { frame } = await asked.expect({ type: "joined", room });
        expect([room, frame["recovered"]]).toEqual([room, isKnown(at) ? true : undefined]);
        got.set(room, []);
        expected += Number(frame["replay"]);
      }
      for (let n = 0; n < expected; n++) {
        const { frame } = await asked.expect({ type: "message" });
        got.get(String(frame["room"]))?.push(frame);
      }
      const seen = events.slice(0, i + 1).map(({ frame }) => frame);
      for (const [at, room] of rooms.entries()) {
        const missed = all.filter((frame) => frame["room"] === room && !seen.includes(frame));
        expect(got.get(room)).toEqual(isKnown(at) ? missed : []);
      }
      asked.destroy();
    }
  });

  it("the header wins over the query, and the query does where there is no header", async () => {
    const { hub, port } = await serve();
    const early = await member(port, ["a"], { token: "ann" });
    const old = early.lastId;
    await hub.room("a").publish("e", 1);
    const { id = "" } = await early.expect({ type: "message" });
    const both = { lastEventId: id, query: { last_event_id: old } };
    expect((await listen(port, ["a"], { token: "ann", ...both }).then((it) => it.nextEvent())).frame["replay"]).toBe(0);
    const query = { query: { last_event_id: old } };
    expect((await listen(port, ["a"], { token: "ann", ...query }).then((it) => it.nextEvent())).frame["replay"]).toBe(
      1,
    );
  });

  it("an empty id is what a page begins with, and means none", async () => {
    const { port } = await serve();
    const reader = await ask(port, ["a"], { token: "ann", query: { last_event_id: "" } });
    expect((await reader.expect({ type: "welcome" })).id).toBe("1");
    await reader.expect({ type: "joined", recovered: "$absent" });
  });

  it("rooms that are not asked for are left out, and rooms not in it are joined afresh", async () => {
    const { hub, port } = await serve();
    const first = await member(port, ["a", "b"], { token: "ann" });
    await hub.room("a").publish("e", 1);
    await hub.room("c").publish("e", 1);
    const again = await ask(port, ["c", "a"], { token: "ann", lastEventId: first.lastId });
    const welcome = await again.expect({ type: "welcome" });
    expect(welcome.id?.split("~")).toHaveLength(2);
    await again.expect({ type: "joined", room: "c", recovered: "$absent", replay: 0 });
    await again.expect({ type: "joined", room: "a", recovered: true, replay: 1 });
    await again.expect({ type: "message", room: "a", offset: 1 });
  });

  it("a place that the log has not any more, or never had, is told recovered: false, and the id goes to the head", async () => {
    const { hub, port } = await serve({ keep: { messages: 2 } });
    const { lastId } = await member(port, ["a"], { token: "ann" });
    for (let n = 1; n <= 5; n++) await hub.room("a").publish("e", n);
    const place = lastId.replace(/0$/, "");
    const trimmed = await listen(port, ["a"], { token: "ann", lastEventId: lastId });
    const joined = await trimmed.expect({ type: "joined", recovered: false, replay: 0 });
    expect(joined.id).toBe(`${place}5`);
    for (const id of [`${place}99`, lastId.replace(/\.[\w-]+\.0$/, ".another.4")]) {
      const reader = await listen(port, ["a"], { token: "ann", lastEventId: id });
      await reader.expect({ type: "joined", recovered: false, replay: 0 });
    }
  });

  it("is authorised again", async () => {
    const { hub, port } = await serve();
    let isAllowed = true;
    hub.on("**", { authorize: () => isAllowed });
    const first = await member(port, ["a"], { token: "ann" });
    isAllowed = false;
    const again = await ask(port, ["a"], { token: "ann", lastEventId: first.lastId });
    expect(again.status).toBe(403);
  });
});
