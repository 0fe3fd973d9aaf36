import type { JsonObject } from "../../../src/protocol/json.ts";
import type { Rec } from "../records.ts";
import { check } from "./index.ts";

/** Records written by hand: what a run without a fault would have recorded, to be spoilt at one place. */
export class Tale {
  readonly #records: Rec[] = [];
  #at = 0;

  constructor(losing: readonly string[] = []) {
    const limits = { keepMessages: 1_000, rssGrowthBytes: 1_000_000, silenceMs: 12_000 };
    this.#records.push({ kind: "begun", at: 0, backend: "memory", seed: 1, losing, ...limits });
  }

  get records(): readonly Rec[] {
    return this.#records;
  }

  /** Adds a record; each comes 10 ms after the one before it. */
  add(record: { kind: Rec["kind"]; [field: string]: unknown }): this {
    this.#at += 10;
    this.#records.push({ at: this.#at, ...record } as Rec);
    return this;
  }

  wait(ms: number): this {
    this.#at += ms;
    return this;
  }

  /** A user's device, named as its user, joins a room: its `n`th connection. */
  join(user: string, cursor: string, fields: JsonObject = {}, n = 1): this {
    const connection = `${user}/${n}`;
    const { since, ...told } = fields;
    this.add({ kind: "opened", connection, actor: user, user, node: "node-1", tokenAt: 0 });
    this.add({ kind: "sent", connection, frame: { type: "join", id: "join", room: "room", ...(since && { since }) } });
    return this.got(connection, { type: "joined", re: "join", cursor, replay: 0, members: 1, ...told });
  }

  got(connection: string, frame: JsonObject): this {
    return this.add({ kind: "got", connection, frame: { room: "room", ...frame } });
  }

  message(connection: string, offset: number, id = `m${offset}`): this {
    return this.got(connection, { type: "message", offset, data: { id } });
  }

  /** Ann publishes; the ack names where it is, unless there is none. */
  publish(id: string, cursor: string | undefined, connection = "ann/1"): this {
    const frame = { type: "publish", id, key: id, room: "room", data: { id } };
    this.add({ kind: "sent", connection, frame });
    if (cursor === undefined) return this;
    return this.got(connection, { type: "ack", re: id, cursor, offset: Number(cursor.split(":")[1]) });
  }

  /** The app of Web's client is told something. */
  app(what: string, fields: JsonObject = {}): this {
    return this.add({ kind: "app", actor: "web", room: "room", what, ...fields });
  }

  /** It is given a message. */
  appGets(cursor: string, id: string): this {
    return this.app("message", { cursor, offset: Number(cursor.split(":")[1]), id });
  }

  /** It publishes, and is told where that is or why it is not. */
  appPublishes(id: string, told: { cursor?: string; code?: string; cause?: string }, fields: JsonObject = {}): this {
    this.add({ kind: "asked", actor: "web", room: "room", id, ...fields });
    return this.add({ kind: "told", actor: "web", id, ...told });
  }

  fault(fault: string): this {
    return this.add({ kind: "fault", fault, phase: "begin" }).add({ kind: "fault", fault, phase: "end" });
  }

  /** All is over: the log as one node has it. */
  over(epoch: string, ids: readonly string[]): this {
    this.add({ kind: "mark", mark: "quiet" }).wait(8_000);
    const entries = ids.map((id, i) => ({ offset: i + 1, id }));
    return this.add({ kind: "kept", source: "node-1", room: "room", epoch, head: ids.length, entries });
  }
}

/** Ann publishes three messages, which Bob gets. */
export function plain(): Tale {
  const tale = new Tale().join("ann", "e:0").join("bob", "e:0");
  for (const offset of [1, 2, 3]) {
    tale.publish(`m${offset}`, `e:${offset}`).message("ann/1", offset).message("bob/1", offset);
  }
  return tale;
}

/** The invariants that do not hold, and what is said of them. */
export function verdict(tale: Tale): string[] {
  return check(tale.records).map(({ invariant, text }) => `${invariant}: ${text}`);
}
