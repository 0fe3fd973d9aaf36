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
import type { Cause, ClientStatus } from "./types.ts";

export type Kind = "idle" | "preparing" | "opening" | "online" | "waiting" | "stopped";

export interface State {
  readonly kind: Kind;
  /** What the app is told. The same object for as long as nothing of it changes. */
  readonly status: ClientStatus;
  /** Failed attempts in a row. */
  readonly failures: number;
  /** The platform says that there is no network. */
  readonly down: boolean;
  /** When `wake` is due, by the platform's clock; Infinity: never. */
  readonly until: number;
  /** Opening: the token to authenticate with. */
  readonly token: string | undefined;
  /** Opening, online: what the server asked to wait before the next attempt; 0: nothing. */
  readonly hintMs: number;
  /** Online: since when. */
  readonly since: number;
  /** Online, P-52: this long without a frame means dead. */
  readonly silenceMs: number;
  /** Waiting: the server asked for it, so that nothing but the app cuts it short. */
  readonly patient: boolean;
}

export interface Welcomed {
  readonly user: string;
  readonly connection: string;
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

export const initialState: State = {
  kind: "idle",
  status: { state: "idle" },
  failures: 0,
  down: false,
  until: Infinity,
  token: undefined,
  hintMs: 0,
  since: 0,
  silenceMs: 0,
  patient: false,
};

export function step(state: State, event: Event, moment: Moment): Step {
  const { now, timing } = moment;
  const { kind, until, status } = state;
  const isOpening = kind === "opening";
  const isOnline = kind === "online";
  switch (event.type) {
    case "connect":
      if (kind === "waiting") return prepare(state, moment);
      if (kind === "idle" || kind === "stopped") return prepare({ ...state, failures: 0 }, moment);
      break;
    case "close":
      return [{ ...initialState, status: kind === "idle" ? status : initialState.status, down: state.down }, ...hangUp(kind, "bye"), "giveUp"];
    case "renew":
      if (isOnline) return [state, "renew"];
      // The old token may be refused, which would stop a client that has a good one by now.
      if (isOpening || kind === "preparing") return prepare(state, moment, ...hangUp(kind));
      if (status.state === "stopped" && status.cause.closeCode === 4001) return prepare({ ...state, failures: 0 }, moment);
      break;
    case "token":
      if (kind === "preparing") return [{ ...state, kind: "opening", token: event.token, hintMs: 0 }, "dial"];
      break;
    case "tokenFailed":
      if (kind === "preparing") return lose(state, moment, { error: event.error });
      break;
    case "askedAuth":
      if (!isOpening) break;
      if (state.token !== undefined) return [state, "authenticate"];
      return stop(state, { closeCode: 4001, error: event.refusal }, "drop");
    case "welcome":
      return isOpening ? welcome(state, event.welcomed, now) : [state];
    case "closed":
      if (isOpening || isOnline) return lose(state, moment, event.cause);
      break;
    case "frame":
      if (isOnline) return [{ ...state, until: now + state.silenceMs }];
      break;
    case "reauth":
      if (isOnline) return [state, "renew"];
      break;
    case "hint":
      if (isOpening || isOnline) return [{ ...state, hintMs: Math.min(event.ms, timing.maxHintMs) }];
      break;
    case "wake":
      if (now < until) break;
      // A token that comes too late finds another state, which does not want it.
      return kind === "waiting" ? prepare(state, moment) : lose(state, moment, { closeCode: 1006 }, "drop");
    case "up":
    case "down":
      return network({ ...state, down: event.type === "down" }, moment);
    case "look":
      if (kind === "waiting" && (!state.patient || now >= until)) return prepare(state, moment);
      return probe(state, moment);
    case "freeze":
      // A page with an open socket is not let into the page cache. No close code: this user is to be back (P-41).
      if (!isOpening && !isOnline && kind !== "preparing") break;
      return [wait(state, Infinity, Infinity, false, {}), ...hangUp(kind)];
    default:
      return event satisfies never;
  }
  return [state];
}

function prepare(state: State, { now, timing }: Moment, ...effects: Effect[]): Step {
  const status: ClientStatus = state.status.state === "connecting" ? state.status : { state: "connecting" };
  return [{ ...state, kind: "preparing", status, until: now + timing.connectMs }, ...effects, "fetch"];
}

function hangUp(kind: Kind, how: "bye" | "drop" = "drop"): Effect[] {
  if (kind === "online") return [how, "suspend"];
  return kind === "opening" ? [how] : [];
}

function stop(state: State, cause: Cause, ...effects: Effect[]): Step {
  return [{ ...state, kind: "stopped", status: { state: "stopped", cause }, until: Infinity }, ...effects, "giveUp"];
}

function welcome(state: State, { user, connection, silenceMs }: Welcomed, now: number): Step {
  const status: ClientStatus = { state: "online", user, connection };
  return [{ ...state, kind: "online", status, silenceMs, since: now, until: now + silenceMs, hintMs: 0 }, "resume"];
}

/** After a connection, or an attempt at one, is lost. */
function lose(state: State, { now, random, timing }: Moment, cause: Cause, how?: "drop"): Step {
  const { kind, down } = state;
  const { closeCode = 1006 } = cause;
  const hintMs = kind === "preparing" ? 0 : state.hintMs;
  const effects: Effect[] = how ? hangUp(kind) : kind === "online" ? ["suspend"] : [];
  const failures = kind === "online" && now - state.since >= timing.minUptimeMs ? 0 : state.failures;
  const ms = delayAfter(closeCode, failures, hintMs, random, timing);
  if (ms === undefined) return stop(state, cause, ...effects);
  const patient = isPatient(closeCode, hintMs);
  const untilUp = down && !patient ? timing.maxBackoffMs : ms;
  return [wait({ ...state, failures: failures + 1 }, untilUp, now + untilUp, patient, cause), ...effects];
}

function wait(state: State, retryInMs: number, until: number, patient: boolean, cause: Cause): State {
  const isOffline = until === Infinity || (state.down && !patient);
  const status: ClientStatus = isOffline ? { state: "offline", cause } : { state: "waiting", retryInMs, cause };
  return { ...state, kind: "waiting", status, until, patient };
}

function network(state: State, moment: Moment): Step {
  const { now, random, timing } = moment;
  const { status, until, down } = state;
  if (!("cause" in status) || state.kind !== "waiting" || state.patient) return probe(state, moment);
  const soonMs = Math.min(until - now, backoffMs(0, random, timing));
  const ms = down ? timing.maxBackoffMs : soonMs;
  return [wait(state, ms, now + ms, false, status.cause)];
}

/** What came over the page or the network may have cost the connection without a word: it has to show that it lives. */
function probe(state: State, { now, timing }: Moment): Step {
  if (state.kind !== "online") return [state];
  return [{ ...state, until: Math.min(state.until, now + timing.probeMs) }, "probe"];
}
