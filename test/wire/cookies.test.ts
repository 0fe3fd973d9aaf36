import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/protocol/json.ts";
import { endServer, startServer, testOrigin, type TestServer } from "../support/server.ts";
import { connect } from "../support/socket.ts";
import { makeToken } from "../support/token.ts";

// The command has no flag for the cookie's name: it comes from a config file.
const config = fileURLToPath(new URL("../support/fixtures/contract.config.mjs", import.meta.url));

let server: TestServer;
beforeAll(async () => void (server = await startServer(["--backend", "memory", "--config", config])));
afterAll(() => endServer(server));

describe("a cookie (P-11)", () => {
  const Cookie = `other=1; session=${makeToken({ sub: "ann" })}`;
  it.each<{ name: string; headers: Record<string, string>; first: JsonObject }>([
    {
      name: "counts with an allowed Origin",
      headers: { Cookie, Origin: testOrigin },
      first: { type: "welcome", user: "ann" },
    },
    {
      name: "counts without one where the browser says same-origin",
      headers: { Cookie, "Sec-Fetch-Site": "same-origin" },
      first: { type: "welcome", user: "ann" },
    },
    { name: "does not count without Origin", headers: { Cookie }, first: { type: "auth_required" } },
    {
      name: "does not count same-site",
      headers: { Cookie, "Sec-Fetch-Site": "same-site" },
      first: { type: "auth_required" },
    },
    {
      name: "does not count cross-site",
      headers: { Cookie, "Sec-Fetch-Site": "cross-site" },
      first: { type: "auth_required" },
    },
    {
      name: "of another name is none",
      headers: { Cookie: "sessio=x", Origin: testOrigin },
      first: { type: "auth_required" },
    },
    {
      name: "that is bad is unauthorized",
      headers: { Cookie: "session=x", Origin: testOrigin },
      first: { type: "error", code: "unauthorized" },
    },
  ])("$name", async ({ headers, first }) => {
    const peer = await connect(server, { headers });
    const frame = await peer.expect(first);
    expect(frame["type"]).toBe(first["type"]);
    peer.destroy();
  });
});
