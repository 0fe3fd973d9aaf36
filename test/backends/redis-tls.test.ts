import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RedisBackendOptions, redis } from "../../src/backends/redis/index.ts";
import { roomOf } from "../../src/testing/backend/tools.ts";
import { type Certificates, makeCertificates } from "../support/engines/certificates.ts";
import { freePort } from "../support/ports.ts";
import { type RedisServer, startRedis } from "../support/engines/redis.ts";

const room = roomOf("room", { messages: 100, ms: 3_600_000 });
let certificates: Certificates;
let server: RedisServer;
let url: string;

beforeAll(async () => {
  certificates = await makeCertificates();
  const { certFile, keyFile } = certificates.server;
  const port = await freePort();
  const files = ["--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certificates.ca.file];
  server = await startRedis({ args: ["--tls-port", String(port), "--tls-auth-clients", "optional", ...files] });
  url = `rediss://localhost:${port}`;
});
afterAll(async () => {
  await server.stop();
  certificates.remove();
});

/** What came of two nodes, one of which listens; or why it was refused. */
async function outcome(options: RedisBackendOptions): Promise<unknown> {
  const [a, b] = [redis(options), redis(options)];
  try {
    await Promise.all([a, b].map((each) => each.open({ now: Date.now, log: () => undefined })));
    const heard = new Promise((resolve, reject) => {
      b.subscribe(room, { appended: ({ body }) => resolve(body), relayed: () => undefined })
        .then(() => a.append(room, { body: "1", at: Date.now(), except: undefined }))
        .catch(reject);
    });
    return await heard;
  } catch (error) {
    return String(error);
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

describe("Redis over TLS", () => {
  it("works with a private CA", async () => {
    expect(await outcome({ url, connection: { tls: { ca: certificates.ca.pem } } })).toBe("1");
  });

  it("is refused where the CA is not known, saying what is wrong", async () => {
    expect(await outcome({ url })).toMatch(/unable to verify|self-signed/i);
  });

  it("is refused where the certificate is another host's", async () => {
    const elsewhere = url.replace("localhost", "127.0.0.1");
    const connection = { tls: { ca: certificates.ca.pem } };
    expect(await outcome({ url: elsewhere, connection })).toMatch(/does not match certificate/i);
  });
});
