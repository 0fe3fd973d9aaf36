import { describe, expect, it } from "vitest";
import { failure, settle, World } from "./support/harness.ts";

async function inLobby(options: ConstructorParameters<typeof World>[0] = {}, welcome: Record<string, unknown> = {}) {
  const world = new World(options);
  const room = world.client.join("lobby");
  await world.online(welcome);
  await world.admit("lobby");
  return { world, room };
}

function limits(fields: Record<string, number>): Record<string, unknown> {
  return { limits: { message_bytes: 65_536, rooms: 100, requests_per_s: 50, dedupe_ms: 300_000, ...fields } };
}

const ack = (re: string | undefined, offset: number) => ({
  type: "ack",
  re,
  room: "lobby",
  offset,
  cursor: `e:${offset}`,
});
const refusal = (re: string | undefined, code: string, fields = {}) => ({
  type: "error",
  re,
  room: "lobby",
  code,
  message: code,
  ...fields,
});

describe("a publish", () => {
  it("resolves with its offset, and tells its key before it is kept", async () => {
    const { world, room } = await inLobby();
    const publishing = room.publish("said", { text: "hi" }, { echo: false });
    await settle();
    const [sent] = world.socket.ofType("publish");
    expect(sent).toMatchObject({
      room: "lobby",
      event: "said",
      data: { text: "hi" },
      echo: false,
      key: publishing.key,
    });
    world.socket.says({ ...ack(sent?.id, 7), result: { n: 1 }, duplicate: true });
    expect(await publishing).toMatchObject({ offset: 7, cursor: "e:7", duplicate: true, result: { n: 1 } });
  });

  it("carries the key that the app gave", async () => {
    const { world, room } = await inLobby();
    void room.publish("said", 1, { key: "mine" });
    await settle();
    expect(world.socket.ofType("publish")[0]?.key).toBe("mine");
  });

  it("is sent as it was when it was published, whatever the app does to the object afterwards", async () => {
    const world = new World();
    const room = world.client.join("lobby");
    const data = { text: "before" };
    void room.publish("said", data);
    data.text = "after";
    await world.online();
    await world.admit("lobby");
    expect(world.socket.ofType("publish")[0]?.data).toEqual({ text: "before" });
  });

  it("waits until its room is joined, and not for other rooms", async () => {
    const world = new World();
    const lobby = world.client.join("lobby");
    const other = world.client.join("other");
    void lobby.publish("said", 1);
    void other.publish("said", 2);
    await world.online();
    expect(world.socket.ofType("publish")).toEqual([]);
    await world.admit("other");
    expect(world.socket.ofType("publish").map((frame) => frame.data)).toEqual([2]);
    await world.admit("lobby");
    expect(world.socket.ofType("publish").map((frame) => frame.data)).toEqual([2, 1]);
  });

  it("goes out one at a time in a room, so that a refused one is not overtaken", async () => {
    const { world, room } = await inLobby();
    const outcomes = [1, 2, 3].map((n) => room.publish("said", n));
    await settle();
    for (const n of [1, 2, 3]) {
      const sent = world.socket.ofType("publish");
      expect(sent.map((frame) => frame.data)).toEqual([1, 2, 3].slice(0, n));
      world.socket.says(ack(sent.at(-1)?.id, n));
      await settle();
    }
    expect((await Promise.all(outcomes)).map((kept) => kept.offset)).toEqual([1, 2, 3]);
  });

  it("is repeated with the same key after a reconnect, in order", async () => {
    const { world, room } = await inLobby();
    const outcomes = [1, 2, 3].map((n) => room.publish("said", n));
    await settle();
    await world.reconnect();
    await world.admit("lobby");
    for (const [i, outcome] of outcomes.entries()) {
      const again = world.socket.ofType("publish");
      expect(again.map((frame) => frame.key)).toEqual(outcomes.slice(0, i + 1).map(({ key }) => key));
      world.socket.says(i === 0 ? { ...ack(again[0]?.id, 1), duplicate: true } : ack(again[i]?.id, i + 1));
      await outcome;
      await settle();
    }
    expect((await Promise.all(outcomes)).map((kept) => kept.duplicate)).toEqual([true, undefined, undefined]);
  });

  it.each(["unavailable", "rate_limited"])(
    "is repeated with the same key after %s, ahead of what came later",
    async (code) => {
      const { world, room } = await inLobby();
      void room.publish("said", 1);
      void room.publish("said", 2);
      await settle();
      world.socket.says(refusal(world.socket.ofType("publish")[0]?.id, code, { retry_after_ms: 4_000 }));
      await world.pass(3_900);
      expect(world.socket.ofType("publish")).toHaveLength(1);
      await world.pass(200);
      const sent = world.socket.ofType("publish");
      expect(sent.map((frame) => frame.data)).toEqual([1, 1]);
      expect(sent[1]?.key).toBe(sent[0]?.key);
    },
  );

  it.each(["forbidden", "invalid_data", "unknown_event", "conflict", "internal", "not_joined", "from_the_future"])(
    "rejects with %s and does not come again",
    async (code) => {
      const { world, room } = await inLobby();
      const failed = failure(room.publish("said", 1));
      await settle();
      const issues = [{ message: "too long" }];
      world.socket.says(refusal(world.socket.ofType("publish")[0]?.id, code, { issues }));
      expect(await failed).toMatchObject({ name: "FanfareError", code, room: "lobby", issues });
      await world.pass(60_000);
      expect(world.sockets.flatMap((socket) => socket.ofType("publish"))).toHaveLength(1);
    },
  );
});

