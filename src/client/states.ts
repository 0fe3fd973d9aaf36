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
 * | token       | ·         | opening   | ·                | · +authenticate⁶ | ·      | ·          |
 * | tokenFailed | ·         | waiting   | ·                | ·            | ·          | ·          |
 * | askedAuth   | ·         | ·         | · +authenticate² | ·            | ·          | ·          |
 * | welcome     | ·         | ·         | online           | ·            | ·          | ·          |
 * | closed      | ·         | ·         | by its code³     | by its code³ | ·          | ·          |
 * | frame       | ·         | ·         | ·                | later        | ·          | ·          |
 * | hint        | ·         | ·         | noted            | noted        | ·          | ·          |
 * | wake⁴       | ·         | waiting   | waiting          | waiting      | preparing  | ·          |
 * | up          | ·         | ·         | ·                | · +probe     | sooner⁵    | ·          |
 * | down        | ·         | ·         | ·                | · +probe     | ·          | ·          |
 * | look        | ·         | ·         | ·                | · +probe     | preparing⁵ | ·          |
 * | freeze      | ·         | waiting   | waiting          | waiting      | ·          | ·          |
 *
 * ¹ Only after unauthorized. ² Stopped where there is no token. ³ Waiting or stopped (P-61). ⁴ Only when `until` has come.
 * ⁵ Not while the wait is the server's wish. `up` and `down` are remembered in every state. While the network is down a
 * wait is long, but has an end: platforms are wrong at times.
 */
import { backoffMs, delayAfter } from "./delays.ts";
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
  /** Opening, online: the token to authenticate with, or that did. */
  readonly token?: string | undefined;
  /** Opening, online: what the server asked to wait before the next attempt; 0: nothing. */
  readonly hintMs: number;
  /** Online: since when. */
  readonly since?: number;
  /** Online, P-52: this long without a frame means dead. */
  readonly silenceMs?: number;
  /** Waiting: the server asked for it, so that nothing but the app cuts it short. */
  readonly patient?: boolean;
}

export interface Welcomed {
  readonly user: string;
  readonly connection: string;
  readonly silenceMs: number;
}

export type Event =
  | { readonly type: "connect" | "close" | "renew" | "askedAuth" | "frame" | "wake" | PlatformNews }
  | { readonly type: "token"; readonly token: string | undefined }
  | { readonly type: "tokenFailed"; readonly error: FanfareError }
  | { readonly type: "welcome"; readonly welcomed: Welcomed }
  | { readonly type: "closed"; readonly cause: Cause }
  | { readonly type: "hint"; readonly ms: number };

/**
 * - `fetch`: get a token and answer with `token` or `tokenFailed`; forget an earlier one that is under way
 * - `dial`: open a socket, with the state's token
 * - `drop`: let go of the socket without a close code; nothing more is heard of it
 * - `bye`: the same with 1000, which tells the others at once that this user has gone (P-41)
 * - `authenticate`: send the state's token: as the first frame (P-14), or to renew (P-17)
 * - `renew`: as `fetch`, where tokens can renew an open connection
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

type Transition<E extends Event["type"]> = (state: State, moment: Moment, event: Event & { readonly type: E }) => Step;

export const initialState: State = {
  kind: "idle",
  status: { state: "idle" },
  failures: 0,
  down: false,
  until: Infinity,
  hintMs: 0,
};

/** The table above. What is not in it changes nothing. */
const transitions: { readonly [E in Event["type"]]: { readonly [K in Kind | "any"]?: Transition<E> } } = {
  connect: { idle: restart, waiting: prepare, stopped: restart },
  close: { any: close },
  renew: {
    preparing: prepareAgain,
    opening: prepareAgain,
    online: (state) => [state, "renew"],
    stopped: restartIfUnauthorized,
  },
  token: {
    preparing: (state, _, { token }) => [{ ...state, kind: "opening", token }, "dial"],
    // The same token again would change nothing.
    online: (state, _, { token }) => (token && token !== state.token ? [{ ...state, token }, "authenticate"] : [state]),
  },
  tokenFailed: { preparing: (state, moment, { error }) => lose(state, moment, { error }) },
  askedAuth: { opening: authenticate },
  welcome: { opening: welcome },
  closed: { opening: closed, online: closed },
  frame: { online: (state, { now }) => [{ ...state, until: now + (state.silenceMs ?? 0) }] },
  hint: { opening: note, online: note },
  wake: { preparing: tooLate, opening: tooLate, online: tooLate, waiting: inTime },
  up: { any: isUp },
  down: {
    online: (state, moment) => probe({ ...state, down: true }, moment),
    any: (state) => [{ ...state, down: true }],
  },
  look: { online: probe, waiting: (state, moment) => (state.patient ? inTime : prepare)(state, moment) },
  freeze: { preparing: freeze, opening: freeze, online: freeze },
};

