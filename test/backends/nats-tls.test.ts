import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type NatsOptions, nats } from "../../src/backends/nats/index.ts";
import { roomOf } from "../../src/testing/backend/tools.ts";
import { type Certificates, makeCertificates } from "../support/engines/certificates.ts";
import { type NatsServer, startNats } from "../support/engines/nats.ts";
import { closeAll, newPrefix, opened, told } from "./fixtures/nats.ts";

const room = roomOf("room", { messages: 100, ms: 3_600_000 });
let certificates: Certificates;
let server: NatsServer;
let byAddress: NatsServer;
let mutual: NatsServer;

beforeAll(async () => {
  certificates = await makeCertificates();
  const flags = ({ certFile, keyFile }: { certFile: string; keyFile: string }): string[] => [
    ...["--tls", "--tlscert", certFile, "--tlskey", keyFile],
  ];
  [server, byAddress, mutual] = await Promise.all([
    startNats({ flags: flags(certificates.server) }),
    startNats({ flags: flags(certificates.byAddress) }),
    startNats({ flags: [...flags(certificates.server), "--tlsverify", "--tlscacert", certificates.ca.file] }),
  ]);
});
afterAll(async () => {
  await Promise.all([server, byAddress, mutual].map((each) => each.stop()));
  certificates.remove();
});
closeAll();

function at({ port }: NatsServer, options: Partial<NatsOptions> = {}): NatsOptions {
  return { servers: `tls://localhost:${port}`, prefix: newPrefix(), ...options };
}

async function refusal(options: NatsOptions): Promise<string> {
  const backend = nats(options);
  return backend.open({ now: Date.now, log: () => undefined }).then(
    () => backend.close().then(() => "let in"),
    (error: Error) => error.message,
  );
}

describe("NATS over TLS", () => {
  it("works with a private CA, also when the connection breaks", async () => {
    const options = at(server, { tls: { ca: certificates.ca.pem }, waitMs: 10_000 });
    const [a, b] = [await opened(options), await opened(options)];
    const seen = await told(b, room);
    await a.append(room, { body: "1", at: Date.now(), except: undefined });
    await server.kill();
    await server.restart();
    await a.append(room, { body: "2", at: Date.now(), except: undefined });
    await seen.until(({ entries }) => entries.length === 2);
    expect(seen.entries.map(({ body }) => body)).toEqual(["1", "2"]);
  }, 20_000);

  it("works without a log", async () => {
    const node = await opened(at(server, { tls: { ca: certificates.ca.pem }, log: false }));
    await expect(node.check()).resolves.toBeUndefined();
  });

  it("is refused where the CA is not known, saying what is wrong", async () => {
    expect(await refusal(at(server))).toMatch(/cannot be reached \(.*(unable to verify|self-signed)/i);
  });

  it("is refused where the certificate is another's, whether the server has a name or an address", async () => {
    const tls = { ca: certificates.ca.pem };
    const wrong = /cannot be reached \(.*does not match/;
    expect(await refusal(at(server, { servers: `tls://127.0.0.1:${server.port}`, tls }))).toMatch(wrong);
    expect(await refusal(at(byAddress, { tls }))).toMatch(wrong);
    const several = [`tls://192.0.2.1:1`, `tls://127.0.0.1:${byAddress.port}`];
    expect(await refusal(at(byAddress, { servers: several, tls }))).toBe("let in");
  });

  it("is not given up for a server that has none", async () => {
    const plain = await startNats();
    try {
      expect(await refusal(at(plain, { tls: { ca: certificates.ca.pem } }))).toMatch(/tls/i);
    } finally {
      await plain.stop();
    }
  });

  it("gives the server a certificate of its own where it wants one", async () => {
    const { ca, client } = certificates;
    const node = await opened(at(mutual, { tls: { ca: ca.pem, ...client } }));
    await node.check();
    expect(await refusal(at(mutual, { tls: { ca: ca.pem } }))).toContain("cannot be reached");
  });
});
