import * as v from "valibot";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { refuse } from "../../src/server/endpoints/refuse.ts";
import { createHub } from "../../src/server/hub.ts";
import type { AnyHub } from "../../src/server/index.ts";
import { eventually, serve } from "../server/support/hub.ts";
import { connect } from "./plain.ts";

const Query = z.object({ username: z.string().min(1), limit: z.coerce.number().int().default(20) });
const Params = z.object({ room: z.string().transform((room) => room.length) });
type QueryOut = { username: string; limit: number };

/** What an endpoint with this schema gets of a query. */
async function asker(query: z.ZodType | v.GenericSchema, authenticate: boolean | "optional" | "first" = false) {
  const { hub, port, logged } = await serve({ anonymous: true });
  hub.endpoint("/q", { query, authenticate }, ({ socket, query }) => void socket.send({ query }));
  const ask = async (search: string): Promise<unknown> => {
    const peer = await connect(`ws://127.0.0.1:${port}/q${search}`);
    return ((await peer.next()) as { query: unknown }).query;
  };
  return { ask, hub, logged };
}

describe("a route with schemas for its query and its parameters", () => {
  it("gives accept and the handler what they give out, with its types", async () => {
    const { hub, port } = await serve();
    const accepted: unknown[] = [];
    hub.endpoint(
      "/chat/:room",
      {
        accept: ({ params, query }) => {
          expectTypeOf(params).toEqualTypeOf<{ room: number }>();
          expectTypeOf(query).toEqualTypeOf<QueryOut>();
          accepted.push({ params, query });
        },
        params: Params,
        query: Query,
      },
      ({ socket, params, query }) => {
        expectTypeOf(params).toEqualTypeOf<{ room: number }>();
        expectTypeOf(query).toEqualTypeOf<QueryOut>();
        socket.send({ params, query });
      },
    );
    const url = `ws://127.0.0.1:${port}/chat/te%20a`;
    const given = { params: { room: 4 }, query: { username: "Ann", limit: 20 } };
    expect(await (await connect(`${url}?username=Ann&more=1`)).next()).toEqual(given);
    expect(await (await connect(`${url}?username=Ann&limit=5`)).next()).toMatchObject({ query: { limit: 5 } });
    expect(accepted[0]).toEqual(given);
  });

  it("types each by itself: what has no schema stays as it is", () => {
    const check = (hub: AnyHub): void => {
      hub.endpoint("/:room", { query: v.object({ q: v.string() }) }, ({ params, query }) => {
        expectTypeOf(params).toEqualTypeOf<{ readonly room: string }>();
        expectTypeOf(query).toEqualTypeOf<{ q: string }>();
        // @ts-expect-error there is no such name
        void query.other;
      });
      hub.endpoint("/:room", { params: Params, receive: "text", authenticate: true }, ({ params, query, user }) => {
        expectTypeOf(params).toEqualTypeOf<{ room: number }>();
        expectTypeOf(query).toEqualTypeOf<URLSearchParams>();
        expectTypeOf(user).toEqualTypeOf<string>();
      });
      hub.endpoint("/:room", { accept: ({ query }) => void query.get("q") }, ({ query }) => {
        expectTypeOf(query).toEqualTypeOf<URLSearchParams>();
      });
      // @ts-expect-error accept cannot ask for what no schema gives
      hub.endpoint("/:room", { accept: (asking: { query: { q: string } }) => void asking }, () => undefined);
      // @ts-expect-error a schema is needed
      hub.endpoint("/:room", { query: { q: "string" } }, () => undefined);
    };
    expect(check).toBeTypeOf("function");
  });

  it("gives the schema a string for a name that is there once, and an array for others", async () => {
    const { ask } = await asker(z.looseObject({}));
    expect(await ask("?a=1&b=2&a=&c&a=%20x")).toEqual({ a: ["1", "", " x"], b: "2", c: "" });
    expect(await ask("")).toEqual({});
  });

  it.each([
    ["?__proto__=1", [["__proto__", "1"]]],
    ["?__proto__=1&__proto__=2", [["__proto__", ["1", "2"]]]],
    [
      "?constructor=1&toString=2",
      [
        ["constructor", "1"],
        ["toString", "2"],
      ],
    ],
    ["", []],
  ])("takes the names in %s as plain ones", async (search, entries) => {
    const raw = z.custom<Record<string, unknown>>().transform((value) => ({
      entries: Object.entries(value),
      prototype: Object.getPrototypeOf(value) as unknown,
    }));
    const { ask } = await asker(raw);
    expect(await ask(search)).toEqual({ entries, prototype: null });
    expect(Object.prototype).not.toHaveProperty("1");
  });

  it("keeps the hub's own names from the schema, where the hub reads them", async () => {
    const strict = z.strictObject({ q: z.string() });
    const byToken = await asker(strict, true);
    expect(await byToken.ask("?q=1&token=ann")).toEqual({ q: "1" });
    expect(await byToken.ask(`?q=1&anonymous=${"x".repeat(22)}`)).toEqual({ q: "1" });
    const { ticket } = await byToken.hub.tickets.create({ user: "bob" });
    expect(await byToken.ask(`?q=1&ticket=${ticket}`)).toEqual({ q: "1" });
    expect(await (await asker(strict, "optional")).ask("?q=1&token=ann")).toEqual({ q: "1" });
    const own = z.strictObject({ token: z.string() });
    for (const authenticate of [false, "first"] as const) {
      expect(await (await asker(own, authenticate)).ask("?token=x")).toEqual({ token: "x" });
    }
  });
});

