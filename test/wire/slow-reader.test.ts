import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { payload, publishFor } from "../support/publish-for.ts";
import { rawConnectAs } from "../support/raw.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connectAs, type Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";
import { Witness } from "../support/witness.ts";

const megabyte = 1_048_576;

let server: TestServer;
let witness: Witness;
beforeAll(async () => void (server = await startServer(["--backend", "memory", "--limit", "requests_per_s=5000"])));
afterAll(() => endServer(server));
beforeEach(async () => void (witness = await Witness.of(server)));
afterEach(async () => {
  await witness.sees();
  witness.end();
});

async function member(
  user: string,
  room: string,
  fields: JsonObject = {},
): Promise<{ peer: Peer; joined: JsonObject }> {
  const peer = await connectAs(server, user);
  peer.send({ type: "join", room, ...fields });
  return { peer, joined: await peer.expect({ type: "joined" }) };
}

describe("a reader that stops reading while 10 MB a second come", () => {
  it("is cut off, costs little memory, and others do not wait for it", async () => {
    const { peer: publisher } = await member("ann", "stalled");
    const { peer: reader } = await member("bob", "stalled");
    const usualMs = await publishFor(1_500, publisher, reader, "stalled");
    const stalled = await rawConnectAs(server, makeToken({ sub: "cid", rooms: ["**"] }));
    stalled.frame({ type: "join", room: "stalled" });
    await stalled.nextJson();
    stalled.stall();
    const before = server.rssBytes();
    const p99Ms = await publishFor(3_000, publisher, reader, "stalled");
    // The log itself holds 1,000 messages of 50 kB: what grows beyond it is the stalled reader's.
    const logBytes = 600 * payload.length;
    expect(server.rssBytes() - before - logBytes).toBeLessThan(64 * megabyte);
    expect(p99Ms).toBeLessThan(2 * usualMs + 25);
    const { peer: watcher, joined } = await member("watcher", "stalled");
    expect(joined["members"]).toBe(4);
    stalled.socket.resume();
    expect([4200, undefined]).toContain(await stalled.closeCode());
    // It answers no close, so the server would hold the socket for as long as it waits for that.
    stalled.destroy();
    for (const peer of [publisher, reader, watcher]) peer.destroy();
  });

  it("is told 4200, and resumes from where it was (P-61)", async () => {
    const { peer: publisher } = await member("ann", "resumes");
    const { peer: slow, joined } = await member("bob", "resumes");
    slow.socket.pause();
    const total = 400;
    for (let n = 1; n <= total; n++)
      publisher.send({ type: "publish", id: String(n), room: "resumes", event: "e", data: payload, echo: false });
    await publisher.until({ type: "ack", re: String(total) }, new Map(), 20_000);
    slow.socket.resume();
    const { code } = await slow.closed();
    expect([4200, 1006]).toContain(code);
    const seen = slow.pending().length;
    expect(seen).toBeLessThan(total);
    const epoch = String(joined["cursor"]).split(":")[0];
    const { peer: again } = await member("bob", "resumes", { since: `${epoch}:${seen}` });
    for (let n = seen + 1; n <= total; n++) await again.expect({ type: "message", offset: n });
    again.destroy();
    publisher.destroy();
  });

  it("in the middle of a long replay gets all of it when it reads on", async () => {
    const { peer: publisher, joined } = await member("ann", "replay");
    const total = 400;
    for (let n = 1; n <= total; n++)
      publisher.send({ type: "publish", id: String(n), room: "replay", event: "e", data: payload, echo: false });
    await publisher.until({ type: "ack", re: String(total) }, new Map(), 20_000);
    const before = server.rssBytes();
    const { peer: reader } = await member("bob", "replay", { since: joined["cursor"]! });
    reader.socket.pause();
    await publisher.settled();
    for (let n = total + 1; n <= total + 5; n++)
      publisher.send({ type: "publish", id: String(n), room: "replay", event: "e", data: n, echo: false });
    await publisher.until({ type: "ack", re: String(total + 5) });
    for (let i = 0; i < 20; i++) await publisher.settled();
    expect(server.rssBytes() - before, "a replay waits for its reader").toBeLessThan(16 * megabyte);
    reader.socket.resume();
    for (let n = 1; n <= total + 5; n++) await reader.expect({ type: "message", offset: n });
    reader.destroy();
    publisher.destroy();
  });
});
