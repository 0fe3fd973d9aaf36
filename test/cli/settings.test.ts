import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/cli/flags.ts";
import { readServeSettings } from "../../src/cli/settings.ts";
import { readTokenSettings } from "../../src/cli/token.ts";

const read = (...args: string[]) => readServeSettings(args, {});
const readEnv = (env: NodeJS.ProcessEnv, ...args: string[]) => readServeSettings(args, env);

const token = (...args: string[]) => readTokenSettings(["--user", "ann", ...args], { FANFARE_SECRET: "s" });

describe("serve without flags", () => {
  test("listens on the loopback and leaves all else to config and defaults", () => {
    expect(read()).toEqual({
      host: "127.0.0.1",
      port: 8080,
      secret: undefined,
      jwks: undefined,
      apiKeys: [],
      origins: undefined,
      trustedProxies: undefined,
      anonymous: undefined,
      dev: false,
      backend: undefined,
      config: undefined,
      limits: {},
      rates: {},
      keep: {},
      drainMs: 5000,
      logLevel: "info",
      workers: 1,
    });
  });
});

describe("serve's flags", () => {
  test("each is read", () => {
    const settings = read(
      ...["--host", "::1", "--port=0", "--secret", "s3cret", "--jwks", "https://id.example.com/keys"],
      ...["--anonymous", "--dev", "--backend", "lmdb:/var/lib/fanfare", "--config", "fanfare.config.js"],
      ...["--keep-messages", "50", "--keep-ms", "60000", "--drain-ms", "0", "--log-level", "warn"],
      ...["--workers", "4"],
    );
    expect(settings).toMatchObject({
      host: "::1",
      port: 0,
      secret: "s3cret",
      jwks: "https://id.example.com/keys",
      anonymous: true,
      dev: true,
      backend: { kind: "lmdb", directory: "/var/lib/fanfare" },
      config: "fanfare.config.js",
      keep: { messages: 50, ms: 60_000 },
      drainMs: 0,
      logLevel: "warn",
      workers: 4,
    });
  });

  test("a NATS URL is read into the backend's options", () => {
    expect(read("--backend", "nats://ann:secret@a:4222,b?replicas=3&prefix=app&wait_ms=2000").backend).toEqual({
      kind: "nats",
      options: {
        servers: ["nats://ann:secret@a:4222", "nats://b"],
        log: true,
        replicas: 3,
        prefix: "app",
        waitMs: 2_000,
      },
    });
    expect(read("--backend", "nats+core+tls://h").backend).toEqual({
      kind: "nats",
      options: { servers: ["tls://h"], log: false },
    });
  });

  test("Redis is named by a URL, and its keys by a prefix", () => {
    const url = "redis+sentinel://:secret@10.0.0.1,10.0.0.2/main";
    expect(read("--backend", url).backend).toEqual({ kind: "redis", url, prefix: undefined });
    expect(read("--backend", "rediss://h", "--redis-prefix", "app:").backend).toEqual({
      kind: "redis",
      url: "rediss://h",
      prefix: "app:",
    });
  });

  test("a repeated flag adds, another's last one counts", () => {
    const settings = read(
      ...["--origin", "https://a.example", "--origin", "http://localhost:5173"],
      ...["--port", "1", "--port", "2"],
    );
    expect(settings.origins).toEqual(["https://a.example", "http://localhost:5173"]);
    expect(settings.port).toBe(2);
  });

  test("limits have the names they have on the wire", () => {
    const names = [
      ...["message_bytes", "rooms", "requests_per_s", "connections", "connections_per_user", "connections_per_address"],
      ...["auth_within_ms", "ping_ms", "grace_ms", "presence_members", "pending_requests", "handler_ms"],
    ];
    const { limits } = read(
      ...names.flatMap((name) => ["--limit", `${name}=7`]),
      ...["--limit", "dedupe_ms=300000"],
      ...["--limit", "outbox_bytes=14"],
    );
    expect(limits).toEqual({
      messageBytes: 7,
      rooms: 7,
      requestsPerS: 7,
      dedupeMs: 300_000,
      connections: 7,
      connectionsPerUser: 7,
      connectionsPerAddress: 7,
      outboxBytes: 14,
      authWithinMs: 7,
      pingMs: 7,
      graceMs: 7,
      presenceMembers: 7,
      pendingRequests: 7,
      handlerMs: 7,
    });
  });

  test.each([
    ["topsecret", { name: "key", key: "topsecret" }],
    ["ops=topsecret", { name: "ops", key: "topsecret" }],
    ["c2VjcmV0cw==", { name: "key", key: "c2VjcmV0cw==" }],
    ["ops=c2VjcmV0cw==", { name: "ops", key: "c2VjcmV0cw==" }],
    ["a/b=c", { name: "key", key: "a/b=c" }],
  ])("the API key %s is read", (text, expected) => {
    expect(read("--api-key", text).apiKeys).toEqual([expected]);
  });

  test("a boolean can be said either way", () => {
    expect(read("--dev=false").dev).toBe(false);
    expect(read("--anonymous=true").anonymous).toBe(true);
  });

  test("a value that begins with dashes is written with =", () => {
    expect(read("--secret=--dev").secret).toBe("--dev");
  });
});

