import type { StandardSchemaV1 } from "@standard-schema/spec";
import { compilePattern, type Contract, type RoomSpec, type Schemas } from "../protocol/contract.ts";
import type { Issue } from "../protocol/frames.ts";
import { FanfareError } from "./errors.ts";

/** What a room's name is declared to carry; undefined where there is no contract, or none for this name. */
export type FindSpec = (room: string) => RoomSpec | undefined;

export function specFinder(contract: Contract = {}): FindSpec {
  const specs = Object.entries(contract).map(([pattern, spec]) => ({ matches: compilePattern(pattern), spec }));
  return (room) => specs.find(({ matches }) => matches(room) !== undefined)?.spec;
}

/** The fault of an event or its data, or undefined. */
export function checkEvent(room: string, schemas: Schemas | undefined, event: string, data: unknown): FanfareError | undefined {
  if (schemas === undefined) return undefined;
  if (!Object.hasOwn(schemas, event)) {
    return new FanfareError("unknown_event", `${event} is not declared for this room`, { room });
  }
  return checkData(room, schemas[event], data);
}

export function checkData(room: string, schema: StandardSchemaV1 | undefined, data: unknown): FanfareError | undefined {
  if (schema === undefined) return undefined;
  try {
    const result = schema["~standard"].validate(data);
    if (result instanceof Promise) {
      // Waiting would cost the order of what comes after; the server checks too.
      result.catch(() => {});
      return undefined;
    }
    return result.issues && new FanfareError("invalid_data", describe(result.issues), { room, issues: result.issues.map(issueOf) });
  } catch (cause) {
    return new FanfareError("invalid_data", "the schema threw", { room, cause });
  }
}

function describe(issues: readonly StandardSchemaV1.Issue[]): string {
  return issues[0]?.message ?? "the data does not fit";
}

function issueOf({ message, path }: StandardSchemaV1.Issue): Issue {
  const keys = path?.map((part) => (typeof part === "object" ? part.key : part));
  return keys ? { message, path: keys.map((key) => (typeof key === "number" ? key : String(key))) } : { message };
}
