import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Certificates, makeCertificates } from "../support/engines/certificates.ts";
import { startNats } from "../support/engines/nats.ts";
import { freePort } from "../support/ports.ts";
import { startRedis } from "../support/engines/redis.ts";
import { http } from "../support/http.ts";
import { endServer, TestServer } from "../support/server.ts";

interface Engine {
  readonly url: string;
  stop(): Promise<void>;
}

const engines: Record<string, (certificates: Certificates) => Promise<Engine>> = {
  async Redis({ ca, server: { certFile, keyFile } }) {
    const port = await freePort();
    const files = ["--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", ca.file];
    const args = ["--tls-port", String(port), "--tls-auth-clients", "no", ...files];
    const { stop } = await startRedis({ args });
    return { url: `rediss://localhost:${port}`, stop };
  },
  async NATS({ server: { certFile, keyFile } }) {
    const { port, stop } = await startNats({ flags: ["--tls", "--tlscert", certFile, "--tlskey", keyFile] });
    return { url: `nats+tls://localhost:${port}`, stop };
  },
};

describe.each(Object.entries(engines))("fanfare serve on %s over TLS", (_, start) => {
  let certificates: Certificates;
  let engine: Engine;
  let server: TestServer | undefined;

  beforeAll(async () => {
    certificates = await makeCertificates();
    engine = await start(certificates);
  });
  afterAll(async () => {
    await endServer(server);
    await engine.stop();
    certificates.remove();
  });

  it("knows a private CA by NODE_EXTRA_CA_CERTS", async () => {
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: certificates.ca.file };
    server = new TestServer(await freePort(), ["--backend", engine.url], env);
    await server.start();
    expect((await http(`http://${server.host}/readyz`)).status).toBe(200);
  });

  it("does not start where it does not know the CA, and says so", async () => {
    const stranger = new TestServer(await freePort(), ["--backend", engine.url]);
    await expect(stranger.start()).rejects.toThrow(/unable to verify|self-signed/);
    await endServer(stranger);
  }, 30_000);
});
