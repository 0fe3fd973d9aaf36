import { afterAll, beforeAll, expect, it } from "vitest";
import { endServer, startServer, type TestServer } from "../support/server.ts";
import { connectAs, type Peer } from "../support/socket.ts";

let server: TestServer;
beforeAll(async () => void (server = await startServer(["--backend", "memory", "--limit", "requests_per_s=5000"])));
afterAll(() => endServer(server));

const users = ["ann", "bob", "cid"];
const each = 200;

async function member(user: string, room: string): Promise<Peer> {
  const peer = await connectAs(server, user);
  peer.send({ type: "join", room });
  await peer.expect({ type: "joined" });
  return peer;
}

/** Reads a member's stream up to the head, and says which offsets and messages came, in order. */
async function stream(peer: Peer, head: number): Promise<{ offsets: number[]; said: string[] }> {
  const offsets: number[] = [];
  const said: string[] = [];
  while (offsets.at(-1) !== head) {
    const frame = await peer.next();
    if (frame["type"] !== "message") continue;
    offsets.push(frame["offset"] as number);
    said.push(`${String(frame["from"])} ${String(frame["data"])}`);
  }
  return { offsets, said };
}

it("everyone sees the same order, and each publisher's own order is kept (P-6, P-32)", async () => {
  const peers = await Promise.all(users.map((user) => member(user, "room")));
  for (let n = 1; n <= each; n++) {
    for (const peer of peers) peer.send({ type: "publish", id: String(n), room: "room", event: "e", data: n });
  }
  const streams = await Promise.all(peers.map((peer) => stream(peer, users.length * each)));
  const first = streams[0]!;
  expect(first.offsets).toEqual(Array.from({ length: users.length * each }, (_, i) => i + 1));
  for (const other of streams) expect(other).toEqual(first);
  for (const user of users) {
    const own = first.said.filter((text) => text.startsWith(user));
    expect(own).toEqual(Array.from({ length: each }, (_, i) => `${user} ${i + 1}`));
  }
  for (const peer of peers) peer.destroy();
});

it("acks come in the order of the publishes, each once", async () => {
  const peer = await member("ann", "acks");
  for (let n = 1; n <= each; n++)
    peer.send({ type: "publish", id: String(n), room: "acks", event: "e", data: n, echo: n % 2 === 0 });
  const acks: unknown[] = [];
  const positions: unknown[] = [];
  while (acks.length < each || positions.length < each) {
    const frame = await peer.next();
    if (frame["type"] === "ack") acks.push([frame["re"], frame["offset"]]);
    else positions.push(frame["offset"]);
  }
  expect(acks).toEqual(Array.from({ length: each }, (_, i) => [String(i + 1), i + 1]));
  expect(positions).toEqual(Array.from({ length: each }, (_, i) => i + 1));
  peer.destroy();
});

it("one who joins in the middle of the stream by since misses nothing and sees nothing twice (P-22)", async () => {
  const publisher = await member("ann", "middle");
  publisher.send({ type: "join", id: "where", room: "middle" });
  const { cursor } = await publisher.expect({ type: "joined", re: "where" });
  const joiners: Promise<{ offsets: number[]; said: string[] }>[] = [];
  const total = 1_000;
  for (let n = 1; n <= total; n++) {
    publisher.send({ type: "publish", room: "middle", event: "e", data: n, echo: false });
    if (n % 100 !== 50) continue;
    const joiner = await connectAs(server, `joiner ${n}`);
    joiner.send({ type: "join", room: "middle", since: cursor! });
    joiners.push(joiner.expect({ type: "joined", recovered: true, cursor: cursor! }).then(() => stream(joiner, total)));
  }
  const wanted = Array.from({ length: total }, (_, i) => i + 1);
  for (const { offsets } of await Promise.all(joiners)) expect(offsets).toEqual(wanted);
  publisher.destroy();
});

it("joining again with since starts the stream anew: an earlier replay stops (P-24)", async () => {
  const publisher = await member("ann", "again");
  publisher.send({ type: "join", id: "where", room: "again" });
  const { cursor } = await publisher.expect({ type: "joined", re: "where" });
  const total = 800;
  for (let n = 1; n <= total; n++)
    publisher.send({ type: "publish", id: String(n), room: "again", event: "e", data: n, echo: false });
  await publisher.until({ type: "ack", re: String(total) });
  const joiner = await connectAs(server, "bob");
  for (let i = 1; i <= 5; i++) joiner.send({ type: "join", id: String(i), room: "again", since: cursor! });
  let last = 0;
  let joins = 0;
  while (joins < 5 || last < total) {
    const frame = await joiner.next();
    if (frame["type"] === "joined") {
      joins++;
      last = 0;
    } else {
      expect(frame["offset"]).toBe(++last);
    }
  }
  expect(await joiner.settled()).toEqual([]);
  joiner.destroy();
  publisher.destroy();
});

it("joined stands in the stream at the place that its cursor names (P-24, P-32)", async () => {
  const [ann, bob] = [await member("ann", "places"), await member("bob", "places")];
  const total = 500;
  for (let n = 1; n <= total; n++) {
    bob.send({ type: "publish", room: "places", event: "e", data: n });
    ann.send({ type: "join", id: String(n), room: "places" });
  }
  let last = 0;
  let joins = 0;
  while (last < total || joins < total) {
    const frame = await ann.next();
    if (frame["type"] === "message") expect(frame["offset"]).toBe(++last);
    else
      expect(frame).toMatchObject({
        re: String(++joins),
        cursor: expect.stringMatching(new RegExp(`:${last}$`)) as string,
      });
  }
  ann.destroy();
  bob.destroy();
});

it("left is the last frame of its room, and joined the first again (P-26, P-21)", async () => {
  const [ann, bob] = [await member("ann", "doors"), await member("bob", "doors")];
  const rounds = 100;
  for (let n = 1; n <= rounds; n++) {
    bob.send({ type: "publish", room: "doors", event: "e", data: n });
    ann.send({ type: "leave", id: String(n), room: "doors" });
    bob.send({ type: "publish", room: "doors", event: "e", data: n });
    ann.send({ type: "join", id: String(n), room: "doors" });
  }
  let isIn = true;
  let last = 0;
  for (let joins = 0; joins < rounds;) {
    const frame = await ann.next();
    if (frame["type"] === "message") {
      expect(isIn).toBe(true);
      expect(frame["offset"]).toBe(++last);
    } else if (frame["type"] === "left") {
      isIn = false;
    } else {
      joins++;
      isIn = true;
      last = Number(String(frame["cursor"]).split(":")[1]);
    }
  }
  ann.destroy();
  bob.destroy();
});
