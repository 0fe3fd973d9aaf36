import { describe, expect, it } from "vitest";
import { start } from "../cli/process.ts";
import { readPage, tableUnder } from "../docs/markdown.ts";
import type { JsonObject } from "../../src/protocol/json.ts";
import { Refused } from "../../src/server/index.ts";
import { startApi } from "../http/support/api.ts";
import { metricsOperation } from "../../src/http/metrics.ts";

type Api = Awaited<ReturnType<typeof startApi>>;

/** The value of a sample, by its name and labels as they are written; undefined where there is none. */
async function sample(api: Api, name: string): Promise<number | undefined> {
  const line = (await api.hub.metrics()).split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

describe("the metrics of a hub", () => {
  it("count joins, publishes by outcome, deliveries and their bytes", async () => {
    const api = await startApi();
    const ann = await api.member("ann", "lobby");
    const bob = await api.member("bob", "lobby");
    ann.send({ type: "publish", id: "1", room: "lobby", event: "said", key: "k", data: "hi" });
    await ann.until({ type: "ack" });
    ann.send({ type: "publish", id: "2", room: "lobby", event: "said", key: "k", data: "hi" });
    await ann.until({ type: "ack", duplicate: true });
    ann.send({ type: "publish", id: "3", room: "other", event: "said", data: "hi" });
    await ann.until({ type: "error", code: "not_joined" });
    const message = await bob.until({ type: "message" });

    expect(await sample(api, "fanfare_joins_total")).toBe(2);
    expect(await sample(api, "fanfare_members")).toBe(2);
    expect(await sample(api, "fanfare_rooms")).toBe(1);
    expect(await sample(api, 'fanfare_connections{kind="websocket"}')).toBe(2);
    expect(await sample(api, 'fanfare_publishes_total{outcome="kept"}')).toBe(1);
    expect(await sample(api, 'fanfare_publishes_total{outcome="duplicate"}')).toBe(1);
    expect(await sample(api, 'fanfare_publishes_total{outcome="not_joined"}')).toBe(1);
    expect(await sample(api, 'fanfare_deliveries_total{kind="message"}')).toBe(2);
    const bytes = JSON.stringify(message).length;
    // Each with a header of two to four bytes.
    expect(await sample(api, 'fanfare_delivered_bytes_total{kind="message"}')).toBeGreaterThanOrEqual(2 * bytes);
    expect(await sample(api, 'fanfare_delivered_bytes_total{kind="message"}')).toBeLessThanOrEqual(2 * (bytes + 4));
    expect(await sample(api, "fanfare_log_append_seconds_count")).toBe(1);
    expect(await sample(api, 'fanfare_log_append_seconds_bucket{le="+Inf"}')).toBe(1);
  });

  it("count what the app and the HTTP API publish", async () => {
    const api = await startApi();
    await api.hub.start();
    await api.hub.room("lobby").publish("said", "hi");
    await api.call("POST", "/v1/rooms/lobby/messages", { as: "ann", json: { event: "said", data: 1 } });
    expect(await sample(api, 'fanfare_publishes_total{outcome="kept"}')).toBe(2);
  });

  it("count resumes by outcome, and what was replayed", async () => {
    const api = await startApi();
    await api.hub.start();
    await api.hub.room("lobby").publish("said", 1);
    const ann = await api.member("ann", "lobby");
    const { cursor = "" } = await api.hub.room("lobby").publish("said", 2);
    await api.hub.room("lobby").publish("said", 3);
    ann.send({ type: "leave", id: "l", room: "lobby" });
    await ann.until({ type: "left" });
    ann.send({ type: "join", room: "lobby", since: cursor });
    await ann.until({ type: "joined", recovered: true });
    await ann.until({ type: "message", offset: 3 });
    ann.send({ type: "join", room: "lobby", since: "0:bogus" });
    ann.send({ type: "join", id: "again", room: "other", since: cursor });
    await ann.until({ type: "joined", re: "again" });
    expect(await sample(api, 'fanfare_resumes_total{outcome="recovered"}')).toBe(1);
    expect(await sample(api, 'fanfare_resumes_total{outcome="not_recovered"}')).toBe(1);
    expect(await sample(api, "fanfare_replayed_messages_total")).toBe(1);
  });

  it("count signals, closes, authentications and handlers that threw", async () => {
    const api = await startApi();
    api.hub.on("**", {
      publish: {
        fail: () => {
          throw new Error("no");
        },
      },
    });
    const ann = await api.member("ann", "lobby");
    const bob = await api.member("bob", "lobby");
    ann.send({ type: "signal", room: "lobby", event: "typing", data: null });
    await bob.until({ type: "signal" });
    ann.send({ type: "publish", id: "1", room: "lobby", event: "fail", data: null });
    await ann.until({ type: "error", code: "internal" });
    await api.hub.user("bob").disconnect();
    await bob.expectClose(4003);
    ann.socket.close(4567);
    await ann.closed();

    expect(await sample(api, "fanfare_signals_total")).toBe(1);
    expect(await sample(api, "fanfare_signal_drops_total")).toBe(0);
    expect(await sample(api, 'fanfare_deliveries_total{kind="signal"}')).toBe(1);
    expect(await sample(api, "fanfare_handler_errors_total")).toBe(1);
    expect(await sample(api, 'fanfare_publishes_total{outcome="internal"}')).toBe(1);
    expect(await sample(api, 'fanfare_closes_total{code="4003"}')).toBe(1);
    expect(await sample(api, 'fanfare_closes_total{code="other"}')).toBe(1);
    expect(await sample(api, 'fanfare_closes_total{code="4567"}')).toBeUndefined();
    expect(await sample(api, 'fanfare_authentications_total{outcome="accepted"}')).toBe(2);
    expect(await sample(api, 'fanfare_connections{kind="websocket"}')).toBe(0);
  });

  it("count handlers that threw for a call over HTTP, and no refusals", async () => {
    const api = await startApi();
    api.hub.on("**", {
      publish: {
        fail: () => {
          throw new Error("no");
        },
        refuse: () => {
          throw new Refused("conflict", "no");
        },
      },
    });
    for (const [event, status] of [
      ["fail", 500],
      ["refuse", 409],
    ] as const) {
      const told = await api.call("POST", "/v1/rooms/lobby/messages", { as: "ann", json: { event } });
      expect([told.status, told.headers.has("request-id")]).toEqual([status, status === 500]);
    }
    expect(await sample(api, "fanfare_handler_errors_total")).toBe(1);
  });

  it("count requests that were refused for their rate, by what refused them", async () => {
    const rates = { userRequestsPerS: 0.01, userRequestsBurst: 3, roomSendsPerS: 0.01, roomSendsBurst: 1 };
    const api = await startApi({ rates, limits: { requestsPerS: 3, rooms: 1 } });
    const ann = await api.member("ann", "lobby");
    const tell = async (id: string, frame: JsonObject): Promise<void> => {
      ann.send({ id, room: "lobby", event: "e", ...frame });
      await ann.until({ re: id });
    };
    await tell("1", { type: "publish" });
    await tell("2", { type: "publish" });
    await tell("3", { type: "publish" });
    await tell("4", { type: "publish" });
    await tell("5", { type: "publish" });
    await tell("6", { type: "history", limit: 1 });
    const names = ["room", "held", "user", "connection"];
    const counts = names.map((limit) => sample(api, `fanfare_rate_limited_total{limit="${limit}"}`));
    // The second over the room's rate, the third held for it; then over the user's, and held; then over its own.
    expect(Object.fromEntries((await Promise.all(counts)).map((count, i) => [names[i], count]))).toEqual({
      room: 1,
      held: 2,
      user: 1,
      connection: 1,
    });
  });

  it("count credentials that are refused, and those that cannot be checked", async () => {
    const api = await startApi({
      auth: ({ token }) => {
        if (token === "broken") throw new Error("no database");
        return undefined;
      },
    });
    for (const token of ["broken", "unknown", "unknown"]) {
      await fetch(`${api.url}/v1/rooms`, { headers: { authorization: `Bearer ${token}` } });
    }
    expect(await sample(api, 'fanfare_authentications_total{outcome="failed"}')).toBe(1);
    expect(await sample(api, 'fanfare_authentications_total{outcome="refused"}')).toBe(2);
    expect(await sample(api, 'fanfare_authentications_total{outcome="accepted"}')).toBeUndefined();
  });

  it("tell what waits for a reader that does not read, and count the signals left out for it", async () => {
    const api = await startApi();
    const ann = await api.member("ann", "lobby");
    ann.socket.pause();
    const room = api.hub.room("lobby");
    // Until the kernel takes no more, and a quarter of the outbox waits.
    while (
      (await sample(api, "fanfare_outbox_bytes")) === 0 ||
      (await sample(api, "fanfare_signal_drops_total")) === 0
    ) {
      await room.signal("bulk", "x".repeat(60_000));
      // What was pushed goes out at the end of a turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await sample(api, "fanfare_outbox_bytes")).toBeGreaterThan(262_144);
    ann.destroy();
  });

  it("count refused upgrades by status, and streams by their kind", async () => {
    const api = await startApi();
    expect((await fetch(`${api.url}/ws`)).status).toBe(426);
    const reader = new AbortController();
    const headers = { authorization: "Bearer ann" };
    const stream = await fetch(`${api.url}/sse?room=lobby`, { headers, signal: reader.signal });
    expect(stream.status).toBe(200);
    expect(await sample(api, 'fanfare_refused_upgrades_total{status="426"}')).toBe(1);
    expect(await sample(api, 'fanfare_connections{kind="sse"}')).toBe(1);
    reader.abort();
  });
});

describe("GET /metrics", () => {
  it("is text for Prometheus, and needs no key", async () => {
    const hub = { metrics: () => Promise.resolve("fanfare_rooms 0\n") };
    const api = await startApi({}, { extra: [metricsOperation(hub)] });
    const answer = await fetch(`${api.url}/metrics`);
    expect([answer.status, await answer.text()]).toEqual([200, "fanfare_rooms 0\n"]);
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect((await fetch(`${api.url}/metrics`, { method: "POST" })).status).toBe(405);
  });
});

describe("fanfare serve", () => {
  it("answers GET /metrics with all of them", async () => {
    const running = start(["serve", "--port", "0", "--backend", "memory", "--anonymous"]);
    const answer = await fetch(`${await running.url}/metrics`);
    const text = await answer.text();
    expect(answer.status).toBe(200);
    expect(text).toMatch(/^fanfare_build_info\{version="\d+\.\d+\.\d+",node="\d+\./m);
    expect(text).toMatch(/^fanfare_log_append_seconds_count 0$/m);
    running.signal("SIGTERM");
    expect((await running.ended).code).toBe(0);
  });
});

describe("the table of docs/metrics.md", () => {
  it("names every metric that there is, with its type and labels", async () => {
    const api = await startApi();
    const ann = await api.member("ann", "lobby");
    ann.send({ type: "publish", id: "1", room: "lobby", event: "said", data: "hi" });
    await ann.until({ type: "ack" });
    for (let i = 0; i < 12; i++) ann.send({ type: "history", id: String(i), room: "lobby", limit: 1 });
    await ann.until({ type: "error", code: "rate_limited" });
    await fetch(`${api.url}/ws`);
    ann.socket.close();
    await ann.closed();
    const text = await api.hub.metrics();
    const labels = (name: string): string =>
      new RegExp(`^${name}\\{([^}]*)\\}`, "m")
        .exec(text)?.[1]
        ?.split(",")
        .map((label) => label.slice(0, label.indexOf("=")))
        .join(", ") ?? "";
    const own = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].filter(([, name = ""]) => !fromTheProcess.test(name));
    const there = own.map(([, name = "", type = ""]) => `${name} ${type} ${labels(name)}`.trim());
    const listed = tableUnder(readPage("docs/metrics.md"), "What is counted");
    expect(listed.map((row) => row.slice(0, 3).join(" ").trim()).toSorted()).toEqual(there.toSorted());
    expect(text).toContain("fanfare_nodejs_eventloop_lag_p99_seconds ");
    expect(text).toContain("fanfare_process_resident_memory_bytes ");
  });

  it("has nothing without the prefix", async () => {
    const api = await startApi();
    const names = [...(await api.hub.metrics()).matchAll(/^(?:# (?:TYPE|HELP) )?(\S+)/gm)].map(([, name = ""]) => name);
    expect(names.filter((name) => !name.startsWith("fanfare_"))).toEqual([]);
  });
});

const fromTheProcess = /^fanfare_(?:process|nodejs)_/;
