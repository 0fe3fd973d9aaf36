import { array, assert, constantFrom, integer, property, record } from "fast-check";
import { describe, expect, it } from "vitest";
import type { PresenceFrame } from "../../src/protocol/frames.ts";
import type { Json } from "../../src/protocol/json.ts";
import { Presence } from "../../src/server/presence.ts";
import { FakeClock } from "./support/clock.ts";

const graceMs = 10_000;

class Watched {
  readonly clock = new FakeClock();
  readonly told: PresenceFrame[] = [];
  graces = 0;
  readonly presence: Presence;

  constructor(bound = 200) {
    this.presence = new Presence("r", bound, this.clock, {
      changed: (frame) => this.told.push(frame),
      graceEnded: () => void this.graces++,
    });
  }

  /** What was told since the last time, without what all frames have in common. */
  news(): Omit<PresenceFrame, "type" | "room">[] {
    return this.told.splice(0).map(({ type: _type, room: _room, ...rest }) => rest);
  }

  enterMany(count: number): void {
    for (let i = 0; i < count; i++) this.presence.enter(`u${i}`, undefined);
  }
}

describe("a user in a room (P-40)", () => {
  it("arrives with the first connection and departs with the last", () => {
    const { presence, told } = new Watched();
    presence.enter("ann", { mood: "good" });
    presence.enter("ann", undefined);
    presence.leave("ann", 0);
    expect(told).toEqual([
      { type: "presence", room: "r", joined: [{ user: "ann", data: { mood: "good" } }], members: 1 },
    ]);
    presence.leave("ann", 0);
    expect(told[1]).toEqual({ type: "presence", room: "r", left: [{ user: "ann" }], members: 0 });
  });

  it("has the data that any of the connections gave last, and keeps it where none is given", () => {
    const watched = new Watched();
    watched.presence.enter("ann", 1);
    watched.presence.enter("ann", undefined);
    watched.presence.enter("ann", 2);
    watched.presence.update("ann", 2);
    watched.presence.update("ann", 3);
    expect(watched.news().slice(1)).toEqual([
      { updated: [{ user: "ann", data: 2 }], members: 1 },
      { updated: [{ user: "ann", data: 3 }], members: 1 },
    ]);
  });

  it("has null for data where none was ever given", () => {
    const { presence } = new Watched();
    presence.enter("ann", undefined);
    expect(presence.list()).toEqual([{ user: "ann", data: null }]);
  });
});

describe("a user whose connection vanished (P-41)", () => {
  it("is gone when the grace is over, and not before", () => {
    const watched = new Watched();
    watched.presence.enter("ann", undefined);
    watched.news();
    watched.presence.leave("ann", graceMs);
    watched.clock.advance(graceMs - 1);
    expect([watched.news(), watched.presence.size, watched.graces]).toEqual([[], 1, 0]);
    watched.clock.advance(1);
    expect([watched.news(), watched.graces]).toEqual([[{ left: [{ user: "ann" }], members: 0 }], 1]);
  });

  it("was never gone if back within it", () => {
    const watched = new Watched();
    watched.presence.enter("ann", 1);
    watched.news();
    watched.presence.leave("ann", graceMs);
    watched.clock.advance(graceMs - 1);
    watched.presence.enter("ann", undefined);
    watched.clock.advance(graceMs * 10);
    expect([watched.news(), watched.presence.list()]).toEqual([[], [{ user: "ann", data: 1 }]]);
  });

  it("is gone once and at once who is taken out within it", () => {
    const watched = new Watched();
    watched.presence.enter("ann", 1);
    watched.presence.leave("ann", graceMs);
    watched.news();
    watched.presence.remove("ann");
    watched.clock.advance(graceMs);
    expect([watched.news(), watched.clock.timers]).toEqual([[{ left: [{ user: "ann" }], members: 0 }], 0]);
  });

  it("leaves no timer when the room closes", () => {
    const watched = new Watched(1);
    watched.enterMany(3);
    watched.presence.leave("u1", graceMs);
    watched.news();
    watched.presence.close();
    expect(watched.clock.timers).toBe(0);
    watched.clock.advance(graceMs);
    expect(watched.news()).toEqual([]);
  });
});