describe("serve's environment", () => {
  test("every flag has a variable, and a repeated one separates by commas", () => {
    const settings = readEnv({
      FANFARE_HOST: "0.0.0.0",
      FANFARE_PORT: "9000",
      FANFARE_SECRET: "a,b",
      FANFARE_API_KEY: "ops=k1, k2",
      FANFARE_ORIGIN: "https://a.example,https://b.example",
      FANFARE_ANONYMOUS: "1",
      FANFARE_DEV: "false",
      FANFARE_BACKEND: "memory",
      FANFARE_LIMIT: "requests_per_s=5000,rooms=10",
      FANFARE_KEEP_MESSAGES: "5",
      FANFARE_DRAIN_MS: "100",
      FANFARE_LOG_LEVEL: "silent",
    });
    expect(settings).toMatchObject({
      host: "0.0.0.0",
      port: 9000,
      secret: "a,b",
      apiKeys: [
        { name: "ops", key: "k1" },
        { name: "key", key: "k2" },
      ],
      origins: ["https://a.example", "https://b.example"],
      anonymous: true,
      dev: false,
      backend: { kind: "memory" },
      limits: { requestsPerS: 5000, rooms: 10 },
      keep: { messages: 5 },
      drainMs: 100,
      logLevel: "silent",
    });
  });

  test("a flag beats its variable, altogether", () => {
    const env = { FANFARE_PORT: "9000", FANFARE_LIMIT: "rooms=10", FANFARE_DEV: "1", FANFARE_SECRET: "env" };
    const settings = readEnv(env, "--port", "1", "--limit", "ping_ms=5", "--dev=false");
    expect(settings).toMatchObject({ port: 1, limits: { pingMs: 5 }, dev: false, secret: "env" });
    expect(settings.limits).not.toHaveProperty("rooms");
  });

  test("a flag beats a variable that is wrong", () => {
    expect(readEnv({ FANFARE_PORT: "x" }, "--port", "1").port).toBe(1);
  });

  test("an empty variable is none", () => {
    expect(readEnv({ FANFARE_SECRET: "", FANFARE_PORT: "" })).toMatchObject({ secret: undefined, port: 8080 });
  });

  test("a fault names the variable", () => {
    expect(() => readEnv({ FANFARE_PORT: "80a" })).toThrow("FANFARE_PORT must be an integer from 0 to 65535");
    expect(() => readEnv({ FANFARE_LIMIT: "rooms=x" })).toThrow("FANFARE_LIMIT rooms must be");
  });
});

