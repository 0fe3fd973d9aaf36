import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nats } from "../../src/backends/nats/index.ts";
import { backendSuite } from "../../src/testing/backend-suite.ts";
import { type NatsServer, startNats } from "../support/engines/nats.ts";

let server: NatsServer;
beforeAll(async () => {
  server = await startNats();
});
afterAll(() => server.stop());

backendSuite(
  "nats, JetStream on one server",
  () => {
    // Each test has streams of its own, as it would have a server of its own.
    const prefix = `t${randomBytes(8).toString("hex")}`;
    const make = (): ReturnType<typeof nats> => nats({ servers: server.url, prefix });
    return Promise.resolve({
      backend: make(),
      reopen: () => Promise.resolve(make()),
      second: () => Promise.resolve(make()),
      destroy: () => Promise.resolve(),
    });
  },
  { describe, it, expect },
);
