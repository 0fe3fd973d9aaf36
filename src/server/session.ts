import { BackendUnavailable } from "../backends/backend.ts";
import { closeCodes } from "../protocol/codes.ts";
import { encodeFrame } from "../protocol/encode.ts";
import type { ClientFrame, PingFrame, PublishFrame, RoomRequest } from "../protocol/frames.ts";
import { parseClientFrame, type Refusal } from "../protocol/parse.ts";
import { Lanes, type Answer, type Task } from "./lanes.ts";
import { Rate } from "./rate.ts";
import { errorFrame, Refused } from "./refused.ts";
import { Renewal, type RenewalEvents } from "./renewal.ts";
import type { ExpelReason } from "./joins.ts";
import type { Room } from "./room.ts";
import type { SessionContext, SessionPeer } from "./session-context.ts";

/** P-62: so many texts that are no JSON object within a minute close the connection. */
const maxBadFrames = 10;
const badFramesMs = 60_000;
/** What a client is told to wait where it has too many requests under way. */
const pendingRetryMs = 1_000;

/** The rules of one connection after `welcome`: what each frame does, in what order, and how often it may come. */
export class Session implements RenewalEvents {
  readonly #context: SessionContext;
  readonly #peer: SessionPeer;
  readonly #rate: Rate;
  readonly #lanes: Lanes = new Lanes();
  /** Made at the first `auth`: most connections never send one. */
  #renewal: Renewal | undefined;
  #badFramesAt: number[] | undefined;

  constructor(context: SessionContext, peer: SessionPeer) {
    this.#context = context;
    this.#peer = peer;
    const { requestsPerS, rooms } = context.limits;
    this.#rate = new Rate(requestsPerS, rooms, context.clock.monotonic());
  }

  /** Requests that are not answered yet. */
  get pending(): number {
    return this.#lanes.pending + (this.#renewal?.waiting ?? 0);
  }

  /** Whether what waits for the client is mostly refusals of what it keeps sending. */
  get flooded(): boolean {
    return this.#rate.isFlooded(this.#context.clock.monotonic());
  }

  receive(text: string): void {
    const now = this.#context.clock.monotonic();
    const parsed = parseClientFrame(text);
    const verdict = this.#rate.take(parsed.ok ? parsed.frame : undefined, now);
    if (verdict.kind === "flooding") {
      this.#peer.close(closeCodes.flooding, "flooding");
      return;
    }
    const retryAfterMs = verdict.kind === "pass" ? this.#shared(parsed, verdict.shared, now) : verdict.retryAfterMs;
    if (verdict.kind === "refuse") this.#context.counts.rateLimited(verdict.by);
    if (retryAfterMs > 0) {
      this.#refuse(namesOf(parsed), new Refused("rate_limited", "too many requests", { retryAfterMs }));
    } else if (parsed.ok) {
      this.#take(parsed.frame);
    } else {
      this.#refuse(namesOf(parsed), new Refused(parsed.refusal.code, parsed.refusal.message));
      if (parsed.refusal.code === "bad_frame") this.#countBadFrame(now);
    }
  }

