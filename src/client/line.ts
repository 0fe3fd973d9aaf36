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
  send(frame: object | string): void;
  /** Takes one event after the other, also where an effect or a listener brings the next. */
  handle(event: Event): void;
  setToken(token: TokenSource | undefined): void;
}

/** P-52: a server that is silent for this long after its ping was due is dead. */
const graceMs = 10_000;
const maxPingMs = 300_000;

type TokenOptions = Pick<ClientOptions, "token" | "tokenAs">;

/** A closure rather than a class, as all that holds state here: its names can be shortened, and the client is to be small. */
export function createLine(world: World, dial: Dial, { token, tokenAs }: TokenOptions, user: () => LineUser): Line {
  const isTicket = tokenAs === "ticket";
  const { timing, emitter, changed, now, random } = world;
  const events: Event[] = [];
  let state = initialState;
  let isBusy = false;
  let socket: WebSocketLike | undefined;
  let source = token;
  let fetches = 0;
  let sentToken: string | undefined;
  let lastWelcome: WelcomeFrame;
  let lastError: FanfareError | undefined;

  const effects: { readonly [E in Effect]: () => void } = {
    fetch() {
      user().begin();
      fetchToken(
        (got) => handle({ type: "token", token: got }),
        (error) => handle({ type: "tokenFailed", error }),
      );
    },
    dial: open,
    drop: () => drop(),
    bye: () => drop(1000),
    authenticate: () => send({ type: "auth", token: sentToken }),
    renew,
    probe: () => send({ type: "ping" }),
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

  function send(frame: object | string): void {
    // 1 is OPEN.
    if (socket?.readyState === 1) socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** Only the latest call is answered. */
  function fetchToken(got: (token: string | undefined) => void, failed: (error: FanfareError) => void): void {
    const turn = ++fetches;
    const ask = async (): Promise<string | undefined> => {
      const got = typeof source === "function" ? await source() : source;
      if (source !== undefined && typeof got !== "string") throw new TypeError("a token is a string");
      return got;
    };
    ask().then(
      (token) => turn === fetches && got(token),
      (cause: unknown) => turn === fetches && failed(new FanfareError("token_failed", { cause })),
    );
  }

  function renew(): void {
    const renewed = socket;
    // A ticket is good for one connection only.
    if (isTicket) return;
    fetchToken(
      (got) => {
        // The same token again would change nothing; the connection may be another by now.
        if (!got || got === sentToken || socket !== renewed) return;
        sentToken = got;
        send({ type: "auth", token: got });
      },
      (error) => emitter.emit("error", error),
    );
  }

  function open(): void {
    sentToken = state.token;
    lastError = undefined;
    try {
      socket = dial(sentToken);
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
        const silenceMs = Math.min(ping_ms, maxPingMs) + graceMs;
        return handle({ type: "welcome", welcomed: { user, connection, silenceMs } });
      }
      case "auth_required":
        return handle({ type: "askedAuth", refusal: new FanfareError("unauthorized") });
      case "ping":
        return send({ type: "pong" });
      case "reauth":
        return handle({ type: "reauth" });
      case "drain":
        return handle({ type: "hint", ms: frame.retry_after_ms ?? 0 });
      case "error":
        if (frame.room === undefined) lastError = errorOf(frame);
        // Later on it speaks of one request, and not of when to connect again.
        if (!isOnline) handle({ type: "hint", ms: frame.retry_after_ms ?? 0 });
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
