/**
 * The life of a client's connection as a pure function: state and event in, next state and effects out.
 *
 * | state     | is                                          | left by itself                                      |
 * | --------- | ------------------------------------------- | --------------------------------------------------- |
 * | idle      | not asked to connect                        | never                                               |
 * | preparing | a token is being got                        | `token`: opening; too late: waiting or offline      |
 * | opening   | a socket, but no `welcome` yet              | `welcome`: online; too late: waiting or offline     |
 * | online    | after `welcome`                             | silence: waiting or offline                         |
 * | waiting   | lost, until the next attempt                | its time: preparing                                 |
 * | offline   | lost, and the platform has no network       | its time: preparing (platforms are wrong at times)  |
 * | frozen    | in the page cache, without a socket         | `look`: preparing                                   |
 * | stopped   | would fail again                            | never                                               |
 *
 * What each event does (rows) in each state (columns). `·` changes nothing; `+x` is an effect besides.
 *
 * |             | idle      | preparing | opening          | online           | waiting     | offline   | frozen    | stopped    |
 * | ----------- | --------- | --------- | ---------------- | ---------------- | ----------- | --------- | --------- | ---------- |
 * | connect     | preparing | ·         | ·                | ·                | preparing   | preparing | preparing | preparing  |
 * | close       | ·         | idle      | idle             | idle             | idle        | idle      | idle      | idle       |
 * | renew       | ·         | preparing | preparing        | · +renew         | ·           | ·         | ·         | preparing² |
 * | token       | ·         | opening   | ·                | ·                | ·           | ·         | ·         | ·          |
 * | tokenFailed | ·         | waiting¹  | ·                | ·                | ·           | ·         | ·         | ·          |
 * | askedAuth   | ·         | ·         | · +authenticate³ | ·                | ·           | ·         | ·         | ·          |
 * | welcome     | ·         | ·         | online           | ·                | ·           | ·         | ·         | ·          |
 * | closed      | ·         | ·         | by its code⁴     | by its code⁴     | ·           | ·         | ·         | ·          |
 * | frame       | ·         | ·         | ·                | later            | ·           | ·         | ·         | ·          |
 * | reauth      | ·         | ·         | ·                | · +renew         | ·           | ·         | ·         | ·          |
 * | hint        | ·         | ·         | noted            | noted            | ·           | ·         | ·         | ·          |
 * | wake⁵       | ·         | waiting¹  | waiting¹         | waiting¹         | preparing   | preparing | ·         | ·          |
 * | up          | ·         | ·         | ·                | sooner +probe    | sooner⁶     | waiting   | ·         | ·          |
 * | down        | ·         | ·         | ·                | sooner +probe    | offline⁶    | ·         | ·         | ·          |
 * | look        | ·         | ·         | ·                | sooner +probe    | preparing⁶  | preparing | preparing | ·          |
 * | freeze      | ·         | frozen    | frozen           | frozen           | ·           | ·         | ·         | ·          |
 *
 * ¹ offline where the network is down. ² only after unauthorized. ³ stopped where there is no token. ⁴ waiting, offline
 * or stopped (P-61). ⁵ only when `until` has come. ⁶ not while the wait is the server's wish. `up` and `down` are
 * remembered in every state.
 */
import type { FanfareError } from "./errors.ts";
import { backoffMs, delayAfter } from "./delays.ts";
import type { ClientTiming, PlatformNews } from "./platform.ts";
import type { Cause } from "./types.ts";

interface Common {
  /** Failed attempts in a row. */
  readonly failures: number;
  /** The platform says that there is no network. */
  readonly down: boolean;
}

/** `until` is when `wake` is due, by the monotonic clock. */
export type State = Common &
  (
    | { readonly kind: "idle" }
    | { readonly kind: "preparing"; readonly until: number }
    | {
        readonly kind: "opening";
        readonly until: number;
        readonly token: string | undefined;
        readonly hintMs: number;
      }
    | ({ readonly kind: "online"; readonly until: number; readonly since: number; readonly hintMs: number } & Welcomed)
    | { readonly kind: "waiting"; readonly until: number; readonly patient: boolean; readonly cause: Cause }
    | { readonly kind: "offline"; readonly until: number; readonly cause: Cause }
    | { readonly kind: "frozen" }
    | { readonly kind: "stopped"; readonly cause: Cause }
  );

