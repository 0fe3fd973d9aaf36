import { type Answer, textAnswer } from "../answer.ts";
import { readyAnswer, upAnswer } from "../health.ts";
import { batchRoutes } from "./batch.ts";
import { messageRoutes } from "./messages.ts";
import { openApiText } from "./openapi.ts";
import { roomRoutes } from "./rooms.ts";
import type { ApiHub, Route } from "./route.ts";
import { ticketRoutes } from "./tickets.ts";

/** What anyone may ask, without a key. */
export type OpenCall = (hub: ApiHub) => Answer | Promise<Answer>;

/** An address that takes calls. */
export interface Found {
  /** What it takes, HEAD included, which is GET whose body is not sent. */
  readonly methods: ReadonlyMap<string, Route | OpenCall>;
  /** The segments that stand in braces, as they were sent. */
  readonly segments: ReadonlyMap<string, string>;
}

const routes: readonly Route[] = [...messageRoutes, ...batchRoutes, ...roomRoutes, ...ticketRoutes];
const document: string = openApiText(routes);

const open: ReadonlyMap<string, OpenCall> = new Map<string, OpenCall>([
  ["/healthz", upAnswer],
  ["/readyz", readyAnswer],
  ["/v1/openapi.json", () => textAnswer(200, document)],
]);

/** Each address with its segments and all that it takes. */
const addresses: readonly { readonly segments: readonly string[]; readonly methods: Found["methods"] }[] = [
  ...new Set(routes.map(({ path }) => path)),
].map((address) => {
  const own = routes.filter(({ path }) => path === address);
  return { segments: address.split("/"), methods: withHead(own.map((route) => [route.method, route])) };
});

/** undefined: nothing of ours is at this path, which is as it was sent. */
export function find(path: string): Found | undefined {
  const answer = open.get(path);
  if (answer !== undefined) return { methods: withHead([["GET", answer]]), segments: new Map() };
  const given = path.split("/");
  const address = addresses.find(({ segments }) => fits(segments, given));
  if (address === undefined) return undefined;
  const segments = new Map<string, string>();
  for (const [i, segment] of address.segments.entries()) {
    if (isName(segment)) segments.set(segment.slice(1, -1), given[i] ?? "");
  }
  return { methods: address.methods, segments };
}

function fits(wanted: readonly string[], given: readonly string[]): boolean {
  if (wanted.length !== given.length) return false;
  return wanted.every((segment, i) => segment === given[i] || (isName(segment) && given[i] !== ""));
}

function isName(segment: string): boolean {
  return segment.startsWith("{");
}

function withHead<T>(methods: readonly (readonly [string, T])[]): Map<string, T> {
  const all = new Map<string, T>();
  for (const [method, target] of methods) {
    all.set(method, target);
    if (method === "GET") all.set("HEAD", target);
  }
  return all;
}
