import { once } from "node:events";
import { createServer } from "node:http";
import { connect, createServer as createPlainServer, type AddressInfo, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import {
  checkUpgrade,
  refusal,
  refusePlainRequest,
  respondRefusal,
  selectProtocol,
  writeRefusal,
} from "../../src/server/upgrade.ts";
import { receive } from "./received.ts";

const handshake: Record<string, string | undefined> = {
  Host: "app.com",
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** A handshake with some headers changed, or left out where they are `undefined`. */
function lines(changes: Record<string, string | undefined> = {}, first = "GET /ws HTTP/1.1"): string[] {
  const headers = Object.entries({ ...handshake, ...changes });
  return [first, ...headers.flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))];
}

describe("an upgrade request is good", () => {
  it.each<[string, Record<string, string | undefined>]>([
    ["as browsers send it", {}],
    ["with Upgrade in other case", { Upgrade: "WebSocket" }],
    ["with a body of no bytes", { "Content-Length": "0" }],
    ["offering fanfare.v1", { "Sec-WebSocket-Protocol": "fanfare.v1" }],
    ["offering a newer version too", { "Sec-WebSocket-Protocol": "fanfare.v2,fanfare.v1" }],
    ["offering a credential alone", { "Sec-WebSocket-Protocol": "fanfare.token.a.b-c_d" }],
    ["offering names of others", { "Sec-WebSocket-Protocol": "mqtt, chat" }],
  ])("%s", async (_, changes) => {
    expect(checkUpgrade(await receive(lines(changes)))).toBeUndefined();
  });
});

describe("an upgrade request is refused", () => {
  it.each<[string, number, string[], string?]>([
    ["HTTP/1.0", 400, lines({}, "GET /ws HTTP/1.0")],
    ["two Hosts", 400, [...lines(), "Host: app.com"]],
    ["no Host", 400, lines({ Host: undefined })],
    ["a body with a length", 400, lines({ "Content-Length": "5" }), "hello"],
    ["a body in chunks", 400, lines({ "Transfer-Encoding": "chunked" }), "0\r\n\r\n"],
    ["POST", 405, lines({}, "POST /ws HTTP/1.1")],
    ["an upgrade to something else", 426, lines({ Upgrade: "h2c" })],
    ["an upgrade to several", 426, lines({ Upgrade: "websocket, h2c" })],
    ["version 8", 426, lines({ "Sec-WebSocket-Version": "8" })],
    ["version 12", 426, lines({ "Sec-WebSocket-Version": "12" })],
    ["versions 13 and 8", 426, lines({ "Sec-WebSocket-Version": "13, 8" })],
    ["no version", 426, lines({ "Sec-WebSocket-Version": undefined })],
    ["no key", 400, lines({ "Sec-WebSocket-Key": undefined })],
    ["a short key", 400, lines({ "Sec-WebSocket-Key": "c2hvcnQ=" })],
    ["a long key", 400, lines({ "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZSBpcyBsb25n" })],
    ["a key that is no base64", 400, lines({ "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZ?==" })],
    ["two keys", 400, [...lines(), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]],
    ["an empty item among subprotocols", 400, lines({ "Sec-WebSocket-Protocol": "a,,b" })],
    ["no subprotocol in the list", 400, lines({ "Sec-WebSocket-Protocol": "" })],
    ["a comma at the end", 400, lines({ "Sec-WebSocket-Protocol": "fanfare.v1," })],
    ["a space within a subprotocol", 400, lines({ "Sec-WebSocket-Protocol": "fan fare" })],
    ["a subprotocol twice", 400, lines({ "Sec-WebSocket-Protocol": "a, a" })],
    ["an unknown version of Fanfare", 400, lines({ "Sec-WebSocket-Protocol": "fanfare.v2" })],
    ["an unknown version among others", 400, lines({ "Sec-WebSocket-Protocol": "fanfare.v10, mqtt, fanfare.token.t" })],
  ])("%s: %i", async (_, status, request, body) => {
    expect(checkUpgrade(await receive(request, body))?.status).toBe(status);
  });

  it("names the WebSocket version that it knows", async () => {
    const refused = checkUpgrade(await receive(lines({ "Sec-WebSocket-Version": "8" })));
    expect(refused?.headers).toMatchObject({ "Sec-WebSocket-Version": "13" });
  });

  it("names the versions of Fanfare that it knows, and not the one that was offered", async () => {
    const refused = checkUpgrade(await receive(lines({ "Sec-WebSocket-Protocol": "fanfare.v666" })));
    expect(refused?.message).toContain("fanfare.v1");
    expect(refused?.message).not.toContain("666");
  });
});

