import { describe, expect, it } from "vitest";
import { fetchApi } from "../../src/http/fetch.ts";
import { createHub } from "../../src/server/hub.ts";
import { readToken } from "../server/support/hub.ts";
import { opsKey, startApi, type ApiServer, type Told } from "./support/api.ts";

const lobby = "/v1/rooms/lobby/messages";
const said = { event: "said", data: 1 };

const publish = ({ call }: ApiServer, as: string, path: string = lobby): Promise<Told> =>
  call("POST", path, { as, json: said });

/** Status by status. */
async function statuses(count: number, ask: () => Promise<Told>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) all.push((await ask()).status);
  return all;
}

/** A rate so slow that nothing comes in while a test runs. */
const slow = 0.01;

describe("the rate of a user over HTTP", () => {
  it("is answered with 429, Retry-After, and the exact time in the body", async () => {
    const api = await startApi({ rates: { userRequestsPerS: slow, userRequestsBurst: 2 } });
    expect(await statuses(2, () => publish(api, "ann"))).toEqual([200, 200]);
    const { status, headers, json } = await publish(api, "ann");
    expect(status).toBe(429);
    const { code, retry_after_ms: ms } = json["error"] as { code: string; retry_after_ms: number };
    expect(code).toBe("rate_limited");
    expect(ms).toBeGreaterThan(95_000);
    expect(ms).toBeLessThanOrEqual(100_000);
    expect(headers.get("retry-after")).toBe(String(Math.ceil(ms / 1_000)));
    expect((await publish(api, "bob")).status).toBe(200);
    expect((await api.hub.room("lobby").history()).length).toBe(3);
  });

  it("is one with that of the user's connections", async () => {
    const api = await startApi({ rates: { userRequestsPerS: slow, userRequestsBurst: 3 } });
    const ann = await api.member("ann", "lobby");
    ann.send({ type: "publish", id: "1", room: "lobby", event: "said" });
    await ann.until({ type: "ack" });
    expect(await statuses(3, () => publish(api, "ann"))).toEqual([200, 200, 429]);
    ann.send({ type: "publish", id: "2", room: "lobby", event: "said" });
    await ann.until({ type: "error", re: "2", code: "rate_limited" });
  });

  it("counts a page of history as ten, and a batch as its rooms", async () => {
    const api = await startApi({ rates: { userRequestsPerS: slow, userRequestsBurst: 16 } });
    expect((await api.call("GET", lobby, { as: "ann" })).status).toBe(200);
    const rooms = ["a", "b", "c", "d"];
    const batch = (): Promise<Told> => api.call("POST", "/v1/publish", { as: "ann", json: { rooms, ...said } });
    expect((await batch()).status).toBe(200);
    const refused = await batch();
    expect(refused.status).toBe(429);
    expect((await api.hub.room("a").history()).length).toBe(1);
    expect((await api.call("GET", lobby, { as: "ann" })).status).toBe(429);
  });

  it("lets a batch of more rooms than the burst through, for all that is there", async () => {
    const api = await startApi({ rates: { userRequestsPerS: slow, userRequestsBurst: 4 } });
    const rooms = Array.from({ length: 10 }, (_, i) => `room ${i}`);
    expect((await api.call("POST", "/v1/publish", { as: "ann", json: { rooms, ...said } })).status).toBe(200);
    expect((await publish(api, "ann")).status).toBe(429);
  });

  it("is not asked for API keys, whatever they do", async () => {
    const rates = {
      userRequestsPerS: slow,
      addressRequestsPerS: slow,
      addressConnectsPerS: slow,
      roomSendsPerS: slow,
    };
    const api = await startApi({ rates });
    expect(await statuses(5, () => publish(api, opsKey))).toEqual([200, 200, 200, 200, 200]);
    const signal = (): Promise<Told> =>
      api.call("POST", "/v1/rooms/lobby/signals", { as: opsKey, json: { event: "typing" } });
    expect(await statuses(3, signal)).toEqual([202, 202, 202]);
    expect(await statuses(2, () => publish(api, "ann"))).toEqual([200, 429]);
  });
});

