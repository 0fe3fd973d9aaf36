import type { JsonObject } from "../../src/protocol/json.ts";

/**
 * All that a run did and saw, in the order in which it happened here: one process drives everything, so there is one
 * clock and one order. The checker sees nothing else. Times are milliseconds since the run began.
 */
export type Rec =
  | Begun
  | Opened
  | Sent
  | Got
  | Ended
  | Called
  | Answered
  | App
  | Asked
  | Told
  | Faulted
  | Marked
  | Sample
  | Kept
  | There
  | Truth
  | Left;

interface At {
  readonly at: number;
}

/** What the checker must know of the run. */
export interface Begun extends At {
  readonly kind: "begun";
  readonly backend: string;
  readonly seed: number;
  /** Faults that a room's log need not outlive: the only ones that its epoch may change by. */
  readonly losing: readonly string[];
  /** Messages that a room keeps; older ones need not be readable. */
  readonly keepMessages: number;
  /** What a node's memory may grow by. */
  readonly rssGrowthBytes: number;
  /** P-50, P-52: silence for longer than this ends a connection. */
  readonly silenceMs: number;
}

/** A device of a user opens a connection to a node. */
export interface Opened extends At {
  readonly kind: "opened";
  readonly connection: string;
  readonly actor: string;
  readonly user: string;
  readonly node: string;
  /** When its token was made, by the wall clock of this process turned to `at`. */
  readonly tokenAt: number;
}

export interface Sent extends At {
  readonly kind: "sent";
  readonly connection: string;
  readonly frame: JsonObject;
}

export interface Got extends At {
  readonly kind: "got";
  readonly connection: string;
  readonly frame: JsonObject;
}

export interface Ended extends At {
  readonly kind: "ended";
  readonly connection: string;
  /** Who ended it: the device itself, or whoever else, with a close frame's code or without one. */
  readonly by: "device" | "peer";
  readonly code?: number;
}

/** A request over HTTP. */
export interface Called extends At {
  readonly kind: "called";
  readonly call: string;
  readonly actor: string;
  readonly node: string;
  readonly method: string;
  readonly path: string;
  readonly key?: string;
  readonly body?: JsonObject;
}

export interface Answered extends At {
  readonly kind: "answered";
  readonly call: string;
  /** 0: none came, and whether it took effect is open. */
  readonly status: number;
  readonly body: JsonObject;
}

/**
 * What the app behind a client of ours is told of a room; `closed`: it closes its client, or throws it away for another.
 * `left`: its membership is over, and it did not end it. `error`: the client reports one, of a room or of none.
 */
export interface App extends At {
  readonly kind: "app";
  readonly actor: string;
  readonly room: string;
  readonly what: "joined" | "message" | "gap" | "reset" | "presence" | "left" | "error" | "closed";
  readonly id?: string;
  readonly offset?: number;
  /** Where the client says that it stands now. */
  readonly cursor?: string;
  readonly reason?: string;
  /** Of presence: who came and went, or the whole list. */
  readonly joined?: readonly string[];
  readonly left?: readonly string[];
  readonly users?: readonly string[];
  readonly members?: number;
}

/** An app has its client publish: once, however often the client sends it. */
export interface Asked extends At {
  readonly kind: "asked";
  readonly actor: string;
  readonly room: string;
  readonly id: string;
  readonly echo?: boolean;
}

/** What the client says came of it: a place in the log, or an error's code. */
export interface Told extends At {
  readonly kind: "told";
  readonly actor: string;
  readonly id: string;
  readonly cursor?: string;
  readonly duplicate?: boolean;
  readonly code?: string;
  /** Of `outcome_unknown`: why the client gave it up, where the server said so. */
  readonly cause?: string;
}

export interface Faulted extends At {
  readonly kind: "fault";
  readonly fault: string;
  readonly phase: "begin" | "end";
  /** Absent: it is the engine's, or that of all nodes. */
  readonly node?: string;
}

/**
 * `healed`: no fault is left. `back`: every device is in all its rooms again; with the names of those who are not.
 * `quiet`: all publishes are answered, and none will come. `gone`: every device has left.
 * `died`: a node ended that nobody ended.
 */
export interface Marked extends At {
  readonly kind: "mark";
  readonly mark: "healed" | "back" | "quiet" | "gone" | "died";
  readonly who?: readonly string[];
  readonly text?: string;
}

export interface Sample extends At {
  readonly kind: "sample";
  readonly node: string;
  readonly rssBytes: number;
}

/** The whole log of a room as a node or the engine itself gives it in the end. */
export interface Kept extends At {
  readonly kind: "kept";
  readonly source: string;
  readonly room: string;
  readonly epoch: string;
  readonly head: number;
  readonly entries: readonly { readonly offset: number; readonly prev?: number; readonly id: string }[];
}

/** Who is in a room in the end, as a node says, or as a device that watches it believes. */
export interface There extends At {
  readonly kind: "there";
  readonly source: string;
  readonly room: string;
  readonly users: readonly string[];
  readonly members: number;
}

/** Who truly is in a room in the end. */
export interface Truth extends At {
  readonly kind: "truth";
  readonly room: string;
  readonly users: readonly string[];
}

/** What is left at a node or in the engine when all have gone, by name; all of it is to be 0. */
export interface Left extends At {
  readonly kind: "left";
  readonly source: string;
  readonly counts: Readonly<Record<string, number>>;
}

type Unstamped<R> = R extends Rec ? Omit<R, "at"> : never;

/** Takes what happens and stamps it. */
export class Recorder {
  readonly records: Rec[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  now(): number {
    return this.#now();
  }

  add(record: Unstamped<Rec>): void {
    this.records.push({ at: Math.round(this.#now() * 10) / 10, ...record });
  }
}

/** A message's data are its own name and some padding; the padding is not recorded. */
export function slim(frame: JsonObject): JsonObject {
  const messages = frame["messages"];
  if (Array.isArray(messages)) return { ...frame, messages: messages.map((one) => slim(one as JsonObject)) };
  const data = frame["data"];
  if (typeof data !== "object" || data === null || Array.isArray(data) || !("pad" in data)) return frame;
  return { ...frame, data: { id: data["id"] ?? null } };
}
