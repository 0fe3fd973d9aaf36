import { closeCodes } from "../../protocol/codes.ts";
import { isNestedTooDeep } from "../../protocol/json.ts";
import { check } from "../catalog.ts";
import type { RawConnection } from "./connection.ts";
import type { Incoming } from "./inbox.ts";
import type { Invalid, Receive } from "./options.ts";
import type { EndpointSocket } from "./socket.ts";

type Read<M> = { readonly ok: true; readonly value: M } | { readonly ok: false; readonly invalid: Invalid };

/** What a message gets where the app does not say. */
const codes: Readonly<Record<Invalid["fault"], number>> = {
  kind: closeCodes.binary,
  json: closeCodes.invalidText,
  schema: closeCodes.policy,
};

/** Makes of what came in what the app's loop gets. A message is read when it is asked for: one at a time, in order. */
export class Reader<M> {
  readonly #connection: RawConnection;
  readonly #receive: Receive;
  readonly #invalid: ((invalid: Invalid, socket: EndpointSocket<M>) => unknown) | undefined;

  constructor(
    connection: RawConnection,
    receive: Receive,
    invalid: ((invalid: Invalid, socket: EndpointSocket<M>) => unknown) | undefined,
  ) {
    this.#connection = connection;
    this.#receive = receive;
    this.#invalid = invalid;
  }

  /** Messages that are not what the endpoint takes are told to the app, or close the socket, and the next one is read. */
  async next(socket: EndpointSocket<M>, withinMs: number | undefined): Promise<M | undefined> {
    const until = withinMs === undefined ? undefined : this.#connection.now() + withinMs;
    for (;;) {
      const left = until === undefined ? undefined : Math.max(0, until - this.#connection.now());
      const message = await this.#connection.take(left);
      if (message === undefined) return undefined;
      const read = await readMessage(this.#receive, message);
      if (read.ok) return read.value as M;
      if (this.#invalid === undefined) this.#connection.close(codes[read.invalid.fault], words[read.invalid.fault]);
      else await this.#invalid(read.invalid, socket);
    }
  }
}

const words: Readonly<Record<Invalid["fault"], string>> = {
  kind: "not the kind of message that is taken here",
  json: "not JSON",
  schema: "not what is taken here",
};

async function readMessage(receive: Receive, { data, isBinary }: Incoming): Promise<Read<unknown>> {
  if (receive === "any") return { ok: true, value: isBinary ? data : data.toString() };
  if (isBinary !== (receive === "binary")) return fault("kind");
  if (receive === "binary") return { ok: true, value: data };
  const text = data.toString();
  if (receive === "text") return { ok: true, value: text };
  const json = readJson(text);
  if (!json.ok || receive === "json") return json;
  const checked = await check(receive, json.value);
  return checked.ok ? checked : { ok: false, invalid: { fault: "schema", issues: checked.issues } };
}

/** P-62's bound on nesting holds here, too: what an app does with a value is often recursive. */
function readJson(text: string): Read<unknown> {
  if (isNestedTooDeep(text)) return fault("json");
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch {
    return fault("json");
  }
}

function fault(kind: Invalid["fault"]): Read<never> {
  return { ok: false, invalid: { fault: kind, issues: [] } };
}
