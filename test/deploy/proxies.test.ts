import type { IncomingMessage } from "node:http";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { httpServer } from "../server/support/hub.ts";
import { ask, member } from "../sse/support/reader.ts";
import { http } from "../support/http.ts";
import { OrderChecker } from "../support/no-loss/checker.ts";
import { overSocket } from "../support/no-loss/dial.ts";
import { NoLossMember } from "../support/no-loss/member.ts";
import { Publisher } from "../support/no-loss/publisher.ts";
import { endServer, startServer, testApiKey, testOrigin, TestServer } from "../support/server.ts";
import { connect, connectAs, type Peer } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";
import { proxyNames } from "./support/configurations.ts";
import { startProxy } from "./support/proxy.ts";

/** A server that trusts the proxy, as the docs say, and ends with the test. */
async function serverWith(...args: string[]): Promise<TestServer> {
  const server = await startServer(["--backend", "memory", "--trusted-proxy", "127.0.0.1", ...args]);
  onTestFinished(() => endServer(server));
  return server;
}

const limit = (text: string): string[] => ["--limit", text];
const tokenOf = (user: string): string => makeToken({ sub: user, rooms: ["**"] });
/** The shipped 60 s at a fiftieth, as 500 ms are of the 25 s between pings. */
const scaledIdleMs = 1_200;

