import { once } from "node:events";
import type { Server } from "node:http";
import { connect } from "node:net";
import { onTestFinished, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { createHub, type Hub } from "../../src/server/hub.ts";
import { httpServer, open, readToken } from "./support/hub.ts";

function hubAt(path: string, authMs = 0): Hub {
  const auth = async ({ token }: { token: string }) => {
    if (authMs > 0) await new Promise((resolve) => setTimeout(resolve, authMs));
    return readToken(token);
  };
  const hub = createHub({ path, auth }) as unknown as Hub;
  onTestFinished(() => hub.close({ drainMs: 0 }));
  return hub;
}

/** The first line that a server answers an upgrade request with. */
async function upgradeAnswer(port: number, path: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const [data] = (await once(socket, "data")) as [Buffer];
  return data.toString().split("\r\n", 1)[0] ?? "";
}

async function welcomed(port: number, path: string): Promise<string> {
  const peer = await open(port, { path, query: { token: "ann" } });
  const { user } = await peer.expect({ type: "welcome" });
  await peer.close();
  return String(user);
}

/** An upgrade listener as an app's own: it takes its path and leaves all others alone. */
function ownListener(server: Server, path: string): void {
  const echo = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (request.url === path) echo.handleUpgrade(request, socket, head, (ws) => ws.send("own"));
    else socket.end("HTTP/1.1 404 Not Found\r\nX-By: framework\r\nConnection: close\r\n\r\n");
  });
}

