import type { Answered, App, Asked, Begun, Called, Ended, Got, Kept, Rec, Sent, Told } from "../records.ts";
import { readCursor, type Cursor } from "./cursor.ts";
import { faultTimes } from "./faults.ts";
import type { Attempt, Connection, Outcome, Publish, Sight, Step, Story, Stream } from "./story.ts";

export function tell(records: readonly Rec[]): Story {
  return new Teller(records).story();
}

class Teller {
  readonly #records: readonly Rec[];
  readonly #connections = new Map<string, Connection>();
  readonly #streams: Stream[] = [];
  readonly #sights: Sight[] = [];
  readonly #publishes = new Map<string, Publish>();
  readonly #calls = new Map<string, { called: Called; answered: Answered | undefined }>();
  readonly #kept: Kept[] = [];
  /** By connection and room. */
  readonly #current = new Map<string, Stream>();
  /** By connection and id of the request. */
  readonly #asked = new Map<string, Sent>();
  readonly #attempts = new Map<string, Attempt>();
  #begun: Begun | undefined;

  constructor(records: readonly Rec[]) {
    this.#records = records;
  }

  story(): Story {
    for (const record of this.#records) this.#take(record);
    if (this.#begun === undefined) throw new Error("the records have no beginning");
    return {
      records: this.#records,
      begun: this.#begun,
      connections: this.#connections,
      streams: this.#streams,
      sights: this.#sights,
      publishes: this.#publishes,
      calls: [...this.#calls.values()],
      kept: this.#kept,
      faults: faultTimes(this.#records),
    };
  }

  #take(record: Rec): void {
    switch (record.kind) {
      case "begun":
        this.#begun = record;
        break;
      case "opened":
        this.#connections.set(record.connection, { opened: record, ended: undefined, streams: [] });
        break;
      case "sent":
        this.#sent(record);
        break;
      case "got":
        this.#got(record);
        break;
      case "ended":
        this.#ended(record);
        break;
      case "called":
        this.#called(record);
        break;
      case "answered":
        this.#answered(record);
        break;
      case "kept":
        this.#kept.push(record);
        for (const { offset, prev, id } of record.entries)
          this.#see(record, record.room, record.epoch, offset, prev, id);
        break;
      case "app":
        this.#app(record);
        break;
      case "asked":
        this.#asks(record);
        break;
      case "told":
        this.#told(record);
        break;
      default:
    }
  }

  #sent(record: Sent): void {
    const { connection, frame } = record;
    const id = String(frame["id"]);
    this.#asked.set(`${connection} ${id}`, record);
    if (frame["type"] !== "publish") return;
    const attempt = { asked: record, connection: this.#connections.get(connection), answer: undefined };
    const publisher = this.#connections.get(connection)?.opened.actor ?? "";
    this.#attempt(`${connection} ${id}`, nameOf(frame), String(frame["room"]), publisher, {
      ...attempt,
      outcome: open,
    });
  }

  #called(record: Called): void {
    this.#calls.set(record.call, { called: record, answered: undefined });
    const room = /^\/v1\/rooms\/([^/]+)\/messages$/.exec(record.path)?.[1];
    if (record.method !== "POST" || room === undefined || record.body === undefined) return;
    const attempt = { asked: record, connection: undefined, answer: undefined, outcome: open };
    this.#attempt(record.call, nameOf(record.body), room, record.actor, attempt);
  }

