import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type Server as TypedServer } from "ws";
import type { Admission } from "./admission.ts";
import { queryOf } from "./auth/credentials.ts";
import type { RequestFacts } from "./auth/identity.ts";
import { originAllowed } from "./auth/origin.ts";
import { turnedAway, type Capacity, type TurnedAway } from "./capacity.ts";
import type { RateLimits } from "./rate-limits.ts";
import { Connection, Socket, type ConnectionContext } from "./connection.ts";
import type { AddressOf } from "./proxies.ts";
import { pathOf } from "./target.ts";
import {
  checkUpgrade,
  notNow,
  refusal,
  retryAfter,
  selectProtocol,
  writeRefusal,
  type UpgradeRefusal,
} from "./upgrade.ts";

/** A close is answered at once by any living peer; another is cut after this. */
const closeTimeoutMs = 5_000;
export const refusals: Readonly<Record<TurnedAway, UpgradeRefusal>> = {
  draining: notNow("going away"),
  full: notNow("full"),
  address: refusal(429, "too many connections from this address", retryAfter),
};

/** An address that opens connections too fast. */
export function tooFast(waitMs: number): UpgradeRefusal {
  return refusal(429, "too many connects from this address", { "Retry-After": String(Math.ceil(waitMs / 1_000)) });
}

/** How `ws` serves, for the hub's protocol and for endpoints alike. */
export const webSocketOptions: {
  readonly noServer: true;
  readonly clientTracking: false;
  readonly autoPong: false;
  readonly closeTimeout: number;
  readonly WebSocket: typeof Socket;
} = {
  noServer: true,
  clientTracking: false,
  // Pings are counted and answered by the connection.
  autoPong: false,
  closeTimeout: closeTimeoutMs,
  WebSocket: Socket,
};

export interface DoorContext extends Capacity {
  readonly path: string;
  readonly origins: readonly string[] | undefined;
  readonly deflate: boolean;
  readonly connection: ConnectionContext;
  readonly admission: Admission;
  readonly newId: () => string;
  readonly refused: (status: number) => void;
  readonly addressOf: AddressOf;
  readonly rates: RateLimits;
  readonly opened: (connection: Connection) => void;
}

/** What stands before a connection: the upgrade request and all that can be refused in HTTP (P-10, P-15). */
export class Door {
  readonly #context: DoorContext;
  readonly #server: TypedServer<typeof Socket>;

  constructor(context: DoorContext) {
    this.#context = context;
    const options = {
      ...webSocketOptions,
      perMessageDeflate: context.deflate,
      maxPayload: context.limits.messageBytes,
      handleProtocols: selectProtocol,
    };
    this.#server = new WebSocketServer(options);
  }

  /** Whether a request's path is the hub's: `/ws`, or `/ws/` and a room. */
  owns(request: IncomingMessage): boolean {
    const path = pathOf(request);
    return path === this.#context.path || path.startsWith(`${this.#context.path}/`);
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const refused = checkUpgrade(request) ?? this.#refuse(request);
    if (refused !== undefined) {
      this.#context.refused(refused.status);
      writeRefusal(socket, refused);
      return;
    }
    // A write is a system call: the answer waits for `welcome`, at most until the turn's end.
    socket.cork();
    this.#server.handleUpgrade(request, socket, head, (ws) => this.#open(ws, request, socket));
  }

  #refuse(request: IncomingMessage): UpgradeRefusal | undefined {
    if (!originAllowed(request, this.#context.origins)) return refusal(403, "this origin is not allowed");
    const address = this.#context.addressOf(request);
    const reason = turnedAway(this.#context, address);
    if (reason !== undefined) return refusals[reason];
    const waitMs = this.#context.rates.connect(address);
    return waitMs > 0 ? tooFast(waitMs) : undefined;
  }

  #open(socket: Socket, request: IncomingMessage, stream: Duplex): void {
    const { connection: context, connections, newId, admission, opened } = this.#context;
    const facts = this.#factsOf(request);
    const connection = new Connection(context, socket, stream, newId(), facts.address);
    connection.outbox.uncorkAtTurnEnd();
    connections.add(connection);
    opened(connection);
    admission.admit(connection, request, facts);
  }

  #factsOf(request: IncomingMessage): RequestFacts {
    const path = pathOf(request);
    const room = path.length > this.#context.path.length ? path.slice(this.#context.path.length + 1) : undefined;
    return {
      path,
      query: queryOf(request.url),
      headers: request.headers,
      address: this.#context.addressOf(request),
      ...(room !== undefined && { room: decodeOnce(room) }),
    };
  }
}

/** A malformed escape gives a name that P-20 refuses, so that the client is told over the socket. */
function decodeOnce(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
