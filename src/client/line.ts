import type { ErrorFrame, ServerFrame } from "../protocol/frames.ts";
import { defaults } from "../protocol/limits.ts";
import type { Dial, Socket } from "./dialer.ts";
import { errorOf, FanfareError, hintOf } from "./errors.ts";
import type { ClientTiming, Platform } from "./platform.ts";
import { readServerFrame } from "./read.ts";
import { initialState, step, type Effect, type Event, type State } from "./states.ts";
import type { Cause, ClientStatus, TokenSource } from "./types.ts";

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

/** Carries out what the states decide: tokens, sockets, signs of life. Timers are the owner's: it sends `wake` at `until`. */
export class Line {
  token: TokenSource | undefined;
  status: ClientStatus = { state: "idle" };
  readonly #parts: LineParts;
  readonly #events: Event[] = [];
  #busy = false;
  #state: State = initialState;
  #socket: Socket | undefined;
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

  get bufferedBytes(): number {
    return this.#socket?.bufferedBytes ?? 0;
  }

  send(text: string): void {
    this.#socket?.send(text);
  }

  /** One event after the other, also where an effect or a listener brings the next. */
  handle(event: Event): void {
    this.#events.push(event);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#take(next);
    } finally {
      this.#busy = false;
    }
  }

  #take(event: Event): void {
    const { platform, timing, listener } = this.#parts;
    const now = platform.now();
    const before = this.#state;
    const { state, effects } = step(before, event, { now, random: platform.random(), timing });
    this.#state = state;
    const status = statusOf(before, state, this.status, now);
    const changed = status !== this.status;
    this.status = status;
    for (const effect of effects) this.#run(effect);
    if (event.type === "tokenFailed") listener.error(event.error);
    if (changed) listener.status(status);
  }

  #run(effect: Effect): void {
    const { listener } = this.#parts;
    switch (effect.type) {
      case "fetch":
        return this.#fetch(
          (token) => this.handle({ type: "token", token }),
          (error) => this.handle({ type: "tokenFailed", error }),
        );
      case "dial":
        return this.#dial(effect.token);
      case "hangUp":
        this.#socket?.drop(effect.code);
        this.#socket = undefined;
        return;
      case "authenticate":
        return this.send(JSON.stringify({ type: "auth", token: effect.token }));
      case "renew":
        return this.#renew();
      case "probe":
        return this.send('{"type":"ping"}');
      case "resume":
        if (this.#welcome !== undefined) listener.resume(this.#welcome);
        return;
      case "suspend":
        return listener.suspend();
      case "giveUp":
        return listener.giveUp();
      default:
        return effect satisfies never;
    }
  }

  #fetch(got: (token: string | undefined) => void, failed: (error: FanfareError) => void): void {
    const turn = ++this.#fetches;
    const source = this.token;
    const ask = async (): Promise<string | undefined> => {
      const token = typeof source === "function" ? await source() : source;
      if (typeof token !== "string" && source !== undefined) throw new TypeError("the token function gave no string");
      return token;
    };
    ask().then(
      (token) => turn === this.#fetches && got(token),
      (cause: unknown) => turn === this.#fetches && failed(new FanfareError("token_failed", "no token", { cause })),
    );
  }

  #renew(): void {
    const socket = this.#socket;
    if (!this.#parts.renewable || this.token === undefined) return;
    this.#fetch(
      (token) => {
        // The same token again would change nothing; the connection may be another by now.
        if (token === undefined || token === this.#sentToken || socket !== this.#socket) return;
        this.#sentToken = token;
        socket?.send(JSON.stringify({ type: "auth", id: "auth", token }));
      },
      (error) => this.#parts.listener.error(error),
    );
  }

  #dial(token: string | undefined): void {
    this.#lastError = undefined;
    this.#sentToken = token;
    let socket: Socket | undefined;
    const closed = (code: number): void => {
      // What a constructor or a dropped socket still says is not about the present socket.
      if (socket !== this.#socket) return;
      this.#socket = undefined;
      this.handle({ type: "closed", cause: causeOf(code, this.#lastError) });
    };
    try {
      socket = this.#parts.dial(token, { frame: (data) => socket === this.#socket && this.#receive(data), closed });
      this.#socket = socket;
    } catch (cause) {
      this.#parts.listener.error(new FanfareError("internal", "the WebSocket could not be made", { cause }));
      this.handle({ type: "closed", cause: causeOf(1006, undefined) });
    }
  }

  #receive(data: unknown): void {
    this.handle({ type: "frame" });
    const frame = readServerFrame(data);
    if (frame === "malformed") {
      return this.#parts.listener.error(new FanfareError("bad_frame", "the server sent what is no frame"));
    }
    if (frame === undefined) return;
    if (this.#state.kind === "online") this.#whileOnline(frame);
    else this.#whileOpening(frame);
  }

  #whileOpening(frame: ServerFrame): void {
    if (frame.type === "welcome") {
      this.#welcome = frame;
      const { user, connection } = frame;
      // Bounded both ways: a server's odd number must neither keep the client busy nor make it wait for ever.
      const silenceMs = Math.min(Math.max(frame.ping_ms, 1_000), 300_000) + defaults.silenceMs;
      this.handle({ type: "welcome", user, connection, silenceMs });
    } else if (frame.type === "auth_required") {
      this.handle({ type: "askedAuth", refusal: new FanfareError("unauthorized", "the server wants a token") });
    } else if (frame.type === "error") {
      this.#lastError = errorOf(frame);
      this.handle({ type: "hint", ms: hintOf(frame.retry_after_ms) });
    }
  }

  #whileOnline(frame: ServerFrame): void {
    switch (frame.type) {
      case "ping":
        return this.send('{"type":"pong"}');
      case "reauth":
        return this.handle({ type: "reauth" });
      case "drain":
        return this.handle({ type: "hint", ms: hintOf(frame.retry_after_ms) });
      case "error":
        this.#noteError(frame);
        break;
    }
    this.#parts.listener.frame(frame);
  }

  #noteError(frame: ErrorFrame): void {
    if (frame.room === undefined) this.#lastError = errorOf(frame);
  }
}

function causeOf(closeCode: number, error: FanfareError | undefined): Cause & { closeCode: number } {
  return error === undefined ? { closeCode } : { closeCode, error };
}

/** The status that goes with a state: the same object as before where nothing that it tells has changed. */
function statusOf(before: State, state: State, status: ClientStatus, now: number): ClientStatus {
  switch (state.kind) {
    case "idle":
      return status.state === "idle" ? status : { state: "idle" };
    case "preparing":
    case "opening":
      return status.state === "connecting" ? status : { state: "connecting" };
    case "online":
      if (before.kind === "online") return status;
      return { state: "online", user: state.user, connection: state.connection };
    case "waiting":
      if (before.kind === "waiting" && before.until === state.until) return status;
      return { state: "waiting", retryInMs: state.until - now, cause: state.cause };
    case "offline":
    case "frozen":
      return status.state === "offline" ? status : { state: "offline" };
    case "stopped":
      return before.kind === "stopped" ? status : { state: "stopped", cause: state.cause };
    default:
      return state satisfies never;
  }
}