  /** The rates that it shares with others: how long to wait; 0: it passes. */
  #shared(parsed: ReturnType<typeof parseClientFrame>, cost: number, now: number): number {
    const waitMs = this.#context.rates.request(this.#peer, cost);
    if (waitMs > 0 && parsed.ok && parsed.frame.type === "publish") this.#rate.hold(waitMs, now);
    return waitMs;
  }

  /** Ends a membership from the server's side; `left` is the room's last frame. */
  expel(room: Room, reason: ExpelReason = "forbidden"): void {
    this.#logLeave(this.#context.requests.joins.expel(this.#peer, room, reason));
  }

  /** The connection is gone: its rooms are left, with a grace where it may come back (P-41). */
  end(graceMs: number): void {
    this.#renewal?.end();
    for (const left of this.#context.requests.joins.leaveAll(this.#peer, graceMs)) this.#logLeave(left);
  }

  #logLeave(left: Promise<void>): void {
    left.catch((error: unknown) => this.#logFailure(error, "leave"));
  }

  #take(frame: ClientFrame): void {
    if (frame.type === "pong") return;
    if (this.pending >= this.#context.limits.pendingRequests) {
      const refused = new Refused("rate_limited", "too many requests wait", { retryAfterMs: pendingRetryMs });
      this.#context.counts.rateLimited("pending");
      this.#peer.send(errorFrame(refused, frame));
    } else {
      this.#inOrder(() => this.#dispatch(frame));
    }
  }

  #inOrder(run: () => void): void {
    if (this.#renewal === undefined) run();
    else this.#renewal.inOrder(run);
  }

  #dispatch(frame: Exclude<ClientFrame, { type: "pong" }>): void {
    switch (frame.type) {
      case "ping":
        this.#peer.send(this.#pong(frame));
        return;
      case "auth":
        this.#renewal ??= new Renewal(this.#context, this.#peer, this);
        this.#renewal.start(frame);
        return;
      case "publish":
        this.#lanes.add(frame.room, this.#publishTask(frame));
        return;
      case "join":
      case "leave":
      case "signal":
      case "presence":
      case "history":
        this.#lanes.add(
          frame.room,
          this.#task(() => this.#perform(frame), frame),
        );
        return;
      default:
        frame satisfies never;
    }
  }

  #pong({ id, timestamp }: PingFrame): string {
    return encodeFrame({
      type: "pong",
      ...(id !== undefined && { re: id }),
      ...(timestamp !== undefined && { timestamp }),
      server_time: this.#context.clock.now(),
    });
  }

  /** Does what the request asks; the answer's text, or undefined where there is none or it was sent in place. */
  async #perform(frame: Exclude<RoomRequest, PublishFrame>): Promise<string | undefined> {
    const { requests } = this.#context;
    const peer = this.#peer;
    const re = frame.id === undefined ? {} : { re: frame.id };
    switch (frame.type) {
      case "join":
        await requests.joins.join(peer, frame);
        return undefined;
      case "leave":
        // Only the app's handler can fail, and the room is left by then.
        await requests.joins.leave(peer, frame).catch((error: unknown) => this.#logFailure(error, "leave"));
        return encodeFrame({ type: "left", ...re, room: frame.room });
      case "signal":
        await requests.signal(peer, frame);
        return undefined;
      case "presence":
        await requests.presence(peer, frame);
        return frame.id === undefined ? undefined : encodeFrame({ type: "ack", re: frame.id, room: frame.room });
      case "history":
        await this.#sendPage(() => requests.history(peer, frame));
        return undefined;
    }
  }

  /** Pages are large, and one must not cut its own reader: each waits for the socket to have room, before it is read too. */
  async #sendPage(read: () => Promise<string>): Promise<void> {
    const { outbox } = this.#peer;
    await outbox.drained();
    const text = await read();
    // Others may have waited for the same room, so it is looked at again without an await before the page is sent.
    while (outbox.congested && this.#peer.isOpen) await outbox.drained();
    this.#peer.send(text);
    outbox.flush();
  }

  #task(perform: () => Promise<string | undefined>, frame: RoomRequest): Task {
    return {
      pipelined: false,
      failed: false,
      run: async () => {
        const text = await perform().catch((error: unknown) => this.failure(error, frame));
        if (text !== undefined) this.#peer.send(text);
        return () => undefined;
      },
    };
  }

  #publishTask(frame: PublishFrame): Task {
    const task: Task = {
      pipelined: true,
      failed: false,
      run: async (): Promise<Answer> => {
        try {
          const mayAppend = (): void => {
            if (task.failed) throw new BackendUnavailable("a publish before this one has an unknown outcome");
          };
          mayAppend();
          const { outcome } = await this.#context.requests.publish(this.#peer, frame, mayAppend);
          const settled = outcome.then(
            (published) =>
              frame.id === undefined
                ? undefined
                : encodeFrame({ type: "ack", re: frame.id, room: frame.room, ...published }),
            (error: unknown) => this.failure(error, frame),
          );
          return async () => this.#answer(await settled);
        } catch (error) {
          const text = this.failure(error, frame);
          return () => this.#answer(text);
        }
      },
    };
    return task;
  }

  #answer(text: string | undefined): void {
    if (text !== undefined) this.#peer.send(text);
  }

  /** The `error` frame for what was thrown. An exception's own text never reaches the peer. */
  failure(error: unknown, frame: { id?: string | undefined; room?: string; type: string }): string {
    if (error instanceof Refused) return errorFrame(error, frame);
    if (error instanceof BackendUnavailable) {
      if (frame.type === "publish" && frame.room !== undefined) this.#lanes.failWaiting(frame.room);
      this.#context.logger.warn({ connection: this.#peer.id, err: error }, "the backend is unavailable");
      return errorFrame(new Refused("unavailable", "try again later"), frame);
    }
    this.#logFailure(error, frame.type);
    return errorFrame(new Refused("internal", "the request failed"), frame);
  }

  #logFailure(error: unknown, request: string): void {
    this.#context.counts.handlerErrors++;
    this.#context.logger.error({ connection: this.#peer.id, request, err: error }, "a handler failed");
  }

  /** Answers in the room's order where requests of that room wait (P-6). */
  #refuse(names: { id?: string | undefined; room?: string }, refused: Refused): void {
    const text = errorFrame(refused, names);
    const { room } = names;
    const send = (): void => this.#peer.send(text);
    if (room === undefined || this.pending >= this.#context.limits.pendingRequests) {
      send();
      return;
    }
    this.#inOrder(() => {
      const task = { pipelined: true, failed: false, run: () => Promise.resolve(send) };
      if (this.#lanes.has(room)) this.#lanes.add(room, task);
      else send();
    });
  }

  #countBadFrame(now: number): void {
    const at = (this.#badFramesAt ??= []);
    at.push(now);
    if (at.length < maxBadFrames) return;
    if (now - (at.shift() ?? now) <= badFramesMs) this.#peer.close(closeCodes.misused, "not JSON objects");
  }
}

function namesOf(parsed: { ok: true; frame: ClientFrame } | { ok: false; refusal: Refusal }): {
  id?: string | undefined;
  room?: string;
} {
  if (!parsed.ok) {
    const { re, room } = parsed.refusal;
    return { id: re, ...(room !== undefined && { room }) };
  }
  const { frame } = parsed;
  return {
    ...("id" in frame && { id: frame.id }),
    ...("room" in frame && { room: frame.room }),
  };
}
