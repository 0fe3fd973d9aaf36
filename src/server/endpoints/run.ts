import { closeCodes } from "../../protocol/codes.ts";
import type { CheckCredentials } from "../admission.ts";
import type { Identity, RequestFacts } from "../auth/identity.ts";
import type { Clock } from "../clock.ts";
import type { Connections } from "../connections.ts";
import type { Limits, Logger } from "../options.ts";
import type { Turn } from "../turn.ts";
import type { RawConnection } from "./connection.ts";
import type { AnyAsking, Endpoint } from "./endpoint.ts";
import { Reader } from "./reader.ts";
import { EndpointSocket } from "./socket.ts";

export interface RunContext {
  readonly check: CheckCredentials;
  /** Whether the credentials were revoked while they were checked. */
  readonly overtaken: (identity: Identity) => boolean;
  readonly connections: Connections;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly turn: Turn;
}

/** Runs an endpoint's handler for one connection, from its opening to its end. `asking` is what was let in. */
export function runHandler(
  context: RunContext,
  endpoint: Endpoint,
  connection: RawConnection,
  facts: RequestFacts,
  asking: AnyAsking,
): void {
  const { authenticate, receive = "any", invalid } = endpoint.options;
  const first = authenticate === "first";
  if (asking.identity !== undefined && !enter(context, connection, asking.identity)) return;
  if (first) connection.authBy = connection.now() + endpoint.authWithinMs;
  const reader = new Reader<unknown>(connection, receive, invalid);
  const socket: EndpointSocket = new EndpointSocket(connection, (withinMs) => reader.next(socket, withinMs));
  connection.facade = socket;
  const signIn = (token: string): Promise<Identity | undefined> => {
    if (!first) return Promise.reject(new Error(`endpoint ${endpoint.path.path}: signIn needs authenticate: "first"`));
    if (connection.user !== "") return Promise.reject(new Error("this connection is signed in"));
    return signInWith(context, connection, token, facts);
  };
  const handled = async (): Promise<void> => endpoint.handler({ socket, ...asking, signIn });
  handled()
    .then(
      () => connection.close(closeCodes.normal, ""),
      (error: unknown) => {
        context.logger.error(
          { connection: connection.id, endpoint: endpoint.path.path, err: error },
          "a handler failed",
        );
        connection.close(closeCodes.internal, "internal error");
      },
    )
    .finally(() => connection.handled());
}

async function signInWith(
  context: RunContext,
  connection: RawConnection,
  token: string,
  facts: RequestFacts,
): Promise<Identity | undefined> {
  let identity: Identity | undefined;
  try {
    // What a peer sent may be anything.
    if (typeof token === "string") identity = await context.check({ kind: "first", token }, facts);
  } catch (error) {
    context.logger.error({ connection: connection.id, err: error }, "credentials cannot be checked");
    connection.close(closeCodes.tryLater, "unavailable");
  }
  if (identity === undefined || connection.closed || connection.user !== "") return undefined;
  if (!enter(context, connection, identity)) return undefined;
  connection.authBy = undefined;
  return identity;
}

/** The connection is this user's from here on; false: the user has too many. */
function enter({ connections, limits, overtaken }: RunContext, connection: RawConnection, identity: Identity): boolean {
  if (overtaken(identity)) {
    connection.close(closeCodes.unauthorized, "unauthorized");
    return false;
  }
  if (connections.countOfUser(identity.user) >= limits.connectionsPerUser) {
    connection.close(closeCodes.tooManyConnections, "too many connections of this user");
    return false;
  }
  connection.identity = identity;
  connections.setUser(connection);
  return true;
}
