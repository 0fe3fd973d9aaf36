import type { ServerFrame } from "../protocol/frames.ts";
import type { Dial } from "./dialer.ts";
import { errorOf, FanfareError } from "./errors.ts";
import type { ClientTiming, Platform, WebSocketLike } from "./platform.ts";
import { readServerFrame } from "./read.ts";
import { initialState, step, type Effect, type Event, type State } from "./states.ts";
import type { ClientStatus, TokenSource } from "./types.ts";

export type WelcomeFrame = ServerFrame & { type: "welcome" };

/** What happens on the line, for the rooms above it. */
export interface LineListener {
  status(status: ClientStatus): void;
  resume(welcome: WelcomeFrame): void;
  suspend(): void;
  giveUp(): void;
  /** Every frame between `resume` and `suspend` that is not the line's own affair. */
  frame(frame: ServerFrame): void;
  error(error: FanfareError): void;
}

export interface LineParts {
  readonly dial: Dial;
  readonly timing: ClientTiming;
  readonly platform: Platform;
  /** Whether a token can be sent on an open connection; a ticket cannot. */
  readonly renewable: boolean;
  readonly listener: LineListener;
}

/** P-52: a server that is silent for this long after its ping was due is dead. */
const graceMs = 10_000;

/** Carries out what the states decide: tokens, sockets, signs of life. Timers are the owner's: it sends `wake` at `until`. */
export class Line {
  token: TokenSource | undefined;
  status: ClientStatus = { state: "idle" };
  readonly #parts: LineParts;
  readonly #events: Event[] = [];
  #busy = false;
  #state: State = initialState;
  #socket: WebSocketLike | undefined;
  #fetches = 0;
  #sentToken: string | undefined;
  #welcome: WelcomeFrame | undefined;
  #lastError: FanfareError | undefined;

  constructor(parts: LineParts, token: TokenSource | undefined) {
    this.#parts = parts;
    this.token = token;
  }

  /** When `wake` is due by the platform's clock. */
  get until(): number {
    return "until" in this.#state ? this.#state.until : Infinity;
  }

  /** Bytes that the platform has taken and not yet sent. */
  get bufferedBytes(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  send(frame: object | string): void {
    // 1 is OPEN. What is sent to a closing socket is lost either way.
    if (this.#socket?.readyState === 1) this.#socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** One event after the other, also where an effect or a listener brings the next. */
  handle(event: Event): void {
    this.#events.push(event);
    if (this.#busy) return;
    this.#busy = true;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#take(next);
    this.#busy = false;
  }

  #take(event: Event): void {
    const { platform, timing, listener } = this.#parts;
    const now = platform.now();
    const before = this.#state;
    const [state, ...effects] = step(before, event, { now, random: platform.random(), timing });
    this.#state = state;
    const status = statusOf(state, now);
    // A wait that was cut short or drawn out is news; that time passes is not.
    const waitChanged = state.kind === "waiting" && state.until !== ("until" in before && before.until);
    const isNews = status.state !== this.status.state || waitChanged;
    if (isNews) this.status = status;
    for (const effect of effects) this.#effects[effect]();
    if (event.type === "tokenFailed") listener.error(event.error);
    if (isNews) listener.status(status);
  }

  readonly #effects: { readonly [E in Effect]: () => void } = {
    fetch: () =>
      this.#fetch(
        (token) => this.handle({ type: "token", token }),
        (error) => this.handle({ type: "tokenFailed", error }),
      ),
    dial: () => this.#dial(),
    drop: () => this.#drop(),
    bye: () => this.#drop(1000),
    authenticate: () => this.send({ type: "auth", token: this.#sentToken }),
    renew: () => this.#renew(),
    probe: () => this.send({ type: "ping" }),
    resume: () => this.#welcome && this.#parts.listener.resume(this.#welcome),
    suspend: () => this.#parts.listener.suspend(),
    giveUp: () => this.#parts.listener.giveUp(),
  };

  #fetch(got: (token: string | undefined) => void, failed: (error: FanfareError) => void): void {
    const turn = ++this.#fetches;
    const source = this.token;
    const ask = async (): Promise<string | undefined> => {
      const token = typeof source === "function" ? await source() : source;
      if (source !== undefined && typeof token !== "string") throw new TypeError(`a token is a string, got ${typeof token}`);
      return token;
    };
    ask().then(
      (token) => turn === this.#fetches && got(token),
      (cause: unknown) => turn === this.#fetches && failed(new FanfareError("token_failed", { cause })),
    );
  }

  #renew(): void {
    const socket = this.#socket;
    const { renewable, listener } = this.#parts;
    if (!renewable) return;
    this.#fetch(
      (token) => {
        // The same token again would change nothing; the connection may be another by now.
        if (token === undefined || token === this.#sentToken || socket !== this.#socket) return;
        this.#sentToken = token;
        this.send({ type: "auth", token });
      },
      (error) => listener.error(error),
    );
  }

  #dial(): void {
    const token = this.#state.kind === "opening" ? this.#state.token : undefined;
    this.#lastError = undefined;
    this.#sentToken = token;
    try {
      const socket = this.#parts.dial(token);
      this.#socket = socket;
      socket.onmessage = ({ data }: { data: unknown }) => this.#receive(data);
      socket.onclose = ({ code }: { code: number }) => this.#closed(code);
      // Told by `onclose` as well. It stays set after a drop: in Node an error that nobody listens for ends the process.
      socket.onerror = () => {};
    } catch (cause) {
      this.#lastError = new FanfareError("token_failed", { cause });
      this.#closed(1006);
    }
  }

