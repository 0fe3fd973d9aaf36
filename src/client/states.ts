/**
 * The life of a client's connection as a pure function: state and event in, next state and effects out.
 *
 * | state     | is                             | left by itself                                   |
 * | --------- | ------------------------------ | ------------------------------------------------ |
 * | idle      | not asked to connect           | never                                            |
 * | preparing | a token is being got           | `token`: opening; too late: waiting              |
 * | opening   | a socket, but no `welcome` yet | `welcome`: online; too late: waiting             |
 * | online    | after `welcome`                | silence: waiting                                 |
 * | waiting   | lost, until the next attempt   | its time: preparing (in the page cache: never)   |
 * | stopped   | would fail again               | never                                            |
 *
 * What each event does (rows) in each state (columns). `·` changes nothing; `+x` is an effect besides.
 *
 * |             | idle      | preparing | opening          | online       | waiting    | stopped    |
 * | ----------- | --------- | --------- | ---------------- | ------------ | ---------- | ---------- |
 * | connect     | preparing | ·         | ·                | ·            | preparing  | preparing  |
 * | close       | ·         | idle      | idle             | idle         | idle       | idle       |
 * | renew       | ·         | preparing | preparing        | · +renew     | ·          | preparing¹ |
 * | token       | ·         | opening   | ·                | ·            | ·          | ·          |
 * | tokenFailed | ·         | waiting   | ·                | ·            | ·          | ·          |
 * | askedAuth   | ·         | ·         | · +authenticate² | ·            | ·          | ·          |
 * | welcome     | ·         | ·         | online           | ·            | ·          | ·          |
 * | closed      | ·         | ·         | by its code³     | by its code³ | ·          | ·          |
 * | frame       | ·         | ·         | ·                | later        | ·          | ·          |
 * | reauth      | ·         | ·         | ·                | · +renew     | ·          | ·          |
 * | hint        | ·         | ·         | noted            | noted        | ·          | ·          |
 * | wake⁴       | ·         | waiting   | waiting          | waiting      | preparing  | ·          |
 * | up          | ·         | ·         | ·                | · +probe     | sooner⁵    | ·          |
 * | down        | ·         | ·         | ·                | · +probe     | later⁵     | ·          |
 * | look        | ·         | ·         | ·                | · +probe     | preparing⁵ | ·          |
 * | freeze      | ·         | waiting   | waiting          | waiting      | ·          | ·          |
 *
 * ¹ Only after unauthorized. ² Stopped where there is no token. ³ Waiting or stopped (P-61). ⁴ Only when `until` has come.
 * ⁵ Not while the wait is the server's wish. `up` and `down` are remembered in every state. While the network is down a
 * wait is long, but has an end: platforms are wrong at times.
 */
import { backoffMs, delayAfter, isPatient } from "./delays.ts";
import type { FanfareError } from "./errors.ts";
import type { ClientTiming, PlatformNews } from "./platform.ts";
import type { Cause } from "./types.ts";

interface Common {
  /** Failed attempts in a row. */
  readonly failures: number;
  /** The platform says that there is no network. */
  readonly down: boolean;
}

/** `until` is when `wake` is due, by the platform's clock. */
export type State =
  | Idle
  | (Common & { readonly kind: "preparing"; readonly until: number })
  | Opening
  | Online
  | (Common & { readonly kind: "waiting"; readonly until: number; readonly patient: boolean; readonly cause: Cause })
  | (Common & { readonly kind: "stopped"; readonly cause: Cause });

interface Idle extends Common {
  readonly kind: "idle";
}

interface Opening extends Common {
  readonly kind: "opening";
  readonly until: number;
  readonly token: string | undefined;
  readonly hintMs: number;
}

interface Online extends Common, Welcomed {
  readonly kind: "online";
  readonly until: number;
  readonly since: number;
  readonly hintMs: number;
}

export interface Welcomed {
  readonly user: string;
  readonly connection: string;
  /** P-52: this long without a frame means dead. */
  readonly silenceMs: number;
}

export type Event =
  | { readonly type: "connect" | "close" | "renew" | "frame" | "reauth" | "wake" | PlatformNews }
  | { readonly type: "token"; readonly token: string | undefined }
  | { readonly type: "tokenFailed"; readonly error: FanfareError }
  | { readonly type: "askedAuth"; readonly refusal: FanfareError }
  | { readonly type: "welcome"; readonly welcomed: Welcomed }
  | { readonly type: "closed"; readonly cause: Cause }
  | { readonly type: "hint"; readonly ms: number };

/**
 * - `fetch`: get a token and answer with `token` or `tokenFailed`; forget an earlier one that is under way
 * - `dial`: open a socket, with the state's token
 * - `drop`: let go of the socket without a close code; nothing more is heard of it
 * - `bye`: the same with 1000, which tells the others at once that this user has gone (P-41)
 * - `authenticate`: send the state's token as the first frame (P-14)
 * - `renew`: get a token and send it on the open connection (P-17)
 * - `probe`: ask for a sign of life
 * - `resume`: join the rooms and send what waits
 * - `suspend`: what was on its way will not be answered
 * - `giveUp`: nobody will try again; fail what waits
 */
export type Effect =
  | "fetch"
  | "dial"
  | "drop"
  | "bye"
  | "authenticate"
  | "renew"
  | "probe"
  | "resume"
  | "suspend"
  | "giveUp";

/** When and with what luck an event happens. */
export interface Moment {
  readonly now: number;
  /** From 0 up to but not 1. */
  readonly random: number;
  readonly timing: ClientTiming;
}

