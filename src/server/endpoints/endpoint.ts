import { checkOrigins } from "../auth/origin.ts";
import { compilePath, type CompiledPath } from "./path.ts";
import type { Asking, EndpointHandler, EndpointOptions, MaybeSchema, Receive, Who } from "./options.ts";

/** An endpoint whatever its types are: they are the app's alone. */
export type AnyOptions = EndpointOptions<string, Receive, Who, MaybeSchema, MaybeSchema>;
export type AnyHandler = EndpointHandler<string, Receive, Who, MaybeSchema, MaybeSchema>;
export type AnyAsking = Asking<string, Who, MaybeSchema, MaybeSchema>;

/** One route, its options checked. */
export interface Endpoint {
  readonly path: CompiledPath;
  readonly options: AnyOptions;
  readonly handler: AnyHandler;
  readonly messageBytes: number;
  readonly messagesPerS: number;
  readonly authWithinMs: number;
}

const protocolShape = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** A timer of Node takes no more milliseconds than this; no count or size needs more. */
const maxLimit = 2 ** 31 - 1;

/** Throws a TypeError or RangeError that names what cannot work. `outboxBytes` bounds what can be sent, and echoed. */
export function makeEndpoint(
  path: string,
  options: AnyOptions,
  handler: AnyHandler,
  limits: { readonly messageBytes: number; readonly requestsPerS: number; readonly authWithinMs: number },
): Endpoint {
  if (typeof handler !== "function") throw new TypeError(`endpoint ${path}: a handler is needed`);
  for (const protocol of options.protocols ?? []) {
    if (!protocolShape.test(protocol)) throw new TypeError(`endpoint ${path}: ${protocol} is no subprotocol's name`);
  }
  checkOrigins(options.origins ?? []);
  const { receive = "any" } = options;
  if (typeof receive === "string" ? !["any", "text", "binary", "json"].includes(receive) : !isSchema(receive)) {
    throw new TypeError(`endpoint ${path}: receive must be any, text, binary, json or a Standard Schema`);
  }
  for (const [name, schema] of Object.entries({ params: options.params, query: options.query })) {
    if (schema !== undefined && !isSchema(schema)) {
      throw new TypeError(`endpoint ${path}: ${name} must be a Standard Schema`);
    }
  }
  const messageBytes = options.messageBytes ?? limits.messageBytes;
  const messagesPerS = options.messagesPerS ?? limits.requestsPerS;
  const authWithinMs = options.authWithinMs ?? limits.authWithinMs;
  for (const [name, value] of Object.entries({ messageBytes, messagesPerS, authWithinMs })) {
    if (!Number.isSafeInteger(value) || value < 1 || value > maxLimit) {
      throw new RangeError(`endpoint ${path}: ${name} must be an integer from 1 to ${maxLimit}, got ${value}`);
    }
  }
  return { path: compilePath(path), options, handler, messageBytes, messagesPerS, authWithinMs };
}

/** An object, or a function as in some libraries; what an app gives by mistake may be null. */
function isSchema(value: unknown): boolean {
  return "~standard" in Object(value);
}
