import type { Connection } from "./connection.ts";

/** The connections of this node: by id, by user, and counted by address. */
export class Connections {
  readonly #byId: Map<string, Connection> = new Map();
  readonly #byUser: Map<string, Set<Connection>> = new Map();
  readonly #byAddress: Map<string, number> = new Map();

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Connection | undefined {
    return this.#byId.get(id);
  }

  all(): Iterable<Connection> {
    return this.#byId.values();
  }

  countOf(address: string): number {
    return this.#byAddress.get(address) ?? 0;
  }

  of(user: string): ReadonlySet<Connection> {
    return this.#byUser.get(user) ?? none;
  }

  add(connection: Connection): void {
    this.#byId.set(connection.id, connection);
    this.#byAddress.set(connection.address, this.countOf(connection.address) + 1);
  }

  /** The connection's user is known from now on. */
  setUser(connection: Connection): void {
    const { user } = connection;
    const connections = this.#byUser.get(user);
    if (connections === undefined) this.#byUser.set(user, new Set([connection]));
    else connections.add(connection);
  }

  remove(connection: Connection): void {
    if (!this.#byId.delete(connection.id)) return;
    const left = this.countOf(connection.address) - 1;
    if (left > 0) this.#byAddress.set(connection.address, left);
    else this.#byAddress.delete(connection.address);
    const connections = this.#byUser.get(connection.user);
    if (connections?.delete(connection) === true && connections.size === 0) this.#byUser.delete(connection.user);
  }
}

const none: ReadonlySet<Connection> = new Set();
