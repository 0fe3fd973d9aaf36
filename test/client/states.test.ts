import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FanfareError } from "../../src/client/errors.ts";
import { defaultTiming } from "../../src/client/platform.ts";
import {
  initialState,
  step,
  type Effect,
  type Event,
  type Kind,
  type Moment,
  type State,
} from "../../src/client/states.ts";

const now = 100_000;
const moment: Moment = { now, random: 0.5, timing: defaultTiming };
const cause = { closeCode: 1006 };

/** One state of each kind, as the others lead to it; its time has not come. */
const states: { readonly [K in Kind]: State } = {
  idle: initialState,
  preparing: { ...initialState, kind: "preparing", status: { state: "connecting" }, until: now + 1 },
  opening: { ...initialState, kind: "opening", status: { state: "connecting" }, until: now + 1, token: "t" },
  online: {
    ...initialState,
    kind: "online",
    status: { state: "online", user: "ann", connection: "c" },
    until: now + 35_000,
    since: now - 10_000,
    silenceMs: 35_000,
    token: "t",
  },
  waiting: {
    ...initialState,
    kind: "waiting",
    status: { state: "waiting", retryInMs: 20_000, cause },
    until: now + 20_000,
    patient: false,
    failures: 3,
  },
  stopped: { ...initialState, kind: "stopped", status: { state: "stopped", cause: { closeCode: 4000 } } },
};

const events: { readonly [E in Event["type"]]: Event & { readonly type: E } } = {
  connect: { type: "connect" },
  close: { type: "close" },
  renew: { type: "renew" },
  token: { type: "token", token: "t2" },
  tokenFailed: { type: "tokenFailed", error: new FanfareError("token_failed") },
  askedAuth: { type: "askedAuth" },
  welcome: { type: "welcome", welcomed: { user: "ann", connection: "c", silenceMs: 35_000 } },
  closed: { type: "closed", cause },
  frame: { type: "frame" },
  hint: { type: "hint", ms: 7_000 },
  wake: { type: "wake" },
  up: { type: "up" },
  down: { type: "down" },
  look: { type: "look" },
  freeze: { type: "freeze" },
};

/** Where an event leads from a state, and with which effects; `same` is the same state, unchanged. */
type Outcome = "same" | readonly [Kind, ...Effect[]];

const table: { readonly [E in Event["type"]]: { readonly [K in Kind]: Outcome } } = {
  connect: {
    idle: ["preparing", "fetch"],
    preparing: "same",
    opening: "same",
    online: "same",
    waiting: ["preparing", "fetch"],
    stopped: ["preparing", "fetch"],
  },
  close: {
    idle: ["idle", "giveUp"],
    preparing: ["idle", "giveUp"],
    opening: ["idle", "bye", "giveUp"],
    online: ["idle", "bye", "suspend", "giveUp"],
    waiting: ["idle", "giveUp"],
    stopped: ["idle", "giveUp"],
  },
  renew: {
    idle: "same",
    preparing: ["preparing", "fetch"],
    opening: ["preparing", "drop", "fetch"],
    online: ["online", "renew"],
    waiting: "same",
    stopped: "same",
  },
  token: {
    idle: "same",
    preparing: ["opening", "dial"],
    opening: "same",
    online: ["online", "authenticate"],
    waiting: "same",
    stopped: "same",
  },
  tokenFailed: {
    idle: "same",
    preparing: ["waiting"],
    opening: "same",
    online: "same",
    waiting: "same",
    stopped: "same",
  },
  askedAuth: {
    idle: "same",
    preparing: "same",
    opening: ["opening", "authenticate"],
    online: "same",
    waiting: "same",
    stopped: "same",
  },
  welcome: {
    idle: "same",
    preparing: "same",
    opening: ["online", "resume"],
    online: "same",
    waiting: "same",
    stopped: "same",
  },
  closed: {
    idle: "same",
    preparing: "same",
    opening: ["waiting"],
    online: ["waiting", "suspend"],
    waiting: "same",
    stopped: "same",
  },
  frame: { idle: "same", preparing: "same", opening: "same", online: ["online"], waiting: "same", stopped: "same" },
  hint: { idle: "same", preparing: "same", opening: ["opening"], online: ["online"], waiting: "same", stopped: "same" },
  wake: { idle: "same", preparing: "same", opening: "same", online: "same", waiting: "same", stopped: "same" },
  up: {
    idle: ["idle"],
    preparing: ["preparing"],
    opening: ["opening"],
    online: ["online", "probe"],
    waiting: ["waiting"],
    stopped: ["stopped"],
  },
  down: {
    idle: ["idle"],
    preparing: ["preparing"],
    opening: ["opening"],
    online: ["online", "probe"],
    waiting: ["waiting"],
    stopped: ["stopped"],
  },
  look: {
    idle: "same",
    preparing: "same",
    opening: "same",
    online: ["online", "probe"],
    waiting: ["preparing", "fetch"],
    stopped: "same",
  },
  freeze: {
    idle: "same",
    preparing: ["waiting"],
    opening: ["waiting", "drop"],
    online: ["waiting", "drop", "suspend"],
    waiting: "same",
    stopped: "same",
  },
};

