import { createHash } from "node:crypto";

/**
 * Subjects and streams. A room's name may hold what subjects forbid, so it is written in base64url: 340 characters for the
 * longest. What begins with `~` is no room.
 */
export class Names {
  /** Each is a stream. */
  readonly log: string;
  readonly brief: string;
  readonly lasting: string;
  readonly liveSubjects: string;
  /**
   * A random name that a stream of logs has in its subjects from its making on: what is meant for one that was deleted does
   * not land in the next, which knows nothing of its rooms.
   */
  instance = "";
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.log = `${prefix}-log`;
    this.brief = `${prefix}-brief`;
    this.lasting = `${prefix}-lasting`;
    this.liveSubjects = `${prefix}.room.{{wildcard(1)}}.m`;
  }

  logSubjects(instance: string): string {
    return `${this.#prefix}.log.${instance}.*`;
  }

  /** The instance in `logSubjects`; undefined: not one of ours. */
  instanceIn(subject: string): string | undefined {
    return subject.split(".")[2];
  }

  get life(): string {
    return this.#inLog("~life");
  }

  get probe(): string {
    return this.#inLog("~probe");
  }

  /** Where a room's log is. */
  logOf(room: string): string {
    return this.#inLog(encoded(room));
  }

  /** All that a node hears of a room: `m` for messages, `r` for what is relayed, `w` asks who is there. */
  allOf(room: string): string {
    return `${this.#prefix}.room.${encoded(room)}.*`;
  }

  relayOf(room: string): string {
    return `${this.#prefix}.room.${encoded(room)}.r`;
  }

  whoOf(room: string): string {
    return `${this.#prefix}.room.${encoded(room)}.w`;
  }

  get liveProbe(): string {
    return `${this.#prefix}.room.~probe.m`;
  }

  /** Where the stream sends on who wrote its life. */
  get liveLife(): string {
    return `${this.#prefix}.room.~life.m`;
  }

  briefOf(key: string): string {
    return `${this.#prefix}.brief.${digest(key)}`;
  }

  lastingOf(key: string): string {
    return `${this.#prefix}.lasting.${digest(key)}`;
  }

  /** What is written there is dated, and that is all it is for. No digest of a key begins so. */
  get clock(): string {
    return `${this.#prefix}.brief.~clock`;
  }

  briefSubjects(): string {
    return `${this.#prefix}.brief.*`;
  }

  lastingSubjects(): string {
    return `${this.#prefix}.lasting.*`;
  }

  /** Of the nodes among themselves, in core mode. */
  ofNodes(what: string): string {
    return `${this.#prefix}.nodes.${what}`;
  }

  #inLog(what: string): string {
    return `${this.#prefix}.log.${this.instance}.${what}`;
  }
}

/** 22 characters of `A-Z a-z 0-9 _ -`. */
export function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, 22);
}

/** P-4: no two rooms and no two lives of a room share one. */
export function epochOf(streamLife: string, roomLife: string): string {
  return digest(`${streamLife}\n${roomLife}`);
}

function encoded(room: string): string {
  return Buffer.from(room).toString("base64url");
}
