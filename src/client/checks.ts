import type { StandardSchemaV1 } from "@standard-schema/spec";
import { compilePattern, type Contract, type RoomSpec, type Schemas } from "../protocol/contract.ts";
import { FanfareError } from "./errors.ts";

/** What a room's name is declared to carry; undefined where there is no contract, or none for this name. */
export type FindSpec = (room: string) => RoomSpec | undefined;

export function specFinder(contract: Contract = {}): FindSpec {
  return (room) => Object.entries(contract).find(([pattern]) => compilePattern(pattern)(room))?.[1];
}

/** The fault of an event or its data, or undefined. */
export function checkEvent(
  room: string,
  schemas: Schemas | undefined,
  event: string,
  data: unknown,
): FanfareError | undefined {
  if (schemas === undefined) return undefined;
  return Object.hasOwn(schemas, event)
    ? checkData(room, schemas[event], data)
    : new FanfareError("unknown_event", { room });
}

export function checkData(room: string, schema: StandardSchemaV1 | undefined, data: unknown): FanfareError | undefined {
  try {
    const result = schema?.["~standard"].validate(data);
    // Waiting for a promise would cost the order of what comes after; the server checks too.
    if (result instanceof Promise) result.catch(() => {});
    else if (result?.issues) {
      return new FanfareError("invalid_data", { message: result.issues[0]?.message, room, issues: result.issues });
    }
  } catch (cause) {
    return new FanfareError("invalid_data", { room, cause });
  }
  return undefined;
}
