import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RedisBackend } from "../../src/backends/redis/index.ts";
import { backendSuite, type SuiteSubject } from "../../src/testing/index.ts";
import { type RedisServer, startRedis } from "../support/engines/redis.ts";

let server: RedisServer;
let made = 0;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

/** Each on keys of its own, on a clock that the suite turns. */
function makeSubject(): Promise<SuiteSubject> {
  const prefix = `suite-${++made}:`;
  const make = (): RedisBackend => new RedisBackend({ url: server.url, prefix }, true);
  return Promise.resolve({
    backend: make(),
    reopen: () => Promise.resolve(make()),
    second: () => Promise.resolve(make()),
    destroy: () => Promise.resolve(),
  });
}

backendSuite("the redis backend", makeSubject, { describe, it, expect });
