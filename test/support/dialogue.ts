import type { Json, JsonObject } from "../../src/protocol/json.ts";
import { http } from "./http.ts";
import { fill, mismatch, type Bindings } from "./match.ts";
import { testOrigin, type TestServer } from "./server.ts";
import { connect, Refused, type ConnectOptions, type Peer } from "./socket.ts";
import { makeToken } from "./token.ts";

/** A conversation from `vectors/dialogues/`; `vectors/README.md` explains it. */
export interface Dialogue {
  rules: string[];
  name: string;
  server?: string[];
  tokens?: Record<string, JsonObject>;
  slow?: boolean;
  steps: Step[];
}

/** One step, as in the table of `vectors/README.md`. */
export interface Step {
  connect?: string;
  as?: string;
  user?: string;
  path?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  protocols?: string[];
  autoPong?: boolean;
  selected?: string;
  refused?: number;
  join?: string;
  room?: string;
  on?: string;
  send?: JsonObject;
  text?: string;
  repeat?: string;
  times?: number;
  binary?: string;
  expect?: JsonObject;
  expectAll?: JsonObject[];
  until?: JsonObject;
  quiet?: boolean;
  silent_ms?: number;
  wait_ms?: number;
  expectClose?: number;
  within_ms?: number;
  close?: number;
  destroy?: boolean;
  length?: string;
  is?: number;
  http?: string;
  status?: number;
  body?: string | JsonObject;
  stop?: boolean;
  exit?: number;
}

let dialogues = 0;

/** Speaks a dialogue to a server. Rejects with the step at which they differ. */
export async function speak(dialogue: Dialogue, server: TestServer): Promise<void> {
  const speaker = new Speaker(server, dialogue);
  try {
    for (const [at, step] of dialogue.steps.entries()) {
      await speaker.step(step).catch((error: unknown) => {
        throw new Error(`step ${at + 1} ${JSON.stringify(step)}: ${(error as Error).message}`, { cause: error });
      });
    }
  } finally {
    speaker.end();
  }
}

class Speaker {
  readonly #server: TestServer;
  readonly #bindings: Bindings = new Map();
  readonly #peers = new Map<string, Peer>();

  constructor(server: TestServer, dialogue: Dialogue) {
    this.#server = server;
    this.#bindings.set("room", `room${process.pid}-${++dialogues}`);
    for (const [name, claims] of Object.entries(dialogue.tokens ?? {})) {
      this.#bindings.set(name, makeToken(this.#fill(claims)));
    }
  }