const kinds = Object.keys(states) as Kind[];
const types = Object.keys(events) as Event["type"][];

describe("every event in every state", () => {
  const cells = types.flatMap((type) => kinds.map((kind) => ({ type, kind, outcome: table[type][kind] })));

  it.each(cells)("$type in $kind", ({ type, kind, outcome }) => {
    const before = states[kind];
    const [after, ...effects] = step(before, events[type], moment);
    if (outcome === "same") {
      expect(after).toBe(before);
      expect(effects).toEqual([]);
    } else {
      expect([after.kind, ...effects]).toEqual(outcome);
    }
  });
});

describe("when its time has come", () => {
  const late: Moment = { ...moment, now: now + 1_000_000 };

  it.each([
    ["preparing", "waiting", []],
    ["opening", "waiting", ["drop"]],
    ["online", "waiting", ["drop", "suspend"]],
    ["waiting", "preparing", ["fetch"]],
  ] as const)("%s becomes %s", (kind, next, effects) => {
    const [after, ...did] = step(states[kind], events.wake, late);
    expect([after.kind, did]).toEqual([next, effects]);
  });

  it("a page in the page cache is woken by nothing but being seen", () => {
    const [frozen] = step(states.online, events.freeze, moment);
    expect(step(frozen, events.wake, late)[0]).toBe(frozen);
    expect(frozen.status.state).toBe("offline");
    expect(step(frozen, events.look, late)[0].kind).toBe("preparing");
  });
});

describe("a state's details", () => {
  it("asked for a token without having one, the client stops as unauthorized", () => {
    const [after, ...effects] = step({ ...states.opening, token: undefined }, events.askedAuth, moment);
    expect(after.status).toEqual({ state: "stopped", cause: { closeCode: 4001 } });
    expect(effects).toEqual(["drop", "giveUp"]);
  });

  it("another token starts a client again that was stopped as unauthorized", () => {
    const stopped: State = { ...states.stopped, status: { state: "stopped", cause: { closeCode: 4001 } } };
    expect(step(stopped, events.renew, moment)[0].kind).toBe("preparing");
  });

  it("the token that opened the connection is not sent again", () => {
    expect(step(states.online, { type: "token", token: "t" }, moment)).toEqual([states.online]);
  });

  it("a connection that lived for less than the minimum uptime does not reset the backoff", () => {
    const brief = { ...states.online, failures: 4, since: now - defaultTiming.minUptimeMs + 1 };
    expect(step(brief, events.closed, moment)[0].failures).toBe(5);
    const long = { ...states.online, failures: 4, since: now - defaultTiming.minUptimeMs };
    expect(step(long, events.closed, moment)[0].failures).toBe(1);
  });

  it("a hint is capped", () => {
    expect(step(states.online, { type: "hint", ms: 1e15 }, moment)[0].hintMs).toBe(defaultTiming.maxHintMs);
  });

  it.each(["up", "look"] as const)("%s does not cut short a wait that the server asked for", (type) => {
    const patient: State = { ...states.waiting, patient: true };
    const [after, ...effects] = step(patient, events[type], moment);
    expect(after.until).toBe(patient.until);
    expect(after.kind).toBe("waiting");
    expect(effects).toEqual([]);
  });

  it("the network that is back makes the next attempt soon, and not all at once", () => {
    const [after] = step(states.waiting, events.up, { ...moment, random: 0.25 });
    expect(after.until).toBe(now + 250);
    expect(after.status).toMatchObject({ state: "waiting", retryInMs: 250 });
  });

  it("without a network a lost connection waits long, but not for ever", () => {
    const [after] = step({ ...states.online, down: true }, events.closed, moment);
    expect(after.status).toMatchObject({ state: "offline" });
    expect(after.until).toBe(now + defaultTiming.maxBackoffMs);
  });

  it("silence is counted from the last frame", () => {
    expect(step(states.online, events.frame, moment)[0].until).toBe(now + 35_000);
  });

  it("a probe must be answered within its time, and does not put off an earlier end", () => {
    expect(step(states.online, events.look, moment)[0].until).toBe(now + defaultTiming.probeMs);
    const nearlyDead = { ...states.online, until: now + 10 };
    expect(step(nearlyDead, events.look, moment)[0].until).toBe(now + 10);
  });
});

