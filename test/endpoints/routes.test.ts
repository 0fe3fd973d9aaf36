import { expect, describe, it } from "vitest";
import { createHub } from "../../src/server/hub.ts";
import { refuse } from "../../src/server/endpoints/refuse.ts";
import { eventually, httpServer, serve } from "../server/support/hub.ts";
import { connect, exchange } from "./plain.ts";

describe("a route", () => {
  it("gives its parameters, decoded, and the query, with their types", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/chat/:team/:room", ({ socket, params, query, user }) => {
      const { team, room }: { team: string; room: string } = params;
      // @ts-expect-error -- there is no such parameter
      expect(params.other).toBeUndefined();
      const nobody: string | undefined = user;
      socket.send({ team, room, q: query.get("q"), nobody: nobody === undefined });
    });
    const peer = await connect(`ws://127.0.0.1:${port}/chat/a%20b/c%2Fd?q=1`);
    expect(await peer.next()).toEqual({ team: "a b", room: "c/d", q: "1", nobody: true });
    expect(await peer.closed()).toEqual({ code: 1000, reason: "" });
  });

  it("that is more specific comes first, and of equals the first declared", async () => {
    const { hub, port } = await serve({ path: false });
    for (const path of ["/ws/:a", "/ws/:b", "/ws/echo", "/:x/echo"]) {
      hub.endpoint(path, ({ socket }) => void socket.send(path));
    }
    const told = async (path: string): Promise<unknown> => (await connect(`ws://127.0.0.1:${port}${path}`)).next();
    expect([await told("/ws/echo"), await told("/ws/other"), await told("/y/echo")]).toEqual([
      "/ws/echo",
      "/ws/:a",
      "/:x/echo",
    ]);
  });

  it("leaves other upgrades, and plain requests for its path, to the app", async () => {
    const hub = createHub({ path: false, ssePath: false });
    const { server, port } = await httpServer((_, response) => response.end("the app's page"));
    hub.attach(server);
    hub.endpoint("/chat", () => undefined);
    expect(await (await fetch(`http://127.0.0.1:${port}/chat`)).text()).toBe("the app's page");
    await expect(connect(`ws://127.0.0.1:${port}/ws`)).rejects.toThrow("status 404");
    await hub.close();
  });

  it("tells a plain request what to ask for, where no app is there to answer (P-15)", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/chat/:room", () => undefined);
    const answer = await fetch(`http://127.0.0.1:${port}/chat/lobby`);
    expect([answer.status, answer.headers.get("upgrade")]).toEqual([426, "websocket"]);
    expect((await fetch(`http://127.0.0.1:${port}/chat`)).status).toBe(404);
  });

  it("refuses a path that is malformed, and one that does not exist", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/chat/:room", () => undefined);
    await expect(connect(`ws://127.0.0.1:${port}/chat/%E0%A4`)).rejects.toThrow("status 400");
    await expect(connect(`ws://127.0.0.1:${port}/chat/`)).rejects.toThrow("status 404");
    await expect(connect(`ws://127.0.0.1:${port}/chat/a/b`)).rejects.toThrow("status 404");
  });

  it.each(["chat", "/", "/a//b", "/a/:", "/:a/:a", "/a?b", "/ws/chat", "/twice"])(
    "%s cannot be declared",
    async (path) => {
      const hub = createHub();
      hub.endpoint("/twice", () => undefined);
      expect(() => hub.endpoint(path, () => undefined)).toThrow(TypeError);
    },
  );

  it("with options that cannot work says which", () => {
    const hub = createHub();
    expect(() => hub.endpoint("/a", { messageBytes: 0 }, () => undefined)).toThrow("messageBytes");
    expect(() => hub.endpoint("/a", { protocols: ["a b"] }, () => undefined)).toThrow("a b");
    expect(() => refuse(200, "")).toThrow(RangeError);
    expect(() => refuse(1006, "")).toThrow(RangeError);
  });
});

