import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { closeCodes, leavesAtOnce } from "../protocol/codes.ts";
import type { Identity } from "./auth/identity.ts";
import type { Connected } from "./connected.ts";
import { Outbox, type OutboxOwner } from "./outbox.ts";
import type { ExpelReason } from "./joins.ts";
import type { Room } from "./room.ts";
import type { Session } from "./session.ts";
import type { SessionPeer } from "./session-context.ts";
import type { TraceSpan } from "./tracing.ts";
import type { Turn } from "./turn.ts";
import { frameText } from "./wire.ts";

/** WebSocket pings and pongs that one connection may send in a second; more is a flood (close 1008). */
const maxControlFrames = 100;
const controlWindowMs = 1_000;

/** The class that `ws` makes for each socket; it knows its connection, so that one set of listeners serves all. */
export class Socket extends WebSocket {
  connection: Connection | undefined;
}

/** What takes text before `welcome`: the wait for credentials. */
export type TextHandler = (text: string) => void;

export interface ConnectionContext {
  readonly turn: Turn;
  readonly outboxBytes: number;
  readonly monotonic: () => number;
  readonly graceMs: number;
  /** Called once, when the connection has ended, whoever ended it. */
  readonly ended: (connection: Connection, code: number) => void;
}

/** One socket: who it is, what is in flight, when it was last heard of. */
export class Connection implements Connected, SessionPeer, OutboxOwner {
  readonly id: string;
  readonly address: string;
  readonly socket: Socket;
  readonly stream: Duplex;
  readonly compressor: WebSocket | undefined;
  readonly outbox: Outbox;
  readonly joined: Map<string, Room> = new Map();
  joining = 0;
  closed = false;
  identity: Identity = nobody;
  /** Set by `welcome`. */
  session: Session | undefined;
  /** Takes what comes before `welcome`. */
  early: TextHandler | undefined;
  readonly openedAt: number;
  /** Monotonic times; the heartbeat's. */
  heardAt: number;
  pingAt: number;
  /** Until when the first `auth` must come, or its check must end; undefined: none is awaited. */
  authBy: number | undefined;
  /** We have stopped reading, by our own choice, so that silence says nothing about the peer. */
  held = false;
  /** Credentials came, and the app checks them. */
  checking = false;
  /** P-17: `reauth` was sent for the token at hand. */
  reauthTold = false;
  /** A message that began and has not ended: how many had come in before it, and since when it was seen. */
  unfinished: { messages: number; since: number } | undefined;
  /** Messages that came in whole. */
  messages = 0;
  /** From the handshake to `welcome`, where spans are made. */
  span: TraceSpan | undefined;
  /** P-53: what `drain` told; the grace of its user's presence begins when it is over. */
  retryAfterMs = 0;
  readonly #context: ConnectionContext;
  #controlFrames = 0;
  #controlSince = 0;

  constructor(context: ConnectionContext, socket: Socket, stream: Duplex, id: string, address: string) {
    this.#context = context;
    this.id = id;
    this.address = address;
    this.socket = socket;
    this.stream = stream;
    this.compressor = socket.extensions === "" ? undefined : socket;
    this.outbox = new Outbox(this);
    this.openedAt = this.heardAt = this.pingAt = context.monotonic();
    socket.connection = this;
    socket.on("message", onMessage).on("close", onClose).on("error", onError).on("ping", onPing).on("pong", onPong);
  }

  get turn(): Turn {
    return this.#context.turn;
  }

  get outboxBytes(): number {
    return this.#context.outboxBytes;
  }