describe("a user who is on other nodes, too", () => {
  function linked(): { watched: Watched; here: unknown[] } {
    const watched = new Watched();
    const here: unknown[] = [];
    watched.presence.link = {
      nextVersion: () => 100,
      here: (user, stand) => void here.push([user, stand.data, stand.version]),
      gone: (user, forGood) => void here.push([user, "gone", forGood]),
    };
    return { watched, here };
  }

  it("is told by this one with the newest data, where the node that had it told goes", () => {
    const { watched, here } = linked();
    watched.presence.arrived("ann", { data: 1, version: 5 }, true);
    watched.presence.enter("ann", undefined);
    watched.presence.arrived("ann", { data: 2, version: 6 }, false);
    watched.presence.departed("ann");
    expect(here).toEqual([
      ["ann", 1, 5],
      ["ann", 2, 6],
    ]);
    expect(watched.news()).toEqual([
      { joined: [{ user: "ann", data: 1 }], members: 1 },
      { updated: [{ user: "ann", data: 2 }], members: 1 },
    ]);
  });

  it("keeps data that was given later, though it comes earlier", () => {
    const { watched } = linked();
    watched.presence.arrived("ann", { data: "new", version: 7 }, true);
    watched.presence.arrived("ann", { data: "old", version: 6 }, true);
    expect(watched.presence.list()).toEqual([{ user: "ann", data: "new" }]);
    watched.presence.departed("ann");
    watched.presence.departed("ann");
    expect(watched.presence.size).toBe(0);
  });

  it("tells a whole list where changes may have come late, and nothing where there were none", () => {
    const { watched } = linked();
    watched.presence.enter("ann", 1);
    watched.news();
    watched.presence.together(true, () => watched.presence.arrived("ann", { data: 1, version: 5 }, true));
    expect(watched.news()).toEqual([]);
    watched.presence.together(true, () => watched.presence.arrived("bob", { data: 2, version: 6 }, true));
    const all = [
      { user: "ann", data: 1 },
      { user: "bob", data: 2 },
    ];
    expect(watched.news()).toEqual([{ all, members: 2 }]);
    watched.presence.together(false, () => {
      watched.presence.departed("bob");
      watched.presence.arrived("cyd", { data: null, version: 0 }, true);
    });
    expect(watched.news()).toEqual([{ joined: [{ user: "cyd", data: null }], left: [{ user: "bob" }], members: 2 }]);
  });
});

describe("a room over the bound (P-43)", () => {
  it("has no list, and tells its number at most once a second", () => {
    const watched = new Watched(10);
    watched.enterMany(10);
    expect(watched.presence.list()).toHaveLength(10);
    watched.news();
    watched.enterMany(15);
    expect([watched.news(), watched.presence.list()]).toEqual([[], undefined]);
    watched.clock.advance(1_000);
    expect(watched.news()).toEqual([{ members: 15 }]);
    for (let ms = 0; ms < 10_000; ms += 100) {
      watched.presence.enter(`late ${ms}`, undefined);
      watched.clock.advance(100);
    }
    expect(watched.news().length).toBeLessThanOrEqual(10);
  });

  it("goes on with counts down to three quarters of it, and lists all again below", () => {
    const watched = new Watched(8);
    watched.enterMany(9);
    for (const user of ["u0", "u1", "u2"]) watched.presence.leave(user, 0);
    expect(watched.presence.list()).toBeUndefined();
    watched.clock.advance(1_000);
    expect(watched.news().at(-1)).toEqual({ members: 6 });
    watched.presence.leave("u3", 0);
    const all = ["u4", "u5", "u6", "u7", "u8"].map((user) => ({ user, data: null }));
    expect(watched.news()).toEqual([{ all, members: 5 }]);
    expect(watched.presence.list()).toEqual(all);
    watched.clock.advance(10_000);
    expect(watched.news()).toEqual([]);
  });

  it("tells data that changed meanwhile with the list", () => {
    const watched = new Watched(4);
    watched.enterMany(5);
    watched.news();
    watched.presence.update("u4", "new");
    expect(watched.news()).toEqual([]);
    for (const user of ["u0", "u1", "u2"]) watched.presence.leave(user, 0);
    expect(watched.news().at(-1)?.all).toContainEqual({ user: "u4", data: "new" });
  });
});

