import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RedisBackend } from "../../src/backends/redis/index.ts";
import { entryOf, keyOf, roomOf } from "../../src/testing/backend/tools.ts";
import { type RedisServer, startRedis, until } from "../support/engines/redis.ts";
import { RedisNodes } from "../support/redis-nodes.ts";

const room = roomOf("r", { messages: 100, ms: 86_400_000 });

/** The rule as docs/backends.md gives it to be copied, without its user. */
const rule = readFileSync(new URL("../../docs/backends.md", import.meta.url), "utf8")
  .match(/^ACL SETUSER shop ((?:.*\\\n)*.*)$/m)![1]!
  .replaceAll("\\\n", " ")
  .split(" ")
  .filter((word) => word !== "");

let server: RedisServer;
let nodes: RedisNodes;

beforeAll(async () => {
  server = await startRedis();
});
beforeEach(() => {
  nodes = new RedisNodes("shop:");
});
afterEach(async () => {
  await nodes.close();
  await server.flush();
});
afterAll(() => server.stop());

async function permit(words: readonly string[]): Promise<string> {
  await server.cli("ACL", "SETUSER", "shop", "reset", "resetchannels", ...words);
  await server.cli("ACL", "LOG", "RESET");
  await server.cli("CONFIG", "RESETSTAT");
  return `redis://shop:secret@127.0.0.1:${server.port}`;
}

/** Every command that Fanfare knows, until the last, which comes some seconds after a room is left, has been called. */
async function doAll(node: RedisBackend): Promise<void> {
  const nothing = (): void => undefined;
  const listener = { appended: nothing, relayed: nothing, jumped: nothing, interrupted: nothing };
  const { close, others } = await node.subscribe(room, listener);
  await others();
  close();
  await node.append(room, { ...entryOf("a", Date.now()), except: "c" }, keyOf("k"));
  await node.append(roomOf("old", room.keep), entryOf("a", Date.now()));
  await until(async () => (await node.state(roomOf("old", { messages: 100, ms: 1 }))).trimmed === 1);
  await node.find(room, keyOf("k"));
  await node.read(room, 0, 10);
  await node.readBack(room, undefined, 10);
  await node.relay(room, "text");
  await node.set("fact", "value", 1_000);
  await node.get("fact");
  await node.take("fact");
  await node.check();
  await until(async () => (await commands()).has("unsubscribe"));
}

/** What has been called since `permit`, subcommands left out, as Redis 6.2 does not count them. */
async function commands(): Promise<Set<string>> {
  const stats = String(await server.cli("INFO", "commandstats"));
  return new Set([...stats.matchAll(/^cmdstat_([a-z]+)/gm)].map(([, name = ""]) => name));
}

describe("a user of Redis with the rule of the docs", () => {
  it("may do all that Fanfare does, and nothing else", async () => {
    const node = await nodes.open(await permit(rule));
    await doAll(node);
    expect(await server.cli("ACL", "LOG")).toEqual([]);
    const permitted = rule.filter((word) => word.startsWith("+")).map((word) => word.slice(1).replace(/\|.*/, ""));
    // What the test asks itself, what everybody may, and what only a database beside 0 needs.
    const called = [...(await commands())].filter((name) => !["acl", "auth", "config", "hello"].includes(name));
    expect(called.toSorted()).toEqual(permitted.filter((name) => name !== "select").toSorted());
  });

  it("is at home in another database too", async () => {
    const node = await nodes.open(`${await permit(rule)}/3`);
    await node.append(room, entryOf("a", Date.now()));
    expect(await server.cli("KEYS", "*")).toEqual([]);
  });

  it("may not touch what is not the prefix's", async () => {
    const node = await nodes.open(await permit(rule));
    const foreign = new RedisBackend({ url: `redis://shop:secret@127.0.0.1:${server.port}`, prefix: "bank:" });
    await expect(foreign.open({ now: Date.now, log: () => undefined })).rejects.toThrow(/NOPERM.*needs the rule/);
    await node.check();
  });
});

describe("a user that lacks", () => {
  it.each(["+info", "+set", "+script|load", "+subscribe", "~shop:*", "&shop:*"])(
    "%s is refused at the start, with the reason",
    async (word) => {
      const url = await permit(rule.filter((each) => each !== word));
      await expect(nodes.open(url)).rejects.toThrow(/NOPERM.*Its user needs the rule in docs\/backends\.md/);
    },
  );

  it.each(["+evalsha", "+xadd"])("%s cannot publish, and the log says why", async (word) => {
    const node = await nodes.open(await permit(rule.filter((each) => each !== word)));
    await expect(node.append(room, entryOf("a"))).rejects.toThrow(/Its user needs the rule in docs\/backends\.md/);
  });

  it("+select is refused, and does not work in database 0 instead of its own", async () => {
    const url = await permit(rule.filter((word) => word !== "+select"));
    await expect(nodes.open(`${url}/3`)).rejects.toThrow(/NOPERM.*select/);
    await nodes.open(url);
  });
});

describe("a Redis that is no place to write", () => {
  it("as a replica is refused, writable or not, with what to name instead", async () => {
    const replica = await startRedis({ replicaOf: server.port, args: ["--replica-read-only", "no"] });
    try {
      for (const readOnly of ["no", "yes"]) {
        await replica.cli("CONFIG", "SET", "replica-read-only", readOnly);
        const refused = nodes.open(replica.url, { waitMs: 300 });
        await expect(refused).rejects.toThrow(/it is a replica, not the master\. Name the master, or its sentinels/);
      }
      expect(await replica.cli("KEYS", "*")).toEqual([]);
    } finally {
      await replica.stop();
    }
  });

  it("as a database that it does not have is refused at once", async () => {
    await expect(nodes.open(`${server.url}/99`)).rejects.toThrow(/DB index is out of range/);
  });
});
