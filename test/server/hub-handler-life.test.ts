import { describe, expect, it } from "vitest";
import { BackendUnavailable } from "../../src/backends/backend.ts";
import { memory } from "../../src/backends/memory/index.ts";
import { FakeClock } from "./support/clock.ts";
import { Gate } from "./support/backend.ts";
import { eventually, open, serve, type Served } from "./support/hub.ts";
import type { openContract } from "../../src/protocol/contract.ts";

type Open = Served<typeof openContract>;

const forever = (): Promise<never> => new Promise(() => undefined);

/** Tells every `join` and `leave` of the app, in order. */
function listed(hub: Open["hub"], join: () => void | Promise<void> = () => undefined): string[] {
  const told: string[] = [];
  hub.on("**", {
    join: async ({ user }) => {
      await join();
      told.push(`join ${user}`);
    },
    leave: ({ user }) => void told.push(`leave ${user}`),
  });
  return told;
}

describe("a handler that does not end", () => {
  it("fails its request with internal at the limit, and the room's next request goes on", async () => {
    const clock = new FakeClock();
    const { hub, member, logged } = await serve({ limits: { handlerMs: 2_000 } }, { clock });
    let aborted: unknown;
    let began = false;
    hub.on("**", {
      publish: {
        stuck: ({ signal }) => {
          began = true;
          signal.addEventListener("abort", () => (aborted = signal.reason));
          return forever();
        },
      },
    });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", key: "k", room: "r", event: "stuck" });
    ann.send({ type: "publish", id: "2", room: "r", event: "fine" });
    await eventually(() => began);
    clock.advance(1_999);
    expect(aborted).toBeUndefined();
    clock.advance(1);
    await ann.expect({ type: "error", re: "1", code: "internal" });
    await ann.expectAll([
      { type: "ack", re: "2", offset: 1 },
      { type: "message", event: "fine", offset: 1 },
    ]);
    expect(aborted).toMatchObject({ name: "HandlerTimeout" });
    expect(logged).toContain("error a handler failed");
    expect(await hub.metrics()).toMatch(/^fanfare_handler_timeouts_total 1$/m);
  });

  it("that answers after it keeps nothing, and finds its signal aborted", async () => {
    const clock = new FakeClock();
    const gate = new Gate();
    const { hub, member } = await serve({ limits: { handlerMs: 1_000 } }, { clock });
    let seen: boolean | undefined;
    let began = false;
    hub.on("**", {
      publish: {
        late: async (context) => {
          began = true;
          await gate.passed;
          seen = context.signal.aborted;
          return { data: "late" };
        },
      },
    });
    const ann = await member("ann", "r");
    ann.send({ type: "publish", id: "1", room: "r", event: "late" });
    await eventually(() => began);
    clock.advance(1_000);
    await ann.expect({ type: "error", re: "1", code: "internal" });
    gate.open();
    await eventually(() => seen !== undefined);
    expect([seen, await hub.room("r").history()]).toEqual([true, []]);
  });

  it.each(["authorize", "join"] as const)("(%s) lets nobody in, and other rooms do not wait", async (name) => {
    const clock = new FakeClock();
    const logged: object[] = [];
    const ignore = (): void => undefined;
    const logger = { debug: ignore, info: ignore, warn: ignore, error: (facts: object) => void logged.push(facts) };
    const { hub, connect } = await serve({ limits: { handlerMs: 1_000 }, logger }, { clock });
    hub.on("**", { [name]: ({ room }: { room: string }) => (room === "stuck" ? forever() : true) });
    const ann = await connect("ann");
    ann.send({ type: "join", id: "1", room: "stuck" });
    ann.send({ type: "join", id: "2", room: "fine" });
    await ann.expect({ type: "joined", re: "2" });
    clock.advance(1_000);
    await ann.expect({ type: "error", re: "1", code: "internal" });
    expect(hub.counts().rooms).toBe(1);
    // Which of them it was: both are run for a join.
    expect(logged).toMatchObject([{ request: "join", err: { type: "HandlerTimeout", code: name } }]);
  });

  it("costs a call over HTTP no longer either", async () => {
    const clock = new FakeClock();
    const { hub } = await serve({ limits: { handlerMs: 1_000 } }, { clock });
    let began = false;
    hub.on("**", { publish: { stuck: () => ((began = true), forever()) } });
    const caller = { kind: "user", identity: { user: "ann" } } as const;
    const message = { event: "stuck", data: null, key: undefined, from: undefined, except: undefined };
    const failed = hub.calls.publish(caller, "r", message).catch((error: Error) => error.name);
    await eventually(() => began);
    clock.advance(1_000);
    expect(await failed).toBe("HandlerTimeout");
  });
});