  /** Under the message's own name, which no connection and no call has. */
  #asks(record: Asked): void {
    const attempt = { asked: record, connection: undefined, answer: undefined, outcome: open };
    this.#attempt(record.id, record.id, record.room, record.actor, attempt);
  }

  #told(record: Told): void {
    const attempt = this.#attempts.get(record.id);
    if (attempt === undefined) return;
    attempt.answer = record;
    const { cursor, code = "", duplicate: isDuplicate = false } = record;
    if (cursor !== undefined) this.#acked(attempt, record.id, { ...readCursor(cursor), isDuplicate });
    else attempt.outcome = code === "outcome_unknown" ? open : { kind: "refused", code };
  }

  #app(record: App): void {
    const { what, room, cursor, id = "" } = record;
    if (what !== "message" || cursor === undefined) return;
    const { epoch, offset } = readCursor(cursor);
    this.#see(record, room, epoch, offset, undefined, id);
  }

  #attempt(name: string, id: string, room: string, publisher: string, attempt: Attempt): void {
    const publish = this.#publishes.get(id) ?? { id, room, publisher, attempts: [] };
    this.#publishes.set(id, publish);
    publish.attempts.push(attempt);
    this.#attempts.set(name, attempt);
  }

  #answered(record: Answered): void {
    const call = this.#calls.get(record.call);
    if (call === undefined) return;
    call.answered = record;
    const { status, body } = record;
    const attempt = this.#attempts.get(record.call);
    if (attempt !== undefined) {
      attempt.answer = record;
      const code = (body["error"] as { code?: string } | undefined)?.code ?? String(status);
      if (status === 200) this.#ack(attempt, body);
      else attempt.outcome = status === 0 || status >= 500 || code === "unavailable" ? open : { kind: "refused", code };
    }
    const room = /^\/v1\/rooms\/([^/]+)\/messages\b/.exec(call.called.path)?.[1];
    if (call.called.method === "GET" && room !== undefined && status === 200) this.#page(record, room, body);
  }

  #ack(attempt: Attempt, body: Record<string, unknown>): void {
    const { epoch } = readCursor(body["cursor"]);
    const { asked } = attempt;
    const frame = asked.kind === "sent" ? asked.frame : asked.kind === "called" ? asked.body : undefined;
    const place = { epoch, offset: Number(body["offset"]), isDuplicate: body["duplicate"] === true };
    this.#acked(attempt, nameOf(frame ?? {}), place);
  }

  #acked(attempt: Attempt, id: string, place: Cursor & { isDuplicate: boolean }): void {
    attempt.outcome = { kind: "acked", ...place };
    const room = this.#publishes.get(id)?.room ?? "";
    if (attempt.answer !== undefined) this.#see(attempt.answer, room, place.epoch, place.offset, undefined, id);
  }

  #page(record: Got | Answered, room: string, body: Record<string, unknown>): void {
    const { epoch } = readCursor(body["cursor"]);
    for (const message of body["messages"] as Record<string, unknown>[]) {
      this.#see(record, room, epoch, Number(message["offset"]), numberOf(message["prev"]), nameOf(message));
    }
  }

  #got(record: Got): void {
    const { frame } = record;
    const connection = this.#connections.get(record.connection);
    if (connection === undefined) return;
    const room = String(frame["room"]);
    const stream = this.#current.get(`${record.connection} ${room}`);
    switch (frame["type"]) {
      case "joined":
        return this.#join(connection, record, room);
      case "left":
        return this.#leave(record, room);
      case "message":
      case "skip":
      case "gap":
        if (stream !== undefined) this.#step(stream, record, frame["type"]);
        return undefined;
      case "presence":
        return void stream?.presence.push(record);
      case "history":
        return this.#page(record, room, frame);
      case "ack":
      case "error":
        return this.#settle(record);
      default:
        return undefined;
    }
  }

  #settle(record: Got): void {
    const attempt = this.#attempts.get(`${record.connection} ${String(record.frame["re"])}`);
    if (attempt === undefined) return;
    attempt.answer = record;
    const code = String(record.frame["code"]);
    if (record.frame["type"] === "ack") this.#ack(attempt, record.frame);
    else attempt.outcome = code === "unavailable" ? open : { kind: "refused", code };
  }

  #join(connection: Connection, record: Got, room: string): void {
    this.#leave(record, room);
    const join = this.#asked.get(`${record.connection} ${String(record.frame["re"])}`);
    const start = readCursor(record.frame["cursor"]);
    const stream = { connection, room, join, joined: record, start, steps: [], presence: [], endAt: Infinity };
    connection.streams.push(stream);
    this.#streams.push(stream);
    this.#current.set(`${record.connection} ${room}`, stream);
  }

  #leave(record: Got, room: string): void {
    const stream = this.#current.get(`${record.connection} ${room}`);
    if (stream !== undefined) stream.endAt = record.at;
    this.#current.delete(`${record.connection} ${room}`);
  }

  #step(stream: Stream, record: Got, type: Step["type"]): void {
    const { frame } = record;
    const from = stream.steps.at(-1)?.to ?? stream.start;
    const to = type === "gap" ? readCursor(frame["cursor"]) : { epoch: from.epoch, offset: Number(frame["offset"]) };
    const prev = numberOf(frame["prev"]);
    const id = type === "message" ? nameOf(frame) : undefined;
    const reason = type === "gap" ? String(frame["reason"]) : undefined;
    stream.steps.push({ record, type, from, to, prev, id, reason });
    if (id !== undefined) this.#see(record, stream.room, to.epoch, to.offset, prev, id);
  }

  #ended(record: Ended): void {
    const connection = this.#connections.get(record.connection);
    if (connection === undefined) return;
    connection.ended = record;
    for (const stream of connection.streams) stream.endAt = Math.min(stream.endAt, record.at);
    for (const stream of connection.streams) this.#current.delete(`${record.connection} ${stream.room}`);
  }

  #see(record: Rec, room: string, epoch: string, offset: number, prev: number | undefined, id: string): void {
    this.#sights.push({ record, room, epoch, offset, prev, id });
  }
}

const open: Outcome = { kind: "open" };

function nameOf(frame: Record<string, unknown>): string {
  return String((frame["data"] as { id?: unknown } | null | undefined)?.id);
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