describe("a publish whose answer never came", () => {
  it("rejects with outcome_unknown when a repeat is no longer safe, connected or not", async () => {
    const { world, room } = await inLobby({}, limits({ dedupe_ms: 300_000 }));
    const failed = failure(room.publish("said", 1));
    await settle();
    world.socket.ends();
    await world.pass(300_000);
    expect(await failed).toMatchObject({ code: "outcome_unknown" });
    await world.welcome();
    await world.admit("lobby");
    expect(world.socket.ofType("publish")).toEqual([]);
  });

  it("is not repeated after a machine has slept through the time", async () => {
    const { world, room } = await inLobby();
    const failed = failure(room.publish("said", 1));
    await settle();
    world.socket.ends();
    world.sleep(400_000);
    await world.pass(60_000);
    await world.welcome();
    await world.admit("lobby");
    expect(await failed).toMatchObject({ code: "outcome_unknown" });
    expect(world.socket.ofType("publish")).toEqual([]);
  });

  it("waits for as long as it takes where it was never sent", async () => {
    const world = new World();
    const room = world.client.join("lobby");
    const kept = room.publish("said", 1);
    world.client.connect();
    await world.pass(3_600_000);
    await world.welcome();
    await world.admit("lobby");
    world.socket.says(ack(world.socket.ofType("publish")[0]?.id, 1));
    expect((await kept).offset).toBe(1);
  });

  it("is outcome_unknown where the repeat is refused for reasons that say nothing of the first", async () => {
    const { world, room } = await inLobby();
    const failed = failure(room.publish("said", 1));
    await settle();
    await world.reconnect();
    await world.admit("lobby");
    world.socket.says(refusal(world.socket.ofType("publish")[0]?.id, "forbidden"));
    expect(await failed).toMatchObject({ code: "outcome_unknown", cause: { code: "forbidden" } });
  });

  it("is outcome_unknown on close, while one that was never sent is stopped", async () => {
    const { world, room } = await inLobby();
    const sent = failure(room.publish("said", 1));
    const unsent = failure(room.publish("said", 2));
    await settle();
    world.client.close();
    expect((await sent).code).toBe("outcome_unknown");
    expect((await unsent).code).toBe("stopped");
    expect((await failure(room.publish("said", 3))).code).toBe("stopped");
  });

  it("is not sent in another user's name", async () => {
    const { world, room } = await inLobby();
    const sent = failure(room.publish("said", 1));
    const unsent = failure(room.publish("said", 2));
    await settle();
    await world.reconnect(1006, { user: "bob" });
    expect((await sent).code).toBe("outcome_unknown");
    expect((await unsent).code).toBe("user_changed");
    await world.admit("lobby");
    expect(world.socket.ofType("publish")).toEqual([]);
  });
});

