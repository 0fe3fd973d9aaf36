import { once } from "node:events";
import { createHub, signToken, type AnyHub } from "fanfare";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import {
  chatHub,
  download,
  inboxes,
  live,
  notes,
  orderSent,
  prices,
  signInFirst,
  type Pool,
} from "../../examples/docs/endpoints.ts";
import { connect } from "../endpoints/plain.ts";

const secret = "a secret for the docs' examples, 32 bytes";
const tokenOf = (user: string): string => signToken({ secret, user, expiresInMs: 60_000 });

async function listen(hub: AnyHub): Promise<string> {
  const { port } = await hub.listen();
  onTestFinished(() => hub.close({ drainMs: 0 }));
  return `ws://127.0.0.1:${port}`;
}

function usersHub(): AnyHub {
  return createHub({ auth: ({ token }) => ({ user: token }) });
}

/** A pool that tells how many of its connections are taken. */
class CountingPool implements Pool {
  taken = 0;
  most = 0;

  async connect(): ReturnType<Pool["connect"]> {
    this.most = Math.max(this.most, ++this.taken);
    return {
      query: async (text) => {
        await new Promise((resolve) => setImmediate(resolve));
        return text.toUpperCase();
      },
      release: () => void this.taken--,
    };
  }
}

describe("the page about endpoints", () => {
  it("shows a chat", async () => {
    const url = await listen(chatHub(secret));
    const ann = await connect(`${url}/chat/tea?token=${tokenOf("ann")}`);
    ann.send({ text: "first" });
    expect(await ann.next()).toEqual({ user: "ann", text: "first" });
    const bob = await connect(`${url}/chat/tea?token=${tokenOf("bob")}`);
    expect(await ann.next()).toEqual({ user: "bob", came: true });
    ann.send({ text: "hello" });
    expect(await bob.next()).toEqual({ user: "ann", text: "hello" });
    bob.socket.terminate();
    expect(await ann.next()).toEqual({ user: "ann", text: "hello" });
    expect(await ann.next()).toEqual({ user: "bob", left: true });
    ann.send({ text: 1 });
    expect((await ann.closed()).code).toBe(1008);
    await expect(connect(`${url}/chat/a%00?token=${tokenOf("ann")}`)).rejects.toThrow("status 400");
  });

  it("shows a path and a query that schemas check", async () => {
    const hub = usersHub();
    prices(hub, (symbol) => symbol.length);
    const url = `${await listen(hub)}/prices`;
    const peer = await connect(`${url}/ACME?every_ms=100`);
    for (let i = 0; i < 3; i++) expect(await peer.next()).toEqual({ symbol: "ACME", price: 4 });
    expect(await (await connect(`${url}/ACME`)).next()).toEqual({ symbol: "ACME", price: 4 });
    await expect(connect(`${url}/acme`)).rejects.toThrow("status 400: the path does not fit: symbol");
    await expect(connect(`${url}/ACME?every_ms=1`)).rejects.toThrow("status 400: the query does not fit: every_ms");
  });

  it("shows who is let in, and how the server tells a user", async () => {
    const hub = usersHub();
    inboxes(hub);
    const url = await listen(hub);
    const ann = await connect(`${url}/inbox/ann?token=ann`);
    expect((await (await connect(`${url}/inbox/bob?token=ann`)).closed()).code).toBe(4003);
    await expect(connect(`${url}/inbox/ann?token=ann&v=1`)).rejects.toThrow("status 410");
    await expect.poll(() => hub.groups()).toEqual(["user_ann"]);
    orderSent(hub, "ann", "42");
    expect(await ann.next()).toEqual({ order: "42", status: "sent" });
  });

  it("shows a first message that signs in", async () => {
    const hub = createHub({ auth: ({ token }) => (token === "ann" ? { user: token } : undefined) });
    signInFirst(hub);
    const url = await listen(hub);
    const [ann, eve] = [await connect(`${url}/first`), await connect(`${url}/first`)];
    ann.send("ann");
    eve.send("eve");
    expect(await ann.next()).toEqual({ hello: "ann" });
    expect((await eve.closed()).code).toBe(1008);
  });

  it("shows a download, whole and in order", async () => {
    const hub = usersHub();
    download(hub, async function* () {
      for (let i = 0; i < 100; i++) yield Buffer.alloc(50_000, i);
    });
    const peer = await connect(`${await listen(hub)}/download`);
    for (let i = 0; i < 100; i++) expect(((await peer.next()) as Buffer)[49_999]).toBe(i);
    expect(await peer.closed()).toEqual({ code: 1000, reason: "that was all" });
  });

  it("shows a room with its log in messages of the app's own", async () => {
    const hub = usersHub();
    live(hub);
    const url = await listen(hub);
    const ann = await connect(`${url}/live/tea?token=ann`);
    const { cursor } = (await ann.next()) as { cursor: string };
    ann.send({ text: "hi" });
    const said = { type: "chat", from: "ann", data: { text: "hi" }, cursor: cursor.replace(/0$/, "1") };
    expect(await ann.next()).toEqual(said);
    const bob = await connect(`${url}/live/tea?token=bob&since=${cursor}`);
    expect([await bob.next(), await bob.next()]).toEqual([{ type: "ready", cursor }, said]);
    const late = await connect(`${url}/live/tea?token=bob&since=another:1`);
    expect(await late.next()).toMatchObject({ type: "reload" });
  });

  it("1,000 idle sockets hold none of the database's connections", async () => {
    const hub = usersHub();
    const pool = new CountingPool();
    notes(hub, pool);
    const url = await listen(hub);
    const idle: WebSocket[] = [];
    onTestFinished(() => idle.forEach((socket) => socket.terminate()));
    for (let batch = 0; batch < 10; batch++) {
      const some = Array.from({ length: 100 }, () => new WebSocket(`${url}/notes`, { perMessageDeflate: false }));
      idle.push(...some);
      await Promise.all(some.map((socket) => once(socket, "open")));
    }
    expect([hub.counts().connections, pool.taken, pool.most]).toEqual([1_000, 0, 0]);
    const asking = idle.slice(0, 3);
    const answers = asking.map((socket) => once(socket, "message"));
    for (const [i, socket] of asking.entries()) socket.send(JSON.stringify({ id: i }));
    const got = (await Promise.all(answers)).map(([data]) => JSON.parse(String(data)) as unknown);
    expect(got).toEqual([0, 1, 2].map((id) => ({ id, note: `NOTE ${id}` })));
    await expect.poll(() => pool.taken).toBe(0);
    expect(pool.most).toBeGreaterThan(0);
    expect(pool.most).toBeLessThanOrEqual(3);
  });
});
