/** What went wrong for one member. */
export interface Fault {
  member: number;
  kind: "lost" | "duplicate" | "disorder" | "content";
  offset: number;
  detail?: string;
}

/** More faults than this are counted and not listed. */
const maxListed = 50;

/**
 * Sees what the app of each member sees: every offset from 1 on must come exactly once, in order, with the content that
 * was published at it. The n-th message published holds the number n, so that its offset and content are the same.
 */
export class OrderChecker {
  readonly faults: Fault[] = [];
  faultCount = 0;
  readonly #next: number[];
  readonly #missing: Set<number>[];

  constructor(members: number) {
    this.#next = Array.from({ length: members }, () => 1);
    this.#missing = Array.from({ length: members }, () => new Set<number>());
  }

  take(member: number, offset: number, content: number): void {
    if (content !== offset) this.#fault({ member, kind: "content", offset, detail: `holds ${content}` });
    const next = this.#next[member] ?? 1;
    if (offset === next) {
      this.#next[member] = next + 1;
    } else if (offset > next) {
      for (let missed = next; missed < offset; missed++) this.#missing[member]?.add(missed);
      this.#next[member] = offset + 1;
    } else if (this.#missing[member]?.delete(offset) === true) {
      this.#fault({ member, kind: "disorder", offset, detail: `came after ${next - 1}` });
    } else {
      this.#fault({ member, kind: "duplicate", offset });
    }
  }

  /** The newest offset that the member has seen. */
  seen(member: number): number {
    return (this.#next[member] ?? 1) - 1;
  }

  /** To be called when all is said: what is missing now is lost. */
  finish(head: number): void {
    for (const [member, missing] of this.#missing.entries()) {
      for (const offset of missing) this.#fault({ member, kind: "lost", offset });
      for (let offset = this.seen(member) + 1; offset <= head; offset++) this.#fault({ member, kind: "lost", offset });
      if (this.seen(member) > head)
        this.#fault({ member, kind: "content", offset: this.seen(member), detail: "was never published" });
    }
  }

  #fault(fault: Fault): void {
    this.faultCount++;
    if (this.faults.length < maxListed) this.faults.push(fault);
  }
}