  end(): void {
    for (const peer of this.#peers.values()) peer.destroy();
  }

  async step(step: Step): Promise<void> {
    if (step.connect !== undefined) return this.#connect(step.connect, step);
    if (step.http !== undefined) return this.#http(step.http, step);
    if (step.join !== undefined) return this.#join(this.#peer(step.join), step);
    if (step.length !== undefined) return this.#count(step.length, step.is);
    if (step.stop === true) return void this.#server.signal("SIGTERM");
    if (step.exit !== undefined) return this.#exit(step.exit);
    if (step.wait_ms !== undefined) return wait(step.wait_ms);
    if (step.on === undefined) throw new Error("no such step");
    await this.#on(this.#peer(step.on), step);
  }

  async #on(peer: Peer, step: Step): Promise<void> {
    const times = step.times ?? 1;
    if (step.send !== undefined) {
      for (let i = 0; i < times; i++) peer.send(this.#fill(step.send));
    } else if (step.text !== undefined) {
      sendText(peer, step.text, step.repeat, times);
    } else if (step.binary !== undefined) {
      peer.socket.send(Buffer.from(step.binary));
    } else if (step.expect !== undefined) {
      for (let i = 0; i < times; i++) await peer.expect(step.expect, this.#bindings, step.within_ms);
    } else if (step.expectAll !== undefined) {
      await peer.expectAll(step.expectAll, this.#bindings);
    } else if (step.until !== undefined) {
      await peer.until(step.until, this.#bindings, step.within_ms);
    } else if (step.quiet === true) {
      nothing(await peer.settled());
    } else if (step.silent_ms !== undefined) {
      await wait(step.silent_ms);
      nothing(peer.pending());
    } else if (step.expectClose !== undefined) {
      await peer.expectClose(step.expectClose, step.within_ms);
    } else if (step.close !== undefined) {
      await peer.close(step.close);
    } else if (step.destroy === true) {
      peer.destroy();
    } else {
      throw new Error("no such step");
    }
  }

  async #connect(name: string, step: Step): Promise<void> {
    const attempt = connect(this.#server, this.#options(step));
    if (step.refused !== undefined) return expectRefusal(attempt, step.refused, step.body);
    const peer = await attempt;
    this.#peers.set(name, peer);
    if (step.selected !== undefined && peer.socket.protocol !== step.selected) {
      throw new Error(`the subprotocol is "${peer.socket.protocol}", expected "${step.selected}"`);
    }
    if (step.as !== undefined) await peer.expect({ type: "welcome", user: this.#text(step.as) });
  }

  #options(step: Step): ConnectOptions {
    const user = step.as ?? step.user;
    const token = user === undefined ? {} : { token: makeToken({ sub: this.#text(user), rooms: ["**"] }) };
    return {
      path: this.#text(step.path ?? "/ws"),
      query: { ...token, ...this.#fill(step.query ?? {}) },
      headers: this.#fill<Record<string, string>>(step.headers ?? {}),
      protocols: this.#fill<string[]>(step.protocols ?? ["fanfare.v1"]),
      autoPong: step.autoPong ?? true,
    };
  }

  async #http(method: string, step: Step): Promise<void> {
    const url = `http://${this.#server.host}${this.#text(step.path ?? "/")}`;
    const headers = this.#fill<Record<string, string>>(step.headers ?? {});
    const { status, text } = await http(url, { method, headers: { Origin: testOrigin, ...headers } });
    if (status !== step.status) throw new Error(`status ${status}: ${text.slice(0, 200)}`);
    if (typeof step.body !== "object") return;
    const fault = mismatch(JSON.parse(text) as Json, step.body, this.#bindings, "body");
    if (fault !== undefined) throw new Error(fault);
  }

  async #join(peer: Peer, step: Step): Promise<void> {
    const { join: _, ...fields } = step;
    peer.send(this.#fill({ ...fields, type: "join", id: "joining" }));
    await peer.expect({ type: "joined", re: "joining", room: this.#text(step.room ?? "") }, this.#bindings);
  }

  async #exit(code: number): Promise<void> {
    const exit = await this.#server.exited;
    if (exit.code !== code) throw new Error(`ended with ${JSON.stringify(exit)}`);
  }

  #count(name: string, wanted: number | undefined): Promise<void> {
    const list = this.#fill(name);
    if (!Array.isArray(list) || list.length !== wanted)
      throw new Error(`${name} has not ${wanted} items: ${JSON.stringify(list).slice(0, 300)}`);
    return Promise.resolve();
  }

  #peer(name: string): Peer {
    const peer = this.#peers.get(name);
    if (peer === undefined) throw new Error(`no connection ${name}`);
    return peer;
  }

  #fill<T extends Json>(template: T): T {
    return fill(template, this.#bindings) as T;
  }

  #text(template: string): string {
    // A placeholder alone may stand for a number.
    return String(fill(template, this.#bindings));
  }
}

function sendText(peer: Peer, text: string, repeat: string | undefined, times: number): void {
  if (repeat !== undefined) return peer.text(text.replace("<*>", () => repeat.repeat(times)));
  for (let i = 0; i < times; i++) peer.text(text);
}

function nothing(frames: JsonObject[]): void {
  if (frames.length > 0) throw new Error(`not quiet: ${JSON.stringify(frames).slice(0, 500)}`);
}

async function expectRefusal(
  attempt: Promise<Peer>,
  status: number,
  body: string | JsonObject | undefined,
): Promise<void> {
  const refused = await attempt.then(
    () => new Error("the connection opened"),
    (error: unknown) => error,
  );
  if (!(refused instanceof Refused)) throw refused;
  if (refused.status !== status) throw refused;
  if (typeof body === "string" && !refused.body.includes(body)) throw new Error(`the body is ${refused.body}`);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