describe("a hub on a server of others", () => {
  it("takes its path and below, and leaves plain requests to the server's own handler", async () => {
    const { server, port } = await httpServer((_request, response) => response.end("theirs"));
    hubAt("/ws").attach(server);
    expect(await welcomed(port, "/ws")).toBe("ann");
    expect(await (await fetch(`http://127.0.0.1:${port}/other`)).text()).toBe("theirs");
    expect((await fetch(`http://127.0.0.1:${port}/ws`)).status).toBe(426);
    expect(await (await fetch(`http://127.0.0.1:${port}/wsx`)).text()).toBe("theirs");
  });

  it("shares a server with other hubs, each on its path", async () => {
    const { server, port } = await httpServer();
    hubAt("/a").attach(server);
    hubAt("/b").attach(server);
    expect([await welcomed(port, "/a"), await welcomed(port, "/b")]).toEqual(["ann", "ann"]);
  });

  it("leaves an upgrade listener its own path, whoever came first", async () => {
    const { server, port } = await httpServer();
    ownListener(server, "/own");
    hubAt("/ws").attach(server);
    const peer = await open(port, { path: "/ws", query: { token: "ann" } });
    await peer.expect({ type: "welcome" });
    const { WebSocket } = await import("ws");
    const own = new WebSocket(`ws://127.0.0.1:${port}/own`);
    const [text] = (await once(own, "message")) as [Buffer];
    expect(text.toString()).toBe("own");
    own.terminate();
    expect(await upgradeAnswer(port, "/unknown")).toBe("HTTP/1.1 404 Not Found");
  });

  it("is not cut off by a listener that answers 404 while a slow check of credentials runs", async () => {
    const { server, port } = await httpServer();
    hubAt("/ws", 150).attach(server);
    ownListener(server, "/own");
    expect(await welcomed(port, "/ws")).toBe("ann");
  });

  it("survives a peer that resets while its backend is being opened", async () => {
    const { server, port } = await httpServer();
    hubAt("/ws").attach(server);
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(
      "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    socket.resetAndDestroy();
    expect(await welcomed(port, "/ws")).toBe("ann");
  });
});

describe("an upgrade that nobody wants", () => {
  it("gets 404 where one hub is alone on the server", async () => {
    const { server, port } = await httpServer();
    hubAt("/ws").attach(server);
    expect(await upgradeAnswer(port, "/elsewhere")).toBe("HTTP/1.1 404 Not Found");
  });

  it("gets 404 once where several hubs are", async () => {
    const { server, port } = await httpServer();
    hubAt("/a").attach(server);
    hubAt("/b").attach(server);
    hubAt("/c").attach(server);
    expect(await upgradeAnswer(port, "/elsewhere")).toBe("HTTP/1.1 404 Not Found");
  });
});

/** A request that offers HTTP/2 beside, as Java's client and `curl --http2` do with each. */
const offering = (request: string, body = ""): string =>
  `${request} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n` +
  `HTTP2-Settings: AAEAAEAA\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** What comes back for what is sent piece by piece, each with the end of an answer before the next. */
async function answers(port: number, pieces: readonly string[]): Promise<string[]> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  const told: string[] = [];
  for (const piece of pieces) {
    socket.write(piece);
    const [data] = (await once(socket, "data")) as [Buffer];
    told.push(data.toString());
  }
  return told;
}

describe("a request that offers another protocol", () => {
  it("is the server's own to answer, on a connection that goes on, body and all", async () => {
    const { server, port } = await httpServer((request, response) => {
      const { method, url, headers } = request;
      const offers = [headers.upgrade, headers.connection, headers["http2-settings"]];
      request.setEncoding("utf8").on("data", (text: string) => offers.push(text));
      request.on("end", () => response.end(JSON.stringify([method, url, ...offers])));
    });
    hubAt("/ws").attach(server);
    hubAt("/other").attach(server);
    const told = await answers(port, [
      offering("POST /a?b", "body"),
      offering("GET /c"),
      "GET /d HTTP/1.1\r\nHost: a\r\n\r\n",
    ]);
    expect(told.map((text) => text.split("\r\n\r\n")[1])).toEqual([
      '["POST","/a?b",null,null,null,"body"]',
      '["GET","/c",null,null,null]',
      '["GET","/d",null,null,null]',
    ]);
  });

  it("is 426 on the path of the socket, and the app's own on that of an endpoint", async () => {
    const { server, port } = await httpServer((_request, response) => response.end("theirs"));
    const hub = hubAt("/ws");
    hub.endpoint("/raw", {}, async () => {});
    hub.attach(server);
    expect((await answers(port, [offering("GET /ws")]))[0]).toMatch(/^HTTP\/1.1 426 /);
    expect((await answers(port, [offering("GET /raw")]))[0]).toMatch(/theirs$/);
    expect(await upgradeAnswer(port, "/raw")).toBe("HTTP/1.1 101 Switching Protocols");
  });

  it("is left to a listener of the app's own for upgrades", async () => {
    const { server, port } = await httpServer((_request, response) => response.end("theirs"));
    hubAt("/ws").attach(server);
    server.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 200 Mine\r\n\r\n"));
    expect((await answers(port, [offering("GET /a")]))[0]).toMatch(/^HTTP\/1.1 200 Mine/);
  });

  it("is refused where it has more headers than Node keeps, among which its length could be", async () => {
    const { server, port } = await httpServer((_request, response) => response.end("theirs"));
    hubAt("/ws").attach(server);
    const many = offering("GET /a").replace("Host: a", `Host: a\r\n${"x:y\r\n".repeat(1_100)}z: 1`);
    expect((await answers(port, [many]))[0]).toMatch(/^HTTP\/1.1 431 /);
  });
});

describe("a server of the hub's own", () => {
  it("is closed with the hub", async () => {
    const hub = createHub();
    const { server, url } = await hub.listen();
    expect((await fetch(`${url}/elsewhere`)).status).toBe(404);
    await hub.close({ drainMs: 0 });
    expect(server.listening).toBe(false);
    await expect(fetch(url)).rejects.toThrow("fetch failed");
  });
});

describe("detaching", () => {
  it("gives the server its emit and its listeners back", async () => {
    const { server } = await httpServer();
    const emit = server.emit;
    const { detach } = hubAt("/ws").attach(server);
    expect(server.emit).not.toBe(emit);
    detach();
    expect(server.emit).toBe(emit);
    expect(Object.hasOwn(server, "emit")).toBe(false);
    expect(server.listenerCount("upgrade")).toBe(0);
  });

  it("twice changes nothing more", async () => {
    const { server, port } = await httpServer();
    const { detach } = hubAt("/a").attach(server);
    detach();
    hubAt("/b").attach(server);
    detach();
    expect(await welcomed(port, "/b")).toBe("ann");
  });

  it("ends a hub's hold on its path where another wrapped the server after it", async () => {
    const { server, port } = await httpServer();
    const first = hubAt("/a").attach(server);
    hubAt("/b").attach(server);
    first.detach();
    expect(await upgradeAnswer(port, "/a")).toBe("HTTP/1.1 404 Not Found");
    expect(await welcomed(port, "/b")).toBe("ann");
  });

  it("is what closing the hub does", async () => {
    const { server, port } = await httpServer();
    const hub = hubAt("/ws");
    hub.attach(server);
    await hub.close({ drainMs: 0 });
    expect(server.listenerCount("upgrade")).toBe(0);
    const other = hubAt("/ws");
    other.attach(server);
    expect(await welcomed(port, "/ws")).toBe("ann");
  });
});
