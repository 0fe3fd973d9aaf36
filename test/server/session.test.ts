import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import type { RoomHandlers } from "../../src/server/handlers.ts";
import { Refused } from "../../src/server/refused.ts";
import { Gate } from "./support/backend.ts";
import { Core, unavailable, type CorePeer } from "./support/core.ts";
import { turnEnded } from "./support/pipe.ts";

async function coreWith(handlers: RoomHandlers = {}): Promise<Core> {
  const core = await new Core().open();
  if (Object.keys(handlers).length > 0) core.catalog.setHandlers("**", handlers);
  return core;
}

async function joined(core: Core, user: string, room = "r", join: JsonObject = {}): Promise<CorePeer> {
  const peer = core.connect(user);
  peer.says({ type: "join", room, ...join });
  await turnEnded(10);
  expect(peer.of("joined")).toHaveLength(1);
  return peer;
}

/** Type and `re` of each frame that answers, in order. */
function answers(peer: CorePeer): string[] {
  return peer.frames.filter((frame) => "re" in frame).map((frame) => `${String(frame["type"])} ${String(frame["re"])}`);
}

describe("requests of one connection (P-6, invariant 6)", () => {
  it("publish in the order they came, though the first handler is the slowest", async () => {
    const slow = new Gate();
    const core = await coreWith({ publish: { slow: () => slow.passed } });
    const ann = await joined(core, "ann");
    ann.says({ type: "publish", id: "1", room: "r", event: "slow", data: 1 });
    ann.says({ type: "publish", id: "2", room: "r", event: "fast", data: 2 });
    ann.says({ type: "ping", id: "p" });
    await turnEnded();
    expect(answers(ann)).toEqual(["pong p"]);
    slow.open();
    await turnEnded();
    expect(ann.of("message").map((frame) => frame["data"])).toEqual([1, 2]);
    expect(answers(ann)).toEqual(["pong p", "ack 1", "ack 2"]);
  });

  it("are not delayed by those of another room", async () => {
    const slow = new Gate();
    const core = await coreWith({ publish: { slow: () => slow.passed } });
    const ann = await joined(core, "ann");
    ann.says({ type: "join", room: "other" });
    ann.says({ type: "publish", id: "1", room: "r", event: "slow" });
    await turnEnded();
    ann.says({ type: "publish", id: "2", room: "other", event: "e" });
    await turnEnded();
    expect(answers(ann)).toEqual(["ack 2"]);
    slow.open();
  });

  it("do not wait for the log in between, with keys too: the append settles what is a repeat", async () => {
    const core = await coreWith();
    const ann = await joined(core, "ann");
    const answered = new Gate();
    core.backend.hook = (call, when) => (call === "find" || when === "after" ? answered.passed : undefined);
    for (const id of ["1", "2", "3"]) ann.says({ type: "publish", id, key: `k${id}`, room: "r", event: "e", data: id });
    ann.says({ type: "publish", id: "4", key: "k1", room: "r", event: "e", data: "1" });
    ann.says({ type: "publish", id: "5", key: "k1", room: "r", event: "e", data: "another" });
    await turnEnded();
    expect(ann.of("message").map((frame) => frame["data"])).toEqual(["1", "2", "3"]);
    expect(answers(ann)).toEqual([]);
    answered.open();
    await turnEnded();
    expect(answers(ann)).toEqual(["ack 1", "ack 2", "ack 3", "ack 4", "error 5"]);
    expect(ann.of("ack")[3]).toMatchObject({ re: "4", offset: 1, duplicate: true });
    expect(ann.of("error")[0]).toMatchObject({ re: "5", code: "conflict" });
  });

  it("are refused in their place among the room's answers", async () => {
    const slow = new Gate();
    const core = await coreWith({ publish: { slow: () => slow.passed } });
    const ann = await joined(core, "ann");
    ann.says({ type: "publish", id: "1", room: "r", event: "slow" });
    ann.says({ type: "publish", id: "2", room: "r", event: "" });
    await turnEnded();
    expect(answers(ann)).toEqual([]);
    slow.open();
    await turnEnded();
    expect(answers(ann)).toEqual(["ack 1", "error 2"]);
  });
});

