import type { Clock } from "./clock.ts";
import { isLater } from "./later.ts";
import type { Counts } from "./metrics/counts.ts";
import type { Limits, Logger } from "./options.ts";
import { traced } from "./traced.ts";
import type { Tracing } from "./tracing.ts";

export interface AppHandlersContext {
  readonly clock: Clock;
  readonly limits: Pick<Limits, "handlerMs">;
  readonly counts: Counts;
  readonly logger: Logger;
  readonly tracing: Tracing | undefined;
}

type HandlerName = "authorize" | "join" | "leave" | "publish";

/** A handler of the app did not end in time. Its request fails as if it had thrown; what it still does counts for nothing. */
export class HandlerTimeout extends Error {
  override readonly name = "HandlerTimeout";
  /** Which handler it was, for the log: a request can run several. */
  readonly code: HandlerName;

  constructor(handler: HandlerName, afterMs: number) {
    super(`the handler ${handler} took more than ${afterMs} ms`);
    this.code = handler;
  }
}

/** Runs the app's handlers, none of them for ever: behind one wait the later requests of its room (P-6). */
export class AppHandlers {
  readonly #context: AppHandlersContext;

  constructor(context: AppHandlersContext) {
    this.#context = context;
  }

  /**
   * What the handler answers, or a rejection with `HandlerTimeout` after the limit `handlerMs`; its `signal` is aborted
   * then. `late` is called where it has come to a good end after that.
   */
  run<Context extends object, T>(
    name: HandlerName,
    context: Context,
    handler: (context: Context & { readonly signal: AbortSignal }) => T | Promise<T>,
    late?: () => void,
  ): T | Promise<T> {
    let controller: AbortController | undefined;
    let timeout: HandlerTimeout | undefined;
    const handed = {
      ...context,
      /** Made when it is asked for: most handlers never do. */
      get signal(): AbortSignal {
        controller ??= new AbortController();
        if (timeout !== undefined) controller.abort(timeout);
        return controller.signal;
      },
    };
    const facts = (): { "fanfare.handler": string } => ({ "fanfare.handler": name });
    const answer = traced(this.#context.tracing, "fanfare.handler", facts, () => {
      const found = handler(handed);
      if (!isLater(found)) return found;
      return this.#inTime(name, found, (error) => {
        timeout = error;
        controller?.abort(error);
        void afterwards(found, late);
      });
    });
    return answer;
  }

  /** An error of a handler whose request is over. */
  failed(error: unknown, facts: { readonly connection: string; readonly request: string }): void {
    this.#context.counts.handlerErrors++;
    this.#context.logger.error({ ...facts, err: error }, "a handler failed");
  }

  #inTime<T>(name: HandlerName, found: PromiseLike<T>, expired: (error: HandlerTimeout) => void): Promise<T> {
    const { clock, limits, counts } = this.#context;
    return new Promise((resolve, reject) => {
      const timer = clock.setTimeout(() => {
        const error = new HandlerTimeout(name, limits.handlerMs);
        counts.handlerTimeouts++;
        expired(error);
        reject(error);
      }, limits.handlerMs);
      found.then(resolve, reject).then(() => clock.clearTimeout(timer), ignore);
    });
  }
}

async function afterwards(found: PromiseLike<unknown>, late: (() => void) | undefined): Promise<void> {
  try {
    await found;
  } catch {
    // Its request has failed by then.
    return;
  }
  late?.();
}

function ignore(): void {}