export function step(state: State, event: Event, moment: Moment): Step {
  const row = transitions[event.type];
  const transition = (row[state.kind] ?? row.any) as Transition<never> | undefined;
  return transition?.(state, moment, event as never) ?? [state];
}

function prepare(state: State, { now, timing }: Moment): Step {
  const status: ClientStatus = state.status.state === "connecting" ? state.status : { state: "connecting" };
  return [{ ...state, kind: "preparing", status, hintMs: 0, until: now + timing.connectMs }, "fetch"];
}

function restart(state: State, moment: Moment): Step {
  return prepare({ ...state, failures: 0 }, moment);
}

function restartIfUnauthorized(state: State, moment: Moment): Step {
  return "cause" in state.status && state.status.cause.closeCode === 4001 ? restart(state, moment) : [state];
}

/** With another token. The old one may be refused, which would stop a client that has a good one by now. */
function prepareAgain(state: State, moment: Moment): Step {
  return [prepare(state, moment)[0], ...hangUp(state), "fetch"];
}

function inTime(state: State, moment: Moment): Step {
  return moment.now < state.until ? [state] : prepare(state, moment);
}

function close(state: State): Step {
  const { status } = state.kind === "idle" ? state : initialState;
  return [{ ...initialState, status, down: state.down }, ...hangUp(state, "bye"), "giveUp"];
}

function hangUp({ kind }: State, how: "bye" | "drop" = "drop"): Effect[] {
  if (kind === "online") return [how, "suspend"];
  return kind === "opening" ? [how] : [];
}

function stop(state: State, cause: Cause, effects: readonly Effect[]): Step {
  return [{ ...state, kind: "stopped", status: { state: "stopped", cause }, until: Infinity }, ...effects, "giveUp"];
}

function authenticate(state: State): Step {
  return state.token === undefined ? stop(state, { closeCode: 4001 }, ["drop"]) : [state, "authenticate"];
}

function welcome(state: State, { now }: Moment, { welcomed }: { readonly welcomed: Welcomed }): Step {
  const { user, connection, silenceMs } = welcomed;
  const status: ClientStatus = { state: "online", user, connection };
  return [{ ...state, kind: "online", status, silenceMs, since: now, until: now + silenceMs, hintMs: 0 }, "resume"];
}

function note(state: State, { timing }: Moment, { ms }: { readonly ms: number }): Step {
  return [{ ...state, hintMs: Math.min(ms, timing.maxHintMs) }];
}

function closed(state: State, moment: Moment, { cause }: { readonly cause: Cause }): Step {
  return lose(state, moment, cause, state.kind === "online" ? ["suspend"] : []);
}

/** A token that comes after this finds another state, which does not want it. */
function tooLate(state: State, moment: Moment): Step {
  return moment.now < state.until ? [state] : lose(state, moment, { closeCode: 1006 }, hangUp(state));
}

/** After a connection, or an attempt at one, is lost. */
function lose(state: State, { now, random, timing }: Moment, cause: Cause, effects: readonly Effect[] = []): Step {
  const { kind, down, hintMs, since = now } = state;
  const { closeCode = 1006 } = cause;
  const failures = kind === "online" && now - since >= timing.minUptimeMs ? 0 : state.failures;
  const delay = delayAfter(closeCode, failures, hintMs, random, timing);
  if (!delay) return stop(state, cause, effects);
  const { ms, patient } = delay;
  const until = now + (down && !patient ? timing.maxBackoffMs : ms);
  return [wait({ ...state, failures: failures + 1, patient }, now, until, cause), ...effects];
}

function wait(state: State, now: number, until: number, cause: Cause): State {
  const isOffline = until === Infinity || (state.down && !state.patient);
  const status: ClientStatus = isOffline
    ? { state: "offline", cause }
    : { state: "waiting", retryInMs: until - now, cause };
  return { ...state, kind: "waiting", status, until };
}

function isUp(before: State, moment: Moment): Step {
  const state = { ...before, down: false };
  const { kind, until, patient, status } = state;
  if (kind === "online") return probe(state, moment);
  if (kind !== "waiting" || patient || !("cause" in status)) return [state];
  const { now, random, timing } = moment;
  return [wait(state, now, Math.min(until, now + backoffMs(0, random, timing)), status.cause)];
}

/** What came over the page or the network may have cost the connection without a word: it has to show that it lives. */
function probe(state: State, { now, timing }: Moment): Step {
  return [{ ...state, until: Math.min(state.until, now + timing.probeMs) }, "probe"];
}

/** A page with an open socket is not let into the page cache. No close code: this user is to be back (P-41). */
function freeze(state: State, { now }: Moment): Step {
  return [wait({ ...state, patient: false }, now, Infinity, {}), ...hangUp(state)];
}
