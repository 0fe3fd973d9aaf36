import type { Connected } from "./connected.ts";

/** The connections of this node, sockets and streams alike: by id, by user, and counted by address. */
export class Connections {
  /** Is told how many connections a user has here, where other nodes count them too. */
  counted: ((user: string, count: number) => void) | undefined;
  /** How many connections a user has on other nodes. */
  elsewhere: ((user: string) => number) | undefined;
  readonly #byId: Map<string, Connected> = new Map();
  /** Most users have one connection, which then stands here without a set around it. */
  readonly #byUser: Map<string, Connected | Set<Connected>> = new Map();
  readonly #byAddress: Map<string, number> = new Map();

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Connected | undefined {
    return this.#byId.get(id);
  }

  all(): Iterable<Connected> {
    return this.#byId.values();
  }

  countOf(address: string): number {
    return this.#byAddress.get(address) ?? 0;
  }

  of(user: string): readonly Connected[] {
    const found = this.#byUser.get(user);
    if (found === undefined) return none;
    return found instanceof Set ? [...found] : [found];
  }

  /** On all nodes. */
  countOfUser(user: string): number {
    return this.#countHere(user) + (this.elsewhere?.(user) ?? 0);
  }

  #countHere(user: string): number {
    const found = this.#byUser.get(user);
    return found instanceof Set ? found.size : found === undefined ? 0 : 1;
  }

  add(connection: Connected): void {
    this.#byId.set(connection.id, connection);
    this.#byAddress.set(connection.address, this.countOf(connection.address) + 1);
  }

  /** The connection's user is known from now on. */
  setUser(connection: Connected): void {
    const { user } = connection;
    const found = this.#byUser.get(user);
    if (found === undefined) this.#byUser.set(user, connection);
    else if (found instanceof Set) found.add(connection);
    else this.#byUser.set(user, new Set([found, connection]));
    this.counted?.(user, this.#countHere(user));
  }

  remove(connection: Connected): void {
    if (!this.#byId.delete(connection.id)) return;
    const left = this.countOf(connection.address) - 1;
    if (left > 0) this.#byAddress.set(connection.address, left);
    else this.#byAddress.delete(connection.address);
    const { user } = connection;
    const found = this.#byUser.get(user);
    if (found === connection) this.#byUser.delete(user);
    else if (!(found instanceof Set) || !found.delete(connection)) return;
    else if (found.size === 0) this.#byUser.delete(user);
    this.counted?.(user, this.#countHere(user));
  }
}

const none: readonly Connected[] = [];
