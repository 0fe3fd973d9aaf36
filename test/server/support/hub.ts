import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { Contract, openContract } from "../../../src/protocol/contract.ts";
import type { JsonObject } from "../../../src/protocol/json.ts";
import type { Identity } from "../../../src/server/auth/identity.ts";
import { createHub, type Hub, type HubSurroundings } from "../../../src/server/hub.ts";
import type { HubOptions, Logger } from "../../../src/server/options.ts";
import { Peer } from "../../support/socket.ts";

/** What a test's token says: it is its own text, unsigned. A plain word is a user with all rights. */
export type TestToken = string | Identity;

export interface ConnectOptions {
  readonly path?: string;
  readonly query?: Record<string, string>;
  /** Default `fanfare.v1`. */
  readonly protocols?: string[];
  readonly deflate?: boolean;
  /** Default true: `ping` is answered and not shown. */
  readonly autoPong?: boolean;
  readonly headers?: Record<string, string>;
}

/** A hub that listens on a port of its own, closed with the test. */
export interface Served<C extends Contract> {
  readonly hub: Hub<C>;
  readonly port: number;
  /** The lines of the hub's log, `level message`. */
  readonly logged: string[];
  /** Past `welcome`. */
  connect(token: TestToken, options?: ConnectOptions): Promise<Peer>;
  /** Past `joined`, of a connection of its own. */
  member(token: TestToken, room: string, join?: JsonObject): Promise<Peer>;
}

export async function serve<const C extends Contract = typeof openContract>(
  options: HubOptions<C> = {},
  surroundings: Partial<HubSurroundings> = {},
): Promise<Served<C>> {
  const logged: string[] = [];
  const hub = createHub<C>(
    { auth: ({ token }) => readToken(token), logger: recording(logged), ...options },
    surroundings,
  );
  const { port, server } = await hub.listen();
  onTestFinished(async () => {
    await hub.close({ drainMs: 0 });
    server.close();
    server.closeAllConnections();
  });
  const connect = async (token: TestToken, how: ConnectOptions = {}): Promise<Peer> => {
    const peer = await open(port, { ...how, query: { token: writeToken(token), ...how.query } });
    await peer.expect({ type: "welcome", user: userOf(token) });
    return peer;
  };
  const member = async (token: TestToken, room: string, join: JsonObject = {}): Promise<Peer> => {
    const peer = await connect(token);
    peer.send({ type: "join", room, ...join });
    await peer.expect({ type: "joined", room });
    return peer;
  };
  return { hub, port, logged, connect, member };
}

/** A socket whose handshake is complete; rejects with the status where it is refused. */
export async function open(port: number, options: ConnectOptions = {}): Promise<Peer> {
  const query = new URLSearchParams(options.query).toString();
  const url = `ws://127.0.0.1:${port}${options.path ?? "/ws"}${query === "" ? "" : `?${query}`}`;
  const socket = new WebSocket(url, options.protocols ?? ["fanfare.v1"], {
    perMessageDeflate: options.deflate ?? false,
    headers: options.headers ?? {},
  });
  const peer = new Peer(socket, options.autoPong ?? true);
  onTestFinished(() => socket.terminate());
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
    socket.once("unexpected-response", (request: { destroy(): void }, response: IncomingMessage) => {
      request.destroy();
      reject(new Error(`refused with ${response.statusCode}`));
    });
  });
  return peer;
}

/** A plain node:http server on a free port, closed with the test. */
export async function httpServer(
  onRequest?: Parameters<typeof createServer>[1],
): Promise<{ server: Server; port: number }> {
  const server = onRequest === undefined ? createServer() : createServer(onRequest);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** Resolves when the condition holds; looks after every turn of the event loop. */
export async function eventually(holds: () => boolean, withinMs = 5_000): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`did not come true within ${withinMs} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export function writeToken(token: TestToken): string {
  return typeof token === "string" ? token : JSON.stringify(token);
}

export function readToken(token: string): Identity | undefined {
  if (token === "bad") return undefined;
  return token.startsWith("{") ? (JSON.parse(token) as Identity) : { user: token };
}

function userOf(token: TestToken): string {
  return typeof token === "string" ? token : token.user;
}

export function recording(logged: string[]): Logger {
  const line =
    (level: string) =>
    (_facts: object, message: string): void =>
      void logged.push(`${level} ${message}`);
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
}
