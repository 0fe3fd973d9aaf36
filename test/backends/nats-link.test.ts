import type { NatsConnection } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { Link } from "../../src/backends/nats/link.ts";
import { resolveOptions } from "../../src/backends/nats/options.ts";
import { type NatsServer, startNats } from "../support/engines/nats.ts";
import { until } from "../support/engines/redis.ts";

/** What the driver made, in order. */
const made: NatsConnection[] = vi.hoisted(() => []);
vi.mock(import("@nats-io/transport-node"), async (original) => {
  const driver = await original();
  const connect: typeof driver.connect = async (options) => {
    const connection = await driver.connect(options);
    made.push(connection);
    return connection;
  };
  return { ...driver, connect };
});

let server: NatsServer;
let link: Link;
let told: string[];
let verify: () => Promise<void>;

beforeAll(async () => {
  server = await startNats();
});
afterEach(() => link.close());
afterAll(() => server.stop());

async function open(standstillMs: number): Promise<void> {
  told = [];
  made.length = 0;
  verify = () => Promise.resolve();
  const tell = (what: string) => () => void told.push(what);
  const log = (): void => undefined;
  link = new Link(
    resolveOptions({ servers: server.url }),
    { verify: () => verify(), lost: tell("lost"), restored: tell("restored"), log, malformed: undefined },
    standstillMs,
  );
  await link.open();
}

it("a driver that has closed its connection for good is replaced, and all that was listened to goes on", async () => {
  await open(60_000);
  const heard: string[] = [];
  link.subscribe("kept", (message) => void heard.push(message.string()));
  const stop = link.subscribe("given.up", (message) => void heard.push(message.string()));
  await made[0]!.close();
  stop();
  await until(() => told.includes("restored"));
  link.subscribe("new", (message) => void heard.push(message.string()));
  await link.flush();
  const other = await (await import("@nats-io/transport-node")).connect({ servers: server.url });
  for (const subject of ["given.up", "kept", "new"]) other.publish(subject, subject);
  await other.drain();
  await until(() => heard.length === 2);
  expect([heard, told]).toEqual([
    ["kept", "new"],
    ["lost", "restored"],
  ]);
});

it("one over whose connection the engine cannot be asked is replaced", async () => {
  await open(300);
  const [first] = made;
  verify = () => (made.length > 1 ? Promise.resolve() : Promise.reject(new Error("no answer")));
  await first!.reconnect();
  await until(() => told.includes("restored"));
  expect(made).toHaveLength(2);
  expect(first!.isClosed()).toBe(true);
});

it("one that goes on dialling is left alone, however long the server is away", async () => {
  await open(1_500);
  await server.kill();
  await until(() => told.includes("lost"));
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  await server.restart();
  await until(() => told.includes("restored"));
  expect(made).toHaveLength(1);
});
