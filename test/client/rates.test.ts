import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { createClient, type Client, type Room } from "../../src/client/index.ts";
import { createHub, type Hub, type Rates } from "../../src/server/index.ts";

async function start(rates: Rates): Promise<{ hub: Hub; url: string }> {
  const hub = createHub({ auth: ({ token }) => ({ user: token }), limits: { requestsPerS: 10_000 }, rates });
  const { url } = await hub.listen();
  onTestFinished(() => hub.close({ drainMs: 0 }));
  return { hub: hub as unknown as Hub, url: `${url.replace("http", "ws")}/ws` };
}

async function room(url: string, user: string): Promise<Room> {
  // Several publishes at once are on their way, so that one could overtake another that was refused.
  const client: Client = createClient({ url, WebSocket, token: user, limits: { inFlight: 8 } });
  onTestFinished(() => client.close());
  client.connect();
  const joined = client.join("lobby");
  await expect.poll(() => joined.state, { timeout: 5_000, interval: 5 }).toBe("joined");
  return joined;
}

const refusals = async (hub: Hub): Promise<number> => {
  const counts = [...(await hub.metrics()).matchAll(/^fanfare_rate_limited_total\{.*\} (\d+)$/gm)];
  return counts.reduce((total, [, count]) => total + Number(count), 0);
};

describe("the client under a rate that it cannot know of", () => {
  it.each<[string, Rates, string[]]>([
    ["of its user", { userRequestsPerS: 8, userRequestsBurst: 5 }, ["ann", "ann"]],
    ["of its address", { addressRequestsPerS: 8, addressRequestsBurst: 5 }, ["ann", "bob"]],
    ["of its room", { roomSendsPerS: 8, roomSendsBurst: 5 }, ["ann", "bob"]],
  ])("%s: repeats what was refused, in order, and each arrives once", async (_, rates, users) => {
    const { hub, url } = await start(rates);
    const heard: unknown[] = [];
    const rooms = await Promise.all(users.map((user) => room(url, user)));
    rooms[0]?.on("message", ({ data }) => heard.push(data));
    // Few, at a low rate: a refusal has to outlast what was on its way when it was told.
    const count = 10;
    const kept = await Promise.all(
      rooms.flatMap((one, who) => Array.from({ length: count }, (__, i) => one.publish("said", { who, i }))),
    );
    expect(kept.every(({ duplicate }) => duplicate === undefined)).toBe(true);
    await expect.poll(() => heard.length, { timeout: 5_000, interval: 5 }).toBe(2 * count);
    for (const who of [0, 1]) {
      const own = (heard as { who: number; i: number }[]).filter((message) => message.who === who);
      expect(own.map(({ i }) => i)).toEqual([...Array(count).keys()]);
    }
    expect(await refusals(hub)).toBeGreaterThan(5);
  });
});
