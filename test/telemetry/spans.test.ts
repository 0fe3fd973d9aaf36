import { context, propagation, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BackendUnavailable } from "../../src/backends/backend.ts";
import { memory } from "../../src/backends/memory/index.ts";
import { openTelemetry } from "../../src/telemetry/index.ts";
import { Refused } from "../../src/server/refused.ts";
import { connect } from "../endpoints/plain.ts";
import { eventually, open, serve } from "../server/support/hub.ts";

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracing = openTelemetry({ tracer: provider.getTracer("test") });

beforeAll(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
afterAll(() => context.disable());
beforeEach(() => exporter.reset());

function named(name: string): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.name === name);
}

/** The names of the spans around one, from the outermost. */
function pathOf(span: ReadableSpan): string[] {
  const parent = exporter.getFinishedSpans().find((one) => one.spanContext().spanId === span.parentSpanContext?.spanId);
  return [...(parent === undefined ? [] : pathOf(parent)), span.name];
}

describe("spans of a hub", () => {
  it("connect, join and publish, with the handler, what it begins, and the log as children", async () => {
    const { hub, member } = await serve({ tracing });
    const own = provider.getTracer("app");
    hub.on("**", {
      join: () => own.startSpan("app.join").end(),
      publish: {
        said: async () => {
          await new Promise((resolve) => setImmediate(resolve));
          own.startSpan("app.query").end();
        },
      },
    });
    const ann = await member("ann", "tea");
    ann.send({ type: "publish", id: "1", room: "tea", event: "said", data: "text" });
    await ann.expectAll([{ type: "ack" }, { type: "message" }]);
    await eventually(() => named("fanfare.publish").length === 1);
    const paths = exporter.getFinishedSpans().map((span) => pathOf(span).join(" > "));
    expect(paths.sort()).toEqual([
      "fanfare.connect",
      "fanfare.join",
      "fanfare.join > fanfare.handler",
      "fanfare.join > fanfare.handler > app.join",
      "fanfare.publish",
      "fanfare.publish > fanfare.append",
      "fanfare.publish > fanfare.handler",
      "fanfare.publish > fanfare.handler > app.query",
    ]);
    expect(named("fanfare.publish")[0]!.attributes).toEqual({
      "fanfare.connection": expect.any(String),
      "fanfare.room": "tea",
      "fanfare.event": "said",
    });
  });

  it("of the server's own publishes and of calls are children of what they were made in", async () => {
    const { hub } = await serve({ tracing });
    const request = provider.getTracer("app").startSpan("request");
    await context.with(trace.setSpan(context.active(), request), async () => {
      await hub.room("r").publish("e", 1);
      const message = { event: "e", data: 1, key: undefined, from: undefined, except: undefined };
      await hub.calls.publish({ kind: "operator", name: "key" }, "r", message);
      await hub.calls.signal({ kind: "operator", name: "key" }, "r", message);
      await hub.calls.history({ kind: "user", identity: { user: "ann" } }, "r", { limit: 1, before: undefined });
    });
    request.end();
    await eventually(() => named("fanfare.publish").length === 2);
    const paths = exporter.getFinishedSpans().map((span) => pathOf(span).join(" > "));
    expect(paths.filter((path) => path.startsWith("request"))).toEqual(paths);
    expect(named("fanfare.publish").map(({ attributes }) => attributes["fanfare.via"])).toEqual(["server", "call"]);
    expect([named("fanfare.signal").length, named("fanfare.history").length]).toEqual([1, 1]);
  });

  it("have the status error where the hub or the app failed, and a code alone where a rule refused", async () => {
    const backend = memory();
    const { hub, member } = await serve({ tracing, backend });
    hub.on("**", {
      publish: {
        refused: () => {
          throw new Refused("forbidden", "no");
        },
        broken: () => Promise.reject(new RangeError("secret words")),
        away: () => {
          backend.append = () => Promise.reject(new BackendUnavailable("secret host"));
        },
      },
    });
    const ann = await member("ann", "r");
    for (const event of ["refused", "broken", "away"]) {
      ann.send({ type: "publish", id: event, room: "r", event });
      await ann.expect({ type: "error", re: event });
    }
    await eventually(() => named("fanfare.publish").length === 3);
    const ends = named("fanfare.publish").map(({ status, attributes }) => [attributes["fanfare.code"], status]);
    expect(ends).toEqual([
      ["forbidden", { code: SpanStatusCode.UNSET }],
      ["internal", { code: SpanStatusCode.ERROR, message: "RangeError" }],
      ["unavailable", { code: SpanStatusCode.ERROR, message: "unavailable" }],
    ]);
    expect(named("fanfare.append")[0]!.status.code).toBe(SpanStatusCode.ERROR);
  });

  it("of connects that are refused have the close code, over all that connects", async () => {
    const { hub, port } = await serve({ tracing });
    hub.endpoint("/own", { authenticate: true }, ({ socket }) => socket.close());
    const ann = await open(port, { query: { token: "bad" } });
    await ann.expectClose(4001);
    await (await connect(`ws://127.0.0.1:${port}/own?token=ann`)).closed();
    const stream = await fetch(`http://127.0.0.1:${port}/sse?room=r&token=bad`);
    expect(stream.status).toBe(401);
    await eventually(() => named("fanfare.connect").length === 3);
    expect(named("fanfare.connect").map(({ attributes }) => attributes)).toEqual([
      { "fanfare.connection": expect.any(String), "fanfare.transport": "ws", "fanfare.close_code": 4001 },
      { "fanfare.transport": "endpoint", "fanfare.endpoint": "/own" },
      { "fanfare.connection": expect.any(String), "fanfare.transport": "sse" },
    ]);
  });

  it("hold no token, data, key, user or control character", async () => {
    const canary = "canary-7f3a";
    const { hub, port } = await serve({ tracing, auth: () => ({ user: `user-${canary}` }) });
    hub.on("**", { publish: { bad: () => Promise.reject(new Error(canary)) } });
    const room = `\u202e${"room".repeat(50)}-${canary}`;
    const ann = await open(port, { query: { token: `token-${canary}` } });
    await ann.expect({ type: "welcome" });
    ann.send({ type: "join", room, data: canary });
    await ann.expect({ type: "joined" });
    for (const event of ["e", "bad"]) {
      ann.send({ type: "publish", id: event, room, event, data: { [canary]: canary }, key: `key-${canary}` });
    }
    await ann.expectAll([{ type: "ack" }, { type: "message" }, { type: "error" }]);
    await hub.room("r").publish("e", canary);
    await eventually(() => named("fanfare.publish").length === 3);
    const told = exporter
      .getFinishedSpans()
      .map(({ name, attributes, status, events }) => JSON.stringify({ name, attributes, status, events }))
      .join("\n");
    expect(told).not.toContain(canary);
    expect(told).not.toMatch(/\u202e/);
    expect(told).toContain(String.raw`\\u{202e}roomroom`);
  });

  it("end with what they are of, also where connections vanish in the middle", async () => {
    const { hub, port } = await serve({ tracing, auth: () => new Promise(() => undefined) });
    const ann = await open(port, { query: { token: "t" } });
    ann.destroy();
    await eventually(() => hub.counts().connections === 0);
    expect(named("fanfare.connect").map(({ attributes }) => attributes["fanfare.close_code"])).toEqual([1006]);
  });
});

describe("without an SDK", () => {
  it("the tracer of the global provider makes none, and all goes on", async () => {
    expect(propagation.fields()).toEqual([]);
    const { member } = await serve({ tracing: openTelemetry() });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", room: "r", event: "e" });
    await ann.expectAll([{ type: "ack" }, { type: "message" }]);
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});
