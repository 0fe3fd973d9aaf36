import { closeCodes } from "../../src/protocol/codes.ts";
import type { Fault } from "./fault.ts";
import { Listener } from "./frame-rules.ts";

/** What answers showed: statuses, close codes, types of frames and errors, for the sum at the end. */
export type Seen = (what: string) => void;

export interface Said {
  readonly speaks: "fanfare" | "app";
  /** A method in it has answers without a body, so where an answer ends has to be guessed. */
  readonly hasHead: boolean;
}

const statuses = new Set([
  100, 101, 200, 202, 204, 400, 401, 403, 404, 405, 408, 409, 413, 415, 417, 422, 426, 429, 431,
]);
const errorNames =
  /^(bad_frame|unknown_type|bad_field|too_deep|unauthorized|forbidden|unknown_room|unknown_event|invalid_data|not_joined|too_many_rooms|rate_limited|conflict|not_found|method_not_allowed|too_large|unsupported_media_type)$/;
const knownCloses: ReadonlySet<number> = new Set(Object.values(closeCodes));

/** Reads all that the server wrote on one connection. Gives the first thing that must not be there. */
export function judgeReply(bytes: Buffer, said: Said, seen: Seen): Fault | undefined {
  let rest = bytes;
  while (rest.length > 0) {
    const end = rest.indexOf("\r\n\r\n");
    if (end === -1) return startsWell(rest);
    const head = rest.subarray(0, end).toString("latin1");
    const answer = readHead(head);
    if (typeof answer === "string") return { kind: "http", what: `${answer}: ${head.slice(0, 300)}` };
    seen(`HTTP ${answer.status}`);
    if (!statuses.has(answer.status)) return { kind: "status", what: head.slice(0, 300) };
    rest = rest.subarray(end + 4);
    if (answer.status === 101) return judgeFrames(rest, said.speaks, seen);
    if (answer.status === 100 || answer.status === 204) continue;
    if (said.hasHead && (rest.length === 0 || rest.subarray(0, 9).toString() === "HTTP/1.1 ")) continue;
    const body = takeBody(answer.headers, rest);
    if (typeof body === "string") return { kind: "http", what: `${body}: ${head.slice(0, 300)}` };
    const fault = judgeBody(answer, body.content, body.isWhole, seen);
    if (fault !== undefined) return fault;
    rest = body.rest;
  }
  return undefined;
}

function startsWell(bytes: Buffer): Fault | undefined {
  const start = bytes.subarray(0, 9).toString("latin1");
  return "HTTP/1.1 ".startsWith(start) ? undefined : { kind: "http", what: `no answer: ${start}` };
}

interface Head {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
}

function readHead(head: string): Head | string {
  const [first = "", ...lines] = head.split("\r\n");
  const status = /^HTTP\/1\.1 ([1-5]\d\d) [ -~]*$/.exec(first)?.[1];
  if (status === undefined) return "a malformed status line";
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name = "", value = ""] = /^([!#$%&'*+.^_`|~\w-]+): ?([\t -~\u0080-\u00ff]*)$/.exec(line) ?? [];
    if (name === "") return `a malformed header ${JSON.stringify(line)}`;
    if (headers.has(name.toLowerCase())) return `two headers ${name}`;
    headers.set(name.toLowerCase(), value);
  }
  return { status: Number(status), headers };
}

interface Body {
  readonly content: string;
  readonly rest: Buffer;
  readonly isWhole: boolean;
}

function takeBody(headers: Head["headers"], bytes: Buffer): Body | string {
  const length = headers.get("content-length");
  if (headers.get("transfer-encoding") === "chunked") {
    return length === undefined ? takeChunks(bytes) : "a length and chunks";
  }
  if (length === undefined) return { content: bytes.toString(), rest: Buffer.alloc(0), isWhole: false };
  if (!/^\d+$/.test(length)) return "a malformed length";
  const count = Number(length);
  const content = bytes.subarray(0, count).toString();
  return { content, rest: bytes.subarray(count), isWhole: bytes.length >= count };
}

function takeChunks(bytes: Buffer): Body | string {
  let rest = bytes;
  let content = "";
  for (;;) {
    const end = rest.indexOf("\r\n");
    if (end === -1) return { content, rest: Buffer.alloc(0), isWhole: false };
    const line = rest.subarray(0, end).toString("latin1");
    if (!/^[0-9a-f]+$/i.test(line)) return `a malformed chunk ${JSON.stringify(line.slice(0, 40))}`;
    const size = Number.parseInt(line, 16);
    if (rest.length < end + 4 + size) return { content, rest: Buffer.alloc(0), isWhole: false };
    content += rest.subarray(end + 2, end + 2 + size).toString();
    rest = rest.subarray(end + 4 + size);
    if (size === 0) return { content, rest, isWhole: true };
  }
}