export interface Welcomed {
  readonly user: string;
  readonly connection: string;
  /** P-52: this long without a frame means dead. */
  readonly silenceMs: number;
}

export type Event =
  | { readonly type: "connect" | "close" | "renew" }
  | { readonly type: "token"; readonly token: string | undefined }
  | { readonly type: "tokenFailed"; readonly error: FanfareError }
  | { readonly type: "askedAuth"; readonly refusal: FanfareError }
  | ({ readonly type: "welcome" } & Welcomed)
  | { readonly type: "closed"; readonly cause: Cause & { readonly closeCode: number } }
  | { readonly type: "frame" | "reauth" }
  | { readonly type: "hint"; readonly ms: number }
  | { readonly type: "wake" }
  | { readonly type: PlatformNews };

export type Effect =
  /** Get a token and answer with `token` or `tokenFailed`; forget an earlier one that is under way. */
  | { readonly type: "fetch" }
  | { readonly type: "dial"; readonly token: string | undefined }
  /** Let go of the socket; nothing more is heard of it. */
  | { readonly type: "hangUp"; readonly code?: 1000 }
  /** P-14: the first frame. */
  | { readonly type: "authenticate"; readonly token: string }
  /** P-17: get a token and send it on the open connection. */
  | { readonly type: "renew" }
  /** Ask for a sign of life. */
  | { readonly type: "probe" }
  /** Join the rooms and send what waits. */
  | { readonly type: "resume" }
  /** What was on its way will not be answered. */
  | { readonly type: "suspend" }
  /** Nobody will try again: fail what waits. */
  | { readonly type: "giveUp" };

/** When and with what luck an event happens. */
export interface Moment {
  readonly now: number;
  readonly random: number;
  readonly timing: ClientTiming;
}

export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}

export const initialState: State = { kind: "idle", failures: 0, down: false };

export function step(state: State, event: Event, moment: Moment): Step {
  const stay: Step = { state, effects: [] };
  switch (event.type) {
    case "connect":
      return connect(state, moment);
    case "close":
      return close(state);
    case "renew":
      return renew(state, moment);
    case "token":
      return state.kind === "preparing" ? open(state, event.token) : stay;
    case "tokenFailed":
      return state.kind === "preparing" ? retry(state, { error: event.error }, moment) : stay;
    case "askedAuth":
      return state.kind === "opening" ? authenticate(state, event.refusal) : stay;
    case "welcome":
      return state.kind === "opening" ? welcome(state, event, moment) : stay;
    case "closed":
      return state.kind === "opening" || state.kind === "online" ? retry(state, event.cause, moment) : stay;
    case "frame":
      return state.kind === "online" ? same({ ...state, until: moment.now + state.silenceMs }) : stay;
    case "reauth":
      return state.kind === "online" ? same(state, { type: "renew" }) : stay;
    case "hint":
      return "hintMs" in state ? same({ ...state, hintMs: Math.min(event.ms, moment.timing.maxHintMs) }) : stay;
    case "wake":
      return "until" in state && moment.now >= state.until ? wake(state, moment) : stay;
    case "up":
    case "down":
      return network({ ...state, down: event.type === "down" }, moment);
    case "look":
      return look(state, moment);
    case "freeze":
      return freeze(state);
    default:
      return event satisfies never;
  }
}

function same(state: State, ...effects: Effect[]): Step {
  return { state, effects };
}

function prepare(state: State, { now, timing }: Moment, failures = state.failures): Step {
  return same({ kind: "preparing", failures, down: state.down, until: now + timing.connectMs }, { type: "fetch" });
}

function connect(state: State, moment: Moment): Step {
  switch (state.kind) {
    case "idle":
    case "stopped":
      return prepare(state, moment, 0);
    case "waiting":
    case "offline":
    case "frozen":
      return prepare(state, moment);
    default:
      return same(state);
  }
}

function open(state: State & { kind: "preparing" }, token: string | undefined): Step {
  return same({ ...state, kind: "opening", token, hintMs: 0 }, { type: "dial", token });
}

function close({ kind, down }: State): Step {
  const effects: Effect[] = [{ type: "giveUp" }];
  // P-41: 1000 tells the others at once that this user has gone.
  if (kind === "opening" || kind === "online") effects.unshift({ type: "hangUp", code: 1000 });
  if (kind === "online") effects.unshift({ type: "suspend" });
  return { state: { kind: "idle", failures: 0, down }, effects };
}

