import { describe, expect, test } from "vitest";
import { driver, hubOptions, weakSecretWarning } from "../../src/cli/assemble.ts";
import type { Config } from "../../src/cli/config.ts";
import { UsageError } from "../../src/cli/flags.ts";
import { readServeSettings } from "../../src/cli/settings.ts";
import { type HubOptions, type Identity, memory, signToken } from "../../src/server/index.ts";

const logger = { debug() {}, info() {}, warn() {}, error() {} };
const backend = memory();

function assemble(args: readonly string[], config: Config = {}, devSecret?: string): HubOptions {
  return hubOptions(readServeSettings(args, {}), config, { backend, logger, devSecret });
}

/** Who the assembled options take a token for. */
async function whoIs(options: HubOptions, token: string): Promise<Identity | undefined> {
  const request = { path: "/ws", query: new URLSearchParams(), headers: {}, address: "127.0.0.1" };
  return options.auth?.({ kind: "bearer", token }, request);
}

const signed = (secret: string): string => signToken({ secret, user: "ann", expiresInMs: 60_000 });
const sesame: Config = { auth: ({ token }) => (token === "sesame" ? { user: "ali" } : undefined) };

describe("who may connect", () => {
  test("nobody could: refused with the ways there are", () => {
    expect(() => assemble([])).toThrow(UsageError);
    expect(() => assemble([], { anonymous: false })).toThrow("give --secret, --jwks, a --config with auth");
  });

  test("a secret's tokens, with their personal room alone", async () => {
    const options = assemble(["--secret", "a"]);
    expect(await whoIs(options, signed("a"))).toMatchObject({ user: "ann", rooms: {} });
    expect(await whoIs(options, signed("b"))).toBeUndefined();
    expect(options.anonymous).toBe(false);
  });

  test("the config's own function, unless flags say how", async () => {
    expect(await whoIs(assemble([], sesame), "sesame")).toEqual({ user: "ali" });
    expect(await whoIs(assemble(["--secret", "a"], sesame), "sesame")).toBeUndefined();
  });

  test("anonymous, by flag or config, in a personal room unless the config gives more", () => {
    expect(assemble(["--anonymous"])).toMatchObject({ anonymous: true, anonymousRooms: [] });
    expect(assemble(["--anonymous=false", "--secret", "a"], { anonymous: true }).anonymous).toBe(false);
    const config: Config = { anonymous: true, anonymousRooms: ["lobby"] };
    expect(assemble([], config)).toMatchObject({ anonymous: true, anonymousRooms: ["lobby"] });
  });
});

describe("how tokens are checked", () => {
  test("by a key set that is no file: refused at once", () => {
    expect(() => assemble(["--jwks", "file:///none.json"])).toThrow(UsageError);
    expect(() => assemble(["--jwks", "file:///none.json"])).toThrow("--jwks cannot be read: ENOENT");
  });

  test.each([
    [["--secret", "a".repeat(31)], true],
    [["--secret", "a".repeat(32)], false],
    [["--secret", "a", "--dev"], false],
    [["--anonymous"], false],
  ])("%j warns of a weak secret: %j", (args, warns) => {
    expect(weakSecretWarning(readServeSettings(args, {})) !== undefined).toBe(warns);
  });
});

describe("dev mode", () => {
  test("opens every origin and every room to everyone", async () => {
    const options = assemble(["--dev"], {}, "dev");
    expect(options).toMatchObject({ anonymous: true, anonymousRooms: ["**"], origins: ["*"] });
    expect(await whoIs(options, signed("dev"))).toMatchObject({ user: "ann", rooms: ["**"] });
  });

  test("takes the config's credentials as well as its own", async () => {
    const options = assemble(["--dev"], sesame, "dev");
    expect(await whoIs(options, "sesame")).toEqual({ user: "ali" });
    expect(await whoIs(options, signed("dev"))).toMatchObject({ user: "ann" });
    expect(await whoIs(options, "else")).toBeUndefined();
  });

  test("heeds an origin that was named", () => {
    expect(assemble(["--dev", "--origin", "https://a.example"], {}, "dev").origins).toEqual(["https://a.example"]);
  });
});

describe("flags over config", () => {
  test("one by one, and what neither says stays out", () => {
    const config: Config = {
      ...sesame,
      origins: ["https://b.example"],
      limits: { rooms: 3, pingMs: 20_000 },
      rates: { userRequestsPerS: 5, roomSendsPerS: 5 },
      keep: { messages: 5, ms: 10 },
      path: "/socket",
      setup: () => {},
    };
    const options = assemble(
      [
        "--limit",
        "rooms=9",
        "--rate",
        "user_requests_per_s=0.5",
        "--keep-messages",
        "7",
        "--origin",
        "https://a.example",
      ],
      config,
    );
    expect(options).toMatchObject({
      origins: ["https://a.example"],
      limits: { rooms: 9, pingMs: 20_000 },
      rates: { userRequestsPerS: 0.5, roomSendsPerS: 5 },
      keep: { messages: 7, ms: 10 },
      path: "/socket",
    });
    expect(options).not.toHaveProperty("setup");
    expect(assemble([], sesame)).not.toHaveProperty("origins");
  });
});

describe("the driver of an engine", () => {
  const name = "no-such-driver";
  const missing = (): Promise<unknown> => import(name);

  test("that is not installed: what to install", async () => {
    await expect(driver("no-such-driver", missing)).rejects.toThrow("this backend needs the package no-such-driver");
    await expect(driver("no-such-driver", missing)).rejects.toThrow(UsageError);
  });

  test("that fails by itself, or lacks something of its own, is not said to be missing", async () => {
    const fails = (): Promise<unknown> => Promise.reject(new Error("broken"));
    await expect(driver("ioredis", fails)).rejects.toThrow("broken");
    await expect(driver("ioredis", missing)).rejects.not.toThrow(UsageError);
  });
});
