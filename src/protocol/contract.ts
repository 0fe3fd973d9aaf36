import type { StandardSchemaV1 } from "@standard-schema/spec";

/** How long a room's messages are kept. Whichever bound is reached first trims. */
export interface Keep {
  /** The newest so many. */
  readonly messages: number;
  /** Those of the last so many milliseconds. */
  readonly ms: number;
}

/**
 * What becomes of a room's messages to a connection that reads too slowly (see `RoomSpec.slow`).
 */
export const slowPolicies = ["disconnect", "drop", "latest"] as const;
export type SlowPolicy = (typeof slowPolicies)[number];

/** Checks and types of what a room carries: any Standard Schema (zod, valibot, arktype, …) for each name. */
export type Schemas = { readonly [name: string]: StandardSchemaV1 };

/** What is declared of the rooms whose names match one pattern. */
export interface RoomSpec {
  /** Messages by event. Absent: any event, any data. An event that is not listed is `unknown_event`. */
  readonly events?: Schemas;
  /** Signals by event. Absent: any. */
  readonly signals?: Schemas;
  /** The member's own presence data. Absent: any. */
  readonly presence?: StandardSchemaV1;
  /** false: no log, so no offsets and no resume. Absent: the hub's default. */
  readonly keep?: Partial<Keep> | false;
  /** Who may publish: `members` with the right to (the default), or the `server` alone. */
  readonly publish?: "members" | "server";
  /**
   * What becomes of a member whose connection reads too slowly. `disconnect` (the default): it is cut with 4200 and resumes,
   * so it misses nothing. `drop`: messages are left out until it has caught up, and `gap` tells of them. `latest`: of each
   * event only the newest waits for it, and `skip` tells of those left out.
   */
  readonly slow?: SlowPolicy;
}

/**
 * Room patterns to what their rooms carry. A pattern is segments between `/`: a `:name` segment is a parameter, a last
 * segment `**` stands for any further ones. The first pattern that matches decides.
 */
export type Contract = { readonly [pattern: string]: RoomSpec };

/** Declares rooms once, for server, client and hooks. Returns what it was given, with its exact type. */
export function defineRooms<const C extends Contract>(contract: C): C {
  for (const pattern of Object.keys(contract)) compilePattern(pattern);
  return contract;
}

/** Every room and every event, unchecked: what a hub without a contract has. */
export const openContract: { readonly "**": RoomSpec } = { "**": {} };

/** The names that a pattern matches, as a type: `chat/:room` gives `chat/${string}`. */
export type NameOf<Pattern extends string> = Pattern extends `${infer Head}/${infer Rest}`
  ? `${SegmentName<Head>}/${NameOf<Rest>}`
  : SegmentName<Pattern>;

type SegmentName<Segment extends string> = Segment extends "**"
  ? string
  : Segment extends `@:${string}`
    ? `@${string}`
    : Segment extends `:${string}`
      ? string
      : Segment;

/** The parameters of a pattern: `chat/:room` gives `{ room: string }`. */
export type ParamsOf<Pattern extends string> = { readonly [Name in ParamNames<Pattern>]: string };

type ParamNames<Pattern extends string> = Pattern extends `${infer Head}/${infer Rest}`
  ? ParamNames<Head> | ParamNames<Rest>
  : Pattern extends `@:${infer Name}` | `:${infer Name}`
    ? Name
    : never;

export type PatternOf<C extends Contract> = Extract<keyof C, string>;
/** Every room name that a contract allows. */
export type RoomNameOf<C extends Contract> = { [P in PatternOf<C>]: NameOf<P> }[PatternOf<C>];
/** What a contract says of one room name; `**` speaks only for names that no other pattern matches. */
export type SpecOf<C extends Contract, Name extends string> = OrElse<
  { [P in Exclude<PatternOf<C>, "**">]: Name extends NameOf<P> ? C[P] : never }[Exclude<PatternOf<C>, "**">],
  C
>;
/** What a contract says of personal rooms: the pattern that begins with `@`. */
export type PersonalSpecOf<C extends Contract> = OrElse<
  { [P in PatternOf<C>]: P extends `@${string}` ? C[P] : never }[PatternOf<C>],
  C
>;
type OrElse<Spec, C extends Contract> = [Spec] extends [never]
  ? C extends { readonly "**": infer S }
    ? S
    : never
  : Spec;

type SchemasAt<S, Field extends string> = S extends { readonly [F in Field]: infer T extends Schemas } ? T : Schemas;

export type EventsOf<S> = SchemasAt<S, "events">;
export type SignalsOf<S> = SchemasAt<S, "signals">;
export type EventNameOf<T extends Schemas> = Extract<keyof T, string>;
/** What a sender gives, and what a receiver gets after the schema's own defaults and transforms. */
export type InputOf<T extends Schemas, E extends EventNameOf<T>> = StandardSchemaV1.InferInput<T[E]>;
export type OutputOf<T extends Schemas, E extends EventNameOf<T>> = StandardSchemaV1.InferOutput<T[E]>;
export type PresenceOf<S> = S extends { readonly presence: infer P extends StandardSchemaV1 }
  ? StandardSchemaV1.InferOutput<P>
  : unknown;

/** A pattern made ready: gives the parameters of a name that matches. */
export type Matcher = (name: string) => Readonly<Record<string, string>> | undefined;

const parameter = /^(@?):([A-Za-z_][A-Za-z0-9_]*)$/;

/** Throws a TypeError on a pattern that could never match or names a parameter twice. */
export function compilePattern(pattern: string): Matcher {
  const names: string[] = [];
  const segments = pattern.split("/");
  const source = segments.map((segment, i) => {
    if (segment === "**" && i === segments.length - 1) return ".+";
    const [, at, name] = parameter.exec(segment) ?? [];
    if (name === undefined) return literal(segment, pattern);
    if (names.includes(name)) throw new TypeError(`room pattern ${pattern}: parameter ${name} stands twice`);
    names.push(name);
    return `${at}([^/]+)`;
  });
  const form = new RegExp(`^${source.join("/")}$`, "su");
  return (name) => {
    const match = form.exec(name);
    return match === null ? undefined : Object.fromEntries(names.map((n, i) => [n, match[i + 1] ?? ""]));
  };
}

function literal(segment: string, pattern: string): string {
  if (segment === "" || /[*{}]/.test(segment) || segment.startsWith(":")) {
    throw new TypeError(`room pattern ${pattern}: a segment is text, :name, or ** as the last one`);
  }
  return segment.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
