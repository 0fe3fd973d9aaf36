import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { rawConnect, upgradeText, type RawPeer } from "../support/raw.ts";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connectAs, Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";
import { Witness } from "../support/witness.ts";

const config = fileURLToPath(new URL("../support/fixtures/deflate.config.mjs", import.meta.url));
const megabyte = 1_048_576;

let server: TestServer;
beforeAll(
  async () =>
    void (server = await startServer([
      "--backend",
      "memory",
      "--config",
      config,
      ...["--limit", "requests_per_s=5000", "--limit", "grace_ms=0"],
    ])),
);
afterAll(() => endServer(server));

const token = (user: string): string => makeToken({ sub: user, rooms: ["**"] });

async function deflated(user: string): Promise<Peer> {
  const options = { perMessageDeflate: { threshold: 0 } };
  const peer = new Peer(new WebSocket(`ws://${server.host}/ws?token=${token(user)}`, ["fanfare.v1"], options));
  await peer.expect({ type: "welcome", user });
  expect(peer.socket.extensions).toContain("permessage-deflate");
  return peer;
}

/** A peer that writes its own compressed bytes. Its `welcome` comes compressed too, so it is passed over unread. */
async function rawDeflated(user: string): Promise<RawPeer> {
  const peer = await rawConnect(server);
  const headers = { "Sec-WebSocket-Extensions": "permessage-deflate" };
  peer.write(upgradeText(server, { path: `/ws?token=${token(user)}`, headers }));
  expect((await peer.head()).text).toMatch(/^sec-websocket-extensions: permessage-deflate/im);
  await peer.next();
  return peer;
}

it("a deflated connection and a plain one get the same, in the same order, answers included", async () => {
  const peers = [await deflated("ann"), await connectAs(server, "bob")] as const;
  for (const peer of peers) {
    peer.send({ type: "join", room: "room" });
    await peer.expect({ type: "joined" });
  }
  const total = 300;
  const [ann, bob] = peers;
  for (let n = 1; n <= total; n++) {
    ann.send({ type: "publish", id: `p${n}`, room: "room", event: "e", data: { n, text: "x".repeat(n * 5) } });
    if (n % 10 === 0) ann.send({ type: "join", id: `j${n}`, room: "room" });
  }
  for (const peer of peers) {
    let last = 0;
    const acks: string[] = [];
    const isDone = (): boolean => last === total && (peer === bob || acks.length === total + total / 10);
    while (!isDone()) {
      const frame = await peer.next();
      if (frame["type"] === "message") expect(frame["offset"]).toBe(++last);
      else acks.push(String(frame["re"]));
      // P-24: `joined` tells where the connection stands, which is where its stream is, compressed or not.
      if (frame["type"] === "joined") expect(frame["cursor"]).toMatch(new RegExp(`:${last}$`));
    }
  }
  for (const peer of peers) peer.destroy();
});

it("a bomb of 50 kB that unpacks to 50 MB closes with 1009, and memory stays bounded", async () => {
  const witness = await Witness.of(server);
  const bomb = deflateRawSync(Buffer.alloc(50 * megabyte, 0x20)).subarray(0, -4);
  const before = server.rssBytes();
  const peer = await rawDeflated("ann");
  peer.frame(bomb, { rsv: 4 });
  expect(await peer.closeCode()).toBe(1009);
  expect(server.rssBytes() - before).toBeLessThan(32 * megabyte);
  peer.destroy();
  await witness.sees();
  witness.end();
});

it("bytes that do not unpack close, and harm nobody else", async () => {
  const witness = await Witness.of(server);
  const peer = await rawDeflated("ann");
  peer.frame(Buffer.alloc(100, 0xff), { rsv: 4 });
  expect([1002, 1007]).toContain(await peer.closeCode());
  peer.destroy();
  await witness.sees();
  witness.end();
});
