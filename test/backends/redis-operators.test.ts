import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { redis } from "../../src/backends/redis/index.ts";
import { parseUrl, resolveOptions } from "../../src/backends/redis/options.ts";
import { checkFit } from "../../src/backends/redis/term.ts";
import { entryOf, keyOf, roomOf } from "../../src/testing/backend/tools.ts";
import { freePort } from "../support/ports.ts";
import { type RedisServer, startRedis, until } from "../support/engines/redis.ts";
import { RedisNodes } from "../support/redis-nodes.ts";

const room = roomOf("r");
const context = { now: Date.now, log: () => undefined };

let server: RedisServer;
const nodes = new RedisNodes("t:");

beforeAll(async () => {
  server = await startRedis({
    password: "pass:wörd",
    args: ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"],
  });
});
afterEach(async () => {
  await nodes.close();
  await server.flush();
});
afterAll(() => server.stop());

describe("what operators are told", () => {
  it("where nothing listens: what, where, and what to look at, within the time that a call may wait", async () => {
    const backend = redis({ url: `redis://127.0.0.1:${await freePort()}`, waitMs: 300 });
    await expect(backend.open(context)).rejects.toThrow(/^Redis at 127\.0\.0\.1:\d+: .*ECONNREFUSED.*Is it running/);
  });

  it("where the password is wrong or missing: at once, and without the password", async () => {
    const begun = performance.now();
    for (const login of ["", ":wrong-secret@"]) {
      const backend = redis(`redis://${login}127.0.0.1:${server.port}`);
      const error: unknown = await backend.open(context).then(
        () => "opened",
        (cause: unknown) => cause,
      );
      expect(String(error)).toMatch(/NOAUTH|WRONGPASS/);
      expect(String(error)).toMatch(/Check the user and password/);
      expect(String(error)).not.toContain("secret");
    }
    expect(performance.now() - begun).toBeLessThan(3_000);
  });

  it.each([
    ["meta", ["SET", "t:{r}:meta", "x"], /WRONGTYPE.*prefix of its own/s],
    ["meta, a hash of others", ["HSET", "t:{r}:meta", "name", "x"], /FOREIGN t:\{r\}:meta.*prefix of its own/s],
    ["log", ["SET", "t:{r}:log", "x"], /WRONGTYPE.*prefix of its own/s],
  ] as const)("where a key of the room's holds something else: %s", async (_, [name, ...args], expected) => {
    const node = await nodes.open(server.url);
    if (args[0].endsWith("log")) await node.state(room);
    await server.cli(name, ...args);
    await expect(node.append(room, entryOf("secret body"))).rejects.toThrow(expected);
    const failure: unknown = await node.append(room, entryOf("secret body")).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: "BackendUnavailable" });
    expect(JSON.stringify(failure, Object.getOwnPropertyNames(failure))).not.toContain("secret");
    // Nothing was half done, and other rooms are not concerned.
    expect(await server.cli("EXISTS", "t:{r}:log", "t:{r}:meta")).toBe(args[0].endsWith("log") ? 2 : 1);
    expect(await node.append(roomOf("other"), entryOf("a"))).toMatchObject({ kind: "kept" });
  });

  it("where a publish's key holds something else", async () => {
    const node = await nodes.open(server.url);
    await server.cli("SET", "t:{r}:key:3:annk", "x");
    await expect(node.append(room, entryOf("a"), keyOf("k"))).rejects.toThrow(/WRONGTYPE/);
    expect(await node.append(room, entryOf("a"))).toMatchObject({ kind: "kept", offset: 1 });
  });

  it("where entries of a log are not Fanfare's: reading says so, and numbering is not harmed", async () => {
    const node = await nodes.open(server.url);
    await node.append(room, entryOf("a", Date.now()));
    await server.cli("XADD", "t:{r}:log", "1-9999999999999", "name", "x");
    await expect(node.read(room, 0, 10)).rejects.toThrow(/FOREIGN.*prefix of its own/s);
    expect(await node.append(room, entryOf("b", Date.now()))).toMatchObject({ offset: 2 });
  });

  it("where it may throw logs away", async () => {
    await nodes.open(server.url);
    expect(nodes.logged).toContainEqual(expect.stringMatching(/^warn: .*maxmemory-policy to noeviction/));
  });

  it.each([
    [{ redis_version: "6.0.16" }, /version 6\.0\.16; Fanfare needs 6\.2/],
    [{ cluster_enabled: "1" }, /Redis Cluster/],
    [{ run_id: undefined }, /INFO does not tell/],
    [{ role: "slave" }, /not the master/],
    [{ loading: "1" }, /loading/],
  ])("where it cannot be used: %o", (facts, expected) => {
    const good = { redis_version: "7.0.15", run_id: "r", master_replid2: "0", role: "master", loading: "0" };
    const info = (all: Record<string, string | undefined>): Map<string, string> =>
      new Map(Object.entries(all).filter((each): each is [string, string] => each[1] !== undefined));
    expect(() => checkFit(info(good))).not.toThrow();
    expect(() => checkFit(info({ ...good, ...facts }))).toThrow(expected);
  });
});