/** What someone who hears everything from the beginning knows of the room. */
class Listener {
  readonly users = new Map<string, Json>();
  counted: number | undefined;

  hear({ joined = [], left = [], updated = [], all, members }: PresenceFrame): void {
    const isCount = all === undefined && joined.length + left.length + updated.length === 0;
    this.counted = isCount ? members : undefined;
    if (isCount) return;
    if (all !== undefined) {
      this.users.clear();
      for (const { user, data } of all) this.users.set(user, data);
    }
    for (const { user, data } of joined) {
      if (this.users.has(user)) throw new Error(`${user} arrives a second time`);
      this.users.set(user, data);
    }
    for (const { user } of left) {
      if (!this.users.delete(user)) throw new Error(`${user} departs without having arrived`);
    }
    for (const { user, data } of updated) {
      if (!this.users.has(user)) throw new Error(`${user} changes without being there`);
      this.users.set(user, data);
    }
    if (members !== this.users.size) throw new Error(`${members} members are told, ${this.users.size} are there`);
  }
}

interface Step {
  readonly does: "enter" | "leave" | "vanish" | "remove" | "update" | "wait";
  readonly user: string;
  readonly number: number;
}

describe("arrivals and departures alternate (invariant 10)", () => {
  const steps = array(
    record({
      does: constantFrom<Step["does"]>("enter", "enter", "leave", "vanish", "remove", "update", "wait"),
      user: constantFrom("ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal"),
      number: integer({ min: 0, max: 15 }),
    }),
    { maxLength: 120 },
  );

  it.each([3, 200])("whatever connections do, with a bound of %i", (bound) => {
    assert(
      property(steps, (all) => {
        const watched = new Watched(bound);
        const listener = new Listener();
        /** Connections of each user; and until when one without any has its grace. */
        const open = new Map<string, number>();
        const graces = new Map<string, number>();
        for (const { does, user, number } of all) {
          const connections = open.get(user) ?? 0;
          const now = watched.clock.monotonic();
          if (does === "enter") {
            watched.presence.enter(user, number % 2 === 0 ? number : undefined);
            open.set(user, connections + 1);
            graces.delete(user);
          } else if (does === "update") watched.presence.update(user, number);
          else if (does === "wait") watched.clock.advance(number * 1_000);
          else if (does === "remove") {
            watched.presence.remove(user);
            open.delete(user);
            graces.delete(user);
          } else if (connections > 0) {
            const ms = does === "vanish" ? graceMs : 0;
            watched.presence.leave(user, ms);
            open.set(user, connections - 1);
            if (connections === 1 && ms > 0) graces.set(user, now + ms);
          }
          for (const frame of watched.told.splice(0)) listener.hear(frame);
          const present = [...new Set([...open.keys(), ...graces.keys()])].filter(
            (u) => (open.get(u) ?? 0) > 0 || (graces.get(u) ?? 0) > watched.clock.monotonic(),
          );
          expect(
            watched.presence
              .members()
              .map((m) => m.user)
              .sort(),
          ).toEqual(present.sort());
          const list = watched.presence.list();
          if (list !== undefined) expect(new Map(list.map((m) => [m.user, m.data]))).toEqual(listener.users);
        }
        watched.clock.advance(graceMs + 1_000);
        for (const frame of watched.told.splice(0)) listener.hear(frame);
        const { presence } = watched;
        if (presence.list() === undefined) expect(listener.counted ?? presence.size).toBe(presence.size);
        else
          expect([...listener.users.keys()].sort()).toEqual(
            presence
              .members()
              .map((m) => m.user)
              .sort(),
          );
      }),
      { numRuns: 500 },
    );
  });
});
