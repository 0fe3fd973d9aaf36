import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/backends/nats/engine.ts";
import { KnownRooms } from "../../src/backends/nats/known-rooms.ts";
import type { StreamLife } from "../../src/backends/nats/life.ts";
import { Logs } from "../../src/backends/nats/logs.ts";
import { epochOf, Names } from "../../src/backends/nats/names.ts";
import { Pages } from "../../src/backends/nats/pages.ts";
import type { Stamp } from "../../src/backends/nats/record.ts";
import { Tops } from "../../src/backends/nats/tops.ts";
import { roomOf } from "../../src/testing/backend/tools.ts";

const room = roomOf("room", { messages: 1_000, ms: 3_600_000 });

interface Message {
  readonly seq: number;
  readonly stamp: Stamp;
}

/** A room's messages in a stream that other rooms fill, and what a node makes of them. */
class Stream {
  messages: Message[] = [];
  last = 100;
  life: StreamLife = { name: "first" };
  /** What the node knows of its life. */
  current: StreamLife = this.life;
  readonly forks: number[] = [];
  /** Called whenever the room's newest message is read. */
  read: () => void = () => undefined;
  readonly logs: Logs;

  constructor() {
    const api = {
      last: () => {
        const newest = this.messages.at(-1);
        const stored = newest && { ...newest, id: `id ${newest.seq}`, text: "\n1", time: new Date().toISOString() };
        this.read();
        return Promise.resolve(stored);
      },
      shape: (_: string, __: string, from: number) => Promise.resolve(this.messages.filter(({ seq }) => seq >= from)),
    };
    const engine = {
      api,
      names: new Names("test"),
      life: lifeOf(this),
      clock: { now: Date.now },
      context: { now: Date.now, log: () => undefined },
    } as unknown as Engine;
    const rooms = new KnownRooms(engine.clock, () => true);
    const tops = new Tops(engine, rooms);
    this.logs = new Logs({ engine, rooms, tops, pages: new Pages(engine, rooms, tops) });
  }

  add(seq: number, kind: "entry" | "mark" = "entry"): void {
    this.messages.push({ seq, stamp: { kind, life: "life", streamLife: this.life.name, at: Date.now(), head: 0 } });
    this.last = Math.max(this.last, seq);
  }

  /** It ends after `fork` again, and another node found that out. */
  goBackTo(fork: number): void {
    this.messages = this.messages.filter(({ seq }) => seq <= fork);
    this.life = { name: `${this.life.name}+`, parent: this.life.name, fork };
  }
}

/** What a node knows of the stream's life. */
function lifeOf(stream: Stream): object {
  return {
    get current() {
      return stream.current;
    },
    saw: () => undefined,
    heardOf: (name: string) => {
      if (name === stream.life.name) stream.current = stream.life;
      return Promise.resolve();
    },
    verify: () => {
      stream.current = stream.life;
      return Promise.resolve(stream.last);
    },
    wentBackTo: (fork: number) => {
      stream.forks.push(fork);
      stream.life = { name: `${stream.life.name}+`, parent: stream.life.name, fork };
      stream.current = stream.life;
      return Promise.resolve();
    },
  };
}

function at(offset: number, streamLife = "first"): { epoch: string; offset: number } {
  return { epoch: epochOf(streamLife, "life"), offset };
}

describe("a room's log after the stream went back", () => {
  /** The room's messages are 10, 20, 40, then 53 and 60 that are new; the fork is another room's. */
  function goneBack(fork: number): Stream {
    const stream = new Stream();
    stream.add(5, "mark");
    for (const seq of [10, 20, 40, 50]) stream.add(seq);
    stream.goBackTo(45);
    stream.life = { ...stream.life, fork };
    stream.current = stream.life;
    for (const seq of [53, 60]) stream.add(seq);
    return stream;
  }

  it.each([
    { seen: 50, fork: 45, next: 40 },
    { seen: 40, fork: 45, next: 40 },
    { seen: 10, fork: 45, next: 40 },
    { seen: 50, fork: 30, next: 20 },
    { seen: 50, fork: 7, next: 0 },
    // Where the fork was found too late.
    { seen: 50, fork: 55, next: 40 },
  ])("goes on where its own messages do: seen $seen, fork at $fork", async ({ seen, fork, next }) => {
    const state = await goneBack(fork).logs.state(room, at(seen));
    expect(state).toMatchObject({ epoch: at(0, "first+").epoch, head: 60, since: at(next) });
  });

  it("is not read as a part of the life that ended, though this node has not heard of the next", async () => {
    const stream = new Stream();
    stream.add(5, "mark");
    for (const seq of [10, 50]) stream.add(seq);
    stream.goBackTo(45);
    stream.add(60);
    expect(stream.current.name).toBe("first");
    expect(await stream.logs.state(room, at(10))).toMatchObject({
      epoch: at(0, "first+").epoch,
      head: 60,
      since: at(10),
    });
  });

  it("is not read as a part of the next life where that begins while it is read", async () => {
    const stream = new Stream();
    stream.add(5, "mark");
    for (const seq of [10, 50]) stream.add(seq);
    stream.read = () => {
      stream.read = () => undefined;
      stream.goBackTo(45);
      stream.current = stream.life;
    };
    expect(await stream.logs.state(room)).toMatchObject({ epoch: at(0, "first+").epoch, head: 10 });
  });
});

describe("a room whose newest messages were deleted", () => {
  it("gets another epoch, and other rooms go on where they are", async () => {
    const stream = new Stream();
    stream.add(5, "mark");
    for (const seq of [10, 50]) stream.add(seq);
    expect(await stream.logs.state(room)).toMatchObject({ head: 50 });
    stream.messages.pop();
    const state = await stream.logs.state(room, at(50));
    expect(state).toMatchObject({ epoch: at(0, "first+").epoch, head: 10, since: at(10) });
    expect(stream.forks).toEqual([100]);
  });
});
