import type { Json } from "../../protocol/json.ts";
import { inParts, type Change, type MapMessage, type Place } from "./messages.ts";
import type { MapLines, MapOwner } from "./map-owner.ts";
import { Opening } from "./opening.ts";
import { Replica, type Applied } from "./replica.ts";

/** A node that does not give its state is asked again after this. */
const askAgainMs = 1_000;
/** Changes of one turn that wait to be sent together. */
const maxPending = 500;

/**
 * A map in which each node has entries of its own that the others follow: numbered changes to all, and the whole state to
 * whoever has missed one. It becomes whole again after anything that is lost, by being asked for and never by being
 * guessed.
 */
export class SharedMap {
  /** Others would not know it yet, had the last change been lost. */
  changedSinceNoted = false;
  readonly #owner: MapOwner;
  readonly #lines: MapLines;
  readonly #replicas: Map<string, Replica> = new Map();
  #place: Place;
  #pending: Change[] = [];
  /** Something of ours may not have reached all. */
  #mustTell = false;
  /** Something of the others may not have reached us. */
  #mustAsk = false;
  #isClosed = false;
  #opening: Opening | undefined;

  constructor(owner: MapOwner, lines: MapLines) {
    this.#owner = owner;
    this.#lines = lines;
    this.#place = [lines.nextLife(), 0];
  }

