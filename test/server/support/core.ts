import { type Backend, BackendUnavailable } from "../../../src/backends/backend.ts";
import { openContract, type Contract, type Keep } from "../../../src/protocol/contract.ts";
import type { JsonObject } from "../../../src/protocol/json.ts";
import { AppHandlers } from "../../../src/server/app-handlers.ts";
import type { Identity } from "../../../src/server/auth/identity.ts";
import { Catalog } from "../../../src/server/catalog.ts";
import type { Clock } from "../../../src/server/clock.ts";
import { Cluster } from "../../../src/server/cluster/cluster.ts";
import { defaultKeep, resolveLimits, type Limits } from "../../../src/server/options.ts";
import { Counts } from "../../../src/server/metrics/counts.ts";
import { Publisher } from "../../../src/server/publisher.ts";
import { RateLimits } from "../../../src/server/rate-limits.ts";
import type { Rates } from "../../../src/server/rates.ts";
import type { RequestContext } from "../../../src/server/requester.ts";
import { Requests } from "../../../src/server/requests.ts";
import type { Room } from "../../../src/server/room.ts";
import { Rooms } from "../../../src/server/rooms.ts";
import { Session } from "../../../src/server/session.ts";
import type { SessionContext, SessionPeer } from "../../../src/server/session-context.ts";
import { Turn } from "../../../src/server/turn.ts";
import { frameText } from "../../../src/server/wire.ts";
import { HookedBackend } from "./backend.ts";
import { FakeClock } from "./clock.ts";
import { recording } from "./hub.ts";
import { Owner, type OwnerOptions } from "./pipe.ts";

export interface CoreOptions {
  readonly rooms?: Contract;
  readonly keep?: Partial<Keep>;
  readonly limits?: Partial<Limits>;
  /** One of several nodes that share this backend, each with its own clock. Its `graceMs` counts then. */
  readonly node?: { readonly backend: Backend; readonly clock: Clock; readonly name: string };
  readonly rates?: Rates;
}

/** A hub's core without sockets and admission: sessions over pipes, on a backend and a clock that a test holds. */
export class Core {
  readonly clock: FakeClock = new FakeClock();
  readonly turn: Turn = new Turn(() => 0);
  readonly backend: HookedBackend = new HookedBackend();
  readonly catalog: Catalog;
  readonly rooms: Rooms;
  readonly limits: Limits;
  readonly logged: string[] = [];
  readonly peers: Map<string, CorePeer> = new Map();
  /** What the next `auth` is answered with. */
  renewed: Identity | undefined;
  readonly session: SessionContext;
  readonly publisher: Publisher;
  readonly counts: Counts = new Counts();
  readonly cluster: Cluster | undefined;
  readonly #node: CoreOptions["node"];

  constructor({ rooms = openContract, keep = {}, limits = {}, rates = {}, node }: CoreOptions = {}) {
    const { turn } = this;
    const { backend, clock } = node ?? this;
    this.#node = node;
    this.cluster = node && new Cluster({ backend, clock, logger: recording(this.logged), node: node.name });
    this.limits = resolveLimits({ requestsPerS: 1_000_000, ...limits });
    this.catalog = new Catalog(rooms, { ...defaultKeep, ...keep });
    this.rooms = new Rooms({
      backend,
      turn,
      clock,
      presenceMembers: 200,
      counts: this.counts,
      peer: (id) => this.peers.get(id),
      cluster: this.cluster,
    });
    this.publisher = new Publisher(backend, clock, this.limits, this.counts);
    const logger = recording(this.logged);
    const requests: RequestContext = {
      catalog: this.catalog,
      rooms: this.rooms,
      publisher: this.publisher,
      backend,
      limits: this.limits,
      clock,
      counts: this.counts,
      rates: new RateLimits(rates, clock.monotonic, this.counts),
      app: new AppHandlers({ clock, limits: this.limits, counts: this.counts, logger, tracing: undefined }),
      tracing: undefined,
    };
    this.session = {
      ...requests,
      requests: new Requests(requests),
      logger,
      renew: () => Promise.resolve(this.renewed),
    };
  }

  async open(): Promise<this> {
    const { backend, clock } = this.#node ?? this;
    await backend.open({ now: clock.now, log: () => undefined });
    await this.cluster?.start({ missed: () => undefined, fenced: () => this.#endGraces(), spent: () => undefined });
    return this;
  }

  #endGraces(): void {
    for (const room of this.rooms.all()) room.presence.endGraces();
  }

  connect(identity: Identity | string, options: OwnerOptions = {}): CorePeer {
    const id = `c${this.peers.size + 1}`;
    const peer = new CorePeer(this, id, typeof identity === "string" ? { user: identity } : identity, options);
    this.peers.set(id, peer);
    return peer;
  }
}

/** One connection of a core. */
export class CorePeer extends Owner implements SessionPeer {
  readonly id: string;
  readonly address = "";
  readonly joined: Map<string, Room> = new Map();
  joining = 0;
  closed = false;
  closeCode: number | undefined;
  identity: Identity;
  readonly session: Session;

  constructor(core: Core, id: string, identity: Identity, options: OwnerOptions) {
    super(core.turn, options);
    this.id = id;
    this.identity = identity;
    this.session = new Session(core.session, this);
  }

  get user(): string {
    return this.identity.user;
  }

  /** What the client says. */
  says(frame: JsonObject): void {
    if (!this.closed) this.session.receive(JSON.stringify(frame));
  }

  send(text: string): void {
    this.outbox.push(frameText(text));
  }

  close(code: number): void {
    if (this.closed) return;
    this.outbox.flush();
    this.#end(code);
  }

  /** The connection is gone without a word. */
  vanish(graceMs = 0): void {
    if (!this.closed) this.#end(1006, graceMs);
  }

  override fellBehind(): void {
    for (const room of this.joined.values()) room.fellBehind(this);
  }

  override overflowed(): void {
    super.overflowed();
    this.#end(4200);
  }

  renewed(identity: Identity): void {
    this.identity = identity;
  }

  /** The frames of one type that it has got. */
  of(type: string): JsonObject[] {
    return this.frames.filter((frame) => frame["type"] === type);
  }

  #end(code: number, graceMs = 0): void {
    this.closed = true;
    this.closeCode = code;
    this.outbox.close();
    this.session.end(graceMs);
  }
}

export function unavailable(): BackendUnavailable {
  return new BackendUnavailable("a test said so");
}