function renew(state: State, moment: Moment): Step {
  switch (state.kind) {
    case "preparing":
      return prepare(state, moment);
    case "opening": {
      // The old token may be refused, which would stop a client that has a good one by now.
      const next = prepare(state, moment);
      return { state: next.state, effects: [{ type: "hangUp" }, ...next.effects] };
    }
    case "online":
      return same(state, { type: "renew" });
    case "stopped":
      return state.cause.closeCode === 4001 ? prepare(state, moment, 0) : same(state);
    default:
      return same(state);
  }
}

function authenticate(state: State & { kind: "opening" }, error: FanfareError): Step {
  if (state.token !== undefined) return same(state, { type: "authenticate", token: state.token });
  const { failures, down } = state;
  const cause: Cause = { closeCode: 4001, error };
  return same({ kind: "stopped", failures, down, cause }, { type: "hangUp" }, { type: "giveUp" });
}

function welcome(state: State & { kind: "opening" }, welcomed: Welcomed, { now }: Moment): Step {
  const { user, connection, silenceMs } = welcomed;
  const { failures, down } = state;
  const until = now + silenceMs;
  return same(
    { kind: "online", failures, down, until, since: now, hintMs: 0, user, connection, silenceMs },
    { type: "resume" },
  );
}

/** After a connection or an attempt is lost. */
function retry(state: State, cause: Cause, { now, random, timing }: Moment): Step {
  const { down } = state;
  const wasOnline = state.kind === "online";
  const failures = wasOnline && now - state.since >= timing.minUptimeMs ? 0 : state.failures;
  const delay = delayAfter(cause.closeCode ?? 1006, failures, "hintMs" in state ? state.hintMs : 0, random, timing);
  const effects: Effect[] = wasOnline ? [{ type: "suspend" }] : [];
  if (delay === undefined) {
    return { state: { kind: "stopped", failures, down, cause }, effects: [...effects, { type: "giveUp" }] };
  }
  const lost = { failures: failures + 1, down, cause };
  if (down && !delay.patient) return { state: { kind: "offline", ...lost, until: now + timing.maxBackoffMs }, effects };
  return { state: { kind: "waiting", ...lost, until: now + delay.ms, patient: delay.patient }, effects };
}

function wake(state: State & { readonly until: number }, moment: Moment): Step {
  if (state.kind === "waiting" || state.kind === "offline") return prepare(state, moment);
  const lost = retry(state, state.kind === "preparing" ? {} : { closeCode: 1006 }, moment);
  // Fetching is left to run out: its answer finds another state and is dropped.
  return state.kind === "preparing" ? lost : { state: lost.state, effects: [{ type: "hangUp" }, ...lost.effects] };
}

function network(state: State, { now, random, timing }: Moment): Step {
  const { failures, down } = state;
  const soon = now + backoffMs(0, random, timing);
  switch (state.kind) {
    case "online":
      return probe(state, now + timing.probeMs);
    case "waiting":
      if (state.patient) return same(state);
      if (!down) return same({ ...state, until: Math.min(state.until, soon) });
      return same({ kind: "offline", failures, down, cause: state.cause, until: now + timing.maxBackoffMs });
    case "offline":
      return same(down ? state : { ...state, kind: "waiting", until: soon, patient: false });
    default:
      return same(state);
  }
}

function look(state: State, moment: Moment): Step {
  switch (state.kind) {
    case "online":
      return probe(state, moment.now + moment.timing.probeMs);
    case "waiting":
      return state.patient && moment.now < state.until ? same(state) : prepare(state, moment);
    case "offline":
    case "frozen":
      return prepare(state, moment);
    default:
      return same(state);
  }
}

function probe(state: State & { kind: "online" }, until: number): Step {
  return same({ ...state, until: Math.min(state.until, until) }, { type: "probe" });
}

/** A page with an open socket is not let into the page cache. No close code: this user is to be back (P-41). */
function freeze(state: State): Step {
  const frozen: State = { kind: "frozen", failures: state.failures, down: state.down };
  switch (state.kind) {
    case "preparing":
      return same(frozen);
    case "opening":
      return same(frozen, { type: "hangUp" });
    case "online":
      return same(frozen, { type: "suspend" }, { type: "hangUp" });
    default:
      return same(state);
  }
}
