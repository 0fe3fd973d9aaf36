import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { withExpress, withFastify, withHono } from "../../examples/docs/hosts.ts";
import type { AnyHub } from "../../src/server/any-hub.ts";
import { createHub } from "../../src/server/hub.ts";
import { open, readToken } from "../server/support/hub.ts";

const slowMs = 150;
const key = "ops-key-0123456789";
const apiKeys = [{ name: "ops", key }];

interface Host {
  readonly hub: AnyHub;
  readonly server: Server;
  readonly port: number;
}

/** A hub whose check of credentials takes as long as a slow database. */
function slowHub(path = "/ws"): AnyHub {
  const auth = async ({ token }: { token: string }): Promise<ReturnType<typeof readToken>> => {
    await new Promise((resolve) => setTimeout(resolve, slowMs));
    return readToken(token);
  };
  const hub = createHub({ auth, path });
  onTestFinished(() => hub.close({ drainMs: 0 }));
  return hub;
}

async function listening(hub: AnyHub, server: Server): Promise<Host> {
  if (!server.listening) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  }
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { hub, server, port: (server.address() as AddressInfo).port };
}

/** An upgrade handler as apps write them: its own path, and 404 for all others. */
function withOwnSockets(server: Server): Server {
  const own = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (request.url === "/own") own.handleUpgrade(request, socket, head, (ws) => ws.send("own"));
    else socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
  });
  return server;
}

const hosts: readonly { name: string; start: () => Promise<Host> }[] = [
  {
    name: "Express 5",
    start: () => {
      const hub = slowHub();
      return listening(hub, withOwnSockets(withExpress(hub, apiKeys)));
    },
  },
  {
    name: "Fastify 5 with @fastify/websocket",
    start: async () => {
      const hub = slowHub();
      const app = await withFastify(hub, apiKeys);
      onTestFinished(() => app.close());
      await app.listen({ port: 0, host: "127.0.0.1" });
      return listening(hub, app.server);
    },
  },
  {
    name: "Hono on @hono/node-server",
    start: () => {
      const hub = slowHub();
      return listening(hub, withOwnSockets(withHono(hub, apiKeys)));
    },
  },
];

async function welcomed(port: number, path = "/ws"): Promise<string> {
  const peer = await open(port, { path, query: { token: "ann" } });
  const { user } = await peer.expect({ type: "welcome" });
  await peer.close();
  return String(user);
}

/** The first text of a socket, or what refused it. */
async function firstText(port: number, path: string): Promise<string> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  onTestFinished(() => socket.terminate());
  return new Promise((resolve) => {
    socket.on("message", (data: Buffer) => resolve(data.toString()));
    socket.on("error", (error) => resolve(error.message));
  });
}

function post(port: number, path: string, body: unknown): Promise<Response> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
  return fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
}

describe.each(hosts)("a hub beside $name", ({ start }) => {
  it("lets clients in after a slow check, with what they sent meanwhile", async () => {
    const { port } = await start();
    const peer = await open(port, { query: { token: "ann" } });
    peer.send({ type: "join", id: "1", room: "lobby" });
    peer.send({ type: "publish", id: "2", room: "lobby", event: "said", data: "early" });
    await peer.expect({ type: "welcome", user: "ann" });
    await peer.expect({ type: "joined", re: "1" });
    await peer.expectAll([
      { type: "message", data: "early" },
      { type: "ack", re: "2" },
    ]);
    await peer.close();
  });

  it("leaves the host its own routes, bodies and answers", async () => {
    const { port } = await start();
    expect(await (await fetch(`http://127.0.0.1:${port}/hello`)).text()).toBe("hello");
    expect(await (await post(port, "/echo", { a: 1 })).json()).toEqual({ a: 1 });
    expect((await fetch(`http://127.0.0.1:${port}/nothing`)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${port}/ws`)).status).toBe(426);
  });

  it("leaves the host its own sockets, while clients of the hub are being checked", async () => {
    const { port } = await start();
    const slow = welcomed(port);
    expect(await firstText(port, "/own")).toBe("own");
    expect(await firstText(port, "/nothing")).toContain("404");
    expect(await slow).toBe("ann");
  });

  it("answers the HTTP API, and tells members what was published there", async () => {
    const { port } = await start();
    const peer = await open(port, { query: { token: "ann" } });
    peer.send({ type: "join", room: "a/b" });
    await peer.until({ type: "joined" });
    const told = await post(port, "/v1/rooms/a%2Fb/messages", { event: "said", data: { text: "hi" } });
    expect([told.status, await told.json()]).toMatchObject([200, { offset: 1 }]);
    await peer.expect({ type: "message", room: "a/b", event: "said", data: { text: "hi" } });
    const refused = await fetch(`http://127.0.0.1:${port}/v1/rooms`);
    expect([refused.status, await refused.json()]).toMatchObject([401, { error: { code: "unauthorized" } }]);
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
    await peer.close();
  });

  it("gives everything back when it is detached", async () => {
    const { hub, server, port } = await start();
    const state = (): unknown[] => [
      Object.getOwnPropertyDescriptor(server, "emit")?.value,
      server.listeners("upgrade"),
    ];
    const before = state();
    const second = slowHub("/second").attach(server);
    expect(await welcomed(port, "/second")).toBe("ann");
    second.detach();
    expect(state()).toEqual(before);
    expect(await firstText(port, "/second")).toContain("404");
    expect(await welcomed(port)).toBe("ann");
    const ofHub = server.listeners("upgrade").length;
    await hub.close({ drainMs: 0 });
    expect(Object.hasOwn(server, "emit")).toBe(false);
    expect(server.listeners("upgrade")).toHaveLength(ofHub - 1);
    expect(await firstText(port, "/own")).toBe("own");
    expect(await firstText(port, "/ws")).toContain("404");
    expect(await (await fetch(`http://127.0.0.1:${port}/hello`)).text()).toBe("hello");
  });
});

describe("a hub in Fastify", () => {
  it("is closed by the app's close, which would wait for its sockets for ever", async () => {
    const app = await withFastify(slowHub(), apiKeys);
    await app.listen({ port: 0, host: "127.0.0.1" });
    const peer = await open((app.server.address() as AddressInfo).port, { query: { token: "ann" } });
    await peer.expect({ type: "welcome" });
    await app.close();
    await peer.until({ type: "drain" });
    expect((await peer.closed()).code).toBe(1012);
  });
});