describe("the subprotocol", () => {
  it.each<[string[], string | false]>([
    [["fanfare.v1"], "fanfare.v1"],
    [["mqtt", "fanfare.v2", "fanfare.v1"], "fanfare.v1"],
    [["fanfare.token.t"], false],
    [["mqtt"], false],
    [[], false],
  ])("of %j is %j", (offered, selected) => {
    expect(selectProtocol(new Set(offered))).toBe(selected);
  });
});

/** What a peer reads from a server that refuses each socket it gets. */
async function readRefusal(refused: ReturnType<typeof refusal>, peer: (socket: Socket) => void): Promise<string> {
  const server = createPlainServer({ allowHalfOpen: true }, (socket) => {
    socket.once("data", () => {
      socket.pause();
      writeRefusal(socket, refused);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  peer(socket);
  await once(socket, "close");
  server.close();
  await once(server, "close");
  return text;
}

describe("a refusal on the bare socket", () => {
  it("is one complete answer, then the end", async () => {
    const text = await readRefusal(refusal(503, "draining", { "Retry-After": "5" }), (socket) => socket.write("GET"));
    expect(text.split("\r\n")).toEqual([
      "HTTP/1.1 503 Service Unavailable",
      "Retry-After: 5",
      "Content-Type: text/plain; charset=utf-8",
      "Content-Length: 9",
      "Connection: close",
      "",
      "draining\n",
    ]);
  });

  it("reaches a peer that goes on sending", async () => {
    const text = await readRefusal(refusal(400, "no body"), (socket) => {
      socket.on("error", () => {});
      socket.write("x".repeat(1_000_000));
    });
    expect(text).toContain("no body\n");
  });

  it("survives a peer that resets the connection, and a socket that is gone already", async () => {
    const server = createPlainServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const peer = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [socket] = (await once(server, "connection")) as [Socket];
    peer.resetAndDestroy();
    const closed = new Promise((resolve) => socket.once("close", resolve));
    writeRefusal(socket, refusal(404, "nothing here"));
    await closed;
    writeRefusal(socket, refusal(404, "nothing here"));
    expect(socket.destroyed).toBe(true);
    server.close();
    await once(server, "close");
  });

  it("closes a peer that never closes its own side", async () => {
    const server = createPlainServer({ allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const peer = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
    const [socket] = (await once(server, "connection")) as [Socket];
    peer.resume();
    writeRefusal(socket, refusal(404, "nothing here"));
    await once(socket, "close");
    expect(socket.destroyed).toBe(true);
    peer.destroy();
    server.close();
    await once(server, "close");
  });
});

describe("a plain request on the socket's path", () => {
  it.each([
    ["GET", 426, "Upgrade", "websocket"],
    ["POST", 405, "Allow", "GET"],
    ["DELETE", 405, "Allow", "GET"],
  ])("%s is answered %i, with %s: %s", async (method, status, header, value) => {
    const server = createServer((request, response) => respondRefusal(response, refusePlainRequest(request)));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/ws`, { method });
    expect(response.status).toBe(status);
    expect(response.headers.get(header)).toBe(value);
    expect(response.headers.get("content-type")).toContain("text/plain");
    expect(await response.text()).not.toBe("");
    server.close();
    await once(server, "close");
  });
});