describe("a Redis URL", () => {
  it.each([
    ["redis://localhost", { host: "localhost", port: 6379 }],
    ["redis://10.0.0.1:7000/3", { host: "10.0.0.1", port: 7000, db: 3 }],
    ["redis://[::1]:7000", { host: "::1", port: 7000 }],
    ["redis://:p%40ss@h", { host: "h", port: 6379, password: "p@ss" }],
    ["rediss://ann:secret@h:1", { host: "h", port: 1, username: "ann", password: "secret", tls: {} }],
    [
      "redis+sentinel://:x@a:1,b/main/2",
      {
        sentinels: [
          { host: "a", port: 1 },
          { host: "b", port: 26_379 },
        ],
        name: "main",
        db: 2,
        password: "x",
      },
    ],
  ])("%s", (url, expected) => {
    expect(parseUrl(url)).toEqual(expected);
  });

  it.each(["http://h", "redis://", "redis://h:99999", "redis://h/x", "redis+sentinel://a:1", "redis://u:secret@"])(
    "that cannot be meant is refused, and not repeated: %s",
    (url) => {
      expect(() => redis(url)).toThrow(RangeError);
      expect(() => redis(url)).not.toThrow(/secret/);
    },
  );

  it("is overruled by options of the connection, but for how to reconnect", () => {
    const tls = { ca: "pem", rejectUnauthorized: true };
    const { connection } = resolveOptions({
      url: "rediss://h",
      connection: { tls, sentinelPassword: "s", enableOfflineQueue: true },
    });
    expect(connection).toMatchObject({ host: "h", tls, sentinelPassword: "s", enableOfflineQueue: false });
  });

  it("goes with a prefix that cannot break up a room's keys", () => {
    expect(() => redis({ prefix: "a{b}" })).toThrow(/prefix/);
    expect(() => redis({ waitMs: 0 })).toThrow(/waitMs/);
  });

  it("with another database or prefix is another world", async () => {
    const [one, two, three] = [
      await nodes.open(server.url),
      await nodes.open(`${server.url}/1`),
      await nodes.open(server.url, { prefix: "u:" }),
    ];
    await one.append(room, entryOf("a", Date.now()));
    expect(await one.read(room, 0, 10)).toHaveLength(1);
    expect(await two.read(room, 0, 10)).toEqual([]);
    expect(await three.read(room, 0, 10)).toEqual([]);
    const heard: string[] = [];
    for (const [name, node] of Object.entries({ one, two, three })) {
      await node.subscribe(room, { appended: () => undefined, relayed: (text) => void heard.push(`${name} ${text}`) });
    }
    await Promise.all([two.relay(room, "from two"), three.relay(room, "from three"), one.relay(room, "from one")]);
    await until(() => heard.length === 3);
    expect(heard.toSorted()).toEqual(["one from one", "three from three", "two from two"]);
  });
});
