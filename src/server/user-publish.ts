import type { Json } from "../protocol/json.ts";
import type { AppHandlers } from "./app-handlers.ts";
import type { Access } from "./access.ts";
import type { Identity } from "./auth/identity.ts";
import type { Publisher, Submitted } from "./publisher.ts";

/** A message that a user publishes, whose right to is settled. */
export interface UserMessage {
  readonly room: string;
  readonly event: string;
  readonly data: Json;
  readonly key: string | undefined;
  /** A connection that gets `skip` in the message's place. */
  readonly except: string | undefined;
  /** See `Publication`. */
  readonly mayAppend?: () => void;
}

/**
 * What a user publishes, over a connection or HTTP: the app's handler has its say, and a key is the user's own, whatever
 * way it comes (P-31). `connection` is undefined where there is none.
 */
export function submitForUser(
  { publisher, app }: { readonly publisher: Publisher; readonly app: AppHandlers },
  who: { readonly identity: Identity; readonly connection: string | undefined },
  { kind, params }: Pick<Access, "kind" | "params">,
  { room, event, data, key, except, mayAppend }: UserMessage,
): Promise<Submitted> {
  const { user } = who.identity;
  const handlers = kind.handlers.publish;
  const handler = handlers !== undefined && Object.hasOwn(handlers, event) ? handlers[event] : undefined;
  return publisher.submit({
    room,
    kind,
    event,
    data,
    from: user,
    except,
    key: key === undefined ? undefined : { scope: `user:${user}`, key },
    handle:
      handler &&
      ((checked) => app.run("publish", { room, params, event, key, data: checked as Json, ...who, user }, handler)),
    ...(mayAppend !== undefined && { mayAppend }),
  });
}
