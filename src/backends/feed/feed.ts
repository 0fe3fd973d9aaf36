import type { LogEntry, LogState, RoomRef } from "../backend.ts";
import { Listeners, type Told } from "../listeners.ts";
import type { FeedEngine, FeedState, FeedView, Position } from "./engine.ts";
import { Gate } from "./gate.ts";

/** Entries that one read of a repair brings. */
const pageEntries = 256;
/** Looks at the log without getting further: then what is pushed is not in it, and the log's word counts. */
const mostLooks = 5;
/** What is held while something before it is missing. Beyond that, pushes are dropped and read from the log. */
const mostHeld = 1_024;
const mostHeldCharacters = 1_048_576;

interface Push {
  readonly entry: LogEntry;
  readonly epoch: string;
}

/**
 * One room's stream on one node: takes what the engine pushes, in whatever order and however often, and tells the
 * listeners each message once, in order, none left out. What is missing it reads from the log; what cannot be read any
 * more it announces by `jumped`.
 */
export class Feed implements FeedView {
  /** The newest word on how long messages are kept. */
  room: RoomRef;
  readonly listeners: Listeners = new Listeners();
  readonly #engine: FeedEngine;
  readonly #told: Told;
  #position: Position | undefined;
  /** Pushed, and not to be told before the log was read. */
  #held: Push[] = [];
  #heldCharacters = 0;
  /** Something was pushed that only the log can give now. */
  #mustLook = false;
  #running: Promise<LogState> | undefined;
  #next: Promise<LogState> | undefined;
  #isClosed = false;
  readonly #gate: Gate;
  /** Relayed while the gate was closed. */
  #heldTexts: string[] = [];

  constructor(room: RoomRef, engine: FeedEngine, told: Told, gate: Gate = new Gate()) {
    this.room = room;
    this.#engine = engine;
    this.#told = told;
    this.#gate = gate;
  }

  get position(): Position | undefined {
    return this.#position;
  }

  close(): void {
    this.#isClosed = true;
  }

