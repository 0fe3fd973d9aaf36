import { createInbox, type Msg, type MsgHdrs, headers as newHeaders } from "@nats-io/transport-node";
import { BackendUnavailable } from "../backend.ts";
import { JetStreamOff, type Link, NoResponders } from "./link.ts";
import { idName, parseStamp, type Stamp } from "./record.ts";

/** A message as the stream keeps it. */
export interface Stored {
  readonly seq: number;
  readonly stamp: Stamp | undefined;
  readonly id: string | undefined;
  readonly text: string;
  /** When the stream took it, nanoseconds since 1970 as RFC 3339: of two texts the greater is the later. */
  readonly time: string;
}

export interface StreamInfo {
  readonly config: StreamConfig;
  readonly state: { readonly last_seq: number; readonly messages: number };
}

export interface StreamConfig {
  readonly name: string;
  readonly max_age: number;
  readonly duplicate_window: number;
  readonly [other: string]: unknown;
}

export type PubAck =
  | { readonly kind: "kept"; readonly seq: number; readonly isDuplicate: boolean }
  /** The subject's last sequence was not the one expected. */
  | { readonly kind: "lost" };

interface ApiError {
  readonly code: number;
  readonly err_code?: number;
  readonly description?: string;
}

const wrongLastSequence = 10_071;
const noSuchStream = 10_059;
const noSuchMessage = 10_037;

/** JetStream's requests, as far as they are needed. All reject with `BackendUnavailable`, and wait no longer than `Link.requestMs`. */
export class Api {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  /** undefined: there is no such stream. */
  async info(stream: string): Promise<StreamInfo | undefined> {
    const answer = await this.#ask(`STREAM.INFO.${stream}`, {});
    if (answer.error?.err_code === noSuchStream) return undefined;
    return checked(answer) as unknown as StreamInfo;
  }