  /** The living nodes that have something in it: one that has nothing may have closed it long ago. */
  get peers(): string[] {
    return [...this.#replicas].filter(([, { isHeld, entries }]) => !isHeld && entries.size > 0).map(([name]) => name);
  }

  /**
   * Resolves when the other nodes have said what they have, or when time is over. `count` tells how many have the map;
   * undefined: some. Asked before they are counted, so that whoever is counted was asked, or has nothing yet and says so.
   */
  async open(count: () => Promise<number | undefined>): Promise<void> {
    this.#adopt();
    const opening = (this.#opening = new Opening(this.#lines.clock));
    this.#mustAsk = true;
    await this.#sync();
    try {
      opening.counted(await count());
      opening.look(this.#replicas.values());
      await opening.done;
    } finally {
      opening.close();
      this.#opening = undefined;
    }
  }

  set(key: string, value: Json): void {
    this.#push({ key, value });
  }

  remove(key: string, forGood: boolean): void {
    this.#push({ key, ...(forGood && { forGood }) });
    if (forGood) this.#endHeld(key);
  }

  receive(message: MapMessage): void {
    if (this.#isClosed) return;
    if (message.type === "left") this.#inherit(message);
    else this.#receive(message);
    this.#opening?.look(this.#replicas.values());
  }

  #receive(message: Exclude<MapMessage, { type: "left" }>): void {
    const { from, place } = message;
    const replica = this.#replicas.get(from) ?? this.#add(from);
    switch (message.type) {
      case "changes":
        this.#apply(from, replica, replica.changed(message));
        break;
      case "sync":
        this.#apply(from, replica, replica.noted(place));
        if (message.known === undefined) break;
        this.#passOn(from, message.known);
        this.#answer(from, message.known[this.#lines.node]);
        break;
      case "want":
        this.#answer(from, place);
        break;
      case "state":
        this.#apply(from, replica, replica.stated(message));
        if (message.part < message.parts - 1) break;
        this.#lines.synced();
        for (const node of message.peers) this.#told(node);
        break;
    }
    if (replica.isBehind) this.#ask(from, replica);
  }

  /** The way to the others was broken: both sides may have missed something. */
  interrupted(): void {
    this.#mustTell = true;
    this.#mustAsk = true;
    for (const replica of this.#replicas.values()) {
      replica.isBehind ||= !replica.isHeld;
      replica.askedAt = -Infinity;
    }
    this.#lines.unsettled();
  }

  /** The others have given this node up: its entries are told as a life of their own. */
  renew(): void {
    this.#pending = [];
    this.#place = [this.#lines.nextLife(), 1];
    this.interrupted();
  }

  /** Says where this node is, so that whoever has missed the last change asks for it. */
  note(): void {
    this.changedSinceNoted = false;
    this.#mustTell = true;
    void this.#sync();
  }

  /** Where no other node has it: what this one has in it, and what nodes left that went away before. */
  *leaves(): Generator<readonly [node: string, changes: readonly Change[]]> {
    if (this.#owner.standing === undefined || this.peers.length > 0) return;
    yield [this.#lines.node, this.#entries()];
    for (const [node, { isHeld, isBehind, entries }] of this.#replicas)
      if (isHeld && !isBehind) yield [node, this.#standing(entries)];
  }

  /** Does what is left to do; whether something still is. */
  settle(): boolean {
    if (this.#isClosed) return false;
    let isWhole = true;
    for (const [node, replica] of this.#replicas) {
      if (!replica.isBehind) continue;
      isWhole = false;
      if (replica.isHeld) this.#mustAsk = true;
      else this.#ask(node, replica);
    }
    if (this.#mustTell || this.#mustAsk) void this.#sync();
    return !isWhole || this.#mustTell || this.#mustAsk;
  }

  /** The node is gone, with all that it had. */
  drop(node: string): void {
    const replica = this.#replicas.get(node);
    if (replica === undefined) return;
    this.#replicas.delete(node);
    this.#owner.together(false, () => {
      for (const key of replica.entries) this.#owner.removed(key, node);
    });
    this.#opening?.look(this.#replicas.values());
  }

  /** The node has gone away; what it had stays until it is dropped or ended for good. */
  hold(node: string): void {
    const replica = this.#replicas.get(node);
    if (replica === undefined) return;
    if (this.#owner.standing === undefined) {
      this.drop(node);
      return;
    }
    replica.isHeld = true;
    if (replica.isBehind) this.#askOthers();
  }

  /** Sends what waits for the turn's end. */
  flush(): void {
    const changes = this.#pending;
    if (changes.length === 0) return;
    this.#pending = [];
    for (const part of inParts(changes)) {
      this.#place = [this.#place[0], this.#place[1] + 1];
      this.#send({ type: "changes", from: this.#lines.node, place: this.#place, changes: part });
    }
    this.changedSinceNoted = true;
  }

  /** The last is told; nothing is heard any more. */
  close(): void {
    this.flush();
    this.#isClosed = true;
    this.#replicas.clear();
  }

  #add(node: string): Replica {
    const replica = new Replica();
    this.#replicas.set(node, replica);
    return replica;
  }

  #push(change: Change): void {
    if (this.#pending.push(change) === 1) this.#lines.later(() => this.flush());
    if (this.#pending.length >= maxPending) this.flush();
  }

  #send(message: MapMessage): void {
    this.#lines.toAll(message).catch(() => {
      this.#mustTell = true;
      this.#lines.unsettled();
    });
  }

  async #sync(): Promise<void> {
    this.flush();
    const known = Object.fromEntries(
      Array.from(this.#replicas)
        .filter(([, { isHeld, isBehind }]) => !isHeld || !isBehind)
        .map(([node, { place }]) => [node, place] as const),
    );
    const [told, asked] = [this.#mustTell, this.#mustAsk];
    this.#mustTell = this.#mustAsk = false;
    try {
      const { node } = this.#lines;
      await this.#lines.toAll({ type: "sync", from: node, place: this.#place, ...(asked && { known }) });
    } catch {
      this.#mustTell ||= told;
      this.#mustAsk ||= asked;
      this.#lines.unsettled();
    }
  }

  #ask(node: string, replica: Replica): void {
    this.#lines.unsettled();
    const now = this.#lines.clock.monotonic();
    if (now - replica.askedAt < askAgainMs) return;
    replica.askedAt = now;
    this.#lines.toNode(node, { type: "want", from: this.#lines.node, place: replica.place });
  }

  /** A node went away that owes something: the others may have heard of it what this one has not. */
  #askOthers(): void {
    this.#mustAsk = true;
    this.#lines.unsettled();
    void this.#sync();
  }

  /** Another node says that this one has something. Where it has gone away meanwhile, the others have what it left. */
  #told(node: string): void {
    if (node === this.#lines.node || this.#replicas.has(node)) return;
    const isHeld = this.#lines.holdMs(node) > 0;
    if (!isHeld && !this.#lines.lives(node)) return;
    const replica = this.#add(node);
    replica.isHeld = isHeld;
    if (isHeld) this.#askOthers();
    else this.#ask(node, replica);
  }

  #answer(node: string, known: Place | undefined): void {
    this.flush();
    const place = this.#place;
    const base = { type: "state", from: this.#lines.node, place, peers: this.peers } as const;
    if (known !== undefined && known[0] === place[0] && known[1] === place[1]) {
      this.#lines.toNode(node, { ...base, part: 0, parts: 0, changes: [] });
      return;
    }
    const parts = inParts(this.#entries());
    for (const [part, changes] of parts.entries()) {
      this.#lines.toNode(node, { ...base, part, parts: parts.length, changes });
    }
  }

  #entries(): Change[] {
    return Array.from(this.#owner.entries(), ([key, value]) => ({ key, value }));
  }

  #standing(keys: ReadonlySet<string>): Change[] {
    return [...keys].flatMap((key): Change[] => {
      const value = this.#owner.standing?.(key);
      return value === undefined ? [] : [{ key, value }];
    });
  }

  /** Tells one that asks what nodes left that went away, where it has not heard of them. */
  #passOn(to: string, known: Readonly<Record<string, Place>>): void {
    for (const [node, { isHeld, isBehind, entries }] of this.#replicas) {
      // The first word is believed: who has not heard it all yet must not be the one to say it.
      if (!isHeld || isBehind || Object.hasOwn(known, node)) continue;
      const base = { type: "left", from: this.#lines.node, node, holdMs: this.#lines.holdMs(node) } as const;
      for (const changes of inParts(this.#standing(entries))) this.#lines.toNode(to, { ...base, changes });
    }
  }

  /** Before anyone asks: another node that opens the map at this moment has to hear of it from this one. */
  #adopt(): void {
    for (const [node, changes] of this.#lines.left()) {
      if (this.#replicas.has(node)) continue;
      this.#inherit({ type: "left", from: node, node, holdMs: this.#lines.holdMs(node), changes });
    }
  }

  /** The first one that tells of it is believed: another may be behind on who has come back or said goodbye since. */
  #inherit({ from, node, holdMs, changes }: Extract<MapMessage, { type: "left" }>): void {
    const known = this.#replicas.get(node);
    if (known === undefined ? !this.#lines.inherited(node, holdMs) : !known.isBehind && known.toldBy !== from) return;
    const replica = known ?? this.#add(node);
    replica.isHeld = true;
    replica.isBehind = false;
    replica.toldBy = from;
    this.#apply(node, replica, { changes, repaired: true });
  }

  #apply(node: string, { entries }: Replica, applied: Applied | undefined): void {
    if (applied === undefined || applied.changes.length === 0) return;
    this.#owner.together(applied.repaired, () => {
      for (const { key, value, forGood } of applied.changes) {
        if (value !== undefined) {
          const isNew = !entries.has(key);
          entries.add(key);
          this.#owner.set(key, value, isNew, node);
        } else if (entries.delete(key)) this.#owner.removed(key, node);
        if (forGood === true) {
          this.#endHeld(key);
          this.#owner.endedForGood(key);
        }
      }
    });
  }

  /** A user who says goodbye anywhere is not waited for on behalf of a node that went away. */
  #endHeld(key: string): void {
    for (const [node, { isHeld, entries }] of this.#replicas) {
      if (isHeld && entries.delete(key)) this.#owner.removed(key, node);
    }
  }
}
