import { once } from "node:events";
import { request, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { onTestFinished } from "vitest";
import type { JsonObject } from "../../../src/protocol/json.ts";
import { mismatch, type Bindings } from "../../support/match.ts";

export interface StreamEvent {
  readonly id: string | undefined;
  readonly retryMs: number | undefined;
  readonly frame: JsonObject;
}

export interface ListenOptions {
  readonly token?: string;
  readonly path?: string;
  readonly lastEventId?: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
}

const patienceMs = 5_000;

/** A reader of `text/event-stream` as its specification says, for streams that end lines with LF alone. */
export class EventReader {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly response: IncomingMessage;
  /** The id of the last event that came, read or not. */
  lastId = "";
  comments = 0;
  /** All that came, as text. */
  text = "";
  readonly #events: StreamEvent[] = [];
  #rest = "";
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(response: IncomingMessage) {
    this.response = response;
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    response.setEncoding("utf8").on("data", (text: string) => this.#take(text));
    response
      .on("error", () => undefined)
      .on("close", () => {
        this.#ended = true;
        this.#wake?.();
      });
  }

  get socket(): Socket {
    return this.response.socket;
  }

  async nextEvent(withinMs: number = patienceMs): Promise<StreamEvent> {
    await this.#until(() => this.#events.length > 0 || this.#ended, withinMs, "an event");
    const event = this.#events.shift();
    if (event === undefined) throw new Error("the stream ended while an event was awaited");
    return event;
  }

  /** The next event's frame, which must match (see `mismatch`). */
  async expect(pattern: JsonObject, bindings: Bindings = new Map()): Promise<StreamEvent> {
    const event = await this.nextEvent();
    const fault = mismatch(event.frame, pattern, bindings);
    if (fault !== undefined) throw new Error(`${fault}\n  got ${JSON.stringify(event.frame)}`);
    return event;
  }

  /** The first event from here on that matches; those before it are dropped. */
  async until(pattern: JsonObject): Promise<StreamEvent> {
    for (;;) {
      const event = await this.nextEvent();
      if (mismatch(event.frame, pattern, new Map()) === undefined) return event;
    }
  }

  /** Events that came and were not read yet. */
  pending(): StreamEvent[] {
    return this.#events.splice(0);
  }

  async ended(withinMs: number = patienceMs): Promise<void> {
    await this.#until(() => this.#ended, withinMs, "the end of the stream");
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  destroy(): void {
    this.response.destroy();
  }

  #take(text: string): void {
    this.text += text;
    const blocks = (this.#rest + text).split("\n\n");
    this.#rest = blocks.pop() ?? "";
    for (const block of blocks) this.#block(block);
    this.#wake?.();
  }

  #block(block: string): void {
    const data: string[] = [];
    let id: string | undefined;
    let retryMs: number | undefined;
    for (const line of block.split("\n")) {
      const [, field = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (line.startsWith(":")) this.comments++;
      else if (field === "id") id = value;
      else if (field === "retry") retryMs = Number(value);
      else if (field === "data") data.push(value);
      else throw new Error(`not a line of these streams: ${JSON.stringify(line)}`);
    }
    if (id !== undefined) this.lastId = id;
    if (data.length > 0) this.#events.push({ id, retryMs, frame: JSON.parse(data.join("\n")) as JsonObject });
  }

  async #until(isReached: () => boolean, withinMs: number, what: string): Promise<void> {
    if (isReached()) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${what} did not come within ${withinMs} ms`)), withinMs);
      this.#wake = () => isReached() && resolve();
    }).finally(() => {
      clearTimeout(timer);
      this.#wake = undefined;
    });
  }
}

export function streamPath(rooms: readonly string[], { token, path = "/sse", query = {} }: ListenOptions = {}): string {
  const asked = new URLSearchParams(rooms.map((room) => ["room", room]));
  if (token !== undefined) asked.set("token", token);
  for (const [name, value] of Object.entries(query)) asked.append(name, value);
  return `${path}?${asked.toString()}`;
}

/** Asks for a stream, whatever the answer; its connection ends with the test. */
export async function ask(port: number, rooms: readonly string[], options: ListenOptions = {}): Promise<EventReader> {
  const sent = request({
    port,
    host: "127.0.0.1",
    path: streamPath(rooms, options),
    headers: {
      accept: "text/event-stream",
      ...(options.lastEventId !== undefined && { "last-event-id": options.lastEventId }),
      ...options.headers,
    },
    agent: false,
  });
  onTestFinished(() => void sent.destroy());
  sent.on("error", () => undefined).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return new EventReader(response);
}

/** A stream past `welcome`. */
export async function listen(
  port: number,
  rooms: readonly string[],
  options: ListenOptions = {},
): Promise<EventReader> {
  const reader = await ask(port, rooms, options);
  if (reader.status !== 200) throw new Error(`refused with ${reader.status}`);
  await reader.expect({ type: "welcome" });
  return reader;
}

/** A stream past all of its `joined`. */
export async function member(
  port: number,
  rooms: readonly string[],
  options: ListenOptions = {},
): Promise<EventReader> {
  const reader = await listen(port, rooms, options);
  for (const room of rooms) await reader.expect({ type: "joined", room });
  return reader;
}

/** The status and body of a refusal. */
export async function refusal(
  port: number,
  rooms: readonly string[],
  options: ListenOptions = {},
): Promise<{ status: number; code: unknown; headers: IncomingHttpHeaders }> {
  const sent = request({
    port,
    host: "127.0.0.1",
    path: streamPath(rooms, options),
    headers: { ...(options.lastEventId !== undefined && { "last-event-id": options.lastEventId }), ...options.headers },
    agent: false,
  });
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let text = "";
  response.setEncoding("utf8").on("data", (part: string) => (text += part));
  await once(response, "end");
  const body = text.startsWith("{") ? (JSON.parse(text) as { error?: { code?: unknown } }) : {};
  return { status: response.statusCode ?? 0, code: body.error?.code, headers: response.headers };
}
