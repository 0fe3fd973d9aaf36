import type { Contract } from "../protocol/contract.ts";
import { hostPlatform } from "./browser.ts";
import { specFinder } from "./checks.ts";
import { dialer, type Dial } from "./dialer.ts";
import { createEmitter, type Emitter } from "./emitter.ts";
import { FanfareError } from "./errors.ts";
import { createLine } from "./line.ts";
import { defaultLimits, defaultTiming } from "./platform.ts";
import { createTraffic, type Traffic } from "./traffic.ts";
import type { Client, ClientEvents, ClientOptions, Off, OpenContract } from "./types.ts";
import type { World } from "./world.ts";

/** About a browser's longest timer. */
const maxTimerMs = 2_000_000_000;

/**
 * Makes a client. Nothing happens before `connect()`, so it can be made anywhere, on a server that renders pages too.
 *
 * `connect()` throws a TypeError where `url` is none, or where there is no WebSocket.
 */
export function createClient<const C extends Contract = OpenContract>(options: ClientOptions<C>): Client<C> {
  const emitter: Emitter<ClientEvents> = createEmitter((cause, event) =>
    event === "error" ? rethrow(cause) : listenerFailed(cause),
  );
  const world: World = {
    ...hostPlatform(),
    ...options.platform,
    timing: { ...defaultTiming, ...options.timing },
    limits: { ...defaultLimits, ...options.limits },
    emitter,
    changed,
    listenerFailed,
  };
  const { now, setTimer, clearTimer } = world;
  const { anonymous = world.randomKey() } = options;
  /** Made at the first `connect`, before the line needs it. */
  let dial: Dial;
  let unwatch: Off | undefined;
  let timer: unknown;
  let isChanged = false;

  const line = createLine(
    world,
    (token) => dial(token),
    options,
    () => traffic,
  );
  const traffic: Traffic = createTraffic(world, line, specFinder(options.rooms));

  /** Many changes in one turn are one look at what is to be done. */
  function changed(): void {
    if (isChanged) return;
    isChanged = true;
    queueMicrotask(() => {
      isChanged = false;
      tick();
    });
  }

  /** Does what is due, and sets the one timer. Frames that only put silence off need not touch it: it rings and is set anew. */
  function tick(): void {
    if (now() >= line.until) line.handle({ type: "wake" });
    const next = Math.min(traffic.flush(), line.until);
    clearTimer(timer);
    if (next < Infinity) timer = setTimer(tick, Math.min(maxTimerMs, Math.ceil(next - now())));
  }

  /** The app's bugs are the app's to hear of: as an `error`, or, where nobody listens, as an uncaught exception. */
  function listenerFailed(cause: unknown): void {
    if (!emitter.emit("error", new FanfareError("listener_failed", { cause }))) rethrow(cause);
  }

  const client: Client = {
    get status() {
      return line.status;
    },
    on: emitter.on,
    connect() {
      dial ??= dialer(options, anonymous);
      unwatch ??= world.watch((type) => line.handle({ type }));
      line.handle({ type: "connect" });
    },
    close() {
      unwatch?.();
      unwatch = undefined;
      line.handle({ type: "close" });
    },
    setToken: line.setToken,
    join: (name, given = {}) => traffic.join(name, given),
  };
  // What a contract adds is known to the types alone; at run time every client is the same.
  return client as unknown as Client<C>;
}

function rethrow(cause: unknown): void {
  queueMicrotask(() => {
    throw cause;
  });
}
