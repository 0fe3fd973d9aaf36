import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { httpApi, listener } from "../../src/http/node.ts";
import { createHub } from "../../src/server/hub.ts";
import type { HubOptions } from "../../src/server/options.ts";
import { headersOf, pathOf } from "../../src/server/target.ts";
import { readToken } from "./support/hub.ts";

const handshake =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async function serve(options: HubOptions = {}): Promise<number> {
  const hub = createHub({ auth: ({ token }) => readToken(token), ...options });
  hub.endpoint("/own", async ({ socket, query }) => void socket.send(query.get("q") ?? ""));
  const server = createServer(listener(httpApi(hub)));
  hub.attach(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    await hub.close({ drainMs: 0 });
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** All that a server answers until it has said what is waited for, or the connection ends. */
async function exchange(port: number, request: string, wanted: string): Promise<string> {
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  onTestFinished(() => void socket.destroy());
  socket.write(request);
  let answer = "";
  for await (const text of socket) {
    answer += String(text);
    if (answer.includes(wanted)) break;
  }
  return answer;
}

describe("a target in absolute form (RFC 9112, section 3.2.2)", () => {
  it.each([
    ["/ws?x", "/ws"],
    ["http://h/ws", "/ws"],
    ["HTTPS://h:8443/ws/a%2Fb?q=http://x/y", "/ws/a%2Fb"],
    ["http://h", "/"],
    ["http://h?x=1", "/"],
    ["http://[::1]:80/ws", "/ws"],
    // None of these is asked of a server.
    ["ftp://h/ws", "ftp://h/ws"],
    ["http:///ws", "http:///ws"],
    ["http://user@h/ws", "http://user@h/ws"],
    ["//h/ws", "//h/ws"],
    ["*", "*"],
    ["", ""],
  ])("%s has the path %s", (url, path) => {
    expect(pathOf({ url })).toBe(path);
  });

  it("tells the host, whatever the header says", () => {
    const of = (url: string): IncomingMessage["headers"] => headersOf({ url, headers: { host: "other", a: "b" } });
    expect([of("http://h:1/ws"), of("/http://h:1/ws")]).toEqual([
      { host: "h:1", a: "b" },
      { host: "other", a: "b" },
    ]);
  });

  it.each([
    ["the socket", `GET http://h/ws?token=ann HTTP/1.1\r\nHost: h\r\n${handshake}\r\n`, '"type":"welcome"'],
    [
      "a room's path",
      `GET http://h/ws/a%20b?token=ann HTTP/1.1\r\nHost: h\r\n${handshake}\r\n`,
      '"type":"joined","room":"a b"',
    ],
    ["an endpoint", `GET http://h/own?q=yes HTTP/1.1\r\nHost: h\r\n${handshake}\r\n`, "yes"],
    ["a stream", "GET http://h/sse?room=a&token=ann HTTP/1.1\r\nHost: h\r\n\r\n", '"type":"joined"'],
    [
      "the API",
      "GET http://h/v1/rooms/a/members?x=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ann\r\n\r\n",
      '{"members":0,"users":[]}',
    ],
    ["health", "GET http://h/healthz HTTP/1.1\r\nHost: h\r\n\r\n", '{"status":"up"}'],
    ["a plain request of the socket's path", "GET http://h/ws HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 426"],
  ])("works for %s", async (_, request, wanted) => {
    expect(await exchange(await serve(), request, wanted)).toContain(wanted);
  });

  it("has its own host compared with Origin, and not the header's", async () => {
    const port = await serve();
    const status = async (target: string, host: string): Promise<string> => {
      const head = `GET ${target}?token=ann HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://app.example.com\r\n${handshake}\r\n`;
      return (await exchange(port, head, "\r\n\r\n")).slice(9, 12);
    };
    expect(await status("/ws", "app.example.com")).toBe("101");
    expect(await status("http://app.example.com/ws", "app.example.com")).toBe("101");
    expect(await status("http://evil.example/ws", "app.example.com")).toBe("403");
  });
});