describe("a publish that may have been kept", () => {
  it("is outcome_unknown after unavailable, where the repeat is refused", async () => {
    const { world, room } = await inLobby();
    const failed = failure(room.publish("said", 1));
    await settle();
    world.socket.says(refusal(world.socket.ofType("publish")[0]?.id, "unavailable"));
    await world.pass(1_000);
    world.socket.says(refusal(world.socket.ofType("publish")[1]?.id, "forbidden"));
    expect((await failed).code).toBe("outcome_unknown");
  });

  it("was not, where the repeat is a conflict", async () => {
    const { world, room } = await inLobby();
    const failed = failure(room.publish("said", 1, { key: "used before" }));
    await settle();
    await world.reconnect();
    await world.admit("lobby");
    world.socket.says(refusal(world.socket.ofType("publish")[0]?.id, "conflict"));
    expect((await failed).code).toBe("conflict");
  });

  it("was not, where all that it ever got was rate_limited, however long that takes", async () => {
    const { world, room } = await inLobby();
    const kept = room.publish("said", 1);
    await settle();
    for (let i = 0; i < 10; i++) {
      world.socket.says(refusal(world.socket.ofType("publish").at(-1)?.id, "rate_limited", { retry_after_ms: 60_000 }));
      for (let j = 0; j < 3; j++) {
        await world.pass(20_001);
        world.socket.says({ type: "ping" });
      }
    }
    expect(world.socket.ofType("publish").length).toBeGreaterThan(5);
    world.socket.says(ack(world.socket.ofType("publish").at(-1)?.id, 1));
    expect((await kept).offset).toBe(1);
  });
});

describe("several publishes of a room on their way", () => {
  it("where the app chose so, and none that would come to follow a later one", async () => {
    const { world, room } = await inLobby({ limits: { inFlight: 3 } });
    for (const n of [1, 2, 3, 4]) room.publish("said", n).catch(() => {});
    await settle();
    const sent = world.socket.ofType("publish");
    expect(sent.map((frame) => frame.data)).toEqual([1, 2, 3]);
    world.socket.says(refusal(sent[0]?.id, "unavailable"), refusal(sent[1]?.id, "unavailable"));
    await world.pass(2_000);
    expect(world.socket.ofType("publish")).toHaveLength(3);
    world.socket.says(refusal(sent[2]?.id, "unavailable"));
    await world.pass(10_000);
    expect(world.socket.ofType("publish").map((frame) => frame.data)).toEqual([1, 2, 3, 1, 2, 3]);
  });

  it("never before their room is joined", async () => {
    const world = new World({ limits: { inFlight: 3 } });
    const room = world.client.join("lobby");
    for (const n of [1, 2]) room.publish("said", n).catch(() => {});
    await world.online();
    expect(world.socket.ofType("publish")).toEqual([]);
  });
});

describe("the queue of publishes", () => {
  it("refuses the newest beyond its count, and keeps the others in order", async () => {
    const world = new World({ limits: { queued: 2 } });
    const room = world.client.join("lobby");
    room.publish("said", 1).catch(() => {});
    room.publish("said", 2).catch(() => {});
    expect((await failure(room.publish("said", 3))).code).toBe("queue_full");
    await world.online();
    await world.admit("lobby");
    world.socket.says(ack(world.socket.ofType("publish")[0]?.id, 1));
    await settle();
    expect(world.socket.ofType("publish").map((frame) => frame.data)).toEqual([1, 2]);
  });

  it("refuses what goes beyond its bytes", async () => {
    const world = new World({ limits: { queuedBytes: 400 } });
    const room = world.client.join("lobby");
    room.publish("said", "x".repeat(200)).catch(() => {});
    expect((await failure(room.publish("said", "é".repeat(100)))).code).toBe("queue_full");
  });

  it("has room again once publishes are settled", async () => {
    const { world, room } = await inLobby({ limits: { queued: 1 } });
    const first = room.publish("said", 1);
    await settle();
    world.socket.says(ack(world.socket.ofType("publish")[0]?.id, 1));
    await first;
    void room.publish("said", 2);
    await settle();
    expect(world.socket.ofType("publish")).toHaveLength(2);
  });

  it("refuses a message over the server's limit instead of losing the connection over it", async () => {
    const { world, room } = await inLobby({}, limits({ message_bytes: 500 }));
    const tooBig = failure(room.publish("said", "x".repeat(600)));
    void room.publish("said", 2);
    expect((await tooBig).code).toBe("too_big");
    await world.pass(1);
    expect(world.socket.ofType("publish").map((frame) => frame.data)).toEqual([2]);
  });

  it("is sent at less than the server's rate", async () => {
    const world = new World();
    const rooms = Array.from({ length: 80 }, (_, i) => world.client.join(`r${i}`));
    for (const room of rooms) void room.publish("said", 1).catch(() => {});
    await world.online();
    for (const room of rooms) await world.admit(room.name);
    expect(world.socket.ofType("publish")).toHaveLength(50);
    await world.pass(1_000);
    expect(world.socket.ofType("publish").length).toBeGreaterThan(50);
    expect(world.socket.ofType("publish").length).toBeLessThanOrEqual(100);
  });

  it("rejects what JSON cannot hold", async () => {
    const { room } = await inLobby();
    expect((await failure(room.publish("said", 1n))).code).toBe("invalid_data");
  });
});
