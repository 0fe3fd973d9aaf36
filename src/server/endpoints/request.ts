import type { Issue } from "../../protocol/frames.ts";
import { hubNames } from "../auth/credentials.ts";
import { check } from "../catalog.ts";
import type { AnyAsking, AnyOptions } from "./endpoint.ts";
import { refuse, type Refusal } from "./refuse.ts";

/** The path's parameters and the query, by the app's schemas where it has them. Rejects where a schema throws. */
export async function checkRequest(
  options: AnyOptions,
  params: Readonly<Record<string, string>>,
  query: URLSearchParams,
): Promise<Pick<AnyAsking, "params" | "query"> | { readonly refused: Refusal }> {
  const path = await check(options.params, params);
  if (!path.ok) return unfit("path", path.issues);
  if (options.query === undefined) return { params: path.value, query };
  const isHubs = options.authenticate === true || options.authenticate === "optional";
  const asked = await check(options.query, valuesOf(query, isHubs ? hubNames : []));
  return asked.ok ? { params: path.value, query: asked.value } : unfit("query", asked.issues);
}

/**
 * A string for a name that is there once, an array for others. Without a prototype: a name may be __proto__. In one pass:
 * there may be thousands of names.
 */
function valuesOf(query: URLSearchParams, except: readonly string[]): Record<string, string | string[]> {
  const values = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of query) {
    if (except.includes(name)) continue;
    const before = values[name];
    if (Array.isArray(before)) before.push(value);
    else values[name] = before === undefined ? value : [before, value];
  }
  return values;
}

/** Names alone: a schema's words may repeat a value. */
function unfit(part: string, issues: readonly Issue[]): { refused: Refusal } {
  const names = [...new Set(issues.flatMap(({ path = [] }) => path.slice(0, 1)))].join(", ");
  return { refused: refuse(400, `the ${part} does not fit${names && `: ${names}`}`) };
}
