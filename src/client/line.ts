import type { ServerFrame } from "../protocol/frames.ts";
import type { Dial } from "./dialer.ts";
import { errorOf, FanfareError } from "./errors.ts";
import type { WebSocketLike } from "./platform.ts";
import { readServerFrame } from "./read.ts";
import { initialState, step, type Effect, type Event } from "./states.ts";
import type { ClientOptions, ClientStatus, TokenSource } from "./types.ts";
import type { World } from "./world.ts";

export type WelcomeFrame = ServerFrame & { type: "welcome" };

/** What stands above the line: the rooms. */
export interface LineUser {
  /** The client is trying to connect. */
  begin(): void;
  resume(welcome: WelcomeFrame): void;
  suspend(): void;
  giveUp(): void;
  /** Every frame between `resume` and `suspend` that is not the line's own affair. */
  frame(frame: ServerFrame): void;
}

/** Carries out what the states decide: tokens, sockets, signs of life. Timers are the owner's: it sends `wake` at `until`. */
export interface Line {
  readonly status: ClientStatus;
  /** When `wake` is due by the platform's clock. */
  readonly until: number;
  /** Bytes that the platform has taken and not yet sent. */
  readonly bufferedBytes: number;
  /** Sent where the socket is open, lost where it is not. */
  send(text: string): void;
  /** Takes one event after the other, also where an effect or a listener brings the next. */
  handle(event: Event): void;
  setToken(token: TokenSource | undefined): void;
}

/** P-52: a server that is silent for this long after its ping was due is dead. */
const graceMs = 10_000;

type TokenOptions = Pick<ClientOptions, "token" | "tokenAs">;

/** A closure rather than a class, as all that holds state here: its names can be shortened, and the client is to be small. */
export function createLine(world: World, dial: Dial, { token, tokenAs }: TokenOptions, user: () => LineUser): Line {
  const { timing, emitter, changed, now, random } = world;
  const events: Event[] = [];
  let state = initialState;
  let isBusy = false;
  let socket: WebSocketLike | undefined;
  let source = token;
  let fetches = 0;
  let lastWelcome: WelcomeFrame;
  let lastError: FanfareError | undefined;

  const effects: { readonly [E in Effect]: () => void } = {
    fetch,
    dial: open,
    drop: () => drop(),
    bye: () => drop(1000),
    authenticate: () => send(JSON.stringify({ type: "auth", token: state.token })),
    renew() {
      // A ticket is good for one connection only.
      if (tokenAs !== "ticket") fetch();
    },
    probe: () => send('{"type":"ping"}'),
    resume: () => user().resume(lastWelcome),
    suspend: () => user().suspend(),
    giveUp: () => user().giveUp(),
  };

  function handle(event: Event): void {
    events.push(event);
    if (isBusy) return;
    isBusy = true;
    for (let next = events.shift(); next; next = events.shift()) take(next);
    isBusy = false;
  }

  function take(event: Event): void {
    const { status } = state;
    const [next, ...does] = step(state, event, { now: now(), random: random(), timing });
    state = next;
    for (const effect of does) effects[effect]();
    if (event.type === "tokenFailed") emitter.emit("error", event.error);
    if (next.status !== status) emitter.emit("status", next.status);
    if (event.type !== "frame") changed();
  }

  function send(text: string): void {
    // 1 is OPEN.
    if (socket?.readyState === 1) socket.send(text);
  }

  async function getToken(): Promise<Event> {
    const token = typeof source === "function" ? await source() : source;
    if (source !== undefined && typeof token !== "string") throw new TypeError("no string");
    return { type: "token", token };
  }

  /** Only the latest call is answered. */
  function fetch(): void {
    const turn = ++fetches;
    user().begin();
    void getToken()
      .catch((cause: unknown): Event => ({ type: "tokenFailed", error: new FanfareError("token_failed", { cause }) }))
      .then((event) => turn === fetches && handle(event));
  }

  function open(): void {
    lastError = undefined;
    try {
      socket = dial(state.token);
      socket.onmessage = receive;
      socket.onclose = ({ code }: { code: number }) => closed(code);
      // Told by `onclose` as well. It stays set after a drop: in Node an error that nobody listens for ends the process.
      socket.onerror = () => {};
    } catch (cause) {
      lastError = new FanfareError("token_failed", { cause });
      closed(1006);
    }
  }

  function drop(code?: 1000): void {
    const dropped = socket;
    socket = undefined;
    if (!dropped) return;
    dropped.onmessage = dropped.onclose = null;
    if (!code && dropped.terminate) dropped.terminate();
    else dropped.close(code);
  }

  function closed(closeCode: number): void {
    socket = undefined;
    handle({ type: "closed", cause: lastError ? { closeCode, error: lastError } : { closeCode } });
  }

  function receive({ data }: { data: unknown }): void {
    handle({ type: "frame" });
    const frame = readServerFrame(data);
    if (frame) read(frame, state.kind === "online");
    else emitter.emit("error", new FanfareError("bad_frame"));
  }

  function read(frame: ServerFrame, isOnline: boolean): void {
    switch (frame.type) {
      case "welcome": {
        lastWelcome = frame;
        const { user, connection, ping_ms } = frame;
        // Bounded: a server's odd number must not make the client wait for ever.
        const silenceMs = Math.min(ping_ms, timing.maxHintMs) + graceMs;
        return handle({ type: "welcome", welcomed: { user, connection, silenceMs } });
      }
      case "auth_required":
        return handle({ type: "askedAuth" });
      case "ping":
        return send('{"type":"pong"}');
      case "reauth":
        return handle({ type: "renew" });
      default:
    }
    if (frame.type === "error" && !frame.room) lastError = errorOf(frame);
    // Once online, an error's hint speaks of one request, and not of when to connect again.
    if (frame.type === "drain" || (frame.type === "error" && !isOnline)) {
      handle({ type: "hint", ms: frame.retry_after_ms ?? 0 });
    }
    if (isOnline) user().frame(frame);
  }

  return {
    get status() {
      return state.status;
    },
    get until() {
      return state.until;
    },
    get bufferedBytes() {
      return socket?.bufferedAmount ?? 0;
    },
    send,
    handle,
    setToken(given) {
      source = given;
      handle({ type: "renew" });
    },
  };
}
