import { describe, expect, it } from "vitest";
import type { WebSocket } from "ws";
import type { Closed } from "../../src/server/endpoints/connection.ts";
import { FakeClock } from "../server/support/clock.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { connect } from "./plain.ts";

describe("the end of a connection", () => {
  it.each<[string, (socket: WebSocket) => void, Closed]>([
    ["with a code and a reason", (socket) => socket.close(4321, "bye"), { code: 4321, reason: "bye" }],
    ["without a code", (socket) => socket.close(), { code: 1005, reason: "" }],
    ["without a word", (socket) => socket.terminate(), { code: 1006, reason: "" }],
  ])("%s ends the loop, and tells it after what came before", async (_, leave, closed) => {
    const { hub, port, logged } = await serve();
    const seen: unknown[] = [];
    hub.endpoint("/a", async ({ socket }) => {
      for await (const message of socket) seen.push(message);
      seen.push(socket.closed, socket.isOpen, socket.send("nobody"));
      await socket.drained();
      socket.close(1000);
      seen.push("end");
    });
    const peer = await connect(`ws://127.0.0.1:${port}/a`);
    peer.send("one");
    await eventually(() => seen.length === 1);
    leave(peer.socket);
    await eventually(() => seen.includes("end"));
    expect(seen).toEqual(["one", closed, false, false, "end"]);
    expect([hub.counts().connections, logged.filter((line) => /^(error|warn)/.test(line))]).toEqual([0, []]);
  });

  it("at any moment of the handler leaves nothing behind and is no error", async () => {
    const { hub, port, logged } = await serve();
    let running = 0;
    const steps = ["before", "between", "sending", "leaving"];
    hub.endpoint("/a/:step", async ({ socket, params: { step } }) => {
      running++;
      const group = hub.group("all");
      group.join(socket);
      if (step === "before") while (socket.isOpen) await new Promise((resolve) => setTimeout(resolve, 1));
      if (step === "sending") while (socket.isOpen) if (!socket.send("x".repeat(60_000))) await socket.drained();
      for await (const _ of socket) if (step === "leaving") break;
      group.broadcast("left");
      group.leave(socket);
      running--;
    });
    for (const step of steps) {
      const peers = await Promise.all(Array.from({ length: 5 }, () => connect(`ws://127.0.0.1:${port}/a/${step}`)));
      await eventually(() => running === 5);
      for (const peer of peers) {
        peer.send("one");
        peer.socket.terminate();
      }
      await eventually(() => running === 0 && hub.counts().connections === 0);
      expect([step, hub.groups()]).toEqual([step, []]);
    }
    expect(logged.filter((line) => /^(error|warn)/.test(line))).toEqual([]);
  });

  it("comes from a handler that returns with 1000, and from one that throws with 1011, which is logged once", async () => {
    const { hub, port, logged } = await serve();
    hub.endpoint("/returns", ({ socket }) => void socket.send("last"));
    hub.endpoint("/throws", () => {
      throw new Error("secret");
    });
    hub.endpoint("/rejects", () => Promise.reject(new Error("secret")));
    const returns = await connect(`ws://127.0.0.1:${port}/returns`);
    expect([await returns.next(), await returns.closed()]).toEqual(["last", { code: 1000, reason: "" }]);
    for (const path of ["throws", "rejects"]) {
      const peer = await connect(`ws://127.0.0.1:${port}/${path}`);
      expect(await peer.closed()).toEqual({ code: 1011, reason: "internal error" });
    }
    await eventually(() => hub.counts().connections === 0);
    expect(logged.filter((line) => line.startsWith("error"))).toEqual(Array(2).fill("error a handler failed"));
  });

  it("by the app ends its own loop, though more had come, and a code that may not be sent throws", async () => {
    const { hub, port } = await serve();
    const seen: unknown[] = [];
    hub.endpoint("/a", async ({ socket }) => {
      expect(() => socket.close(1005)).toThrow(RangeError);
      expect(() => socket.close(1000, "x".repeat(124))).toThrow(RangeError);
      for await (const message of socket) {
        seen.push(message);
        socket.close(4000, "enough");
      }
      seen.push(socket.closed);
    });
    const peer = await connect(`ws://127.0.0.1:${port}/a`);
    for (let i = 0; i < 5; i++) peer.send(`${i}`);
    expect(await peer.closed()).toEqual({ code: 4000, reason: "enough" });
    await eventually(() => seen.length === 2);
    expect(seen).toEqual(["0", { code: 4000, reason: "enough" }]);
  });
});

describe("a drain", () => {
  it("turns away who is still being asked who it is, which is no error", async () => {
    let asked = 0;
    const auth = async ({ token }: { token: string }): Promise<{ user: string }> => {
      asked++;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return { user: token };
    };
    const { hub, port, logged } = await serve({ auth });
    hub.endpoint("/e", { authenticate: true }, () => undefined);
    const peer = connect(`ws://127.0.0.1:${port}/e?token=ann`);
    peer.catch(() => undefined);
    await eventually(() => asked === 1);
    await hub.close({ drainMs: 0 });
    await expect(peer).rejects.toThrow("status 503");
    expect(logged.filter((line) => /^(error|warn)/.test(line))).toEqual([]);
  });

  it("lets the message under way be answered, closes with 1012, and sends no frame of the hub's", async () => {
    const { hub, port } = await serve();
    let under: (() => void) | undefined;
    hub.endpoint("/a", async ({ socket }) => {
      for await (const message of socket) {
        await new Promise<void>((resolve) => (under = resolve));
        socket.send(`answer to ${String(message)}`);
      }
    });
    const [busy, idle] = [await connect(`ws://127.0.0.1:${port}/a`), await connect(`ws://127.0.0.1:${port}/a`)];
    busy.send("question");
    await eventually(() => under !== undefined);
    const closed = hub.close({ drainMs: 50 });
    expect((await idle.closed()).code).toBe(1012);
    under?.();
    expect([await busy.next(), (await busy.closed()).code]).toEqual(["answer to question", 1012]);
    await closed;
    expect([idle.unread, hub.counts().connections]).toEqual([0, 0]);
    await expect(connect(`ws://127.0.0.1:${port}/a`)).rejects.toThrow("ECONNREFUSED");
  });
});

describe("the heartbeat", () => {
  it("pings by WebSocket pings, keeps who answers, and ends who does not with 4201", async () => {
    const clock = new FakeClock();
    const { hub, port } = await serve({}, { clock });
    let closed: Closed | undefined;
    hub.endpoint("/a", async ({ socket }) => {
      for await (const _ of socket);
      closed = socket.closed;
    });
    const peer = await connect(`ws://127.0.0.1:${port}/a`, { autoPong: false });
    const pinged = new Promise((resolve) => peer.socket.once("ping", resolve));
    clock.advance(25_250);
    await pinged;
    expect(hub.counts().connections).toBe(1);
    clock.advance(10_500);
    expect(hub.counts().connections).toBe(0);
    await eventually(() => closed !== undefined);
    expect([(await peer.closed()).code, closed?.code, peer.unread]).toEqual([4201, 4201, 0]);
  });
});
