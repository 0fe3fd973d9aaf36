import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished } from "vitest";
import { httpApi, listener, type HttpApiOptions } from "../../../src/http/node.ts";
import type { Contract } from "../../../src/protocol/contract.ts";
import type { JsonObject } from "../../../src/protocol/json.ts";
import { createHub, type Hub } from "../../../src/server/hub.ts";
import type { HubOptions } from "../../../src/server/options.ts";
import { open, readToken, recording, writeToken, type TestToken } from "../../server/support/hub.ts";
import type { Peer } from "../../support/socket.ts";
import { ApiDocument } from "./document.ts";

export const opsKey = "ops-key-0123456789";
export const otherKey = "other-key-0123456789";

export interface Ask {
  /** An API key, or a user by the tokens of tests; absent: nobody. */
  readonly as?: TestToken;
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly body?: string | Uint8Array<ArrayBuffer> | (() => ReadableStream);
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Told {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: JsonObject;
}

/** A hub with its HTTP API on a port of its own, closed with the test. */
export interface ApiServer {
  readonly hub: Hub;
  readonly url: string;
  readonly logged: string[];
  /** Asks, and holds whatever comes back against the document. */
  call(method: string, path: string, ask?: Ask): Promise<Told>;
  /** Past `joined`. */
  member(token: TestToken, room: string, join?: JsonObject): Promise<Peer>;
  /** Past `welcome`; its connection's id. */
  connect(token: TestToken): Promise<{ peer: Peer; id: string }>;
}

export async function startApi<const C extends Contract>(
  options: HubOptions<C> = {},
  api: HttpApiOptions = {},
): Promise<ApiServer> {
  const logged: string[] = [];
  const logger = recording(logged);
  const hub = createHub<C>({ auth: ({ token }) => readToken(token), logger, ...options });
  const server = createServer(listener(httpApi(hub, { apiKeys: keys, logger, ...api })));
  hub.attach(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    await hub.close({ drainMs: 0 });
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const connect = async (token: TestToken): Promise<{ peer: Peer; id: string }> => {
    const peer = await open(port, { query: { token: writeToken(token) } });
    const { connection } = await peer.expect({ type: "welcome" });
    return { peer, id: String(connection) };
  };
  const member = async (token: TestToken, room: string, join: JsonObject = {}): Promise<Peer> => {
    const { peer } = await connect(token);
    peer.send({ type: "join", room, ...join });
    await peer.expect({ type: "joined", room });
    return peer;
  };
  return { hub: hub as unknown as Hub, url, logged, call: caller(url), member, connect };
}

const keys = [
  { name: "ops", key: opsKey },
  { name: "other", key: otherKey },
];

/** Calls to an address that has the API. */
export function caller(url: string): ApiServer["call"] {
  let document: ApiDocument | undefined;
  return async (method, path, ask = {}) => {
    document ??= new ApiDocument((await (await fetch(`${url}/v1/openapi.json`)).json()) as JsonObject);
    const response = await fetch(`${url}${path}`, requestOf(method, ask));
    const text = await response.text();
    const type = response.headers.get("content-type");
    const asked = { method: method === "HEAD" ? "GET" : method, path: path.split("?")[0] ?? "" };
    if (method !== "HEAD" && method !== "OPTIONS") {
      expect(document.faultOf(asked, response.status, type, text), `${method} ${path}: ${text}`).toBeUndefined();
    }
    return { status: response.status, headers: response.headers, text, json: parse(text) };
  };
}

function requestOf(method: string, { as, json, body, headers = {} }: Ask): RequestInit {
  return {
    method,
    headers: {
      ...(as !== undefined && { authorization: `Bearer ${writeToken(as)}` }),
      ...(json !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(json !== undefined && { body: JSON.stringify(json) }),
    ...(body !== undefined && { body: typeof body === "function" ? body() : body, duplex: "half" }),
  };
}

function parse(text: string): JsonObject {
  return text.startsWith("{") ? (JSON.parse(text) as JsonObject) : {};
}