/** The next state and, in their order, its effects. A state that does not change is the same object. */
export type Step = readonly [State, ...Effect[]];

export const initialState: State = { kind: "idle", failures: 0, down: false };

export function step(state: State, event: Event, moment: Moment): Step {
  const { now, timing } = moment;
  const { kind } = state;
  switch (event.type) {
    case "connect":
      if (kind === "waiting") return prepare(state, moment);
      return kind === "idle" || kind === "stopped" ? prepare(state, moment, 0) : [state];
    case "close":
      return close(state);
    case "renew":
      return renew(state, moment);
    case "token":
      return kind === "preparing" ? [{ ...state, kind: "opening", token: event.token, hintMs: 0 }, "dial"] : [state];
    case "tokenFailed":
      return kind === "preparing" ? lose(state, moment, { error: event.error }) : [state];
    case "askedAuth":
      if (kind !== "opening") return [state];
      if (state.token !== undefined) return [state, "authenticate"];
      return [stop(state, { closeCode: 4001, error: event.refusal }), "drop", "giveUp"];
    case "welcome":
      return kind === "opening" ? welcome(state, event.welcomed, now) : [state];
    case "closed":
      return kind === "opening" || kind === "online" ? lose(state, moment, event.cause) : [state];
    case "frame":
      return kind === "online" ? [{ ...state, until: now + state.silenceMs }] : [state];
    case "reauth":
      return kind === "online" ? [state, "renew"] : [state];
    case "hint":
      return "hintMs" in state ? [{ ...state, hintMs: Math.min(event.ms, timing.maxHintMs) }] : [state];
    case "wake":
      return "until" in state && now >= state.until ? wake(state, moment) : [state];
    case "up":
    case "down":
      return network({ ...state, down: event.type === "down" }, moment);
    case "look":
      if (kind === "waiting" && !(state.patient && now < state.until)) return prepare(state, moment);
      return probe(state, moment);
    case "freeze":
      return freeze(state);
    default:
      return event satisfies never;
  }
}

function prepare({ failures, down }: Common, { now, timing }: Moment, failed = failures): Step {
  return [{ kind: "preparing", failures: failed, down, until: now + timing.connectMs }, "fetch"];
}

function stop({ failures, down }: Common, cause: Cause): State {
  return { kind: "stopped", failures, down, cause };
}

function close({ kind, down }: State): Step {
  const idle: State = { kind: "idle", failures: 0, down };
  if (kind === "online") return [idle, "bye", "suspend", "giveUp"];
  return kind === "opening" ? [idle, "bye", "giveUp"] : [idle, "giveUp"];
}

function renew(state: State, moment: Moment): Step {
  switch (state.kind) {
    case "preparing":
      return prepare(state, moment);
    case "opening": {
      // The old token may be refused, which would stop a client that has a good one by now.
      const [next, ...effects] = prepare(state, moment);
      return [next, "drop", ...effects];
    }
    case "online":
      return [state, "renew"];
    case "stopped":
      return state.cause.closeCode === 4001 ? prepare(state, moment, 0) : [state];
    default:
      return [state];
  }
}

function welcome({ failures, down }: Opening, welcomed: Welcomed, now: number): Step {
  const until = now + welcomed.silenceMs;
  return [{ kind: "online", failures, down, until, since: now, hintMs: 0, ...welcomed }, "resume"];
}

/** After a connection, or an attempt at one, is lost. */
function lose(state: State, { now, random, timing }: Moment, cause: Cause): Step {
  const { down } = state;
  const { closeCode = 1006 } = cause;
  const hintMs = "hintMs" in state ? state.hintMs : 0;
  const effects: Effect[] = state.kind === "online" ? ["suspend"] : [];
  const failures = state.kind === "online" && now - state.since >= timing.minUptimeMs ? 0 : state.failures;
  const ms = delayAfter(closeCode, failures, hintMs, random, timing);
  if (ms === undefined) return [stop(state, cause), ...effects, "giveUp"];
  const patient = isPatient(closeCode, hintMs);
  const until = now + (down && !patient ? timing.maxBackoffMs : ms);
  return [{ kind: "waiting", failures: failures + 1, down, until, patient, cause }, ...effects];
}

function wake(state: State, moment: Moment): Step {
  if (state.kind === "waiting") return prepare(state, moment);
  const [next, ...effects] = lose(state, moment, { closeCode: 1006 });
  // A token that comes too late finds another state, which does not want it.
  return state.kind === "preparing" ? [next, ...effects] : [next, "drop", ...effects];
}

function network(state: State, moment: Moment): Step {
  const { now, random, timing } = moment;
  if (state.kind !== "waiting" || state.patient) return probe(state, moment);
  const soon = Math.min(state.until, now + backoffMs(0, random, timing));
  return [{ ...state, until: state.down ? now + timing.maxBackoffMs : soon }];
}

/** What came over the page or the network may have cost the connection without a word: it has to show that it lives. */
function probe(state: State, { now, timing }: Moment): Step {
  if (state.kind !== "online") return [state];
  return [{ ...state, until: Math.min(state.until, now + timing.probeMs) }, "probe"];
}

/** A page with an open socket is not let into the page cache. No close code: this user is to be back (P-41). */
function freeze(state: State): Step {
  const { kind, failures, down } = state;
  const frozen: State = { kind: "waiting", failures, down, until: Infinity, patient: false, cause: {} };
  if (kind === "online") return [frozen, "drop", "suspend"];
  if (kind === "opening") return [frozen, "drop"];
  return [kind === "preparing" ? frozen : state];
}
