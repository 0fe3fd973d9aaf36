/** The parameters of a path: `/ws/chat/:room` gives `{ room: string }`. */
export type PathParams<Path extends string> = { readonly [Name in ParamNames<Path>]: string };

type ParamNames<Path extends string> = Path extends `${infer Head}/${infer Rest}`
  ? ParamNames<Head> | ParamNames<Rest>
  : Path extends `:${infer Name}`
    ? Name
    : never;

type Segment = { readonly literal: string } | { readonly name: string };

export interface CompiledPath {
  readonly path: string;
  readonly segments: readonly Segment[];
}

const segmentShape = /^(?::[A-Za-z_][A-Za-z0-9_]*|[A-Za-z0-9._~-]+)$/;

/** Throws a TypeError on a path that no request could have, or that names a parameter twice. */
export function compilePath(path: string): CompiledPath {
  const [first, ...parts] = path.split("/");
  if (first !== "" || parts.length === 0 || !parts.every((part) => segmentShape.test(part))) {
    throw new TypeError(`an endpoint's path must look like /ws/chat/:room, got ${JSON.stringify(path)}`);
  }
  const names = parts.filter((part) => part.startsWith(":"));
  if (new Set(names).size !== names.length) throw new TypeError(`endpoint ${path}: a parameter stands twice`);
  const segments = parts.map((part) => (part.startsWith(":") ? { name: part.slice(1) } : { literal: part }));
  return { path, segments };
}

/** The parameters of a path as it was sent, not yet decoded; undefined: it does not match. */
export function matchPath(
  { segments }: CompiledPath,
  parts: readonly string[],
): Readonly<Record<string, string>> | undefined {
  if (parts.length !== segments.length) return undefined;
  const found: [name: string, part: string][] = [];
  for (const [i, segment] of segments.entries()) {
    const part = parts[i] ?? "";
    if ("literal" in segment) {
      if (part !== segment.literal) return undefined;
    } else {
      if (part === "") return undefined;
      found.push([segment.name, part]);
    }
  }
  // By entries: a parameter may be named __proto__.
  return Object.fromEntries(found);
}

/** Below 0: `a` is asked before `b`, because text at an earlier segment is more specific than a parameter. */
export function bySpecificity(a: CompiledPath, b: CompiledPath): number {
  for (const [i, segment] of a.segments.entries()) {
    const other = b.segments[i];
    if (other === undefined) break;
    const difference = Number("name" in segment) - Number("name" in other);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Whether every request for the path would be one for `owner` or below it. */
export function isUnder({ path }: CompiledPath, owner: string): boolean {
  return path === owner || path.startsWith(`${owner}/`);
}