  get user(): string {
    return this.identity.user;
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  get isGone(): boolean {
    return this.socket.readyState === WebSocket.CLOSED;
  }

  get isWelcome(): boolean {
    return this.session !== undefined;
  }

  get pending(): number {
    return this.session?.pending ?? 0;
  }

  send(text: string): void {
    this.outbox.push(frameText(text));
  }

  /** P-61. What was sent before goes out first; nothing is sent or taken after. */
  close(code: number, reason: string): void {
    if (this.closed) return;
    // What its rooms have for it in this turn goes out with the rest; to one who may see no more, nothing.
    if (!leavesAtOnce(code)) for (const room of this.joined.values()) room.settle(this);
    this.outbox.flush();
    // Writing can have found the reader too slow, which closed it.
    if (this.closed) return;
    const wasOpen = this.isOpen;
    this.#end(code, reason);
    if (!wasOpen) {
      // It has said goodbye and reads nothing: what waits for it would wait for ever.
      this.socket.terminate();
      return;
    }
    this.socket.close(code, reason);
    // After our close frame all that comes is thrown away, and a peer that never answers is cut by `ws`.
    this.socket.resume();
  }

  /** Takes no more requests; those that were read are still answered (P-53). */
  stopReading(): void {
    this.socket.pause();
  }

  expel(room: Room, reason: ExpelReason): void {
    this.session?.expel(room, reason);
  }

  terminate(): void {
    this.socket.terminate();
  }

  fellBehind(): void {
    for (const room of this.joined.values()) room.fellBehind(this);
  }

  /** A flooder that does not read its refusals must not be told to come back at once, as a slow reader is. */
  overflowed(): void {
    const flooded = this.session?.flooded === true;
    const code = flooded ? closeCodes.flooding : closeCodes.slowReader;
    const reason = flooded ? "flooding" : "too slow a reader";
    this.#end(code, reason);
    this.socket.close(code, reason);
  }

  welcomed(): void {
    this.span?.end();
    this.span = undefined;
  }

  renewed(identity: Identity): void {
    this.identity = identity;
    this.reauthTold = false;
  }

  /** The socket has closed, or broke the framing, so that `ws` closes it. */
  lost(code: number, reason: string): void {
    if (!this.closed) this.#end(code, reason);
  }

  /** What a kind of connection does when it has ended; called once. */
  protected ending(_code: number, _reason: string): void {}

  receive(data: Buffer, isBinary: boolean): void {
    if (this.closed) return;
    this.heardAt = this.#context.monotonic();
    this.messages++;
    if (isBinary) this.close(closeCodes.binary, "text frames only");
    else if (this.session !== undefined) this.session.receive(data.toString());
    else this.early?.(data.toString());
  }

  /** A WebSocket ping (answered) or pong. */
  control(ping: Buffer | undefined): void {
    if (this.closed) return;
    const now = (this.heardAt = this.#context.monotonic());
    if (now - this.#controlSince > controlWindowMs) {
      this.#controlSince = now;
      this.#controlFrames = 0;
    }
    if (++this.#controlFrames > maxControlFrames) this.close(closeCodes.policy, "too many pings");
    else if (ping !== undefined) this.socket.pong(ping);
  }

  #end(code: number, reason: string): void {
    this.closed = true;
    this.early = undefined;
    this.outbox.close();
    this.session?.end(leavesAtOnce(code) ? 0 : this.#context.graceMs + this.retryAfterMs);
    const failure = code === closeCodes.tryLater || code === closeCodes.internal ? "unavailable" : undefined;
    this.span?.end({ "fanfare.close_code": code }, failure);
    this.ending(code, reason);
    this.#context.ended(this, code);
  }
}

const nobody: Identity = { user: "" };

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  connectionOf(this)?.receive(data as Buffer, isBinary);
}

function onClose(this: WebSocket, code: number, reason: Buffer): void {
  connectionOf(this)?.lost(code, reason.toString());
}

/** A broken frame: `ws` closes with the code that fits; the peer may come back, so its users have their grace. */
function onError(this: WebSocket, error: Error): void {
  connectionOf(this)?.lost(closeCodeOf(error), "");
}

/** What `ws` closes with for a fault that it finds, which it tells nobody else. */
function closeCodeOf(error: Error): number {
  const code = "code" in error ? String(error.code) : "";
  // Those of zlib: bytes that do not unpack.
  if (code.startsWith("Z_")) return closeCodes.invalidText;
  return faultCodes[code] ?? closeCodes.protocolError;
}

const faultCodes: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: closeCodes.invalidText,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: closeCodes.tooBig,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: closeCodes.tooBig,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: closeCodes.policy,
};

function onPing(this: WebSocket, data: Buffer): void {
  connectionOf(this)?.control(data);
}

function onPong(this: WebSocket): void {
  connectionOf(this)?.control(undefined);
}

function connectionOf(socket: WebSocket): Connection | undefined {
  return socket instanceof Socket ? socket.connection : undefined;
}

/** Of a receiver of `ws`, 0 between messages: fragments that came, where it is in a frame, and bytes of a frame to come. */
const progress = ["_fragmented", "_state", "_bufferedBytes"];

/**
 * Whether a message has begun and not ended: fragments wait for their last one, or a frame for its rest. `ws` offers no
 * event for it, so this reads its receiver; a test would tell if a newer `ws` named these fields otherwise.
 */
export function isMidMessage(socket: WebSocket): boolean {
  const receiver = (socket as unknown as { _receiver?: Partial<Record<string, number>> })._receiver;
  return receiver !== undefined && progress.some((name) => receiver[name] !== 0);
}
