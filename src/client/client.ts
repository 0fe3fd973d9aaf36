import type { Contract } from "../protocol/contract.ts";
import { hostPlatform } from "./browser.ts";
import { specFinder } from "./checks.ts";
import { dialer, type Dial } from "./dialer.ts";
import { Emitter } from "./emitter.ts";
import { FanfareError } from "./errors.ts";
import { Line } from "./line.ts";
import { defaultLimits, defaultTiming, type Platform } from "./platform.ts";
import { Traffic } from "./traffic.ts";
import type {
  Client,
  ClientEvents,
  ClientOptions,
  ClientStatus,
  JoinOptions,
  Off,
  OpenContract,
  Room,
  TokenSource,
} from "./types.ts";

/**
 * Makes a client. Nothing happens before `connect()`, so it can be made anywhere, on a server that renders pages too.
 *
 * Throws a TypeError where `anonymous` has another length than 22 to 64.
 */
export function createClient<const C extends Contract = OpenContract>(options: ClientOptions<C>): Client<C> {
  // What a contract adds is known to the types alone; at run time every client is the same.
  return new FanfareClient(options) as unknown as Client<C>;
}

/** A browser's longest timer. */
const maxTimerMs = 2 ** 31 - 1;

class FanfareClient {
  readonly #options: ClientOptions<Contract>;
  readonly #platform: Platform;
  readonly #emitter: Emitter<ClientEvents>;
  readonly #line: Line;
  readonly #traffic: Traffic;
  #dial: Dial | undefined;
  #unwatch: Off | undefined;
  #timer: unknown;
  #isChanged = false;

  constructor(options: ClientOptions<Contract>) {
    const { anonymous } = options;
    if (anonymous !== undefined && (anonymous.length < 22 || anonymous.length > 64)) {
      throw new TypeError(`anonymous must be 22 to 64 characters, got ${anonymous.length}`);
    }
    this.#options = options;
    const platform = { ...hostPlatform(), ...options.platform };
    const timing = { ...defaultTiming, ...options.timing };
    this.#platform = platform;
    this.#emitter = new Emitter((cause, event) => (event === "error" ? rethrow(cause) : this.#listenerFailed(cause)));
    const error = (fault: FanfareError): void => void this.#emitter.emit("error", fault);
    this.#line = new Line(
      {
        dial: (token) => this.#dialer()(token),
        timing,
        platform,
        renewable: options.tokenAs !== "ticket",
        listener: {
          status: (status) => this.#statusChanged(status),
          resume: (welcome) => this.#traffic.resume(welcome),
          suspend: () => this.#traffic.suspend(),
          giveUp: () => this.#traffic.giveUp(),
          frame: (frame) => {
            if (frame.type !== "signal" || frame.room !== undefined) return this.#traffic.frame(frame);
            const { event, data = null, from, at } = frame;
            this.#emitter.emit("signal", { event, data, from, at });
          },
          error,
        },
      },
      options.token,
    );
    this.#traffic = new Traffic({
      platform,
      timing,
      limits: { ...defaultLimits, ...options.limits },
      findSpec: specFinder(options.rooms),
      line: this.#line,
      changed: () => this.#changed(),
      error,
      listenerFailed: (cause) => this.#listenerFailed(cause),
    });
  }

  get status(): ClientStatus {
    return this.#line.status;
  }

  on<E extends keyof ClientEvents>(event: E, listener: (value: ClientEvents[E]) => void): Off {
    return this.#emitter.on(event, listener);
  }

  connect(): void {
    this.#dialer();
    this.#unwatch ??= this.#platform.watch((type) => {
      this.#line.handle({ type });
      this.#changed();
    });
    this.#line.handle({ type: "connect" });
    this.#changed();
  }

  close(): void {
    this.#line.handle({ type: "close" });
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#changed();
  }

  setToken(token: TokenSource | undefined): void {
    this.#line.token = token;
    this.#line.handle({ type: "renew" });
    this.#changed();
  }

  join(name: string, options: JoinOptions = {}): Room {
    return this.#traffic.join(name, options);
  }

  /** Throws where the options name no server, or there is no WebSocket. */
  #dialer(): Dial {
    const { anonymous = this.#platform.randomKey() } = this.#options;
    return (this.#dial ??= dialer(this.#options, anonymous));
  }

  #statusChanged(status: ClientStatus): void {
    if (status.state === "connecting") this.#traffic.begin();
    this.#emitter.emit("status", status);
    this.#changed();
  }

  /** Many changes in one turn are one look at what is to be done. */
  #changed(): void {
    if (this.#isChanged) return;
    this.#isChanged = true;
    queueMicrotask(() => {
      this.#isChanged = false;
      this.#tick();
    });
  }

  /** Does what is due, and sets the one timer. Frames that only put silence off need not touch it: it rings and is set anew. */
  #tick(): void {
    const { now, setTimer, clearTimer } = this.#platform;
    if (now() >= this.#line.until) this.#line.handle({ type: "wake" });
    const next = Math.min(this.#traffic.flush(now()), this.#line.until);
    clearTimer(this.#timer);
    if (next === Infinity) return;
    this.#timer = setTimer(() => this.#tick(), Math.min(maxTimerMs, Math.max(0, Math.ceil(next - now()))));
  }

  /** The app's bugs are the app's to hear of: as an `error`, or, where nobody listens, as an uncaught exception. */
  #listenerFailed(cause: unknown): void {
    if (!this.#emitter.emit("error", new FanfareError("listener_failed", { cause }))) rethrow(cause);
  }
}

function rethrow(cause: unknown): void {
  queueMicrotask(() => {
    throw cause;
  });
}
