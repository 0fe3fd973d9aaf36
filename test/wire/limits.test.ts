import { afterEach, describe, expect, it } from "vitest";
import { rawConnect, upgradeText } from "../support/raw.ts";
import { endServer, startServer, testApiKey, type TestServer } from "../support/server.ts";
import { connect, connectAs, Refused, type ConnectOptions, type Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";

let server: TestServer | undefined;
afterEach(async () => {
  await endServer(server);
  server = undefined;
});

async function start(...limits: string[]): Promise<TestServer> {
  server = await startServer(["--backend", "memory", ...limits.flatMap((limit) => ["--limit", limit])]);
  return server;
}

function attempt(on: TestServer, options: ConnectOptions = {}): Promise<Peer | Refused> {
  return connect(on, { query: { token: makeToken({ sub: "ann" }) }, ...options }).catch((error: unknown) => {
    if (error instanceof Refused) return error;
    throw error;
  });
}

/** Tries until the server has noticed that there is room again. */
async function letIn(on: TestServer): Promise<Peer> {
  for (;;) {
    const got = await attempt(on);
    if (!(got instanceof Refused)) return got;
  }
}

describe("connections at their limit are refused before the upgrade (P-15)", () => {
  it("in all, those without credentials included, and let in when one has gone", async () => {
    const on = await start("connections=3");
    const first = await connectAs(on, "ann");
    await connectAs(on, "bob");
    const stranger = await connect(on);
    await stranger.expect({ type: "auth_required" });
    const refused = await attempt(on);
    expect(refused).toBeInstanceOf(Refused);
    expect([429, 503]).toContain((refused as Refused).status);
    first.destroy();
    const peer = await letIn(on);
    await peer.expect({ type: "welcome" });
  });

  it("by address, and another address is not concerned", async () => {
    const on = await start("connections_per_address=2");
    await connectAs(on, "ann");
    await connectAs(on, "bob");
    const refused = await attempt(on);
    expect([429, 503]).toContain((refused as Refused).status);
    const other = await attempt(on, { localAddress: "127.0.0.2" });
    expect(other).not.toBeInstanceOf(Refused);
  });
});

describe("limits are told in welcome (P-12)", () => {
  it("as they were set", async () => {
    const on = await start("message_bytes=2000", "rooms=7", "requests_per_s=9", "dedupe_ms=400000", "ping_ms=9000");
    const peer = await connect(on, { query: { token: makeToken({ sub: "ann" }) } });
    await expect(
      peer.expect({
        type: "welcome",
        ping_ms: 9_000,
        limits: { message_bytes: 2_000, rooms: 7, requests_per_s: 9, dedupe_ms: 400_000 },
      }),
    ).resolves.toBeDefined();
  });
});

describe("over the rate (P-63)", () => {
  it("publishes stay refused until the time is over, so that none overtakes another", async () => {
    const on = await start("requests_per_s=20");
    const peer = await connectAs(on, "ann");
    peer.send({ type: "join", room: "room" });
    await peer.expect({ type: "joined" });
    const isKept: boolean[] = [];
    let sent = 0;
    const sending = setInterval(() => {
      peer.send({ type: "publish", id: String(++sent), room: "room", event: "e", echo: false });
    }, 20);
    let retryAfterMs = 0;
    let refusedAt = 0;
    // After the first refusal nothing passes before its `retry_after_ms` is over.
    while (isKept.length < 100) {
      const frame = await peer.next();
      if (frame["type"] === "skip") continue;
      isKept.push(frame["type"] === "ack");
      if (frame["type"] === "error") {
        expect(frame).toMatchObject({ code: "rate_limited", re: String(isKept.length) });
        if (refusedAt === 0) {
          refusedAt = performance.now();
          retryAfterMs = frame["retry_after_ms"] as number;
        }
      } else if (refusedAt !== 0) {
        expect(performance.now() - refusedAt).toBeGreaterThan(retryAfterMs - 25);
        refusedAt = 0;
      }
    }
    clearInterval(sending);
    expect(isKept.slice(0, 40)).not.toContain(false);
    expect(isKept).toContain(false);
    peer.destroy();
  });

  it("signals and joins are refused too, and have no effect", async () => {
    const on = await start("requests_per_s=1", "rooms=1");
    const [ann, bob] = [await connectAs(on, "ann"), await connectAs(on, "bob")];
    for (const peer of [ann, bob]) {
      peer.send({ type: "join", room: "room" });
      await peer.expect({ type: "joined" });
    }
    for (let i = 0; i < 5; i++) ann.send({ type: "signal", id: String(i), room: "room", event: "e", data: i });
    for (let i = 0; i < 2; i++) await bob.expect({ type: "signal", data: i });
    for (let i = 2; i < 5; i++) await ann.expect({ type: "error", re: String(i), room: "room", code: "rate_limited" });
    ann.send({ type: "leave", id: "leave", room: "room" });
    await ann.expect({ type: "error", re: "leave", code: "rate_limited" });
    expect(await bob.settled()).toEqual([]);
  });
});

describe("over a rate that connections share", () => {
  const withRates = async (...rates: string[]): Promise<TestServer> => {
    const flags = rates.flatMap((rate) => ["--rate", rate]);
    return (server = await startServer(["--backend", "memory", ...flags]));
  };

  it("a user's connections and calls are refused together, and told when to try again", async () => {
    const on = await withRates("user_requests_per_s=0.05", "user_requests_burst=2");
    const [one, two] = [await connectAs(on, "ann"), await connectAs(on, "ann")];
    for (const peer of [one, two]) {
      peer.send({ type: "join", room: "room" });
      await peer.expect({ type: "joined" });
      peer.send({ type: "publish", id: "1", room: "room", event: "e", echo: false });
      await peer.until({ type: "ack" });
    }
    one.send({ type: "publish", id: "2", room: "room", event: "e" });
    await one.until({ type: "error", re: "2", room: "room", code: "rate_limited", retry_after_ms: "$integer" });
    const answer = await fetch(`http://${on.host}/v1/rooms/room/members`, {
      headers: { authorization: `Bearer ${makeToken({ sub: "ann", rooms: ["**"] })}` },
    });
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(10);
    const operator = await fetch(`http://${on.host}/v1/rooms/room/members`, {
      headers: { authorization: `Bearer ${testApiKey}` },
    });
    expect(operator.status).toBe(200);
    // Whoever is throttled is no flooder.
    expect([one, two].map(({ socket }) => socket.readyState)).toEqual([1, 1]);
  });

  it("an address that connects too fast gets 429 with Retry-After, and another one does not", async () => {
    const on = await withRates("address_connects_per_s=0.05", "address_connects_burst=1");
    await connectAs(on, "ann");
    const refused = await attempt(on);
    expect((refused as Refused).status).toBe(429);
    expect(await attempt(on, { localAddress: "127.0.0.2" })).not.toBeInstanceOf(Refused);
    const peer = await rawConnect(on);
    peer.write(upgradeText(on));
    const { status, text } = await peer.head();
    expect([status, /^retry-after: (\d+)\r$/im.exec(text)?.[1]]).toEqual([429, expect.stringMatching(/^(1[5-9]|20)$/)]);
  });
});

describe("a token that is let go (P-17)", () => {
  it("renewed in time keeps the connection past the first expiry", async () => {
    const on = await start();
    const peer = await connectAs(on, "ann", { expires_in_ms: 1_500 });
    await peer.expect({ type: "reauth" });
    peer.send({ type: "auth", id: "1", token: makeToken({ sub: "ann", rooms: ["**"], expires_in_ms: 4_000 }) });
    await peer.expect({ type: "authed", re: "1", expires_at: "$integer" });
    await peer.expect({ type: "reauth", within_ms: "$integer" });
    const renewedAt = performance.now();
    await peer.expectClose(4100, 8_000);
    expect(performance.now() - renewedAt).toBeGreaterThan(2_500);
  });
});