describe("what serve cannot be told", () => {
  test.each([
    [["--prot", "1"], 'unknown flag "--prot"'],
    [["-p", "1"], 'unknown flag "-p"'],
    [["--toString"], 'unknown flag "--toString"'],
    [["--__proto__=1"], 'unknown flag "--__proto__"'],
    [["--no-dev"], 'unknown flag "--no-dev"'],
    [["8080"], 'unexpected argument "8080"'],
    [["--port"], "--port wants a value"],
    [["--secret", "--dev"], "--secret wants a value"],
    [["--secret="], "--secret must not be empty"],
    [["--port", "-1"], "--port must be an integer from 0 to 65535"],
    [["--port", "65536"], "--port must be an integer from 0 to 65535"],
    [["--port", "1e3"], "--port must be an integer"],
    [["--port", "8080.5"], "--port must be an integer"],
    [["--keep-messages", "0"], "--keep-messages must be an integer, 1 or more"],
    [["--keep-ms", "99999999999999999"], "--keep-ms must be an integer"],
    [["--workers", "0"], "--workers must be an integer from 1 to 256"],
    [["--drain-ms", "5s"], "--drain-ms must be an integer from 0"],
    [["--rate", "speed=1"], "--rate wants NAME=VALUE with a name of: user_requests_per_s, user_requests_burst"],
    [["--rate", "userRequestsPerS=1"], "--rate wants NAME=VALUE"],
    [
      ["--rate", "user_requests_per_s=fast"],
      '--rate user_requests_per_s must be a number such as 20 or 0.5, got "fast"',
    ],
    [["--rate", "room_sends_per_s=0"], "rate room_sends_per_s must be a number from 0.001 to 1000000, got 0"],
    [["--rate", "room_sends_burst=1.5"], "rate room_sends_burst must be an integer from 1 to 2147483647, got 1.5"],
    [["--limit", "speed=1"], "--limit wants NAME=VALUE with a name of: message_bytes, rooms"],
    [["--limit", "requestsPerS=1"], "--limit wants NAME=VALUE"],
    [["--limit", "rooms"], "--limit wants NAME=VALUE"],
    [["--limit", "__proto__=1"], "--limit wants NAME=VALUE"],
    [["--limit", "rooms=many"], '--limit rooms must be an integer, 0 or more, got "many"'],
    [["--limit", "requests_per_s=0"], "limit requests_per_s must be an integer from 1 to 2147483647, got 0"],
    [["--limit", "dedupe_ms=1000"], "limit dedupe_ms must be at least 300000 (P-31), got 1000"],
    [["--api-key", "two words"], "--api-key wants KEY or NAME=KEY"],
    [["--origin", "app.example.com"], "--origin wants * or an origin such as https://app.example.com"],
    [["--origin", "https://app.example.com/"], "--origin wants * or an origin"],
    [["--jwks", "keys.json"], "--jwks wants an https:, http: or file: URL"],
    [["--backend", "redis"], "--backend wants memory, lmdb:DIR, a redis:// or a nats:// URL"],
    [["--backend", "lmdb:"], "--backend wants memory, lmdb:DIR, a redis:// or a nats:// URL"],
    [["--backend", "redis://"], "--backend: a Redis URL names a host after redis://"],
    [
      ["--backend", "redis+sentinel://:secret@a:1"],
      "--backend: redis+sentinel:// names the master after the sentinels",
    ],
    [["--backend", "nats://"], "--backend: nats: a server is nats://HOST:PORT"],
    [["--backend", "nats://h/db"], "without a path or query"],
    [["--backend", "nats://h?replicas=2"], "--backend: nats: replicas is 1, 3 or 5, got 2"],
    [["--backend", "nats://h?storage=disk"], "--backend: nats: storage is file or memory"],
    [["--backend", "nats+core://h?copies=3"], "--backend: nats: a URL may have replicas, storage, prefix and wait_ms"],
    [["--backend", "nats://h?prefix=a.b"], "--backend: nats: prefix is 1 to 64 of letters"],
    [["--backend", "memory", "--redis-prefix", "a:"], "--redis-prefix is for --backend redis://"],
    [["--backend", "redis://h", "--redis-prefix", "{a}"], "--redis-prefix must not contain { or }"],
    [["--dev=maybe"], "--dev is true or false"],
    [["--log-level", "loud"], "--log-level wants one of debug, info, warn, error, silent"],
  ])("%j", (args, message) => {
    expect(() => read(...args)).toThrow(UsageError);
    expect(() => read(...args)).toThrow(message);
  });

  test("a wrong Redis URL is not repeated", () => {
    expect(() => read("--backend", "redis+sentinel://:secret@a:1")).not.toThrow("secret");
    expect(() => read("--backend", "nats://ann:secret@a:1/db")).not.toThrow("secret");
  });

  test("a wrong API key is not repeated", () => {
    expect(() => read("--api-key", "top secret")).not.toThrow("top secret");
    expect(() => read("--api-key", "top secret")).toThrow(UsageError);
  });
});

describe("token's flags", () => {
  test("an hour and the personal room are the default", () => {
    expect(token()).toEqual({ user: "ann", secret: "s", rooms: undefined, expiresInMs: 3_600_000 });
  });

  test.each([
    ["90", 90_000],
    ["3600s", 3_600_000],
    ["30m", 1_800_000],
    ["12h", 43_200_000],
    ["7d", 604_800_000],
  ])("--expires %s", (text, ms) => {
    expect(token("--expires", text).expiresInMs).toBe(ms);
  });

  test.each([
    ["lobby", ["lobby"]],
    ["chat/*, news", ["chat/*", "news"]],
    ['["a,b"]', ["a,b"]],
    ["[]", []],
    ['{"chat/**":["join","publish"]}', { "chat/**": ["join", "publish"] }],
  ])("--rooms %s", (text, rooms) => {
    expect(token("--rooms", text).rooms).toEqual(rooms);
  });

  test.each([
    [["--expires", "soon"], "--expires wants a time"],
    [["--expires", "0"], "--expires wants a time"],
    [["--expires", "9999999999d"], "at most ten years"],
    [["--rooms", "a,,b"], "--rooms wants room patterns"],
    [["--rooms", "[1]"], "--rooms wants room patterns"],
    [["--rooms", '{"a":["fly"]}'], "--rooms wants room patterns"],
    [["--rooms", "{broken"], "--rooms wants room patterns"],
    [["--user", "~ann"], "--user wants a name"],
    [["--port", "1"], "unknown flag"],
  ])("%j is refused", (args, message) => {
    expect(() => token(...args)).toThrow(UsageError);
    expect(() => token(...args)).toThrow(message);
  });

  test("user and secret must be given", () => {
    expect(() => readTokenSettings([], { FANFARE_SECRET: "s" })).toThrow("--user is missing");
    expect(() => readTokenSettings(["--user", "ann"], {})).toThrow("--secret is missing");
  });
});
