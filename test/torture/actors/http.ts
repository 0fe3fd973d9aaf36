import { setTimeout as wait } from "node:timers/promises";
import { request } from "node:http";
import type { JsonObject } from "../../../src/protocol/json.ts";
import { testApiKey } from "../../support/server.ts";
import { slim } from "../records.ts";
import type { World } from "../world.ts";

export interface Call {
  readonly actor: string;
  readonly method: string;
  readonly path: string;
  readonly key?: string;
  readonly body?: JsonObject;
  /** The node to ask; absent: any. */
  readonly node?: string;
  readonly withinMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

const answerWithinMs = 8_000;

/** One request with the operator's key, recorded with its answer; status 0 where none came. */
export async function call(world: World, { actor, method, path, key, body, node, withinMs }: Call): Promise<Answer> {
  const door = world.door(node);
  const id = world.callId();
  const asked = { ...(key !== undefined && { key }), ...(body !== undefined && { body: slim(body) }) };
  world.recorder.add({ kind: "called", call: id, actor, node: door.name, method, path, ...asked });
  const answer = await ask(door.address.port, { method, path, key, body, withinMs: withinMs ?? answerWithinMs });
  world.recorder.add({ kind: "answered", call: id, status: answer.status, body: recorded(answer.body) });
  return answer;
}

/** What is no JSON is long, and nobody looks for it in the records. */
function recorded(body: JsonObject): JsonObject {
  return "text" in body ? {} : slim(body);
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly key: string | undefined;
  readonly body: JsonObject | undefined;
  readonly withinMs: number;
}

function ask(port: number, { method, path, key, body, withinMs }: Asked): Promise<Answer> {
  return new Promise((resolve) => {
    const none = (): void => resolve({ status: 0, body: {} });
    const headers = {
      Authorization: `Bearer ${testApiKey}`,
      ...(key !== undefined && { "Idempotency-Key": key }),
      ...(body !== undefined && { "Content-Type": "application/json" }),
    };
    const sent = request({ host: "127.0.0.1", port, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", none);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: parsed(text) }));
    });
    const timer = setTimeout(() => sent.destroy(), withinMs);
    sent.on("error", none);
    sent.on("close", () => {
      clearTimeout(timer);
      none();
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function parsed(text: string): JsonObject {
  try {
    return JSON.parse(text) as JsonObject;
  } catch {
    return { text };
  }
}

/** Publishes over HTTP, one after the other, each with a key and repeated on any node until the answer is final. */
export class ApiPublisher {
  readonly #world: World;
  readonly #name: string;
  readonly #room: string;
  readonly #everyMs: number;
  #isStopped = false;
  #isEnded = false;
  readonly done: Promise<void>;
  waiting = 0;

  constructor(world: World, { name, room, perS }: { name: string; room: string; perS: number }) {
    this.#world = world;
    this.#name = name;
    this.#room = room;
    this.#everyMs = 1000 / perS;
    this.done = this.#publish();
  }

  stop(): void {
    this.#isStopped = true;
  }

  end(): void {
    this.#isStopped = true;
    this.#isEnded = true;
  }

  async #publish(): Promise<void> {
    for (let n = 1; !this.#isStopped; n++) {
      const key = `${this.#name}-${n}`;
      this.waiting = 1;
      while (!this.#isEnded && !(await this.#once(key))) await wait(50 + this.#world.random() * 200);
      this.waiting = 0;
      await wait(this.#everyMs);
    }
  }

  async #once(key: string): Promise<boolean> {
    const { status } = await call(this.#world, {
      actor: this.#name,
      method: "POST",
      path: `/v1/rooms/${this.#room}/messages`,
      key,
      body: { event: "said", data: { id: key } },
    });
    return status === 200;
  }
}

/** Reads pages of a room's log over HTTP, now here and now there. */
export class Historian {
  readonly #world: World;
  readonly #rooms: readonly string[];
  readonly #everyMs: number;
  #isEnded = false;
  readonly done: Promise<void>;

  constructor(world: World, rooms: readonly string[], everyMs: number) {
    this.#world = world;
    this.#rooms = rooms;
    this.#everyMs = everyMs;
    this.done = this.#read();
  }

  end(): void {
    this.#isEnded = true;
  }

  async #read(): Promise<void> {
    while (!this.#isEnded) {
      const room = this.#rooms[Math.floor(this.#world.random() * this.#rooms.length)] ?? "";
      const path = `/v1/rooms/${room}/messages?limit=${1 + Math.floor(this.#world.random() * 30)}`;
      await call(this.#world, { actor: "historian", method: "GET", path, withinMs: 3_000 });
      await wait(this.#everyMs * (0.5 + this.#world.random()));
    }
  }
}