  async createStream(config: object & { name: string }): Promise<void> {
    checked(await this.#ask(`STREAM.CREATE.${config.name}`, config));
  }

  async updateStream(config: StreamConfig): Promise<void> {
    checked(await this.#ask(`STREAM.UPDATE.${config.name}`, config));
  }

  /** Removes the subject's messages before `seq`, or all but the newest `keep`. */
  async purge(stream: string, filter: string, what: { seq: number } | { keep: number }): Promise<void> {
    checked(await this.#ask(`STREAM.PURGE.${stream}`, { filter, ...what }));
  }

  async deleteMessage(stream: string, seq: number): Promise<void> {
    await this.#ask(`STREAM.MSG.DELETE.${stream}`, { seq, no_erase: true });
  }

  /** The subject's newest message, from the stream's leader. */
  last(stream: string, subject: string): Promise<Stored | undefined> {
    return this.#message(stream, { last_by_subj: subject });
  }

  bySequence(stream: string, seq: number): Promise<Stored | undefined> {
    return this.#message(stream, { seq });
  }

  /** From any replica: one that is behind may not have it yet. */
  async direct(stream: string, seq: number): Promise<Stored | undefined> {
    const message = await this.#link.request(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify({ seq }));
    if (message.headers !== undefined && message.headers.code >= 300) return undefined;
    return {
      seq,
      stamp: parseStamp(message.headers?.get("Fanfare") ?? ""),
      id: message.headers?.get(idName),
      text: message.string(),
      time: message.headers?.get("Nats-Time-Stamp") ?? "",
    };
  }

  /** Publishes, and waits until the stream has it. */
  async publish(subject: string, payload: string, headers: MsgHdrs = newHeaders()): Promise<PubAck> {
    const answer = parse(await this.#link.request(subject, payload, { headers }));
    if (answer.error?.err_code === wrongLastSequence) return { kind: "lost" };
    const { seq, duplicate } = checked(answer);
    if (typeof seq !== "number") throw new BackendUnavailable("NATS gave no sequence");
    return { kind: "kept", seq, isDuplicate: duplicate === true };
  }

  /**
   * Publishes only if the subject's last sequence is this one, and of many who do so at once lets one through. The
   * expected sequence alone does not: a cluster compares it before its vote (seen on 2.9.10, four of a hundred got
   * through). An id is compared when the message is stored; so all use the same one.
   */
  async publishAfter(last: number, subject: string, payload: string, headers: MsgHdrs = newHeaders()): Promise<PubAck> {
    headers.set("Nats-Expected-Last-Subject-Sequence", String(last));
    if (!headers.has(idName)) headers.set(idName, `${subject}.${last}`);
    const ack = await this.publish(subject, payload, headers);
    return ack.kind === "kept" && ack.isDuplicate ? { kind: "lost" } : ack;
  }

  /**
   * The sequences and stamps of a subject's messages from `from` on, oldest first, without their bodies. What comes while
   * it is read may be in it or not.
   */
  async shape(stream: string, subject: string, from: number): Promise<{ seq: number; stamp: Stamp | undefined }[]> {
    const inbox = createInbox();
    const found = new Arrivals();
    const stop = this.#link.subscribe(inbox, (message) => found.add(message));
    try {
      const created = checked(
        await this.#ask(`CONSUMER.CREATE.${stream}`, {
          stream_name: stream,
          config: {
            deliver_subject: inbox,
            deliver_policy: "by_start_sequence",
            opt_start_seq: Math.max(1, from),
            ack_policy: "none",
            filter_subject: subject,
            headers_only: true,
            mem_storage: true,
            num_replicas: 1,
            inactive_threshold: 10_000_000_000,
          },
        }),
      ) as unknown as { name: string; num_pending: number };
      await found.whole(created.num_pending, this.#link.requestMs);
      this.#ask(`CONSUMER.DELETE.${stream}.${created.name}`, {}).catch(() => undefined);
      return found.messages;
    } finally {
      stop();
    }
  }

  async #message(stream: string, which: object): Promise<Stored | undefined> {
    const answer = await this.#ask(`STREAM.MSG.GET.${stream}`, which);
    if (answer.error?.err_code === noSuchMessage) return undefined;
    const { message } = checked(answer) as { message?: { seq: number; hdrs?: string; data?: string; time: string } };
    if (message === undefined) throw new BackendUnavailable("NATS gave no message");
    const headers = Buffer.from(message.hdrs ?? "", "base64").toString();
    return {
      seq: message.seq,
      stamp: parseStamp(headerOf(headers, "Fanfare") ?? ""),
      id: headerOf(headers, idName),
      text: Buffer.from(message.data ?? "", "base64").toString(),
      time: message.time,
    };
  }

  async #ask(what: string, payload: object): Promise<Answer> {
    try {
      return parse(await this.#link.request(`$JS.API.${what}`, JSON.stringify(payload)));
    } catch (error) {
      if (!(error instanceof NoResponders)) throw error;
      throw new JetStreamOff("JetStream is off: start nats-server with -js, or choose core NATS (no log)");
    }
  }
}

interface Answer {
  readonly error?: ApiError;
  readonly [other: string]: unknown;
}

function parse(message: Msg): Answer {
  return JSON.parse(message.string()) as Answer;
}

function checked(answer: Answer): Answer {
  if (answer.error === undefined) return answer;
  if (answer.error.err_code === noSuchStream) throw new NoResponders("the stream is not there");
  throw new RefusedByNats(answer.error.description ?? `error ${answer.error.code}`);
}

/** JetStream answered, and said no: it may be so for a moment (no leader) or until somebody changes something. */
export class RefusedByNats extends BackendUnavailable {}

function headerOf(text: string, name: string): string | undefined {
  const line = text.split("\r\n").find((each) => each.startsWith(`${name}: `) || each.startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim();
}

/** What a consumer delivers, until it has delivered all. */
class Arrivals {
  readonly messages: { seq: number; stamp: Stamp | undefined }[] = [];
  /** By the newest delivery's own word. */
  #left: number | undefined;
  #look: (() => void) | undefined;

  add(message: Msg): void {
    // $JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>
    const tokens = message.reply?.split(".") ?? [];
    const seq = Number(tokens.at(-4));
    if (!Number.isSafeInteger(seq)) return;
    this.messages.push({ seq, stamp: parseStamp(message.headers?.get("Fanfare") ?? "") });
    this.#left = Number(tokens.at(-1));
    this.#look?.();
  }

  /** Resolves when all are there; rejects where none comes for `withinMs`. Some may have come before `pending` was told. */
  whole(pending: number, withinMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new BackendUnavailable("NATS stopped in the middle of a log"));
      let timer = setTimeout(late, withinMs);
      this.#look = () => {
        clearTimeout(timer);
        if (this.#left === 0 || (this.#left === undefined && pending === 0)) resolve();
        else timer = setTimeout(late, withinMs);
      };
      this.#look();
    });
  }
}
