import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { closeCodes } from "../protocol/codes.ts";
import { takePath } from "./attach.ts";
import { Doors, type DoorsContext } from "./doors.ts";
import { drain } from "./drain.ts";
import type { AnyHandler, AnyOptions } from "./endpoints/endpoint.ts";
import { compilePath, isUnder } from "./endpoints/path.ts";
import { makeHttpServer } from "./http-server.ts";
import { asksForWebSocket } from "./plain-request.ts";
import { headersOf } from "./target.ts";
import { notNow, refusePlainRequest, respondRefusal, writeRefusal, type UpgradeRefusal } from "./upgrade.ts";

const defaultPath = "/ws";

export interface EntrancesContext extends DoorsContext {
  /** Opens the backend; rejects where it cannot be opened now. */
  readonly start: () => Promise<void>;
  /** Whether it is open, so that no connect pays for a promise. */
  readonly isOpen: () => boolean;
}

/** How connections come in and go: which of a server's requests are the hub's, servers of its own, the drain. */
export class Entrances {
  readonly #context: EntrancesContext;
  readonly #doors: Doors;
  readonly #detach: Set<() => void> = new Set();
  /** Servers that `listen` made. */
  readonly #servers: Set<Server> = new Set();

  /** Throws a TypeError on a path that no request could have. */
  constructor(context: EntrancesContext) {
    const { path = defaultPath } = context.options;
    if (path !== false) checkPath(path);
    this.#context = context;
    this.#doors = new Doors(context, path);
  }

  /** A route of the app's own. Throws on options that cannot work, or on a path that is taken. */
  endpoint(path: string, options: AnyOptions, handler: AnyHandler): void {
    const { path: own = defaultPath } = this.#context.options;
    if (own !== false && isUnder(compilePath(path), own)) {
      throw new TypeError(
        `endpoint ${path}: ${own} is the hub's own path; give the hub another one, or \`path: false\``,
      );
    }
    this.#doors.endpoints.add(path, options, handler);
  }

  #ownsSocket(request: IncomingMessage): boolean {
    return this.#doors.sockets?.owns(request) ?? false;
  }

  /**
   * Takes the paths of the socket (`/ws` and below) and of streams (`/sse`) on a node:http server, and leaves all else to
   * the server's own.
   */
  attach(server: Server): { detach(): void } {
    const restore = takePath(server, {
      // Plain requests for an endpoint's path are the app's, also those that offer something else.
      ownsUpgrade: (request) =>
        this.#ownsSocket(request) || (this.#doors.endpoints.owns(request) && asksForWebSocket(request)),
      upgrade: (request, socket, head) => {
        // Before the first await: a peer that resets must not end the process.
        socket.on("error", ignore);
        request.headers = headersOf(request);
        const door = this.#ownsSocket(request) ? this.#doors.sockets : this.#doors.endpoints;
        const upgrade = (): void => door?.upgrade(request, socket, head);
        if (this.#context.isOpen()) upgrade();
        else this.#context.start().then(upgrade, () => writeRefusal(socket, this.#refused(notNow("not ready"))));
      },
      ownsRequest: (request) => this.#ownsSocket(request) || this.#doors.streams.owns(request),
      request: (request, response) => {
        request.headers = headersOf(request);
        if (!this.#doors.streams.owns(request))
          return respondRefusal(response, this.#refused(refusePlainRequest(request)));
        const serve = (isReady: boolean): void => this.#doors.streams.serve(request, response, isReady);
        if (this.#context.isOpen()) return serve(true);
        void this.#context.start().then(
          () => serve(true),
          () => serve(false),
        );
      },
    });
    const detach = (): void => {
      if (this.#detach.delete(detach)) restore();
    };
    this.#detach.add(detach);
    return { detach };
  }

  /** A server of its own: nothing but sockets and streams. `port` 0 or absent: any free one. */
  async listen({ port = 0, host = "127.0.0.1" }: { port?: number; host?: string } = {}): Promise<Listening> {
    await this.#context.start();
    const server = makeHttpServer((request, response) => {
      // P-15. On a server of the app's own, plain requests for an endpoint's path are the app's.
      if (this.#doors.endpoints.owns(request)) respondRefusal(response, this.#refused(refusePlainRequest(request)));
      else response.writeHead(404).end();
    });
    this.attach(server);
    this.#servers.add(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
    const address = server.address() as AddressInfo;
    const name = address.family === "IPv6" ? `[${address.address}]` : address.address;
    return { port: address.port, host: address.address, url: `http://${name}:${address.port}`, server };
  }

  /** Sends everyone away, and lets go of all servers (P-53). */
  async close(drainMs: number): Promise<void> {
    const { connections } = this.#context;
    await drain([...connections.all()], { drainMs, random: Math.random });
    // One that was let in while the others were sent away.
    for (const connection of [...connections.all()]) connection.close(closeCodes.restart, "restart");
    this.#doors.stop();
    for (const detach of [...this.#detach]) detach();
    for (const server of this.#servers) server.close();
  }

  #refused(refused: UpgradeRefusal): UpgradeRefusal {
    this.#context.requests.counts.refusedUpgrade(refused.status);
    return refused;
  }
}

function checkPath(path: string): void {
  if (!/^(?:\/[^/?#\s]+)+$/.test(path))
    throw new TypeError(`path must look like /ws or /app/ws, got ${JSON.stringify(path)}`);
}

/** Where a hub listens. */
export interface Listening {
  readonly port: number;
  readonly host: string;
  readonly url: string;
  readonly server: Server;
}

function ignore(): void {}