describe("the app's join and leave handlers go in pairs", () => {
  it("joining again runs neither, and is authorised again", async () => {
    const { hub, member } = await serve();
    const told: string[] = [];
    hub.on("**", {
      authorize: () => told.push("authorize") > 0,
      join: () => void told.push("join"),
      leave: () => void told.push("leave"),
    });
    const ann = await member("ann", "r");
    ann.send({ type: "join", id: "2", room: "r", history: 5 });
    await ann.expect({ type: "joined", re: "2" });
    ann.send({ type: "leave", id: "3", room: "r" });
    await ann.expect({ type: "left", re: "3" });
    ann.send({ type: "leave", id: "4", room: "r" });
    await ann.expect({ type: "left", re: "4" });
    expect(told).toEqual(["authorize", "join", "authorize", "leave"]);
  });

  it("one who vanishes while the app lets it in leaves at once", async () => {
    const gate = new Gate();
    const { hub, connect } = await serve();
    let began = false;
    const told = listed(hub, () => ((began = true), gate.passed));
    const ann = await connect("ann");
    ann.send({ type: "join", room: "r" });
    await eventually(() => began);
    ann.destroy();
    await eventually(() => hub.counts().connections === 0);
    gate.open();
    await eventually(() => told.length === 2);
    expect([told, hub.counts()]).toEqual([["join ann", "leave ann"], { connections: 0, rooms: 0 }]);
  });

  it.each(["opened", "read"])("one whose room's log cannot be %s leaves at once", async (what) => {
    const backend = memory();
    const subscribe = backend.subscribe.bind(backend);
    backend.subscribe = async (room, listener) => {
      if (what === "opened") throw new BackendUnavailable("away");
      return { ...(await subscribe(room, listener)), sync: () => Promise.reject(new BackendUnavailable("away")) };
    };
    const { hub, connect } = await serve({ backend });
    const told = listed(hub);
    const ann = await connect("ann");
    ann.send({ type: "join", id: "1", room: "r", history: 5 });
    await ann.expect({ type: "error", re: "1", code: "unavailable" });
    expect([told, hub.counts().rooms]).toEqual([["join ann", "leave ann"], 0]);
  });

  it("a join that comes to its end after the limit is followed by its leave", async () => {
    const clock = new FakeClock();
    const gate = new Gate();
    const { hub, connect } = await serve({ limits: { handlerMs: 1_000 } }, { clock });
    let began = false;
    const told = listed(hub, () => ((began = true), gate.passed));
    const ann = await connect("ann");
    ann.send({ type: "join", id: "1", room: "r" });
    await eventually(() => began);
    clock.advance(1_000);
    await ann.expect({ type: "error", re: "1", code: "internal" });
    gate.open();
    await eventually(() => told.length === 2);
    expect(told).toEqual(["join ann", "leave ann"]);
  });

  it("one who is taken out while it joins again comes in anew", async () => {
    const gate = new Gate();
    const { hub, member } = await serve();
    const told: string[] = [];
    let asked = 0;
    hub.on("**", {
      authorize: () => (++asked === 2 ? gate.passed.then(() => true) : true),
      join: () => void told.push("join"),
      leave: () => void told.push("leave"),
    });
    const ann = await member("ann", "r");
    ann.send({ type: "join", id: "2", room: "r" });
    await eventually(() => asked === 2);
    await hub.room("r").remove("ann");
    await ann.expect({ type: "left", reason: "removed" });
    gate.open();
    await ann.expect({ type: "joined", re: "2" });
    ann.destroy();
    await eventually(() => told.length === 4);
    expect(told).toEqual(["join", "leave", "join", "leave"]);
  });
});

describe("new credentials that cannot be checked now (P-17)", () => {
  it("are unavailable; the old ones hold until they expire", async () => {
    const clock = new FakeClock();
    let isAway = false;
    const { hub, port } = await serve(
      {
        backend: memory(),
        auth: () => {
          if (isAway) throw new Error("the identity provider is away");
          return { user: "ann", expiresAt: clock.now() + 60_000 };
        },
      },
      { clock },
    );
    const ann = await open(port, { query: { token: "first" } });
    await ann.expect({ type: "welcome" });
    isAway = true;
    ann.send({ type: "auth", id: "1", token: "second" });
    ann.send({ type: "join", id: "2", room: "r" });
    await ann.expect({ type: "error", re: "1", code: "unavailable" });
    await ann.expect({ type: "joined", re: "2" });
    isAway = false;
    ann.send({ type: "auth", id: "3", token: "second" });
    await ann.expect({ type: "authed", re: "3" });
    expect(hub.counts().connections).toBe(1);
  });
});
