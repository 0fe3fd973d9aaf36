import type { Json, JsonObject } from "../../../src/protocol/json.ts";
import { faultOf } from "./schema.ts";

export interface Asked {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
}

/** An OpenAPI document, to hold real answers against. */
export class ApiDocument {
  readonly #json: JsonObject;

  constructor(json: JsonObject) {
    this.#json = json;
  }

  /** By operationId. */
  get operations(): { id: string; method: string; path: string }[] {
    return Object.entries(this.#json["paths"] as Record<string, Record<string, JsonObject>>).flatMap(
      ([path, methods]) =>
        Object.entries(methods).map(([method, { operationId }]) => ({
          id: String(operationId),
          method: method.toUpperCase(),
          path,
        })),
    );
  }

  /** What is wrong with an answer, or undefined: its status, type or body is not as the document says. */
  faultOf({ method, path }: Asked, status: number, type: string | null, text: string): string | undefined {
    const operation = this.#operationAt(method, path);
    // What is refused for its address or method is no operation; its shape is that of every error.
    const responses = (operation?.["responses"] ?? { default: this.#anyFailure() }) as Record<string, JsonObject>;
    const response = responses[status] ?? responses["default"];
    if (response === undefined || (responses[status] === undefined && status < 400))
      return `status ${status} is not told`;
    const content = response["content"] as Record<string, JsonObject> | undefined;
    if (content === undefined) return text === "" ? undefined : "a body where none is told";
    const [told = "", { schema = {} } = {}] = Object.entries(content)[0] ?? [];
    if (type?.split(";")[0] !== told) return `type ${type} is not ${told}`;
    return faultOf(JSON.parse(text) as Json, schema as JsonObject, this.#json);
  }

  #operationAt(method: string, path: string): JsonObject | undefined {
    const given = path.split("/");
    const paths = this.#json["paths"] as Record<string, Record<string, JsonObject>>;
    const template = Object.keys(paths).find((one) => {
      const segments = one.split("/");
      return segments.length === given.length && segments.every((s, i) => s.startsWith("{") || s === given[i]);
    });
    return template === undefined ? undefined : paths[template]?.[method.toLowerCase()];
  }

  #anyFailure(): JsonObject {
    return { content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } } };
  }
}
