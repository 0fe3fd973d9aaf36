import type { IncomingMessage, ServerResponse } from "node:http";
import { createHub, jwt, type Authenticate, type Hub, type Identity } from "fanfare";

// #region rotation
/** While secrets are changed, tokens signed with any of them are good. */
export const rotating = jwt({ secrets: ["the new secret, 32 random bytes", "the old secret, 32 random bytes"] });
// #endregion

// #region jwks
/** Keys that an identity provider publishes. */
export const provider = jwt({
  jwks: "https://login.example.com/.well-known/jwks.json",
  issuer: "https://login.example.com",
  audience: "chat",
});
// #endregion

// #region own
/** The app's own sessions, by cookie: no token anywhere in the page's scripts. */
export function sessionHub(findUser: (session: string) => Promise<string | undefined>) {
  const auth: Authenticate = async ({ kind, token }) => {
    if (kind !== "cookie") return undefined;
    const user = await findUser(token);
    return user === undefined ? undefined : { user, rooms: ["chat/*"], expiresAt: Date.now() + 3_600_000 };
  };
  return createHub({ auth, cookie: "session", origins: ["https://app.example.com"] });
}
// #endregion

// #region tickets
/** `POST /ticket`: whom the app knows already gets a ticket, good for one connection within 30 s. */
export async function giveTicket(hub: Pick<Hub, "tickets">, user: string, response: ServerResponse): Promise<void> {
  const identity: Identity = { user, rooms: ["chat/*"], expiresAt: Date.now() + 3_600_000, issuedAt: Date.now() };
  const { ticket } = await hub.tickets.create(identity);
  response.setHeader("content-type", "application/json").end(JSON.stringify({ ticket }));
}
// #endregion

// #region exchange
/** The same from a token, as `fanfare serve` does it on `POST /v1/tickets`. */
export async function exchange(
  hub: Pick<Hub, "authenticate" | "tickets">,
  request: IncomingMessage,
): Promise<string | undefined> {
  const token = request.headers.authorization?.replace(/^Bearer /, "") ?? "";
  const facts = { path: "/ticket", query: new URLSearchParams(), headers: request.headers, address: "" };
  const identity = await hub.authenticate({ kind: "bearer", token }, facts);
  return identity && (await hub.tickets.create(identity)).ticket;
}
// #endregion