  #drop(code?: 1000): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#socket = undefined;
    socket.onmessage = socket.onclose = null;
    if (code === undefined && socket.terminate) socket.terminate();
    else socket.close(code);
  }

  #closed(closeCode: number): void {
    this.#socket = undefined;
    const error = this.#lastError;
    this.handle({ type: "closed", cause: error ? { closeCode, error } : { closeCode } });
  }

  #receive(data: unknown): void {
    this.handle({ type: "frame" });
    const frame = readServerFrame(data);
    if (frame === "malformed") this.#parts.listener.error(new FanfareError("bad_frame"));
    else if (frame !== undefined) this.#read(frame, this.#state.kind === "online");
  }

  #read(frame: ServerFrame, isOnline: boolean): void {
    switch (frame.type) {
      case "welcome": {
        this.#welcome = frame;
        const { user, connection, ping_ms } = frame;
        // Bounded both ways: a server's odd number must neither keep the client busy nor make it wait for ever.
        const silenceMs = Math.min(Math.max(ping_ms, 1_000), 300_000) + graceMs;
        return this.handle({ type: "welcome", welcomed: { user, connection, silenceMs } });
      }
      case "auth_required":
        return this.handle({ type: "askedAuth", refusal: new FanfareError("unauthorized") });
      case "ping":
        return this.send({ type: "pong" });
      case "reauth":
        return this.handle({ type: "reauth" });
      case "drain":
        return this.handle({ type: "hint", ms: frame.retry_after_ms });
      case "error":
        if (frame.room === undefined) this.#lastError = errorOf(frame);
        // Later on it speaks of one request, and not of when to connect again.
        if (!isOnline) this.handle({ type: "hint", ms: frame.retry_after_ms ?? 0 });
    }
    if (isOnline) this.#parts.listener.frame(frame);
  }
}

function statusOf(state: State, now: number): ClientStatus {
  switch (state.kind) {
    case "idle":
      return { state: "idle" };
    case "preparing":
    case "opening":
      return { state: "connecting" };
    case "online":
      return { state: "online", user: state.user, connection: state.connection };
    case "waiting":
      if (state.until === Infinity || (state.down && !state.patient)) return { state: "offline" };
      return { state: "waiting", retryInMs: state.until - now, cause: state.cause };
    case "stopped":
      return { state: "stopped", cause: state.cause };
    default:
      return state satisfies never;
  }
}
