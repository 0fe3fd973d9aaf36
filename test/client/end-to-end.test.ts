import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { createClient, type Client, type ClientOptions, type Contract, type Room } from "../../src/client/index.ts";
import { createHub, type Hub } from "../../src/server/index.ts";

/** A network between the clients and the server that can be cut at any moment, without a close. */
class Network {
  readonly #links = new Set<Socket>();
  readonly #server: Server;
  #port = 0;

  constructor(target: () => number) {
    this.#server = createServer((near) => {
      const far = connect(target(), "127.0.0.1");
      this.#link(near, far);
      this.#link(far, near);
    });
  }

  async open(): Promise<string> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
    return `ws://127.0.0.1:${this.#port}/ws`;
  }

  cut(): void {
    for (const link of this.#links) link.destroy();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }

  #link(from: Socket, to: Socket): void {
    this.#links.add(from);
    from.on("error", () => {});
    from.on("close", () => {
      this.#links.delete(from);
      to.destroy();
    });
    from.pipe(to);
  }
}

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function start(): Promise<{ hub: Hub; network: Network; url: string }> {
  const hub: Hub = createHub<Contract>({ anonymous: true, limits: { requestsPerS: 10_000 } });
  const { url } = await hub.listen();
  const network = new Network(() => Number(new URL(url).port));
  const through = await network.open();
  ends.push(
    () => hub.close({ drainMs: 1 }),
    () => network.close(),
  );
  return { hub, network, url: through };
}

function client(url: string, options: Partial<ClientOptions> = {}): Client {
  const made = createClient({ url, WebSocket, timing: { backoffMs: 20, maxBackoffMs: 50 }, ...options });
  made.connect();
  ends.push(() => made.close());
  return made;
}

async function until(done: () => boolean): Promise<void> {
  await expect.poll(done, { timeout: 20_000, interval: 5 }).toBe(true);
}

const joined = (room: Room): Promise<void> => until(() => room.state === "joined");

describe("over a real socket", () => {
  it("two clients talk, see each other come and go, and read back what was said", async () => {
    const { url } = await start();
    const ann = client(url).join("lobby", { presence: true, data: { name: "Ann" } });
    await joined(ann);
    const bobs = client(url);
    const bob = bobs.join("lobby", { presence: true });
    const heard: unknown[] = [];
    bob.on("message", ({ data, key }) => heard.push([data, key]));
    const signals: unknown[] = [];
    ann.on("signal", ({ event }) => signals.push(event));
    await joined(bob);
    expect([...bob.presence.values()]).toContainEqual({ name: "Ann" });

    const said = ann.publish("said", { text: "hi" });
    expect(await said).toMatchObject({ offset: 1 });
    await until(() => heard.length === 1);
    expect(heard).toEqual([[{ text: "hi" }, said.key]]);
    expect(bob.signal("typing", null)).toBe(true);
    await until(() => signals.length === 1);
    expect((await bob.history()).messages).toMatchObject([{ offset: 1, event: "said", data: { text: "hi" } }]);
    await until(() => ann.members === 2);
    bob.setPresence({ name: "Bob" });
    await until(() => [...ann.presence.values()].some((data) => JSON.stringify(data) === '{"name":"Bob"}'));
    bobs.close();
    await until(() => ann.members === 1);
  });

  it("loses nothing, doubles nothing and keeps the order while the network is cut again and again", async () => {
    const { network, url } = await start();
    const count = 400;
    const sender = client(url, { limits: { inFlight: 8 } }).join("lobby");
    const readers = Array.from({ length: 3 }, () => client(url).join("lobby"));
    const seen = readers.map((room) => {
      const offsets: number[] = [];
      const trouble: string[] = [];
      room.on("message", ({ offset }) => offsets.push(offset));
      room.on("gap", () => trouble.push("gap"));
      return { offsets, trouble };
    });
    await Promise.all([sender, ...readers].map(joined));
    let cuts = 0;
    // In the middle of things: others have not heard this message yet, and more are on their way.
    readers[0]?.on("message", ({ offset }) => {
      if (offset % 40 !== 0) return;
      network.cut();
      cuts++;
    });
    const kept: number[] = [];
    for (let i = 0; i < count; i += 8) {
      const batch = Array.from({ length: 8 }, (_, j) => sender.publish("said", i + j));
      for (const { offset } of await Promise.all(batch)) kept.push(offset);
    }
    const all = Array.from({ length: count }, (_, i) => i + 1);
    expect(kept).toEqual(all);
    await until(() => seen.every(({ offsets }) => offsets.length >= count));
    for (const { offsets, trouble } of seen) {
      expect(offsets).toEqual(all);
      expect(trouble).toEqual([]);
    }
    expect(cuts).toBe(count / 40);
  });

  it("sends what was published offline, once and in order, when the server is there", async () => {
    const { hub, network, url } = await start();
    network.close();
    const room = client(url).join("lobby");
    const outcomes = [1, 2, 3].map((n) => room.publish("said", n));
    await until(() => room.state === "joining");
    await network.open();
    expect((await Promise.all(outcomes)).map(({ offset }) => offset)).toEqual([1, 2, 3]);
    expect((await hub.room("lobby").history()).map(({ data }) => data)).toEqual([1, 2, 3]);
  });

  it("is stopped by a close that says so", async () => {
    const { url } = await start();
    const refused = client(url, { token: "no-such-token" });
    await until(() => refused.status.state === "stopped");
    expect(refused.status).toMatchObject({ cause: { closeCode: 4001, error: { code: "unauthorized" } } });
  });

  it("tells a reset when the log began anew", async () => {
    let hub = createHub({ anonymous: true });
    const first = await hub.listen();
    const { port } = new URL(first.url);
    const room = client(`ws://127.0.0.1:${port}/ws`, {
      timing: { backoffMs: 20, maxBackoffMs: 50, spreadMs: 20 },
    }).join("lobby");
    const resets: string[] = [];
    room.on("reset", ({ reason }) => resets.push(reason));
    await room.publish("said", 1);
    await hub.close({ drainMs: 1 });
    hub = createHub({ anonymous: true });
    await hub.listen({ port: Number(port) });
    ends.push(() => hub.close({ drainMs: 1 }));
    await until(() => resets.length > 0);
    expect(resets).toEqual(["epoch"]);
    expect(await room.publish("said", 2)).toMatchObject({ offset: 1 });
  });
});