describe("an append whose outcome is unknown (P-33, invariant 5)", () => {
  it("fails the publishes that wait behind it, and none of them is kept", async () => {
    const slow = new Gate();
    const core = await coreWith({ publish: { slow: () => slow.passed } });
    const ann = await joined(core, "ann");
    const append = new Gate();
    core.backend.hook = (call, when) => (call === "append" && when === "before" ? append.passed : undefined);
    ann.says({ type: "publish", id: "1", room: "r", event: "e" });
    ann.says({ type: "publish", id: "2", room: "r", event: "slow" });
    ann.says({ type: "publish", id: "3", room: "r", event: "e" });
    await turnEnded();
    append.fail(unavailable());
    await turnEnded();
    core.backend.hook = () => undefined;
    slow.open();
    await turnEnded();
    expect(ann.of("error").map(({ re, code }) => [re, code])).toEqual([
      ["1", "unavailable"],
      ["2", "unavailable"],
      ["3", "unavailable"],
    ]);
    expect(core.backend.calls.filter((call) => call === "append")).toHaveLength(1);
  });

  it("is never overtaken, however closely a handler ends before or after it is told", async () => {
    for (let steps = -20; steps <= 20; steps++) {
      const slow = new Gate();
      const core = await coreWith({ publish: { slow: () => slow.passed } });
      const ann = await joined(core, "ann");
      const append = new Gate();
      core.backend.hook = (call, when) => (call === "append" && when === "before" ? append.passed : undefined);
      ann.says({ type: "publish", id: "1", room: "r", event: "e" });
      ann.says({ type: "publish", id: "2", room: "r", event: "slow" });
      await turnEnded();
      let isTold = false;
      let appendedLate = false;
      core.logged.push = () => ((isTold = true), 0);
      core.backend.hook = (call, when) => {
        if (call === "append" && when === "before") appendedLate = isTold;
      };
      const [first, second] = steps < 0 ? [slow.open, append.fail] : [append.fail, slow.open];
      first(unavailable());
      for (let i = 0; i < Math.abs(steps); i++) await Promise.resolve();
      second(unavailable());
      await turnEnded();
      expect(isTold).toBe(true);
      expect(appendedLate, `appended after the failure was told; ${steps} steps`).toBe(false);
    }
  });

  it("leaves later publishes alone", async () => {
    const core = await coreWith();
    const ann = await joined(core, "ann");
    core.backend.hook = (call) => {
      if (call === "append") throw unavailable();
    };
    ann.says({ type: "publish", id: "1", room: "r", event: "e" });
    await turnEnded();
    core.backend.hook = () => undefined;
    ann.says({ type: "publish", id: "2", room: "r", event: "e" });
    await turnEnded();
    expect(answers(ann)).toEqual(["error 1", "ack 2"]);
  });
});

describe("a handler's result", () => {
  it.each([
    ["a BigInt", 1n],
    ["a circle", Object.assign({}, { self: {} })],
  ])("that JSON cannot hold (%s) is internal, and nothing is kept", async (_, result) => {
    if (typeof result === "object") result.self = result;
    const core = await coreWith({ publish: { bad: () => ({ result: result as unknown as null }) } });
    const ann = await joined(core, "ann");
    ann.says({ type: "publish", id: "1", room: "r", event: "bad" });
    ann.says({ type: "publish", id: "2", room: "r", event: "good" });
    await turnEnded();
    expect(ann.of("error")).toMatchObject([{ re: "1", code: "internal", message: "the request failed" }]);
    expect(ann.of("ack")).toMatchObject([{ re: "2", offset: 1 }]);
    expect(ann.session.pending).toBe(0);
  });
});

describe("joining again", () => {
  it("while the member is being taken out of the room gives it the stream again", async () => {
    const slow = new Gate();
    let asked = 0;
    const core = await coreWith({ authorize: () => (++asked === 2 ? slow.passed.then(() => true) : true) });
    const ann = await joined(core, "ann");
    ann.says({ type: "join", id: "again", room: "r" });
    await turnEnded();
    ann.session.expel(core.rooms.get("r")!, "removed");
    slow.open();
    await turnEnded();
    ann.says({ type: "publish", id: "p", room: "r", event: "e", data: 1 });
    await turnEnded();
    expect(ann.frames.map((frame) => frame["type"])).toContain("message");
    expect(ann.of("joined")).toHaveLength(2);
  });

  it("without `since` goes on where the stream stands, also in the middle of a turn", async () => {
    const core = await coreWith();
    const ann = await joined(core, "ann");
    const bob = await joined(core, "bob");
    bob.says({ type: "publish", room: "r", event: "e", data: 1 });
    ann.says({ type: "join", id: "again", room: "r" });
    bob.says({ type: "publish", room: "r", event: "e", data: 2 });
    await turnEnded();
    let at = 0;
    for (const { type, cursor, offset } of ann.frames.slice(1)) {
      if (type === "joined") expect(String(cursor).endsWith(`:${at}`)).toBe(true);
      else expect(offset).toBe(++at);
    }
    expect(at).toBe(2);
  });
});

