import { createRequire } from "node:module";
import { context, SpanStatusCode, trace, type Tracer } from "@opentelemetry/api";
import type { Tracing } from "../server/index.ts";

/**
 * A hub's spans by OpenTelemetry: for the option `tracing`. Where no SDK was set up, they are none. `tracer` is the one named
 * `fanfare` of the global provider unless given; parents come by the SDK's context manager.
 */
export function openTelemetry({ tracer = ownTracer() }: { readonly tracer?: Tracer } = {}): Tracing {
  return {
    start(name, facts) {
      const span = tracer.startSpan(name, { attributes: facts });
      const within = trace.setSpan(context.active(), span);
      return {
        run: (work) => context.with(within, work),
        end(more, failure) {
          if (more !== undefined) span.setAttributes(more);
          if (failure !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
          span.end();
        },
      };
    },
  };
}

function ownTracer(): Tracer {
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
  return trace.getTracer("fanfare", version);
}