describe("what does not fit", () => {
  it.each([
    ["/a", "the query does not fit: username"],
    ["/a?username=", "the query does not fit: username"],
    ["/a?username=a&username=b", "the query does not fit: username"],
    ["/a?limit=s3cret", "the query does not fit: username, limit"],
    ["/s3cret?username=s3cret&limit=s3cret", "the path does not fit: room"],
  ])("%s is HTTP 400 with the names alone, before the app is asked", async (path, told) => {
    const { hub, port, logged } = await serve();
    let asked = 0;
    const params = z.object({ room: z.string().max(3) });
    hub.endpoint("/in/:room", { params, query: Query, accept: () => void asked++ }, () => void asked++);
    await expect(connect(`ws://127.0.0.1:${port}/in${path}`)).rejects.toThrow(new Error(`status 400: ${told}`));
    expect([asked, hub.counts().connections]).toEqual([0, 0]);
    expect(logged.filter((line) => line.startsWith("error"))).toEqual([]);
  });

  it("is told in one line, whatever the names are and whichever library's the schema is", async () => {
    const { ask } = await asker(v.record(v.string(), v.pipe(v.string(), v.maxLength(1))));
    await expect(ask("?a%0d%0ab=long")).rejects.toThrow(new Error("status 400: the query does not fit: a b"));
    const tags = await asker(z.object({ tag: z.array(z.string().max(1)) }));
    await expect(tags.ask("?tag=a&tag=long")).rejects.toThrow(new Error("status 400: the query does not fit: tag"));
    const whole = await asker(z.record(z.string(), z.string()).refine((all) => Object.keys(all).length > 0));
    await expect(whole.ask("")).rejects.toThrow(new Error("status 400: the query does not fit"));
  });

  it("is said only to those with good credentials", async () => {
    const { hub, port } = await serve();
    hub.endpoint("/a", { authenticate: true, unauthorized: 401, query: Query }, () => undefined);
    const url = `ws://127.0.0.1:${port}/a`;
    await expect(connect(`${url}?token=bad`)).rejects.toThrow("status 401");
    await expect(connect(`${url}?token=ann`)).rejects.toThrow("status 400");
  });

  it("may take a while to tell: an asynchronous schema is waited for, within the time that accept has", async () => {
    const { hub, port, logged } = await serve({ limits: { authWithinMs: 200 } });
    const query = z.object({
      code: z.string().refine(async (code) => {
        await new Promise((resolve) => (code === "never" ? undefined : setTimeout(resolve, 20)));
        return code === "good";
      }),
    });
    hub.endpoint("/a", { query, accept: ({ query }) => refuse(4009, query.code) }, () => undefined);
    const url = `ws://127.0.0.1:${port}/a?code=`;
    expect(await (await connect(`${url}good`)).closed()).toEqual({ code: 4009, reason: "good" });
    await expect(connect(`${url}bad`)).rejects.toThrow("status 400: the query does not fit: code");
    await expect(connect(`${url}never`)).rejects.toThrow("status 503: not ready");
    await eventually(() => hub.counts().connections === 0);
    expect(logged.filter((line) => line.startsWith("error"))).toEqual([]);
  });

  it.each(["params", "query"] as const)(
    "is not what a schema of %s that throws means: HTTP 500, logged",
    async (name) => {
      const { hub, port, logged } = await serve();
      const schema = z.any().transform(() => {
        throw new Error("s3cret");
      });
      hub.endpoint("/:a", { [name]: schema }, () => undefined);
      await expect(connect(`ws://127.0.0.1:${port}/a`)).rejects.toThrow(new Error("status 500: internal error"));
      expect(logged.filter((line) => line.startsWith("error"))).toEqual([
        "error an endpoint cannot tell who may come in",
      ]);
    },
  );
});

it.each(["params", "query"] as const)("%s that are no schema cannot be declared", (name) => {
  for (const schema of [{}, "json", null, 1]) {
    expect(() => createHub().endpoint("/a", { [name]: schema as never }, () => undefined)).toThrow(
      `endpoint /a: ${name} must be a Standard Schema`,
    );
  }
});