describe("new credentials (P-17, invariant 11)", () => {
  const narrow = (rooms: Record<string, ("join" | "publish" | "presence" | "signal" | "history")[]>) => ({
    user: "ann",
    rooms,
  });

  it("end what is no longer allowed, with `left` as the room's last frame", async () => {
    const core = await coreWith();
    const ann = await joined(core, "ann");
    ann.says({ type: "join", room: "other" });
    await turnEnded();
    core.renewed = narrow({ r: ["join"] });
    ann.says({ type: "auth", id: "a", token: "t" });
    await turnEnded();
    const bob = await joined(core, "bob", "other");
    bob.says({ type: "publish", room: "other", event: "e" });
    await turnEnded();
    expect(ann.frames.at(-1)).toEqual({ type: "left", room: "other", reason: "forbidden" });
    expect([...ann.joined.keys()]).toEqual(["r"]);
  });

  it("hold for a join that was under way when they came", async () => {
    const slow = new Gate();
    const core = await coreWith({ join: ({ room }) => (room === "secret" ? slow.passed : undefined) });
    const ann = await joined(core, "ann");
    ann.says({ type: "join", id: "j", room: "secret" });
    await turnEnded();
    core.renewed = narrow({ r: ["join"] });
    ann.says({ type: "auth", id: "a", token: "t" });
    await turnEnded();
    slow.open();
    await turnEnded();
    expect([...ann.joined.keys()]).toEqual(["r"]);
    expect(ann.of("error")).toMatchObject([{ re: "j", room: "secret", code: "forbidden" }]);
  });

  it("without the right `presence` end the presence frames", async () => {
    const core = await coreWith();
    const ann = await joined(core, "ann", "r", { presence: true });
    core.renewed = narrow({ r: ["join"] });
    ann.says({ type: "auth", id: "a", token: "t" });
    await turnEnded();
    await joined(core, "bob");
    expect(ann.of("presence")).toEqual([]);
  });

  it("without the right `presence` end them for one who joins again without naming it, too", async () => {
    const allowed = { presence: true };
    const core = await coreWith({ authorize: () => (allowed.presence ? true : ["publish"]) });
    const ann = await joined(core, "ann", "r", { presence: true });
    allowed.presence = false;
    ann.says({ type: "join", room: "r" });
    await turnEnded();
    await joined(core, "bob");
    expect(ann.of("presence")).toEqual([]);
  });

  it("that cannot be checked for one room are unavailable, and the old ones hold in all of them", async () => {
    let isBroken = false;
    const core = await coreWith({
      authorize: ({ room }) => {
        if (isBroken && room === "r") throw new Error("the database is away");
        return true;
      },
    });
    const ann = await joined(core, "ann");
    ann.says({ type: "join", room: "gone" });
    await turnEnded();
    isBroken = true;
    core.renewed = narrow({ r: ["join"] });
    ann.says({ type: "auth", id: "a", token: "t" });
    await turnEnded();
    expect(answers(ann)).toEqual(["error a"]);
    expect(ann.of("error")).toMatchObject([{ re: "a", code: "unavailable" }]);
    expect([ann.closed, [...ann.joined.keys()], ann.identity.rooms]).toEqual([false, ["r", "gone"], undefined]);
    isBroken = false;
    ann.says({ type: "auth", id: "b", token: "t" });
    await turnEnded();
    expect(answers(ann)).toEqual(["error a", "authed b"]);
    expect([...ann.joined.keys()]).toEqual(["r"]);
  });

  it("take effect before all that follows them", async () => {
    const core = await coreWith();
    const ann = await joined(core, "ann");
    core.renewed = narrow({ r: ["join"] });
    ann.says({ type: "auth", id: "a", token: "t" });
    ann.says({ type: "publish", id: "p", room: "r", event: "e" });
    await turnEnded();
    expect(answers(ann)).toEqual(["authed a", "error p"]);
    expect(ann.of("error")[0]).toMatchObject({ code: "forbidden" });
  });
});

describe("a room that failed to open", () => {
  it("is `unavailable`, and nothing of it stays", async () => {
    const core = await coreWith();
    core.backend.hook = (call) => {
      if (call === "subscribe" || call === "state") throw unavailable();
    };
    const ann = core.connect("ann");
    ann.says({ type: "join", id: "1", room: "r" });
    await turnEnded();
    core.backend.hook = (call) => {
      if (call === "state") throw unavailable();
    };
    ann.says({ type: "join", id: "2", room: "r", history: 5 });
    await turnEnded();
    expect(ann.of("error").map(({ re, code }) => [re, code])).toEqual([
      ["1", "unavailable"],
      ["2", "unavailable"],
    ]);
    expect([core.rooms.size, ann.joined.size, ann.joining]).toEqual([0, 0, 0]);
  });

  it("closes a connection whose replay cannot go on, with 1013", async () => {
    const core = await coreWith();
    const ann = await joined(core, "ann");
    ann.says({ type: "publish", room: "r", event: "e" });
    await turnEnded();
    core.backend.hook = (call) => {
      if (call === "read") throw unavailable();
    };
    const bob = core.connect("bob");
    bob.says({ type: "join", room: "r", history: 5 });
    await turnEnded();
    expect([bob.closeCode, ann.closed, core.rooms.get("r")?.members.size]).toEqual([1013, false, 1]);
  });
});

describe("a join that a handler refuses", () => {
  it("tells the code and message of `Refused`, and nothing of any other error", async () => {
    const core = await coreWith({
      join: ({ room }) => {
        if (room === "full") throw new Refused("forbidden", "the room is full");
        throw new Error("secret detail");
      },
    });
    const ann = core.connect("ann");
    ann.says({ type: "join", id: "1", room: "full" });
    ann.says({ type: "join", id: "2", room: "broken" });
    await turnEnded();
    expect(ann.of("error")).toMatchObject([
      { re: "1", code: "forbidden", message: "the room is full" },
      { re: "2", code: "internal" },
    ]);
    expect(JSON.stringify(ann.frames)).not.toContain("secret");
    expect([core.rooms.size, ann.joined.size]).toEqual([0, 0]);
  });
});