describe("before the upgrade", () => {
  it.each([
    ["a plain version", { "Sec-WebSocket-Version": "12" }, "426"],
    ["a bad key", { "Sec-WebSocket-Key": "x" }, "400"],
    ["a foreign origin", { Origin: "https://evil.example" }, "403"],
  ])("%s is refused", async (_, headers, status) => {
    const { hub, port } = await serve();
    hub.endpoint("/chat", () => undefined);
    const given = {
      Host: `127.0.0.1:${port}`,
      Upgrade: "websocket",
      Connection: "Upgrade",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
    };
    const lines = Object.entries(given).map(([name, value]) => `${name}: ${value}`);
    const answer = await exchange(port, `GET /chat HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    expect(answer).toContain(`HTTP/1.1 ${status}`);
    expect(hub.counts().connections).toBe(0);
  });

  it("the app refuses by a status or by a close code, and a reason is one line", async () => {
    const { hub, port, logged } = await serve();
    hub.endpoint(
      "/a/:how",
      {
        accept: async ({ params }) => {
          if (params.how === "status") return refuse(418, "no\r\ntea");
          if (params.how === "code") return refuse(4009, "not here");
          if (params.how === "throw") throw new Error("secret");
          return undefined;
        },
      },
      ({ socket }) => socket.close(1000, "let in"),
    );
    const url = `ws://127.0.0.1:${port}/a`;
    await expect(connect(`${url}/status`)).rejects.toThrow("status 418: no tea");
    await expect(connect(`${url}/throw`)).rejects.toThrow("status 500: internal error");
    expect(await (await connect(`${url}/code`)).closed()).toEqual({ code: 4009, reason: "not here" });
    expect(await (await connect(`${url}/in`)).closed()).toEqual({ code: 1000, reason: "let in" });
    expect(logged.filter((line) => line.startsWith("error"))).toEqual([
      "error an endpoint cannot tell who may come in",
    ]);
  });

  it("an answer of the app's that refuses in no possible way is HTTP 500, and ends nobody else's connection", async () => {
    const { hub, port, logged } = await serve();
    const tooLong = "é".repeat(62);
    const answers: Record<string, () => unknown> = {
      long: () => refuse(4009, tooLong),
      byHand: () => ({ code: 4009, reason: tooLong }),
      noCode: () => ({ code: 1005, reason: "" }),
      noReason: () => ({ code: 410 }),
      true: () => true,
    };
    hub.endpoint("/a/:how", { accept: ({ params }) => answers[params.how]?.() as undefined }, async ({ socket }) => {
      for await (const message of socket) socket.send(message);
    });
    const url = `ws://127.0.0.1:${port}/a`;
    const other = await connect(`${url}/in`);
    for (const how of Object.keys(answers)) {
      await expect(connect(`${url}/${how}`)).rejects.toThrow("status 500: internal error");
    }
    other.send("here");
    expect(await other.next()).toBe("here");
    expect(logged.filter((line) => line.startsWith("error"))).toHaveLength(Object.keys(answers).length);
    expect(() => refuse(4009, tooLong)).toThrow("at most 123 bytes");
    expect(refuse(410, tooLong)).toEqual({ code: 410, reason: tooLong });
  });

  it("one who goes while the app decides leaves nothing behind, and an app that never decides is given up", async () => {
    const { hub, port, logged } = await serve({ limits: { authWithinMs: 200, connections: 1 } });
    let asked = 0;
    let ran = 0;
    hub.endpoint("/slow", { accept: () => (asked++, new Promise(() => undefined)) }, () => void ran++);
    const given = connect(`ws://127.0.0.1:${port}/slow`);
    given.catch(() => undefined);
    await eventually(() => asked === 1);
    // It counts as a connection meanwhile.
    await expect(connect(`ws://127.0.0.1:${port}/slow`)).rejects.toThrow("status 503: full");
    await expect(given).rejects.toThrow("status 503: not ready");
    expect([asked, ran, hub.counts().connections]).toEqual([1, 0, 0]);
    expect(logged.filter((line) => line.startsWith("error"))).toEqual([]);
  });

  it("selects the first of its subprotocols that is offered", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/p", { protocols: ["v2", "v1"] }, ({ socket }) => void socket.send(socket.protocol));
    const peer = await connect(`ws://127.0.0.1:${port}/p`, { protocols: ["v1", "v2"] });
    expect([peer.socket.protocol, await peer.next()]).toEqual(["v2", "v2"]);
  });
});