  /** What the engine pushed. While a pass over the log runs, what follows the position is told all the same. */
  push(entry: LogEntry, epoch: string): void {
    if (this.#isClosed || (!this.#gate.isClosed && this.#take(entry, epoch))) return;
    this.#hold({ entry, epoch });
    if (this.#position !== undefined && !this.#gate.isClosed) this.repair();
  }

  relayed(text: string): void {
    if (!this.#gate.isClosed) this.listeners.relayed(text, this.#told);
    else if (this.#heldTexts.length < mostHeld) this.#heldTexts.push(text);
  }

  /** The gate is open again. What was pushed meanwhile waits for a look at the log, because more may be missing. */
  released(): void {
    for (const text of this.#heldTexts.splice(0)) this.listeners.relayed(text, this.#told);
    if (this.#held.length > 0 && this.#position !== undefined) this.repair();
  }

  interrupted(): void {
    this.listeners.interrupted(this.#told);
  }

  /** Whether the listeners have not been told of all that the log holds. */
  isBehind(head: Position): boolean {
    const at = this.#position;
    // A log that went back in its epoch is for the engine to see: its state then has another epoch.
    return at === undefined || head.epoch !== at.epoch || head.offset !== at.offset;
  }

  /** Catches up in the background. Where the engine is away, the next check or push tries again. */
  repair(): void {
    if (this.#running === undefined) this.sync().catch(() => undefined);
  }

  /** See `Subscription.sync`. A pass over the log that began before the call does not count; those called during one share the next. */
  sync(): Promise<LogState> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    const next = this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    this.#next = next;
    return next;
  }

  #start(): Promise<LogState> {
    // Cleared in the pass itself, in the very turn in which it found nothing newer: a push after that is told live.
    const pass = Promise.resolve().then(() => this.#pass());
    this.#running = pass;
    return pass;
  }

  async #pass(): Promise<LogState> {
    try {
      let state = await this.#look();
      for (let looks = 1, at = this.#position; this.#mustLook && !this.#isClosed && looks < mostLooks; looks++) {
        state = await this.#look();
        if (at !== this.#position) looks = 0;
        at = this.#position;
      }
      const { epoch, offset } = this.#position ?? { epoch: state.epoch, offset: state.head };
      return { epoch, head: offset, trimmed: Math.min(state.trimmed, offset) };
    } finally {
      this.#running = undefined;
    }
  }

  /** Reads where the log stands and tells all up to there, then what was held. */
  async #look(): Promise<FeedState> {
    await this.#gate.passed();
    const state = await this.#engine.state(this.room, this.#position);
    this.#mustLook = false;
    await this.#readUpTo(state);
    const held = this.#held;
    this.#held = [];
    this.#heldCharacters = 0;
    for (const { entry, epoch } of held) if (!this.#take(entry, epoch)) this.#mustLook = true;
    return state;
  }

  async #readUpTo(state: FeedState): Promise<void> {
    const { epoch, head, trimmed } = state;
    if (this.#position === undefined) {
      // Nobody listens yet: the stream begins at the head, and what was pushed up to there is behind it.
      this.#position = { epoch, offset: head };
      return;
    }
    if (epoch !== this.#position.epoch) this.#jumpTo(epoch, startIn(state, this.#position), "epoch");
    while (!this.#isClosed && this.#position.offset < head) {
      if (trimmed > this.#position.offset) this.#jumpTo(epoch, trimmed, "trimmed");
      if (this.#position.offset >= head) return;
      const page = await this.#engine.read(this.room, this.#position.offset, pageEntries, epoch);
      if (page.length === 0 && this.#position.offset < head) {
        // Trimmed since the look, or another epoch by now: another look tells.
        this.#mustLook = true;
        return;
      }
      this.#tellPage(page, epoch);
    }
  }

  #tellPage(page: readonly LogEntry[], epoch: string): void {
    for (const entry of page) {
      const offset = this.#position?.offset ?? 0;
      if (this.#isClosed || entry.offset <= offset) continue;
      if (before(entry) > offset) this.#jumpTo(epoch, before(entry), "trimmed");
      this.#tell(entry);
    }
  }

  /** Whether the push is dealt with: told, or known already. */
  #take(entry: LogEntry, epoch: string): boolean {
    if (epoch !== this.#position?.epoch) return false;
    if (entry.offset <= this.#position.offset) return true;
    if (before(entry) > this.#position.offset) return false;
    this.#tell(entry);
    return true;
  }

  #hold(push: Push): void {
    this.#heldCharacters += push.entry.body.length;
    if (this.#held.length < mostHeld && this.#heldCharacters <= mostHeldCharacters) {
      this.#held.push(push);
      return;
    }
    // One that stays behind says that there is more to read.
    this.#held = [push];
    this.#heldCharacters = push.entry.body.length;
  }

  /** The position moves first: a listener that publishes may be back here before its call ends. */
  #tell(entry: LogEntry): void {
    const { epoch, offset } = this.#position ?? { epoch: "", offset: 0 };
    this.#position = { epoch, offset: entry.offset };
    // The one before it was told, and an engine of which it was deleted by hand does not know it any more.
    const told = before(entry) < offset ? { ...entry, prev: offset } : entry;
    this.listeners.appended(told, this.#told);
  }

  #jumpTo(epoch: string, offset: number, reason: "trimmed" | "epoch"): void {
    this.#position = { epoch, offset };
    this.listeners.jumped({ epoch, offset, reason }, this.#told);
  }
}

function before(entry: LogEntry): number {
  return entry.prev ?? entry.offset - 1;
}

/** After what offset a new life of the log is told to those who followed another. */
function startIn({ since }: FeedState, position: Position): number {
  if (since === undefined) return 0;
  return since.epoch === position.epoch ? Math.min(since.offset, position.offset) : since.offset;
}
