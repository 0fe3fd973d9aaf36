import type { Right } from "../protocol/frames.ts";
import { rights as allRights } from "../protocol/frames.ts";
import type { Identity, RoomRight } from "./auth/identity.ts";
import { rightsIn } from "./auth/rights.ts";
import type { AppHandlers } from "./app-handlers.ts";
import type { Catalog, RoomKind } from "./catalog.ts";
import { Refused } from "./refused.ts";

/** What a user may do in a room, and what the room is. */
export interface Access {
  readonly kind: RoomKind;
  readonly params: Readonly<Record<string, string>>;
  readonly rights: ReadonlySet<Right>;
}

/**
 * Settles what a user may do in a room: by the credentials, the contract and the app, in this order. Without the right
 * that is needed the answer is `forbidden`, whether the room exists or not (P-60).
 */
export async function accessTo(
  { catalog, app }: { readonly catalog: Catalog; readonly app: AppHandlers },
  who: { identity: Identity; connection: string | undefined },
  room: string,
  needed: RoomRight,
): Promise<Access> {
  const granted = rightsIn(who.identity, room);
  if (!granted.has(needed)) throw forbidden();
  const found = catalog.find(room);
  if (found === undefined) throw new Refused("unknown_room", "there is no such room");
  const { kind, params } = found;
  const { user } = who.identity;
  const { authorize } = kind.handlers;
  const asked = { room, params, user, ...who };
  const answer = authorize === undefined ? true : checked(await app.run("authorize", asked, authorize));
  if (answer === false) throw forbidden();
  const rights = new Set(
    allRights.filter((right) => granted.has(right) && (answer === true || answer.includes(right))),
  );
  if (kind.spec.publish === "server") rights.delete("publish");
  if (kind.keep === false) rights.delete("history");
  if (needed !== "join" && !rights.has(needed)) throw forbidden();
  return { kind, params, rights };
}

export function forbidden(): Refused {
  return new Refused("forbidden", "not allowed");
}

/** An `authorize` that forgets to answer must not let everyone in. */
function checked(answer: boolean | readonly Right[]): boolean | readonly Right[] {
  if (typeof answer === "boolean" || Array.isArray(answer)) return answer;
  throw new TypeError(`authorize must answer true, false or a list of rights, got ${typeof answer}`);
}
