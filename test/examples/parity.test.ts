import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createHub, signToken, type Hub } from "fanfare";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { parityApp } from "../../examples/parity/app.ts";
import { global } from "../../examples/parity/global.ts";
import { heartbeat } from "../../examples/parity/heartbeat.ts";
import { main } from "../../examples/parity/main.ts";
import { connect, type Plain } from "../endpoints/plain.ts";
import { sharedBackend } from "../endpoints/shared.ts";

const secret = "a secret for the parity examples, 32 bytes";
const directory = join(import.meta.dirname, "../../examples/parity");

let hub: Pick<Hub, "close" | "counts" | "groups">;
let url: string;
let errors: string[];

beforeEach(async () => {
  errors = [];
  const note = (facts: object, message: string): void => void errors.push(`${message} ${JSON.stringify(facts)}`);
  const logger = { debug: () => undefined, info: () => undefined, warn: note, error: note };
  const app = parityApp({ secret, heartbeatMs: 60, pongMs: 60, logger });
  app.server.listen(0, "127.0.0.1");
  await once(app.server, "listening");
  hub = app.hub;
  url = `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  return async () => {
    await app.hub.close({ drainMs: 0 });
    app.server.close();
    app.server.closeAllConnections();
    // A disconnect is no error, whatever the example.
    if (errors.length > 0) throw new Error(errors.join("\n"));
  };
});

function signedIn(user: string, room: string): Promise<Plain> {
  return connect(`${url}/ws/${room}?token=${signToken({ secret, user, expiresInMs: 60_000 })}`);
}

async function nothingLeft(): Promise<void> {
  await expect.poll(() => [hub.counts().connections, hub.groups()]).toEqual([0, []]);
}

describe("every example", () => {
  const files = readdirSync(directory).filter((name) => name.endsWith(".ts"));

  it.each(files)("%s has fewer than 60 lines", (name) => {
    expect(readFileSync(join(directory, name), "utf8").split("\n").length).toBeLessThan(60);
  });
});

describe("npm run example", () => {
  it.each([
    ["PORT", "abc", "from 0 to 65535"],
    ["PORT", "70000", "from 0 to 65535"],
    ["PORT", "80.5", "from 0 to 65535"],
    ["HEARTBEAT_MS", "0", "from 1 to 2147483647"],
    ["PONG_MS", "3000000000", "from 1 to 2147483647"],
  ])("with %s=%s ends with 2 and says in one line what it takes", (name, value, range) => {
    const exit = vi.spyOn(process, "exit").mockImplementation((code) => {
      throw new Error(`exit ${code}`);
    });
    const print = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    onTestFinished(() => [exit, print].forEach((spy) => spy.mockRestore()));
    expect(() => main({ [name]: value }, expect.unreachable)).toThrow("exit 2");
    expect(print.mock.calls).toEqual([[`${name} must be a whole number ${range}, got "${value}"\n`]]);
  });
});

describe("a name that came from a peer", () => {
  const tooLong = "x".repeat(300);

  it.each(["room", "global", ""])(
    "below /ws/%s that can name no group is refused before the upgrade",
    async (place) => {
      const token = signToken({ secret, user: "ann", expiresInMs: 60_000 });
      for (const name of [tooLong, "a%00b", "cafe%CC%81", "tea%20"]) {
        const path = ["/ws", place, `${name}?token=${token}`].filter((part) => part !== "").join("/");
        await expect(connect(`${url}${path}`)).rejects.toThrow("status 400");
      }
      await nothingLeft();
    },
  );

  it("reaches no group of another example", async () => {
    const others = await Promise.all(
      ["chat?username=V", "room/x", "global/n"].map((path) => connect(`${url}/ws/${path}`)),
    );
    await others[0]?.next();
    for (const name of ["%63hat", "room%2Fx", "global%2Fn"]) {
      const spy = await signedIn("spy", name);
      expect(await spy.next()).toEqual({ type: "user_joined", user_id: "spy", room_size: 1 });
      spy.send({ type: "chat", text: "injected" });
      expect(await spy.next()).toMatchObject({ type: "chat" });
    }
    expect(others.map((peer) => peer.unread)).toEqual([0, 0, 0]);
  });

  it("of a user who cannot be is no reason to drop the request of an order", async () => {
    for (const user_id of ["", tooLong, "a\0b", "\ud800", 1.5]) {
      const body = JSON.stringify({ status: "sent", user_id });
      const answer = await fetch(`${url.replace("ws", "http")}/orders/42/status`, { method: "POST", body });
      expect(answer.status).toBe(422);
    }
  });
});

describe("/ws/echo", () => {
  it("gives text back behind Echo:, and binary as binary", async () => {
    const peer = await connect(`${url}/ws/echo`);
    peer.send("x");
    expect(await peer.next()).toBe("Echo: x");
    peer.send(Buffer.from([0, 255, 7]));
    expect(await peer.next()).toEqual(Buffer.from([0, 255, 7]));
    peer.socket.terminate();
    await nothingLeft();
  });
});

describe("/ws/ping", () => {
  it("says connected, answers pings with their timestamp, and closes when asked", async () => {
    const peer = await connect(`${url}/ws/ping`);
    expect(await peer.next()).toMatchObject({ type: "connected" });
    peer.send({ type: "ping", timestamp: 12.5 });
    expect(await peer.next()).toEqual({ type: "pong", timestamp: 12.5, server_time: expect.any(Number) });
    peer.send("{");
    expect(await peer.next()).toEqual({ type: "error", message: "Invalid JSON" });
    peer.send({ type: "close" });
    expect(await peer.closed()).toMatchObject({ code: 1000 });
  });
});

describe("/ws/chat", () => {
  it("tells all who comes, who goes and how many are there; a message goes to all but its sender", async () => {
    const ann = await connect(`${url}/ws/chat?username=Ann`);
    expect(await ann.next()).toEqual({ type: "system", message: "Ann joined the chat", users_online: 1 });
    const bob = await connect(`${url}/ws/chat?username=Bob`);
    const joined = { type: "system", message: "Bob joined the chat", users_online: 2 };
    expect([await ann.next(), await bob.next()]).toEqual([joined, joined]);
    ann.send({ content: "hi" });
    expect(await bob.next()).toEqual({ type: "message", from: "Ann", content: "hi", timestamp: expect.anything() });
    ann.socket.terminate();
    expect(await bob.next()).toEqual({ type: "system", message: "Ann left the chat", users_online: 1 });
    expect(ann.unread).toBe(0);
    bob.socket.close();
    await nothingLeft();
  });

  it("refuses one without a name before the upgrade", async () => {
    for (const query of ["", "?username="]) {
      await expect(connect(`${url}/ws/chat${query}`)).rejects.toThrow("status 400: the query does not fit: username");
    }
  });
});

describe("/ws/room/:room", () => {
  it("tells the others of a room, and is gone when empty", async () => {
    const first = await connect(`${url}/ws/room/tea%2Froom`);
    await expect.poll(() => hub.groups()).toEqual(["room/tea/room"]);
    const second = await connect(`${url}/ws/room/tea%2Froom`);
    const elsewhere = await connect(`${url}/ws/room/other`);
    expect(await first.next()).toEqual({ type: "user_joined", room: "tea/room", members: 2 });
    second.send({ content: "hi" });
    expect(await first.next()).toEqual({ type: "message", room: "tea/room", content: "hi" });
    second.socket.terminate();
    expect(await first.next()).toEqual({ type: "user_left", room: "tea/room", members: 1 });
    expect([second.unread, elsewhere.unread]).toEqual([0, 0]);
    first.socket.close();
    elsewhere.socket.close();
    await nothingLeft();
  });
});

describe("/ws/:room with a token", () => {
  it("tells all, the sender too, cuts long texts, and survives what is not JSON", async () => {
    const ann = await signedIn("ann", "lobby");
    expect(await ann.next()).toEqual({ type: "user_joined", user_id: "ann", room_size: 1 });
    const bob = await signedIn("bob", "lobby");
    const joined = { type: "user_joined", user_id: "bob", room_size: 2 };
    expect([await ann.next(), await bob.next()]).toEqual([joined, joined]);
    ann.send({ type: "chat", text: "a".repeat(501) });
    const said = { type: "chat", user_id: "ann", text: "a".repeat(500) };
    expect([await ann.next(), await bob.next()]).toEqual([said, said]);
    for (const message of ["not JSON", "", Buffer.from("{}")]) {
      ann.send(message);
      expect(await ann.next()).toEqual({ type: "error", message: "Invalid JSON" });
    }
    ann.send({ type: "ping" });
    expect(await ann.next()).toEqual({ type: "pong" });
    bob.socket.terminate();
    expect(await ann.next()).toEqual({ type: "user_left", user_id: "bob" });
  });

  it("cuts between characters, never inside of one", async () => {
    const ann = await signedIn("ann", "lobby");
    await ann.next();
    for (const [text, cut] of [
      ["😀".repeat(501), "😀".repeat(500)],
      [`a${"😀".repeat(400)}`, `a${"😀".repeat(400)}`],
    ]) {
      ann.send({ type: "chat", text });
      expect(await ann.next()).toEqual({ type: "chat", user_id: "ann", text: cut });
    }
  });

  it("closes a bad token, or none, with 4001 after the upgrade, which a browser sees", async () => {
    const [bad, none] = [await connect(`${url}/ws/lobby?token=bad`), await connect(`${url}/ws/lobby`)];
    expect([await bad.closed(), await none.closed()]).toMatchObject([{ code: 4001 }, { code: 4001 }]);
    await nothingLeft();
  });

  it("hears of an order that was changed over HTTP", async () => {
    const ann = await signedIn("7", "user_7");
    await ann.next();
    const answer = await fetch(`${url.replace("ws", "http")}/orders/42/status`, {
      method: "POST",
      body: JSON.stringify({ status: "sent", user_id: 7 }),
    });
    expect(await answer.json()).toEqual({ order_id: "42", status: "sent" });
    expect(await ann.next()).toEqual({ type: "order_update", order_id: "42", status: "sent" });
  });

  it("takes an order's id as it was before it was put into a URL, and a query", async () => {
    const post = async (path: string): Promise<unknown[]> => {
      const body = JSON.stringify({ status: "sent", user_id: "7" });
      const answer = await fetch(`${url.replace("ws", "http")}${path}`, { method: "POST", body });
      return [answer.status, await answer.json()];
    };
    expect(await post("/orders/a%20b/status?notify=1")).toEqual([200, { order_id: "a b", status: "sent" }]);
    expect(await post("/orders/%zz/status")).toEqual([404, {}]);
  });

  it.each([
    ["one that says how long it is", (body: string): BodyInit => body],
    ["one that does not say", (body: string): BodyInit => new Blob([body]).stream()],
  ])("takes no body of more than 10,000 bytes: %s", async (_, bodyOf) => {
    const post = (padding: number): Promise<Response> => {
      const body = JSON.stringify({ status: "s", user_id: 7, padding: "x".repeat(padding) });
      const init = { method: "POST", body: bodyOf(body), duplex: "half" };
      return fetch(`${url.replace("ws", "http")}/orders/42/status`, init);
    };
    expect((await post(9_900)).status).toBe(200);
    const refused = await post(100_000);
    expect([refused.status, await refused.json()]).toEqual([413, { error: "too large" }]);
    expect((await post(1)).status).toBe(200);
  });
});

describe("/ws/auth-first", () => {
  it("lets in by the first message", async () => {
    const peer = await connect(`${url}/ws/auth-first`);
    expect(await peer.next()).toEqual({ type: "auth_required" });
    peer.send({ type: "auth", token: signToken({ secret, user: "ann", expiresInMs: 60_000 }) });
    expect(await peer.next()).toEqual({ type: "auth_success" });
  });

  it.each([
    ["a bad token", { type: "auth", token: "bad" }],
    ["another message", { type: "hello" }],
    ["a list", [1]],
    ["what is no JSON", "not JSON"],
    ["binary", Buffer.from([1])],
  ])("tells %s an error, then 1008", async (_, first) => {
    const peer = await connect(`${url}/ws/auth-first`);
    await peer.next();
    peer.send(first);
    expect(await peer.next()).toMatchObject({ type: "error", message: expect.any(String) });
    expect(await peer.closed()).toMatchObject({ code: 1008 });
    await nothingLeft();
  });

  it("tells who is signed in that a message is no JSON, and stays", async () => {
    const peer = await connect(`${url}/ws/auth-first`);
    await peer.next();
    peer.send({ type: "auth", token: signToken({ secret, user: "ann", expiresInMs: 60_000 }) });
    await peer.next();
    peer.send("not JSON");
    expect(await peer.next()).toEqual({ type: "error", message: "Invalid JSON" });
    peer.send({ text: "here" });
    expect(await peer.next()).toEqual({ type: "message", user_id: "ann", data: { text: "here" } });
  });
});

describe("/ws/with-heartbeat", () => {
  it("goes on pinging while it waits for an answer", async () => {
    const slow = createHub({ path: false });
    onTestFinished(() => slow.close({ drainMs: 0 }));
    heartbeat(slow, { heartbeatMs: 100, pongMs: 800 });
    const peer = await connect(`ws://127.0.0.1:${(await slow.listen()).port}/ws/with-heartbeat`);
    for (let i = 0; i < 3; i++) expect(await peer.next()).toEqual({ type: "ping" });
    peer.send({ type: "pong" });
    for (let i = 0; i < 3; i++) expect(await peer.next()).toEqual({ type: "ping" });
    expect(await peer.closed()).toMatchObject({ code: 1008 });
  });

  it("pings, and again after a pong; who does not answer is closed with 1008", async () => {
    const peer = await connect(`${url}/ws/with-heartbeat`);
    expect(await peer.next()).toEqual({ type: "ping" });
    peer.send("no JSON");
    peer.send({ type: "pong" });
    expect(await peer.next()).toEqual({ type: "ping" });
    expect(await peer.closed()).toMatchObject({ code: 1008 });
    await nothingLeft();
  });
});

describe("/ws/global/:channel", () => {
  it("gives everyone on the channel what one says", async () => {
    const [one, two] = [await connect(`${url}/ws/global/news`), await connect(`${url}/ws/global/news`)];
    await expect.poll(() => hub.counts().connections).toBe(2);
    one.send({ content: "hi" });
    const said = { content: "hi", channel: "news" };
    expect([await one.next(), await two.next()]).toEqual([said, said]);
  });

  it("also where the two are connected to different hubs that share a backend", async () => {
    const { of, subscribed } = sharedBackend();
    const peers = [of(), of()].map(async (backend) => {
      const other = createHub({ backend, path: false });
      onTestFinished(() => other.close({ drainMs: 0 }));
      global(other);
      return connect(`ws://127.0.0.1:${(await other.listen()).port}/ws/global/news`);
    });
    const [one, two] = (await Promise.all(peers)) as [Plain, Plain];
    await expect.poll(() => subscribed.size).toBe(2);
    one.send({ content: "hi" });
    const said = { content: "hi", channel: "news" };
    expect([await one.next(), await two.next()]).toEqual([said, said]);
  });
});