describe("the rate of an address over HTTP", () => {
  it("counts whoever asks, before a token is checked", async () => {
    let checks = 0;
    const api = await startApi({
      rates: { addressRequestsPerS: slow, addressRequestsBurst: 3 },
      auth: ({ token }) => {
        checks++;
        return readToken(token);
      },
    });
    const headers = { authorization: "Bearer bad" };
    const bad = (): Promise<Told> => api.call("POST", lobby, { json: said, headers });
    const nobody = (): Promise<Told> => api.call("POST", "/v1/tickets");
    expect([...(await statuses(2, bad)), ...(await statuses(1, nobody))]).toEqual([401, 401, 401]);
    expect(await statuses(2, bad)).toEqual([429, 429]);
    expect((await nobody()).status).toBe(429);
    expect((await publish(api, "ann")).status).toBe(429);
    expect(checks).toBe(2);
  });

  it("lets health and the document be", async () => {
    const api = await startApi({ rates: { addressRequestsPerS: slow } });
    expect((await publish(api, "ann")).status).toBe(200);
    expect((await publish(api, "ann")).status).toBe(429);
    for (const path of ["/healthz", "/readyz", "/v1/openapi.json"]) {
      expect((await api.call("GET", path)).status).toBe(200);
    }
  });

  it("is that of the client where a trusted proxy asks", async () => {
    const api = await startApi({ trustedProxies: ["127.0.0.1"], rates: { addressRequestsPerS: slow } });
    const from = async (address: string): Promise<number> =>
      (await api.call("POST", lobby, { as: "ann", json: said, headers: { "x-forwarded-for": address } })).status;
    expect([await from("192.0.2.1"), await from("192.0.2.1"), await from("192.0.2.2")]).toEqual([200, 429, 200]);
  });

  it("is not asked where a fetch host does not tell the address", async () => {
    const auth = ({ token }: { token: string }): ReturnType<typeof readToken> => readToken(token);
    const hub = createHub({ auth, rates: { addressRequestsPerS: slow } });
    const api = fetchApi(hub);
    const ask = async (facts?: { address: string }): Promise<number> => {
      const headers = { authorization: "Bearer ann" };
      const answer = await api(new Request("http://h/v1/rooms/lobby/members", { headers }), facts);
      return answer.status;
    };
    expect([await ask(), await ask(), await ask()]).toEqual([200, 200, 200]);
    expect([await ask({ address: "192.0.2.1" }), await ask({ address: "192.0.2.1" })]).toEqual([200, 429]);
    await hub.close();
  });
});

describe("the rate of a room over HTTP", () => {
  it("is of all users together, publishes and signals, over either way", async () => {
    const api = await startApi({ rates: { roomSendsPerS: slow, roomSendsBurst: 3 } });
    const ann = await api.member("ann", "lobby");
    ann.send({ type: "publish", id: "1", room: "lobby", event: "said" });
    await ann.until({ type: "ack" });
    expect((await publish(api, "bob")).status).toBe(200);
    const signal = (): Promise<Told> =>
      api.call("POST", "/v1/rooms/lobby/signals", { as: "cyd", json: { event: "typing" } });
    expect(await statuses(2, signal)).toEqual([202, 429]);
    const refused = await publish(api, "bob");
    expect([refused.status, refused.headers.has("retry-after")]).toEqual([429, true]);
    expect((await publish(api, "bob", "/v1/rooms/other/messages")).status).toBe(200);
    expect((await api.hub.room("lobby").history()).length).toBe(2);
  });

  it("costs a batch that room only", async () => {
    const api = await startApi({ rates: { roomSendsPerS: slow, roomSendsBurst: 1 } });
    await publish(api, "bob");
    const told = await api.call("POST", "/v1/publish", { as: "ann", json: { rooms: ["lobby", "other"], ...said } });
    expect(told.json["results"]).toMatchObject([
      { room: "lobby", error: { code: "rate_limited" } },
      { room: "other", offset: 1 },
    ]);
  });

  it("is not used up by who may not publish there", async () => {
    const api = await startApi({ rates: { roomSendsPerS: slow, roomSendsBurst: 1 } });
    const eve = { user: "eve", rooms: { "*": ["join"] } } as const;
    expect((await api.call("POST", lobby, { as: eve, json: said })).status).toBe(403);
    expect((await publish(api, "ann")).status).toBe(200);
  });
});

describe("the document", () => {
  it("tells of 429 and its Retry-After at every call that wants to know who asks", async () => {
    const api = await startApi();
    const { json } = await api.call("GET", "/v1/openapi.json");
    const paths = json["paths"] as Record<string, Record<string, { responses: Record<string, object> }>>;
    const calls = Object.entries(paths).filter(([path]) => path.startsWith("/v1/") && !path.endsWith(".json"));
    expect(calls.length).toBeGreaterThan(5);
    for (const [, methods] of calls) {
      for (const { responses } of Object.values(methods)) {
        expect(responses["429"]).toMatchObject({ headers: { "Retry-After": { schema: { type: "integer" } } } });
      }
    }
  });
});