function judgeBody({ status, headers }: Head, content: string, isWhole: boolean, seen: Seen): Fault | undefined {
  const type = headers.get("content-type") ?? "";
  if (type.startsWith("text/event-stream")) return judgeEvents(content, seen);
  if (!isWhole || content === "" || !type.startsWith("application/json")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return { kind: "body", what: `no JSON: ${content.slice(0, 300)}` };
  }
  if (status < 400) return undefined;
  const error = (value as { error?: { code?: unknown; message?: unknown } } | null)?.error;
  if (typeof error?.message !== "string" || !errorNames.test(String(error.code))) {
    return { kind: "body", what: `not the shape of an error: ${content.slice(0, 300)}` };
  }
  seen(`HTTP ${String(error.code)}`);
  return undefined;
}

/** Other than in a text, a line of a stream is ended by CR and LF alone. */
const lineOfEvents =
  /^(?:|:[^\r]*|retry: \d+|id: 1(?:~[A-Za-z0-9_-]{12}\.[A-Za-z0-9_-]{1,32}\.\d{1,16})*|data: [^\r]*)$/;

function judgeEvents(content: string, seen: Seen): Fault | undefined {
  const listener = new Listener();
  // The last line may not have come whole.
  for (const line of content.split("\n").slice(0, -1)) {
    if (!lineOfEvents.test(line))
      return { kind: "http", what: `no line of a stream: ${JSON.stringify(line.slice(0, 300))}` };
    const fault = line.startsWith("data: ") ? hear(listener, line.slice(6), seen) : undefined;
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function hear(listener: Listener, json: string, seen: Seen): Fault | undefined {
  const fault = listener.hear(json);
  if (fault === undefined)
    seen(/"type":"error".*?"code":"(\w+)"/.exec(json)?.[1] ?? /"type":"(\w+)"/.exec(json)?.[1] ?? "");
  return fault;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function judgeFrames(bytes: Buffer, speaks: Said["speaks"], seen: Seen): Fault | undefined {
  const listener = new Listener();
  let rest = bytes;
  while (rest.length >= 2) {
    const first = rest[0]!;
    const short = rest[1]!;
    const isKnown = [0x81, 0x82, 0x88, 0x89, 0x8a].includes(first) && (first !== 0x82 || speaks === "app");
    if (!isKnown || short > 127) {
      return { kind: "framing", what: `a frame that begins ${rest.subarray(0, 16).toString("hex")}` };
    }
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (rest.length < start) return undefined;
    const length = short < 126 ? short : short === 126 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2));
    if (rest.length < start + length) return undefined;
    const payload = rest.subarray(start, start + length);
    rest = rest.subarray(start + length);
    const fault = judgeFrame(first & 15, payload, speaks, listener, seen);
    if (fault !== undefined) return fault;
    if (first === 0x88 && rest.length > 0) return { kind: "framing", what: "bytes after a close frame" };
  }
  return undefined;
}

function judgeFrame(
  opcode: number,
  payload: Buffer,
  speaks: Said["speaks"],
  listener: Listener,
  seen: Seen,
): Fault | undefined {
  if (opcode === 8) return judgeClose(payload, speaks, seen);
  if (opcode !== 1)
    return payload.length > 125 && opcode > 8 ? { kind: "framing", what: "a long control frame" } : undefined;
  let text: string;
  try {
    text = decoder.decode(payload);
  } catch {
    return { kind: "framing", what: "text that is no UTF-8" };
  }
  return speaks === "fanfare" ? hear(listener, text, seen) : undefined;
}

function judgeClose(payload: Buffer, speaks: Said["speaks"], seen: Seen): Fault | undefined {
  if (payload.length === 0) return undefined;
  const code = payload.length === 1 ? 0 : payload.readUInt16BE(0);
  seen(`close ${code}`);
  // `ws` answers a close with the peer's own code and reason, whatever they are; what it says by itself is a sentence.
  const isOurs = /^[a-z ]{6,}$/.test(payload.subarray(2).toString("latin1"));
  const isUnwell = isOurs && (code === closeCodes.internal || code === closeCodes.tryLater);
  const isLawful = knownCloses.has(code) || (code >= 3_000 && code <= 4_999) || (code >= 1_000 && code <= 1_014);
  if (isUnwell || !isLawful) return { kind: "close code", what: `close ${code} (${speaks})` };
  return undefined;
}