async function publish(server: TestServer, room: string, text: string): Promise<void> {
  const answer = await fetch(`http://${server.host}/v1/rooms/${encodeURIComponent(room)}/messages`, {
    method: "POST",
    headers: { authorization: `Bearer ${testApiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ event: "said", data: text }),
  });
  expect(answer.status).toBeLessThan(300);
}

/** A server that is ready, notes what it is asked, and answers with the status, or by ending the connection. */
async function recordingServer(
  status: number | undefined,
): Promise<{ server: TestServer; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const { port } = await httpServer((request, response) => {
    requests.push(request);
    if (request.url === "/readyz") response.end();
    else if (status === undefined) request.socket.destroy();
    else response.writeHead(status).end();
  });
  return { server: new TestServer(port, []), requests };
}

/** Keeps a peer that is read by nobody from failing the test where it is cut off. */
function endWithTest(peer: Peer): Peer {
  onTestFinished(() => peer.destroy());
  return peer;
}

describe.each(proxyNames)("behind %s, as it is shipped", (name) => {
  it("a WebSocket is opened with its subprotocol and the token in it", async () => {
    const proxy = await startProxy(name, await serverWith());
    const protocols = ["fanfare.v1", `fanfare.token.${tokenOf("ann")}`];
    const ann = endWithTest(await connect(proxy.server, { protocols, headers: { origin: testOrigin } }));
    expect(ann.socket.protocol).toBe("fanfare.v1");
    await ann.expect({ type: "welcome", user: "ann" });
    ann.send({ type: "join", room: "a/b" });
    await ann.expect({ type: "joined", room: "a/b" });
    // The room's `/` is `%2F` in the path, which must arrive as such.
    await publish(proxy.server, "a/b", "hello");
    await ann.until({ type: "message", room: "a/b", data: "hello" });
  });

  it("refusals come through: an origin that is not allowed, a token that is not good", async () => {
    const proxy = await startProxy(name, await serverWith());
    const evil = { query: { token: tokenOf("ann") }, headers: { origin: "https://evil.example" } };
    await expect(connect(proxy.server, evil)).rejects.toThrow("refused with 403");
    const bob = endWithTest(await connect(proxy.server, { query: { token: "bad" } }));
    await bob.expectClose(4001);
  });

  it("an idle connection outlives the proxy's timeout, by the server's pings", async () => {
    const proxy = await startProxy(name, await serverWith(...limit("ping_ms=500")), { idleMs: scaledIdleMs });
    const ann = endWithTest(await connectAs(proxy.server, "ann"));
    // It is time itself that is tested: nothing happens that could be awaited.
    await new Promise((resolve) => setTimeout(resolve, 3 * scaledIdleMs));
    expect(ann.isOpen).toBe(true);
    expect(await ann.settled()).toEqual([]);
  });

  it("without these pings it would not", async () => {
    const proxy = await startProxy(name, await serverWith(), { idleMs: scaledIdleMs });
    const ann = endWithTest(await connectAs(proxy.server, "ann"));
    await ann.expectClose(1006, 3 * scaledIdleMs);
  });

  it("a reload in mid-traffic cuts connections off, and loses no message", async () => {
    const server = await serverWith(...limit("requests_per_s=5000"), "--keep-messages", "10000");
    const proxy = await startProxy(name, server, { reloadMs: 200 });
    const total = 1_500;
    const resumes = [0, 0, 0, 0, 0, 0];
    const checker = new OrderChecker(resumes.length);
    const faults: string[] = [];
    const members = resumes.map((_, at) => {
      const target = { server: proxy.server, token: tokenOf(`member-${at}`), room: "room" };
      return new NoLossMember("room", overSocket(target), {
        message: (offset, content) => checker.take(at, offset, content),
        resumed: () => void resumes[at]!++,
        fault: (text) => void faults.push(text),
        closed: () => undefined,
      });
    });
    onTestFinished(() => members.forEach((one) => one.stop()));
    await Promise.all(members.map((one) => one.joined));
    const publisher = new Publisher(proxy.server, tokenOf("publisher"), "room", { total, perS: 500 });
    onTestFinished(() => publisher.stop());
    for (const reload of [1, 2]) {
      await vi.waitFor(() => expect(publisher.acked).toBeGreaterThan(reload * 250), { timeout: 10_000 });
      proxy.reload();
      await vi.waitFor(() => expect(Math.min(...resumes)).toBeGreaterThanOrEqual(reload), { timeout: 10_000 });
    }
    await publisher.done;
    await vi.waitFor(() => members.forEach((_, at) => expect(checker.seen(at)).toBe(total)), { timeout: 10_000 });
    checker.finish(total);
    expect([...checker.faults, ...faults, ...publisher.faults]).toEqual([]);
  });

  it("events over SSE come at once", async () => {
    const server = await serverWith();
    const proxy = await startProxy(name, server);
    const reader = await member(proxy.server.port, ["r"], { token: tokenOf("ann") });
    const tookMs: number[] = [];
    for (let i = 0; i < 20; i++) {
      const publishedAt = performance.now();
      await publish(server, "r", `number ${i}`);
      // What a proxy holds back would not come before the next one is sent, and that is not sent before it came.
      await reader.until({ type: "message", data: `number ${i}` });
      tookMs.push(performance.now() - publishedAt);
    }
    expect(Math.max(...tookMs)).toBeLessThan(500);
  });

  it("metrics are not told outside", async () => {
    const server = await serverWith();
    const proxy = await startProxy(name, server);
    expect((await http(`http://${server.host}/metrics`)).status).toBe(200);
    for (const path of ["/metrics", "/metrics?x=1", "/%6detrics", "//metrics"]) {
      expect((await http(`${proxy.url}${path}`)).status).toBe(404);
    }
  });

  it("neither tokens nor tickets nor keys reach a log of its own, whatever happens to the request", async () => {
    const server = await serverWith();
    const proxy = await startProxy(name, server);
    const canary = tokenOf("canary");
    const ann = await connect(proxy.server, { query: { token: canary } });
    await ann.expect({ type: "welcome" });
    await ann.close();
    const protocols = ["fanfare.v1", `fanfare.token.${canary}`];
    await (await connect(proxy.server, { protocols })).close();
    await connect(proxy.server, { query: { ticket: "canary-ticket-0001" } }).then(endWithTest);
    (await member(proxy.server.port, ["r"], { token: canary })).response.destroy();
    const headers = { authorization: `Bearer ${canary}`, referer: `http://x/?token=${canary}`, cookie: `t=${canary}` };
    await http(`${proxy.url}/v1/rooms?token=${canary}`, { headers });
    await server.kill();
    expect((await http(`${proxy.url}/sse?room=r&token=${canary}`, { headers })).status).toBeGreaterThanOrEqual(502);
    await expect(connect(proxy.server, { query: { token: canary } })).rejects.toThrow("refused with 50");
    await proxy.stop();
    for (const path of ["/ws", "/sse", "/v1/rooms"]) expect(proxy.accessLog).toContain(`"${path}"`);
    expect(proxy.logs).not.toContain("canary");
    expect(proxy.logs).not.toContain(canary.slice(-20));
    expect(proxy.logs).not.toContain(canary.slice(0, 20));
    expect(proxy.logs).not.toContain("token");
  });

  it("clients are counted by their own address, whatever they claim", async () => {
    const proxy = await startProxy(name, await serverWith(...limit("connections_per_address=1")));
    const claims = { "x-forwarded-for": "192.0.2.77", forwarded: "for=192.0.2.77" };
    const from = (localAddress: string, headers = {}): Promise<Peer> =>
      connectAs(proxy.server, "ann", {}, { localAddress, headers }).then(endWithTest);
    await from("127.0.0.2");
    await from("127.0.0.3", claims);
    await expect(from("127.0.0.3", claims)).rejects.toThrow("refused with 429");
    await expect(from("127.0.0.2", { "x-forwarded-for": "192.0.2.78" })).rejects.toThrow("refused with 429");
    const stream = await ask(proxy.server.port, ["r"], { token: tokenOf("ann"), headers: claims });
    expect((await stream.nextEvent()).frame).toMatchObject({ type: "welcome" });
  });

  it("the request arrives with its own Host and path, and nothing that the client says of its address", async () => {
    const upstream = await recordingServer(200);
    const proxy = await startProxy(name, upstream.server);
    const claims = { "x-forwarded-for": "192.0.2.77", forwarded: "for=192.0.2.77", "x-forwarded-proto": "https" };
    await http(`${proxy.url}/v1/rooms/a%2Fb?x=%20y`, { headers: { ...claims, host: "app.example.com:8443" } });
    const { url, headers } = upstream.requests.find((request) => request.url?.startsWith("/v1/") === true)!;
    expect(url).toBe("/v1/rooms/a%2Fb?x=%20y");
    expect(headers).toMatchObject({
      host: "app.example.com:8443",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
    });
    expect(headers).not.toHaveProperty("forwarded");
  });

  it.each([
    ["refused", 503],
    ["broken off", undefined],
  ])("a request that is %s is not repeated", async (_, status) => {
    const upstream = await recordingServer(status);
    const proxy = await startProxy(name, upstream.server);
    expect((await http(`${proxy.url}/sse?room=r`)).status).toBe(status ?? 502);
    expect(upstream.requests.filter(({ url }) => url === "/sse?room=r")).toHaveLength(1);
  });

  it("all clients have one address where the server does not trust it", async () => {
    const server = await startServer(["--backend", "memory", ...limit("connections_per_address=1")]);
    onTestFinished(() => endServer(server));
    const proxy = await startProxy(name, server);
    endWithTest(await connectAs(proxy.server, "ann", {}, { localAddress: "127.0.0.2" }));
    const bob = connectAs(proxy.server, "bob", {}, { localAddress: "127.0.0.3" });
    await expect(bob).rejects.toThrow("refused with 429");
  });

  it("a server that shuts down tells its clients, and is found again when it is back", async () => {
    const server = await serverWith("--drain-ms", "500");
    const proxy = await startProxy(name, server);
    const ann = endWithTest(await connectAs(proxy.server, "ann"));
    const ended = server.stop();
    await ann.expect({ type: "drain" });
    await ann.expectClose(1012);
    expect(await ended).toMatchObject({ code: 0 });
    await expect(connectAs(proxy.server, "ann")).rejects.toThrow(/refused with 50[234]/);
    await server.start();
    await vi.waitFor(async () => endWithTest(await connectAs(proxy.server, "ann")), { timeout: 10_000, interval: 100 });
  });
});