describe("random walks", () => {
  const closeCode = fc.constantFrom(
    1000,
    1001,
    1005,
    1006,
    1008,
    1009,
    1012,
    1013,
    4000,
    4001,
    4003,
    4100,
    4200,
    4300,
    5000,
  );
  const event: fc.Arbitrary<Event> = fc.oneof(
    fc.constantFrom(...Object.values(events)),
    closeCode.map((code) => ({ type: "closed", cause: { closeCode: code } }) as const),
    fc.constantFrom(0, 5, 1e9).map((ms) => ({ type: "hint", ms }) as const),
    fc.constantFrom("t", "t3", undefined).map((token) => ({ type: "token", token }) as const),
  );
  const walk = fc.array(
    fc.record({
      event,
      passes: fc.constantFrom(0, 1, 900, 40_000),
      random: fc.double({ min: 0, max: 0.999, noNaN: true }),
    }),
    {
      maxLength: 80,
    },
  );
  const statusOfKind: { readonly [K in Kind]: readonly string[] } = {
    idle: ["idle"],
    preparing: ["connecting"],
    opening: ["connecting"],
    online: ["online"],
    waiting: ["waiting", "offline"],
    stopped: ["stopped"],
  };

  it("keep the invariants", () => {
    fc.assert(
      fc.property(walk, (steps) => {
        let state: State = initialState;
        let time = 0;
        let hasSocket = false;
        let isResumed = false;
        for (const { event: happened, passes, random } of steps) {
          time += passes;
          // A socket tells its end only while there is one.
          if (happened.type === "closed" && !hasSocket) continue;
          if (happened.type === "closed") hasSocket = false;
          const [next, ...effects] = step(state, happened, { now: time, random, timing: defaultTiming });
          for (const effect of effects) {
            if (effect === "dial") {
              expect(hasSocket, "never two sockets").toBe(false);
              hasSocket = true;
            }
            if (effect === "drop" || effect === "bye") {
              expect(hasSocket, "a socket is dropped once").toBe(true);
              hasSocket = false;
            }
            if (effect === "authenticate" || effect === "probe") expect(hasSocket).toBe(true);
            if (effect === "resume" || effect === "suspend") {
              expect(isResumed, "resume and suspend alternate").toBe(effect === "suspend");
              isResumed = effect === "resume";
            }
          }
          expect(hasSocket, "a socket exactly while opening or online").toBe(
            next.kind === "opening" || next.kind === "online",
          );
          expect(isResumed, "resumed exactly while online").toBe(next.kind === "online");
          expect(statusOfKind[next.kind]).toContain(next.status.state);
          expect(Number.isNaN(next.until)).toBe(false);
          const ends = next.kind !== "idle" && next.kind !== "stopped" && !(next.status.state === "offline");
          if (ends) expect(next.until, "every state under way has an end").toBeLessThan(Infinity);
          const longest = Math.max(2 * defaultTiming.waitMs, defaultTiming.maxHintMs);
          if (next.until !== Infinity)
            expect(next.until - time, "no wait is longer than its cap").toBeLessThanOrEqual(longest);
          state = next;
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("come back online whatever happened, once the app connects and the server answers", () => {
    fc.assert(
      fc.property(walk, (steps) => {
        let state: State = initialState;
        let time = 0;
        for (const { event: happened, passes, random } of steps) {
          time += passes;
          [state] = step(state, happened, { now: time, random, timing: defaultTiming });
        }
        const rest: Event[] = [events.close, events.connect, events.token, events.welcome];
        for (const happened of rest) [state] = step(state, happened, { now: time, random: 0, timing: defaultTiming });
        expect(state.kind).toBe("online");
      }),
    );
  });
});
